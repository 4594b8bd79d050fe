//! What lies beside the timeline: `branch.meta`, `branch.frames`, `branch.ckp`. None of it is needed to read a branch;
//! all of it is compared, and helps where the timeline is damaged.

use std::collections::BTreeMap;

use persist_api::Result;

use super::finding::{BranchSeverity as S, Findings};
use super::layout::{
    COPY_HEADER_LEN, COPY_MAGIC, CopyHeader, ENTRY_LEN, FRAMES_ENTRY_LEN, FramesEntry, META_LEN, Meta,
    TRAILER_LEN, TRAILER_MAGIC, Trailer,
};
use super::records::{self, Files, Hints, Shape};
use super::source::{BranchSource, File};
use super::watch::Watch;

/// So much of a piece of an entry says which frame it is of: beat, number, place and length in `branch.idx`.
const PIECE_LEN: u64 = 32;

/// So many places in `branch.dat` are tried for the payloads of a frame.
const DAT_STARTS: usize = 4;

/// So many copies of its table are tried.
const COPIES: usize = 2;

/// So many entries of `branch.frames` that name no place where a frame ends are looked at. Those of frames that are gone count, too,
/// but zeros are such entries as well, and a file with holes has any number of them.
const STRAYS_MAX: u32 = 1 << 20;

/// Everything that was found beside the timeline.
#[derive(Debug, Default)]
pub(super) struct Beside {
    /// The head, where it verifies.
    pub(super) meta: Option<Meta>,
    /// A head that was about to replace it, where that verifies.
    pub(super) next_meta: Option<Meta>,
    /// `branch.frames`, by the offset of the frame; with each entry, its own offset.
    pub(super) frames: BTreeMap<u64, Vec<(u64, FramesEntry)>>,
    /// `branch.ckp`, by the offset of the frame and the number of its records; with each header, its own offset.
    copies: BTreeMap<(u64, u32), Vec<(u64, CopyHeader)>>,
    /// What in `branch.frames` is no entry: where each such piece is, and how it begins.
    pub(super) frames_pieces: Vec<(u64, Vec<u8>)>,
    /// Nothing here speaks of a commit, as before the first one: no head or an empty file, and an empty directory of frames that is
    /// there, for it comes with the branch.
    pub(super) unborn: bool,
    /// Checkpoints that could be read.
    pub(super) checkpoints: u64,
    /// Pieces between them that could not.
    pub(super) checkpoints_damaged: u64,
}

impl Beside {
    pub(super) fn read(
        source: &dyn BranchSource,
        files: &Files<'_>,
        copies: &File<'_>,
        findings: &mut Findings,
        watch: &Watch<'_>,
    ) -> Result<Self> {
        let mut beside = Self::default();
        beside.metas(source, files, findings, watch)?;
        let frames = File::open(source, "branch.frames", watch)?;
        let is_blank = |file: &File<'_>| file.len == 0;
        beside.unborn = is_blank(&File::open(source, "branch.meta", watch)?)
            && (is_blank(&frames) && !frames.is_missing())
            && is_blank(copies)
            && beside.heads().next().is_none();
        beside.frames(&frames, files, findings)?;
        beside.read_copies(copies, findings)?;
        Ok(beside)
    }

