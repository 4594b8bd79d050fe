//! Reads a run: open, the blocks and their checks.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use persist_api::{BeatHeader, BeatNo, Error, ErrorKind, Result};
use persist_io::{Disk, FileMode, Mapping};

use super::block::{self, ALIGN, Block, HEADER, Kind, aligned};
use super::data::DataBlock;
use super::fences::{Fences, INDEX_VALUE, TOP_VALUE};
use super::filter::LINE;
use super::head::{NotHead, RunHead, RunStat, SUMMARY_BLOCK, Summary};
use super::ranges;
use super::version::RangeDelete;
use crate::coding::{u32_at, u64_at, varint};
use crate::error::{SCHEME, corrupt};
use crate::names;

pub(super) const OP: &str = "read_run";

/// An open run. Every block is checked the first time it is read through this handle.
pub(crate) struct Run {
    path: PathBuf,
    bytes: Mapping,
    pub(super) summary: Summary,
    /// The payload of the top index block, which was checked at open.
    top: Range<usize>,
    first_key: Range<usize>,
    last_key: Range<usize>,
    ranges: Vec<RangeDelete>,
    /// A bit a block: data blocks in order, then filter and index of each group.
    checked: Box<[AtomicU64]>,
}

/// A verified index block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Index<'r> {
    pub(super) fences: Fences<'r>,
    pub(super) offset: u64,
}

impl Index<'_> {
    /// Where a data block of the group lies, and the length of its payload.
    #[inline]
    pub(super) fn child(&self, child: usize) -> Option<(u64, usize)> {
        let value = self.fences.value(child)?;
        let back = u64::from(u32_at(value, 0)?).checked_mul(ALIGN)?;
        Some((self.offset.checked_sub(back)?, usize::try_from(u32_at(value, 4)?).ok()?))
    }
}

/// Where the blocks of a group lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct GroupAt {
    pub(super) index: u64,
    pub(super) index_len: usize,
    pub(super) filter: u64,
    pub(super) filter_len: usize,
}

impl GroupAt {
    /// What the top index block says of a group.
    #[inline]
    pub(super) fn of(top: &Fences<'_>, group: usize) -> Option<Self> {
        let value = top.value(group)?;
        let index = u64_at(value, 0)?;
        let index_len = usize::try_from(u32_at(value, 8)?).ok()?;
        let filter_len = usize::try_from(u32_at(value, 12)?).ok()?.checked_mul(LINE)?;
        let filter = index.checked_sub(filter_len as u64)?.checked_sub(HEADER as u64)?;
        Some(Self { index, index_len, filter, filter_len })
    }
}

impl Run {
    /// Opens run `number` of a directory: reads its foot, its top index block and its range deletions.
    ///
    /// # Errors
    /// `Corrupt` when one of them does not verify ([`rebuild`](super::rebuild()) may help), `Mismatch` for a later format,
    /// `Io`.
    pub(crate) fn open(disk: &dyn Disk, dir: &Path, number: u32) -> Result<Arc<Self>> {
        let path = dir.join(names::Kind::Run.name(number));
        let file = disk.open(&path, FileMode::Read)?;
        let bytes = file.map(0, file.len()?)?;
        Self::of_bytes(path, number, bytes).map(Arc::new)
    }

    pub(super) fn of_bytes(path: PathBuf, number: u32, bytes: Mapping) -> Result<Self> {
        let summary = read_summary(&path, number, &bytes)?;
        let blocks = summary
            .sections
            .groups
            .checked_mul(2)
            .and_then(|others| others.checked_add(summary.sections.data_blocks))
            .filter(|blocks| *blocks <= bytes.len() as u64 / HEADER as u64)
            .ok_or_else(|| {
                corrupt(OP, &path, 0, "the head block counts more blocks than the file can hold")
            })?;
        let words = usize::try_from(blocks.div_ceil(64)).unwrap_or(0);
        let mut run = Self {
            path,
            bytes,
            summary,
            top: 0..0,
            first_key: 0..0,
            last_key: 0..0,
            ranges: Vec::new(),
            checked: (0..words).map(|_| AtomicU64::new(0)).collect(),
        };
        run.read_top()?;
        run.ranges = run.read_ranges()?;
        Ok(run)
    }

