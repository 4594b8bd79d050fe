//! Writes a run: records in order, in bounded memory.

use std::path::{Path, PathBuf};

use persist_api::{BeatHeader, BeatNo, Error, ErrorKind, Result};
use persist_io::{Disk, FileMode};

use super::block::{ALIGN, HEADER, Kind, aligned};
use super::data::DataBuilder;
use super::fences::{Fence, FenceBuilder, INDEX_VALUE};
use super::filter::{self, LINE, fill, lines_for, tag};
use super::head::{RunHead, RunStat, SUMMARY_BLOCK, Summary};
use super::output::{Output, Written};
use super::ranges;
use super::version::{RangeDelete, Stored};
use crate::coding::put_varint;
use crate::error::SCHEME;
use crate::names;

/// Longest key and value together.
const RECORD_MAX: usize = 1 << 30;
/// A group spans at most about this much, so that an index block can say where its data blocks lie.
const GROUP_SPAN: u64 = 1 << 30;
/// Beat headers a block.
pub(super) const HEADERS_A_BLOCK: usize = 56;

/// How large blocks become. Readers take any shape.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// A data block, its header included, unless a single record is longer.
    pub(super) block: usize,
    /// The payload of an index block, about.
    pub(super) index: usize,
    /// The payload of a ranges block, about.
    pub(super) ranges: usize,
}

impl Default for Shape {
    fn default() -> Self {
        Self { block: 4096, index: 4096, ranges: 1 << 16 }
    }
}

/// Data blocks that share an index block and a filter.
#[derive(Default)]
struct Group {
    fences: FenceBuilder,
    /// The fence of its first block.
    fence: Fence,
    children: Vec<Written>,
    hashes: Vec<u64>,
}

/// Writes a run under an unfinished name; [`finish`](Self::finish) makes it durable and gives it its name. A writer that is
/// dropped before removes the file.
pub(crate) struct RunWriter<'d> {
    disk: &'d dyn Disk,
    dir: PathBuf,
    /// Its name while it is written; `None` once it has its own.
    unfinished: Option<PathBuf>,
    out: Output,
    shape: Shape,
    summary: Summary,
    block: DataBuilder,
    /// Records before the open block.
    before: u64,
    /// The fence of the open block.
    fence: Fence,
    first_key: Vec<u8>,
    last_key: Vec<u8>,
    last_newer: u64,
    group: Group,
    top: FenceBuilder,
    top_values: Vec<u8>,
    ranges: Vec<u8>,
    /// Where the blocks of `ranges` end, and how many each holds.
    range_cuts: Vec<(usize, usize)>,
    headers: Vec<u8>,
}

impl<'d> RunWriter<'d> {
    /// Begins run `head.number` in a directory. A floor above the newest beat counts as the newest beat.
    ///
    /// # Errors
    /// `Io`, `Full`.
    pub(crate) fn create(disk: &'d dyn Disk, dir: &Path, head: RunHead) -> Result<Self> {
        Self::create_shaped(disk, dir, head, Shape::default())
    }

    pub(super) fn create_shaped(disk: &'d dyn Disk, dir: &Path, head: RunHead, shape: Shape) -> Result<Self> {
        let head = RunHead { floor: head.floor.min(head.last_beat), ..head };
        let unfinished = dir.join(names::Kind::Run.name(head.number) + names::UNFINISHED);
        disk.remove_file(&unfinished)?;
        let file = disk.open(&unfinished, FileMode::CreateNew)?;
        Ok(Self {
            disk,
            dir: dir.to_path_buf(),
            unfinished: Some(unfinished),
            out: Output::new(file, head.number, aligned(SUMMARY_BLOCK)),
            shape,
            summary: Summary::new(head),
            block: DataBuilder::default(),
            before: 0,
            fence: Fence::default(),
            first_key: Vec::new(),
            last_key: Vec::new(),
            last_newer: 0,
            group: Group::default(),
            top: FenceBuilder::default(),
            top_values: Vec::new(),
            ranges: Vec::new(),
            range_cuts: Vec::new(),
            headers: Vec::new(),
        })
    }

    fn too_large(&self, what: &str) -> Error {
        let path = self.dir.join(names::Kind::Run.name(self.summary.head.number));
        Error::new(ErrorKind::TooLarge, "write_run", what).with_engine(SCHEME).with_path(path)
    }

