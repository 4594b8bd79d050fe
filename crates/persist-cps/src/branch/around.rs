//! What the timeline leaves open: frames that are lost, bytes that belong to none, entries that point to nothing.

use std::collections::BTreeSet;

use persist_api::Result;
use persist_frame::Checksum;

use super::check::MODES;
use super::finding::{BranchSeverity as S, Findings};
use super::gaps;
use super::hints::Beside;
use super::layout::{ENTRY_LEN, Entry, FramesEntry, TRAILER_LEN, Trailer, key_hash};
use super::records::{self, Files, Shape};
use super::survey::{BranchFrame, Gathered};
use super::timeline::Timeline;

const IDX: &str = "branch.idx";
const DAT: &str = "branch.dat";

/// Reports everything but the verified frames; gives back the keys for which something newer is lost.
pub(super) fn around(
    files: &Files<'_>,
    beside: &Beside,
    timeline: &Timeline,
    gathered: &mut Gathered,
) -> Result<BTreeSet<Vec<u8>>> {
    let mut lost = Lost { files, stale: BTreeSet::new(), told: BTreeSet::new() };
    for shape in &timeline.damaged {
        lost.damaged(*shape, beside, gathered)?;
    }
    for (key, frame) in std::mem::take(&mut gathered.left_out) {
        if gathered.keys.get(&key).is_none_or(|newest| newest.frame < frame) {
            lost.stale.insert(key);
        }
    }
    for (frame_id, at) in &timeline.repeated {
        let what = "the bytes of an earlier frame once more; they are not imported again";
        gathered.findings.add(S::Note, "frame_repeated", (IDX, Some(*at), Some(*frame_id)), what);
    }
    heads(beside, &mut lost, gathered)?;
    entries(beside, &mut lost, gathered)?;
    checkpoints(beside, &lost, gathered);
    gaps::in_idx(files, beside, timeline, &lost.told, gathered)?;
    numbers(&gathered.frames, &mut gathered.findings);
    gaps::in_dat(files, beside, gathered);
    dat_places(files, beside, gathered);
    if timeline.cut_short {
        let what =
            "the search for frames was given up: the file is made of what looks like frames and is none";
        gathered.findings.add(S::Lost, "search_cut_short", (IDX, None, None), what);
    }
    Ok(lost.stale)
}

/// The checksum of the branch, found out from its bytes.
pub(super) fn mode(beside: &Beside, gathered: &mut Gathered) -> Option<Checksum> {
    let [first, second] = gathered.modes;
    let by_chunks = match (first, second) {
        (0, 0) => None,
        (first, second) => Some(if first >= second { MODES[0] } else { MODES[1] }),
    };
    let by_meta = beside.meta.map(|meta| meta.checksum);
    let mixed = first > 0 && second > 0 || by_meta.is_some_and(|meta| by_chunks.is_some_and(|it| it != meta));
    if mixed {
        let what = "both checksums are in use; each is checked in the form that it has";
        gathered.findings.add(S::Note, "checksum_mixed", (DAT, None, None), what);
    }
    by_meta.or(by_chunks)
}

struct Lost<'l, 's> {
    files: &'l Files<'s>,
    stale: BTreeSet<Vec<u8>>,
    /// Where lost frames begin that were reported.
    told: BTreeSet<u64>,
}

impl Lost<'_, '_> {
    /// A frame that is whole but not what it was.
    fn damaged(&mut self, shape: Shape, beside: &Beside, gathered: &mut Gathered) -> Result<()> {
        let trailer = shape.trailer(self.files)?;
        let id = trailer.map(|trailer| trailer.frame_id);
        if !was_committed(beside, shape) {
            self.told.insert(shape.start);
            let what = "after the newest frame, one whose records do not have its digest: a commit that was cut short";
            gathered.findings.add(S::Note, "beyond_head", (IDX, Some(shape.start), id), what);
            return Ok(());
        }
        let entries = shape.entries(self.files)?;
        let keys = self.keys(&entries, shape.start, gathered)?;
        self.told.insert(shape.start);
        let what = format!(
            "{} records do not have the digest of their frame, which is not imported; {keys} of their keys now show an \
             older value or none",
            shape.count
        );
        gathered.findings.add(S::Lost, "frame_damaged", (IDX, Some(shape.start), id), what);
        Ok(())
    }

    /// Takes the keys of a lost frame for which nothing newer is known; says how many.
    fn keys(&mut self, entries: &[Entry], at: u64, gathered: &Gathered) -> Result<u64> {
        let mut count = 0_u64;
        for entry in entries.iter().filter(|entry| entry.key_len <= self.files.limits.key_bytes) {
            let Some(key_at) = entry.key_at() else { continue };
            let file = self.files.file(entry.is_payload());
            let Some(key) = file.bytes(key_at, u64::from(entry.key_len))? else { continue };
            let newer = gathered.keys.get(&key).and_then(|newest| gathered.frames.get(newest.frame));
            if key_hash(&key) == entry.key_hash && newer.is_none_or(|frame| frame.idx_at < at) {
                count = count.saturating_add(u64::from(self.stale.insert(key)));
            }
        }
        Ok(count)
    }