    fn read_top(&mut self) -> Result<()> {
        let sections = self.summary.sections;
        let block = self.read_block(sections.top, Kind::Top)?;
        let malformed = || self.malformed(sections.top, Kind::Top);
        let end = usize::try_from(block.end).map_err(|_| malformed())?;
        let (fences, behind) = Fences::parse(block.payload, TOP_VALUE, self.floor()).ok_or_else(malformed)?;
        let groups = fences.count as u64;
        if groups != sections.groups || u64::from(block.header.len) != sections.top_len {
            return Err(malformed());
        }
        let (first_key, last_key) = if groups == 0 {
            (0..0, 0..0)
        } else {
            let base = end.saturating_sub(behind.len());
            let key = |at: usize| -> Option<Range<usize>> {
                let (len, start) = varint(behind, at)?;
                let end = start.checked_add(usize::try_from(len).ok()?)?;
                behind.get(start..end)?;
                Some(start..end)
            };
            let first = key(0).ok_or_else(malformed)?;
            let last = key(first.end).ok_or_else(malformed)?;
            let place =
                |range: Range<usize>| base.saturating_add(range.start)..base.saturating_add(range.end);
            (place(first), place(last))
        };
        let top = end.saturating_sub(block.payload.len())..end;
        (self.top, self.first_key, self.last_key) = (top, first_key, last_key);
        Ok(())
    }

    fn read_ranges(&self) -> Result<Vec<RangeDelete>> {
        let mut found = Vec::new();
        let mut offset = self.summary.sections.ranges;
        let mut left = self.summary.stat.ranges;
        while left > 0 {
            let block = self.read_block(offset, Kind::Ranges)?;
            let count = u64::from(block.header.count);
            ranges::read(block.payload, block.header.count, &mut found)
                .filter(|()| count > 0 && count <= left)
                .ok_or_else(|| self.malformed(offset, Kind::Ranges))?;
            left = left.saturating_sub(count);
            offset = aligned(block.end);
        }
        Ok(found)
    }

    /// Which part of the past it holds.
    pub(crate) fn head(&self) -> &RunHead {
        &self.summary.head
    }

    /// What it holds, in numbers.
    pub(crate) fn stat(&self) -> &RunStat {
        &self.summary.stat
    }

    /// The newest beat header that it was given.
    pub(crate) fn newest(&self) -> &BeatHeader {
        &self.summary.newest
    }

    /// Its file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its range deletions and lost beats, in the order in which they were added.
    pub(crate) fn ranges(&self) -> &[RangeDelete] {
        &self.ranges
    }

    /// Its smallest and its largest key; `None` if it holds no records.
    #[cfg(test)]
    pub(crate) fn key_bounds(&self) -> Option<(&[u8], &[u8])> {
        if self.summary.stat.records == 0 {
            return None;
        }
        Some((self.bytes.get(self.first_key.clone())?, self.bytes.get(self.last_key.clone())?))
    }