    fn metas(
        &mut self,
        source: &dyn BranchSource,
        files: &Files<'_>,
        findings: &mut Findings,
        watch: &Watch<'_>,
    ) -> Result<()> {
        let load = |name: &'static str| -> Result<Option<Result<Meta, String>>> {
            let file = File::open(source, name, watch)?;
            if file.is_missing() {
                return Ok(None);
            }
            let bytes = if file.len == META_LEN { file.bytes(0, file.len)? } else { None };
            Ok(Some(match bytes {
                Some(bytes) => Meta::parse(&bytes),
                None => Err(format!("{} bytes instead of {META_LEN}", file.len)),
            }))
        };
        let place = ("branch.meta", None, None);
        match load("branch.meta")? {
            Some(Ok(meta)) => self.meta = Some(meta),
            Some(Err(why)) => {
                let what =
                    format!("the head does not verify ({why}); the timeline itself says what is there");
                findings.add(S::Repaired, "meta_damaged", place, what);
            }
            None if files.idx.len > 0 => {
                let what = "the head is missing; the timeline itself says what is there";
                findings.add(S::Repaired, "meta_missing", place, what);
            }
            None => {}
        }
        if self.meta.is_some_and(|meta| meta.odd) {
            let what = "fields are set that the original leaves zero";
            findings.add(S::Note, "meta_reserved", place, what);
        }
        if let Some(next) = load("branch.meta.new")? {
            self.next_meta = next.ok();
            let what = "a head that never replaced branch.meta: a commit was cut short";
            findings.add(S::Note, "leftover_meta", ("branch.meta.new", None, None), what);
        }
        Ok(())
    }

    /// Reads the directory of frames. A piece that is no entry is stepped over, wherever it is.
    fn frames(&mut self, file: &File<'_>, files: &Files<'_>, findings: &mut Findings) -> Result<()> {
        let (mut at, mut strays) = (0_u64, 0_u32);
        while at < file.len {
            let entry = read_entry(file, at)?;
            let skip = realign(file, files, at)?;
            let place = ("branch.frames", Some(at), None);
            strays = strays.saturating_add(u32::from(skip.is_none()));
            if strays > STRAYS_MAX {
                let what = format!(
                    "{STRAYS_MAX} entries here name no frame that is there; the {} bytes behind them were not looked at",
                    file.len.saturating_sub(at)
                );
                findings.add(S::Lost, "search_cut_short", place, what);
                break;
            }
            match (entry, skip) {
                (Some(entry), Some(0) | None) => {
                    // Whole, if perhaps wrong: it is compared with the timeline later.
                    let listed = self.frames.entry(entry.idx_at).or_insert_with(|| Vec::with_capacity(1));
                    listed.push((at, entry));
                    at = at.saturating_add(FRAMES_ENTRY_LEN);
                }
                (_, skip) => {
                    let rest = file.len.saturating_sub(at);
                    let skip = skip.filter(|skip| *skip > 0).unwrap_or(rest);
                    let what = format!("{skip} bytes that are no entry of the directory of frames");
                    findings.add(S::Repaired, "frames_partial", place, what);
                    let kept = file.bytes(at, skip.min(PIECE_LEN))?.unwrap_or_default();
                    self.frames_pieces.push((at, kept));
                    at = at.saturating_add(skip);
                }
            }
        }
        Ok(())
    }

    /// Reads the checkpoints. What is no checkpoint is stepped over up to the next that is one.
    fn read_copies(&mut self, file: &File<'_>, findings: &mut Findings) -> Result<()> {
        let mut at = 0_u64;
        while at < file.len {
            let header = file.array(at)?.and_then(|bytes| CopyHeader::parse(&bytes));
            let len = header.map(|header| {
                u64::from(header.count).saturating_mul(ENTRY_LEN).saturating_add(COPY_HEADER_LEN)
            });
            if let Some((header, len)) = header.zip(len.filter(|len| file.holds(at, *len))) {
                self.copies.entry((header.idx_at, header.count)).or_default().push((at, header));
                self.checkpoints = self.checkpoints.saturating_add(1);
                at = at.saturating_add(len);
            } else {
                let next = file.find(at.saturating_add(1), COPY_MAGIC)?.unwrap_or(file.len);
                let what = format!("{} bytes that are no checkpoint", next.saturating_sub(at));
                findings.add(S::Repaired, "checkpoint_partial", ("branch.ckp", Some(at), None), what);
                self.checkpoints_damaged = self.checkpoints_damaged.saturating_add(1);
                at = next;
            }
        }
        Ok(())
    }

    /// The heads that verify and name a frame.
    pub(super) fn heads(&self) -> impl Iterator<Item = Meta> {
        [self.meta, self.next_meta].into_iter().flatten().filter(|meta| !meta.is_empty())
    }

    /// All checkpoints, by the offset of the frame; with each header, its own offset.
    pub(super) fn copies(&self) -> impl Iterator<Item = &(u64, CopyHeader)> {
        self.copies.values().flatten()
    }

    /// Those of a frame that begins here.
    pub(super) fn copies_at(&self, start: u64) -> impl Iterator<Item = &(u64, CopyHeader)> {
        self.copies.range((start, 0)..=(start, u32::MAX)).flat_map(|(_, copies)| copies)
    }

    /// Those that may be of a frame of this shape. No more are looked at than are given: this, too, is asked again and again.
    fn copies_like(&self, shape: Shape) -> &[(u64, CopyHeader)] {
        let copies = self.copies.get(&(shape.start, shape.count)).map_or(&[][..], Vec::as_slice);
        copies.get(..COPIES).unwrap_or(copies)
    }

    /// What is known beside the timeline of a frame of this shape.
    pub(super) fn hints(
        &self,
        files: &Files<'_>,
        shape: Shape,
        dat_end: u64,
        copies: &File<'_>,
    ) -> Result<Hints> {
        let start = shape.start;
        let mut hints = Hints { dat_starts: vec![dat_end], ..Hints::default() };
        for meta in self.heads().filter(|meta| meta.head.idx_at == start) {
            hints.digests.push(meta.digest);
            hints.dat_starts.push(meta.head.dat_at);
            if meta.head.idx_end() == shape.end() {
                let FramesEntry { beat, frame_id, .. } = meta.head;
                let (magic, digest) = (TRAILER_MAGIC, meta.digest);
                let trailer =
                    Trailer { magic, reserved: 0, beat, frame_id, count: shape.count, flags: 0, digest };
                hints.trailer.get_or_insert(trailer);
            }
        }
        // A hostile file may have all its entries for one place, and this is asked again and again.
        let listed = self.frames.get(&start).into_iter().flatten().take(DAT_STARTS);
        hints.dat_starts.extend(listed.map(|(_, entry)| entry.dat_at));
        for (at, header) in self.copies_like(shape) {
            let table = records::entries(files, copies, at.saturating_add(COPY_HEADER_LEN), header.count)?;
            hints.copies.push(table);
        }
        hints.dat_starts.dedup();
        hints.dat_starts.truncate(DAT_STARTS);
        Ok(hints)
    }
}