    /// Adds a version. Keys ascend; of one key the newest version comes first, and only one may be at or below the floor.
    ///
    /// # Errors
    /// `Corrupt` when it is out of order, as only records can be that were read from a run; `TooLarge` beyond 1 GiB, `Io`, `Full`.
    /// After an error the writer is of no use.
    pub(crate) fn add(&mut self, key: &[u8], beat: BeatNo, stored: &Stored<'_>) -> Result<()> {
        let newer = beat.0.saturating_sub(self.summary.head.floor.0);
        let stat = &mut self.summary.stat;
        let repeats = stat.records > 0 && self.last_key == key;
        if stat.records > 0 && !repeats && *self.last_key > *key || repeats && self.last_newer <= newer {
            // Not the fault of the file that is being written, and nobody here knows of which one.
            let what = "a record is out of order in the run that it was read from, though checksums fit: verify says where";
            return Err(Error::new(ErrorKind::Corrupt, "write_run", what)
                .with_engine(SCHEME)
                .with_path(&self.dir));
        }
        let value_len = match stored {
            Stored::Inline(value) => value.len(),
            Stored::Large(payload) => {
                stat.large_values += 1;
                stat.large_bytes = stat.large_bytes.saturating_add(payload.len);
                0
            }
            Stored::Deleted => {
                stat.deletions += 1;
                0
            }
        };
        if key.len().saturating_add(value_len) > RECORD_MAX {
            return Err(self.too_large("a record beyond 1 GiB"));
        }
        stat.keys += u64::from(!repeats);
        stat.key_bytes = stat.key_bytes.saturating_add(key.len() as u64);
        stat.value_bytes = stat.value_bytes.saturating_add(value_len as u64);
        self.make_room(key, newer, value_len)?;
        let hash = filter::hash(key);
        if !repeats || self.group.hashes.is_empty() {
            self.group.hashes.push(hash);
        }
        self.block.push(&mut self.out.bytes, key, newer, stored, tag(hash));
        self.summary.stat.records += 1;
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        self.last_newer = newer;
        Ok(())
    }

    /// Ends the open block if the record does not fit, and sees that one is open.
    #[inline]
    fn make_room(&mut self, key: &[u8], newer: u64, value_len: usize) -> Result<()> {
        if self.block.count() > 0 {
            // Lengths, beat and tables, about; a reference may come on top.
            let beside = if newer == 0 { 6 } else { 8 };
            let record = key.len().saturating_add(value_len).saturating_add(beside);
            let len = self.block.len(&self.out.bytes).saturating_add(record).saturating_add(HEADER);
            if len <= self.shape.block {
                return Ok(());
            }
            self.end_block()?;
        }
        if self.summary.stat.records == 0 {
            self.first_key.extend_from_slice(key);
        }
        self.fence.set(&self.last_key, key, newer);
        if self.summary.stat.records == 0 {
            self.fence.continues = None;
        }
        self.before = self.summary.stat.records;
        self.out.begin(Kind::Data);
        self.block.begin(&self.out.bytes);
        Ok(())
    }

    fn end_block(&mut self) -> Result<()> {
        let count = self.block.count();
        if count == 0 {
            return Ok(());
        }
        self.block.finish(&mut self.out.bytes);
        let written = self.out.end(Kind::Data, self.before, count)?;
        self.block.begin(&[]);
        if self.group.children.is_empty() {
            std::mem::swap(&mut self.group.fence, &mut self.fence);
            self.group.fences.push(&self.group.fence);
        } else {
            self.group.fences.push(&self.fence);
        }
        self.group.children.push(written);
        self.summary.sections.data_blocks += 1;
        let first = self.group.children.first().map_or(0, |first| first.offset);
        let index = self.group.fences.len().saturating_add(INDEX_VALUE * self.group.children.len());
        if index >= self.shape.index || written.offset.saturating_sub(first) >= GROUP_SPAN {
            self.end_group()?;
        }
        Ok(())
    }

    fn end_group(&mut self) -> Result<()> {
        let group = &mut self.group;
        if group.children.is_empty() {
            return Ok(());
        }
        let records = self.summary.stat.records;
        let lines = lines_for(group.hashes.len());
        self.out.begin(Kind::Filter);
        let start = self.out.bytes.len();
        self.out.bytes.resize(start.saturating_add(lines * LINE), 0);
        fill(self.out.bytes.get_mut(start..).unwrap_or_default(), &group.hashes);
        self.out.end(Kind::Filter, records, group.hashes.len())?;

        let offset = self.out.begin(Kind::Index);
        let mut values = Vec::with_capacity(INDEX_VALUE * group.children.len());
        for child in &group.children {
            let steps = offset.saturating_sub(child.offset) / ALIGN;
            values.extend_from_slice(&u32::try_from(steps).unwrap_or(u32::MAX).to_le_bytes());
            values.extend_from_slice(&child.len.to_le_bytes());
        }
        let first = self.summary.sections.data_blocks.saturating_sub(group.children.len() as u64);
        group.fences.write(&mut self.out.bytes, first, &values);
        let index = self.out.end(Kind::Index, records, group.children.len())?;

        self.top.push(&group.fence);
        self.top_values.extend_from_slice(&index.offset.to_le_bytes());
        self.top_values.extend_from_slice(&index.len.to_le_bytes());
        self.top_values.extend_from_slice(&u32::try_from(lines).unwrap_or(u32::MAX).to_le_bytes());
        self.summary.sections.groups += 1;
        group.fences.clear();
        group.children.clear();
        group.hashes.clear();
        Ok(())
    }