    /// Where the parts of a lost frame are, by its trailer; or by its headers where the end of the file cuts the trailer off.
    fn shape(&self, entry: &FramesEntry) -> Result<Option<Shape>> {
        let idx = &self.files.idx;
        let trailer = entry.idx_end().checked_sub(TRAILER_LEN);
        let Some(trailer) = trailer.map(|at| idx.array(at)).transpose()?.flatten() else {
            let shape = records::follow(self.files, entry.idx_at)?;
            return Ok(shape.filter(|shape| shape.end() == entry.idx_end()));
        };
        let empty = Shape { start: entry.idx_at, toc_at: 0, count: Trailer::parse(&trailer).count };
        let toc_at = entry.idx_end().checked_sub(empty.end()).filter(|at| *at >= entry.idx_at);
        Ok(toc_at.map(|toc_at| Shape { toc_at, ..empty }))
    }

    /// A frame that somebody names and that is not there.
    fn missing(
        &mut self,
        entry: &FramesEntry,
        file: &'static str,
        at: Option<u64>,
        gathered: &mut Gathered,
    ) -> Result<()> {
        if !self.told.insert(entry.idx_at) {
            return Ok(());
        }
        let (idx, dat) = (&self.files.idx, &self.files.dat);
        let short = |end: u64, len: u64| end.saturating_sub(len);
        let (code, why) = match (short(entry.idx_end(), idx.len), short(entry.dat_end(), dat.len)) {
            (0, 0) => ("frame_lost", "no frame verifies there".to_owned()),
            (0, dat) => ("dat_short", format!("branch.dat is {dat} bytes too short for it")),
            (idx, _) => ("idx_short", format!("branch.idx is {idx} bytes too short for it")),
        };
        // Many entries may name the same large table.
        let table = match self.shape(entry)? {
            Some(shape) if self.files.spend(u64::from(shape.count).saturating_mul(ENTRY_LEN)) => {
                shape.entries_left(self.files)?
            }
            _ => Vec::new(),
        };
        let keys = self.keys(&table, entry.idx_at, gathered)?;
        let what = format!(
            "a committed frame of beat {} is lost: {why}; {keys} keys are known to be affected",
            entry.beat
        );
        gathered.findings.add(S::Lost, code, (file, at, Some(entry.frame_id)), what);
        Ok(())
    }
}

/// Whether a damaged frame may have been committed: a head that verifies and ends before it says no, unless the directory of
/// frames or a head that was about to replace this one names it.
fn was_committed(beside: &Beside, shape: Shape) -> bool {
    beside.meta.is_none_or(|meta| shape.start < meta.head.idx_end())
        || beside.frames.contains_key(&shape.start)
        || beside.heads().any(|meta| meta.head.idx_at == shape.start)
}

pub(super) fn frame_at(frames: &[BranchFrame], idx_at: u64) -> Option<&BranchFrame> {
    let place = frames.binary_search_by_key(&idx_at, |frame| frame.idx_at).ok()?;
    frames.get(place)
}

/// Whether some frame has bytes in common with this entry. Frames are in order and do not overlap.
fn overlaps(frames: &[BranchFrame], entry: &FramesEntry) -> bool {
    let ends_after = |frame: &BranchFrame| frame.idx_at.saturating_add(frame.idx_len) > entry.idx_at;
    let first = frames.partition_point(|frame| !ends_after(frame));
    frames.get(first).is_some_and(|frame| frame.idx_at < entry.idx_end())
}

/// The frame that `branch.meta` names, and frames after it.
fn heads(beside: &Beside, lost: &mut Lost<'_, '_>, gathered: &mut Gathered) -> Result<()> {
    let Some(meta) = beside.meta else { return Ok(()) };
    if !meta.is_empty() {
        match frame_at(&gathered.frames, meta.head.idx_at) {
            None => lost.missing(&meta.head, "branch.meta", None, gathered)?,
            Some(frame) => {
                let head = &meta.head;
                let idx = (head.idx_end(), meta.digest)
                    == (frame.idx_at.saturating_add(frame.idx_len), frame.digest);
                let dat = frame.dat.is_none_or(|dat| dat == (head.dat_at, head.dat_end()));
                if !idx || !dat {
                    let what = "the head is not the frame that begins where it says";
                    let place = ("branch.meta", None, Some(frame.frame_id));
                    gathered.findings.add(S::Repaired, "meta_differs", place, what);
                }
            }
        }
    }
    let beyond = |frame: &&BranchFrame| frame.idx_at >= meta.head.idx_end();
    for frame in gathered.frames.iter().filter(beyond) {
        let what = "a whole frame after the head: its commit was cut short, or the new head was lost with the power; \
                    it verifies and is imported";
        let place = (IDX, Some(frame.idx_at), Some(frame.frame_id));
        gathered.findings.add(S::Note, "frame_beyond_head", place, what);
    }
    Ok(())
}