fn read_entry(file: &File<'_>, at: u64) -> Result<Option<FramesEntry>> {
    Ok(file.array(at)?.map(|bytes| FramesEntry::parse(&bytes)))
}

/// Whether an entry names a place in `branch.idx` that ends with a trailer, and one in `branch.dat`.
fn plausible(entry: &FramesEntry, files: &Files<'_>) -> Result<bool> {
    if entry.idx_len < TRAILER_LEN
        || !files.idx.holds(entry.idx_at, entry.idx_len)
        || !files.dat.holds(entry.dat_at, entry.dat_len)
    {
        return Ok(false);
    }
    let trailer = entry.idx_end().saturating_sub(TRAILER_LEN);
    Ok(files.idx.peek(trailer)?.map(u32::from_le_bytes) == Some(TRAILER_MAGIC))
}

/// How many bytes to step over to the next entry; `None` if none of the next positions has one.
fn realign(file: &File<'_>, files: &Files<'_>, at: u64) -> Result<Option<u64>> {
    let most = FRAMES_ENTRY_LEN.saturating_mul(2).saturating_sub(1);
    let bytes = file.bytes(at, most.min(file.len.saturating_sub(at)))?.unwrap_or_default();
    // A hole has many of these.
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    for (skip, bytes) in (0_u64..).zip(bytes.windows(48)) {
        if let Some(bytes) = bytes.first_chunk()
            && plausible(&FramesEntry::parse(bytes), files)?
        {
            return Ok(Some(skip));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::branch::layout::Entry;
    use crate::branch::survey;

    #[test]
    fn hints_do_not_grow_with_the_entries_for_one_place() {
        let nothing: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let watch = Watch::new(&persist_api::Quiet);
        let files = survey::open(&nothing, survey::BranchLimits::default(), &watch).unwrap();
        let entry = FramesEntry::parse(&[0; 48]);
        let listed = (0..10_000).map(|at| (at, FramesEntry { dat_at: at, ..entry })).collect();
        let beside = Beside { frames: BTreeMap::from([(0, listed)]), ..Beside::default() };
        let shape = Shape { start: 0, toc_at: 0, count: 0 };
        let hints = beside.hints(&files, shape, 7, &files.idx).unwrap();
        assert_eq!(hints.dat_starts, [7, 0, 1, 2]);
        assert!(hints.dat_starts.capacity() < 32, "{}", hints.dat_starts.capacity());
    }

    #[test]
    fn hints_look_at_few_checkpoints_however_many_are_of_one_place() {
        let header = |count: u32| {
            let words = [COPY_MAGIC, count].into_iter().flat_map(u32::to_le_bytes);
            words.chain([0; 32]).chain(vec![0; count as usize * 40]).collect::<Vec<u8>>()
        };
        let bytes = [header(0).repeat(10_000), header(1).repeat(3), header(0)].concat();
        let dir = BTreeMap::from([("branch.ckp".to_owned(), bytes)]);
        let watch = Watch::new(&persist_api::Quiet);
        let files = survey::open(&dir, survey::BranchLimits::default(), &watch).unwrap();
        let file = File::open(&dir, "branch.ckp", &watch).unwrap();
        let mut beside = Beside::default();
        beside.read_copies(&file, &mut Findings::default()).unwrap();
        assert_eq!((beside.copies().count(), beside.copies_at(0).count()), (10_004, 10_004));
        for (count, looked_at) in [(0, 2), (1, 2), (2, 0)] {
            let shape = Shape { start: 0, toc_at: 0, count };
            assert_eq!(beside.copies_like(shape).len(), looked_at, "{count} records");
            let hints = beside.hints(&files, shape, 0, &file).unwrap();
            assert_eq!(hints.copies, vec![vec![Entry::parse(&[0; 40]); count as usize]; looked_at]);
        }
    }
}