    /// The header of a beat, if it was given; the last one where several have this beat.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(crate) fn header(&self, beat: BeatNo) -> Result<Option<BeatHeader>> {
        let mut found = None;
        self.each_header(|header| {
            if header.beat == beat {
                found = Some(header);
            }
        })?;
        Ok(found)
    }

    /// Every beat header that it was given, oldest first.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(crate) fn headers(&self) -> Result<Vec<BeatHeader>> {
        let mut found = Vec::new();
        self.each_header(|header| found.push(header))?;
        Ok(found)
    }

    fn each_header(&self, mut visit: impl FnMut(BeatHeader)) -> Result<()> {
        let mut offset = self.summary.sections.headers;
        let mut left = self.summary.stat.headers;
        while left > 0 {
            let block = self.read_block(offset, Kind::Headers)?;
            let (headers, rest) = block.payload.as_chunks::<{ BeatHeader::ENCODED_LEN }>();
            let count = headers.len() as u64;
            if count == 0 || count > left || !rest.is_empty() || count != u64::from(block.header.count) {
                return Err(self.malformed(offset, Kind::Headers));
            }
            for header in headers {
                visit(BeatHeader::decode(header).map_err(|_| self.malformed(offset, Kind::Headers))?);
            }
            left = left.saturating_sub(count);
            offset = aligned(block.end);
        }
        Ok(())
    }

    pub(super) fn floor(&self) -> u64 {
        self.summary.head.floor.0
    }

    pub(super) fn file(&self) -> &[u8] {
        &self.bytes
    }

    /// The top index, parsed.
    #[inline]
    pub(super) fn top(&self) -> Result<Fences<'_>> {
        let parsed = self.bytes.get(self.top.clone());
        let parsed = parsed.and_then(|payload| Fences::parse(payload, TOP_VALUE, self.floor()));
        parsed.map(|(fences, _)| fences).ok_or_else(|| self.malformed_top())
    }

    /// The bit of a group's filter; that of its index is the next one.
    pub(super) fn group_bit(&self, group: usize) -> u64 {
        self.summary.sections.data_blocks.wrapping_add((group as u64).wrapping_mul(2))
    }

    /// The index block of a group, checked.
    #[inline]
    pub(super) fn index(&self, top: &Fences<'_>, group: usize) -> Result<Index<'_>> {
        let at = GroupAt::of(top, group).ok_or_else(|| self.malformed_top())?;
        self.index_at(&at, self.group_bit(group))
    }

    /// The same, where the group is found already; `filter_bit` is that of its filter.
    #[inline]
    pub(super) fn index_at(&self, at: &GroupAt, filter_bit: u64) -> Result<Index<'_>> {
        let payload = self.payload(filter_bit.wrapping_add(1), at.index, at.index_len, Kind::Index)?;
        match Fences::parse(payload, INDEX_VALUE, self.floor()) {
            Some((fences, _)) if fences.count > 0 => Ok(Index { fences, offset: at.index }),
            _ => Err(self.malformed(at.index, Kind::Index)),
        }
    }

    /// A data block of a group, checked.
    #[inline]
    pub(super) fn data(&self, index: &Index<'_>, child: usize) -> Result<DataBlock<'_>> {
        let at = index.child(child);
        let (offset, len) = at.ok_or_else(|| self.malformed(index.offset, Kind::Index))?;
        let payload = self.payload(index.fences.first.wrapping_add(child as u64), offset, len, Kind::Data)?;
        DataBlock::parse(payload, self.floor()).ok_or_else(|| self.malformed(offset, Kind::Data))
    }

    #[inline]
    fn payload(&self, bit: u64, offset: u64, len: usize, kind: Kind) -> Result<&[u8]> {
        match self.checked_payload(bit, offset, len, kind) {
            Some(payload) => Ok(payload),
            None => Err(self.unchecked(offset, len, kind)),
        }
    }

    /// True if a block was read before through this handle.
    #[inline]
    pub(super) fn is_checked(&self, bit: u64) -> bool {
        let word = usize::try_from(bit / 64).ok().and_then(|at| self.checked.get(at));
        word.is_some_and(|word| word.load(Ordering::Relaxed) & 1 << (bit % 64) != 0)
    }

    /// Has the blocks from one up to another, whose payload has `len` bytes, read at once. Scans need not: the system reads
    /// ahead of them.
    #[cold]
    pub(super) fn fetch(&self, from: u64, last: u64, len: usize) {
        let end = usize::try_from(last).unwrap_or(usize::MAX).saturating_add(HEADER).saturating_add(len);
        self.bytes.fetch(usize::try_from(from).unwrap_or(usize::MAX)..end);
    }

    /// A payload that verified before, or does now.
    #[inline]
    pub(super) fn checked_payload(&self, bit: u64, offset: u64, len: usize, kind: Kind) -> Option<&[u8]> {
        let word = self.checked.get(usize::try_from(bit / 64).ok()?)?;
        let mask = 1 << (bit % 64);
        // The bytes never change, so the bit orders nothing.
        if word.load(Ordering::Relaxed) & mask == 0 {
            self.check(offset, len, kind)?;
            word.fetch_or(mask, Ordering::Relaxed);
        }
        let start = usize::try_from(offset).ok()?.checked_add(HEADER)?;
        self.bytes.get(start..start.checked_add(len)?)
    }

    #[cold]
    fn check(&self, offset: u64, len: usize, kind: Kind) -> Option<()> {
        let block = block::read(&self.bytes, self.summary.head.number, offset).ok()?;
        (block.header.kind == kind && block.payload.len() == len).then_some(())
    }

    /// The error for a block that did not verify.
    #[cold]
    fn unchecked(&self, offset: u64, len: usize, kind: Kind) -> Error {
        match self.read_block(offset, kind) {
            Err(error) => error,
            Ok(block) => {
                let have = block.payload.len();
                self.damage(offset, &format!("{}: {have} bytes where {len} should be", kind.name()))
            }
        }
    }

    /// Reads and checks a block, whether it was checked before or not.
    pub(super) fn read_block(&self, offset: u64, kind: Kind) -> Result<Block<'_>> {
        let block = block::read(&self.bytes, self.summary.head.number, offset)
            .map_err(|what| self.damage(offset, &format!("{}: {what}", kind.name())))?;
        if block.header.kind != kind {
            let found = block.header.kind.name();
            return Err(self.damage(offset, &format!("{}: a {found} is here", kind.name())));
        }
        Ok(block)
    }

    /// `Corrupt`, naming file, offset and beats.
    #[cold]
    pub(super) fn damage(&self, offset: u64, what: &str) -> Error {
        let RunHead { first_beat, last_beat, .. } = self.summary.head;
        let what = format!("{what}; the run holds beats {first_beat} to {last_beat}");
        corrupt(OP, &self.path, offset, &what)
    }

    #[cold]
    pub(super) fn malformed(&self, offset: u64, kind: Kind) -> Error {
        self.damage(offset, &format!("{}: malformed, though its checksum fits", kind.name()))
    }

    #[cold]
    pub(super) fn malformed_top(&self) -> Error {
        self.malformed(self.summary.sections.top, Kind::Top)
    }

    #[cold]
    pub(super) fn malformed_data(&self, index: &Index<'_>, child: usize) -> Error {
        self.malformed(index.child(child).map_or(0, |(offset, _)| offset), Kind::Data)
    }
}