    /// Adds a range deletion, or a beat that is lost. In any order, at any time.
    pub(crate) fn range(&mut self, range: &RangeDelete) {
        ranges::put(&mut self.ranges, range);
        let begins = self.range_cuts.iter().rev().nth(1).map_or(0, |(end, _)| *end);
        match self.range_cuts.last_mut() {
            Some((end, count)) if end.saturating_sub(begins) < self.shape.ranges => {
                *end = self.ranges.len();
                *count += 1;
            }
            _ => self.range_cuts.push((self.ranges.len(), 1)),
        }
        self.summary.stat.ranges += 1;
    }

    /// Adds the header of a beat, so that views at it can tell it. Oldest first; the last one is the run's newest.
    pub(crate) fn header(&mut self, header: &BeatHeader) {
        self.headers.extend_from_slice(&header.encode());
        self.summary.newest = *header;
        self.summary.stat.headers += 1;
    }

    /// Writes the rest, syncs the file, gives it its name and syncs the directory: then the run is durable.
    ///
    /// # Errors
    /// `Io`, `Full`. The run may then be there under its name, whole, or not be there.
    pub(crate) fn finish(self) -> Result<RunStat> {
        self.complete()?.give_name()
    }

    /// Writes the rest and syncs the file; only its name is missing then.
    ///
    /// # Errors
    /// `Io`, `Full`.
    pub(crate) fn complete(mut self) -> Result<Nameless<'d>> {
        self.end_block()?;
        self.end_group()?;
        let records = self.summary.stat.records;
        self.summary.sections.ranges = self.out.next_block();
        let mut start = 0;
        for (end, count) in &self.range_cuts {
            let payload = self.ranges.get(start..*end).unwrap_or_default();
            self.out.put(Kind::Ranges, records, *count, payload)?;
            start = *end;
        }
        self.summary.sections.headers = self.out.next_block();
        for headers in self.headers.chunks(HEADERS_A_BLOCK * BeatHeader::ENCODED_LEN) {
            let count = headers.len() / BeatHeader::ENCODED_LEN;
            self.out.put(Kind::Headers, records, count, headers)?;
        }
        self.out.begin(Kind::Top);
        self.top.write(&mut self.out.bytes, 0, &self.top_values);
        if records > 0 {
            for key in [&self.first_key, &self.last_key] {
                put_varint(&mut self.out.bytes, key.len() as u64);
                self.out.bytes.extend_from_slice(key);
            }
        }
        let groups = usize::try_from(self.summary.sections.groups).unwrap_or(usize::MAX);
        let top = self.out.end(Kind::Top, records, groups)?;
        self.summary.sections.top = top.offset;
        self.summary.sections.top_len = u64::from(top.len);

        self.summary.stat.file_len = self.out.next_block().saturating_add(SUMMARY_BLOCK);
        let summary = self.summary.encode();
        self.out.put(Kind::Foot, records, 1, &summary)?;
        self.out.finish(&summary)?;
        Ok(Nameless(self))
    }
}

/// A run whose bytes are durable under an unfinished name. Dropped without a name, it is removed.
pub(crate) struct Nameless<'d>(RunWriter<'d>);

impl Nameless<'_> {
    /// Gives the file its name and syncs the directory: then the run is durable.
    ///
    /// # Errors
    /// `Io`. The run may then be there under its name, whole, or not be there.
    pub(crate) fn give_name(mut self) -> Result<RunStat> {
        let writer = &mut self.0;
        if let Some(unfinished) = &writer.unfinished {
            let name = writer.dir.join(names::Kind::Run.name(writer.summary.head.number));
            writer.disk.rename(unfinished, &name)?;
        }
        writer.unfinished = None;
        writer.disk.sync_dir(&writer.dir)?;
        Ok(writer.summary.stat)
    }
}

impl Drop for RunWriter<'_> {
    fn drop(&mut self) {
        if let Some(unfinished) = self.unfinished.take() {
            // Only tidiness: an unfinished file that stays is removed when the store is opened.
            let _ = self.disk.remove_file(&unfinished);
        }
    }
}