/// Entries of `branch.frames` that name no verified frame, and verified frames that it does not name.
fn entries(beside: &Beside, lost: &mut Lost<'_, '_>, gathered: &mut Gathered) -> Result<()> {
    let known: BTreeSet<_> = gathered.frames.iter().map(|frame| (frame.frame_id, frame.beat)).collect();
    for (idx_at, listed) in &beside.frames {
        if frame_at(&gathered.frames, *idx_at).is_some() || lost.told.contains(idx_at) {
            continue;
        }
        for (at, entry) in listed {
            let place = ("branch.frames", Some(*at), Some(entry.frame_id));
            if known.contains(&(entry.frame_id, entry.beat)) {
                let what = "an entry that places a frame where it is not";
                gathered.findings.add(S::Repaired, "frames_entry", place, what);
            } else if overlaps(&gathered.frames, entry) {
                let what = "an entry for bytes that now belong to another frame: it was discarded by the original, or \
                            the entry is damaged";
                gathered.findings.add(S::Unchecked, "frames_stale", place, what);
            } else {
                lost.missing(entry, "branch.frames", Some(*at), gathered)?;
            }
        }
    }
    for frame in gathered.frames.iter().filter(|frame| !beside.frames.contains_key(&frame.idx_at)) {
        let place = ("branch.frames", None, Some(frame.frame_id));
        let is_head = beside.meta.is_some_and(|meta| meta.head.idx_at == frame.idx_at);
        let what = if is_head || beside.frames.is_empty() {
            "a good frame has no entry here"
        } else {
            "a good frame has no entry here: the entry was lost, or the commit failed when the frame was whole, and it may \
             never have been committed; it is imported"
        };
        gathered.findings.add(S::Repaired, "frame_unlisted", place, what);
    }
    Ok(())
}

fn checkpoints(beside: &Beside, lost: &Lost<'_, '_>, gathered: &mut Gathered) {
    let counted = beside.meta.map_or(0, |meta| u64::from(meta.checkpoint_gen));
    // Damaged ones were told, one piece for one or more of them.
    if counted > beside.checkpoints && beside.checkpoints_damaged == 0 {
        let what = format!(
            "branch.meta counts {counted} checkpoints, {} are here; the frames themselves have what they said",
            beside.checkpoints
        );
        gathered.findings.add(S::Repaired, "checkpoint_missing", ("branch.ckp", None, None), what);
    }
    let known: BTreeSet<_> = gathered.frames.iter().map(|frame| frame.frame_id).collect();
    for (at, header) in beside.copies() {
        if frame_at(&gathered.frames, header.idx_at).is_some() || lost.told.contains(&header.idx_at) {
            continue;
        }
        let severity = if known.contains(&header.frame_id) { S::Repaired } else { S::Unchecked };
        let what = "a checkpoint of a frame that is not there";
        let place = ("branch.ckp", Some(*at), Some(header.frame_id));
        gathered.findings.add(severity, "checkpoint_stale", place, what);
    }
}

/// The original numbers frames upwards from 1.
fn numbers(frames: &[BranchFrame], findings: &mut Findings) {
    for (one, next) in frames.iter().zip(frames.iter().skip(1)) {
        if next.frame_id <= one.frame_id {
            let what =
                format!("the number does not follow {}; the later place counts as newer", one.frame_id);
            findings.add(S::Note, "number_order", (IDX, Some(next.idx_at), Some(next.frame_id)), what);
        }
    }
}

/// A frame without payloads has a place in `branch.dat` all the same: after the payloads before it, before those after.
fn dat_places(files: &Files<'_>, beside: &Beside, gathered: &mut Gathered) {
    let Gathered { frames, findings, .. } = gathered;
    let mut next = files.dat.len;
    let mut until: Vec<u64> = Vec::with_capacity(frames.len());
    for frame in frames.iter().rev() {
        until.push(next);
        next = frame.dat.map_or(next, |(from, _)| from);
    }
    let mut from = 0_u64;
    for (frame, until) in frames.iter().zip(until.into_iter().rev()) {
        if let Some((_, end)) = frame.dat {
            from = end;
            continue;
        }
        let allowed = from..=until.max(from);
        let what = "the place in branch.dat of a frame without payloads is not where it can have been";
        let mut tell = |code, file, at| {
            findings.add(S::Repaired, code, (file, at, Some(frame.frame_id)), what);
        };
        for (at, entry) in beside.frames.get(&frame.idx_at).into_iter().flatten() {
            if !allowed.contains(&entry.dat_at) {
                tell("frames_entry", "branch.frames", Some(*at));
            }
        }
        for (at, header) in beside.copies_at(frame.idx_at) {
            if !allowed.contains(&header.dat_at) {
                tell("checkpoint_differs", "branch.ckp", Some(*at));
            }
        }
        let head = beside.meta.filter(|meta| !meta.is_empty() && meta.head.idx_at == frame.idx_at);
        if head.is_some_and(|meta| !allowed.contains(&meta.head.dat_at)) {
            tell("meta_differs", "branch.meta", None);
        }
    }
}