/// The foot, or the head where the foot does not verify.
fn read_summary(path: &Path, number: u32, bytes: &[u8]) -> Result<Summary> {
    let len = bytes.len() as u64;
    let mut wrong = None;
    for (offset, kind) in [(len.saturating_sub(SUMMARY_BLOCK), Kind::Foot), (0, Kind::Head)] {
        let what = match block::read(bytes, number, offset) {
            Ok(block) if block.header.kind == kind => match Summary::decode(block.payload) {
                Ok(summary) if summary.stat.file_len != len => {
                    format!("the file has {len} bytes, not {}", summary.stat.file_len)
                }
                Ok(summary) if summary.head.number == number => return Ok(summary),
                Ok(summary) => format!("this is run {}", summary.head.number),
                Err(NotHead::Format(format)) => {
                    let what = format!("run format {format} was written by a later version");
                    return Err(Error::new(ErrorKind::Mismatch, OP, what)
                        .with_engine(SCHEME)
                        .with_path(path));
                }
                Err(NotHead::Malformed) => format!("{}: malformed, though its checksum fits", kind.name()),
            },
            Ok(block) => format!("{}: a {} is here", kind.name(), block.header.kind.name()),
            Err(what) => format!("{}: {what}", kind.name()),
        };
        wrong = Some(corrupt(OP, path, offset, &what));
    }
    Err(wrong.unwrap_or_else(|| corrupt(OP, path, 0, "no head block")))
}
