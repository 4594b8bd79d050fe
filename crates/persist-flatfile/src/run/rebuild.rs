//! Makes a run anew from its data blocks, which describe themselves.

use std::ops::Bound;
use std::path::Path;

use persist_api::{BeatHeader, BeatNo, ErrorKind, Observer, Progress, Result};
use persist_io::{Disk, FileMode};

use super::block::{self, ALIGN, Block, Kind, aligned};
use super::data::DataBlock;
use super::head::{RunHead, RunStat, SUMMARY_BLOCK, Summary};
use super::ranges;
use super::reader::OP;
use super::version::{RangeDelete, RangeKind, Stored};
use super::writer::RunWriter;
use crate::error::corrupt;
use crate::names;

/// What to do about records that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnLoss {
    /// Fail with `Corrupt` and write nothing.
    Refuse,
    /// Write what there is, and mark the keys between the records before and after as lost, so that reading them fails.
    Mark,
}

/// What a rebuilt run holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rebuilt {
    /// Which part of the past the run holds.
    pub(crate) head: RunHead,
    /// The new run.
    pub(crate) stat: RunStat,
    /// The keys that are marked now, and what could not be read there.
    pub(crate) marks: Vec<RangeDelete>,
    /// The range deletes and marks that the old one had.
    pub(crate) ranges: Vec<RangeDelete>,
    /// How many marks of losses it has, those that the old one had included.
    pub(crate) losses: usize,
    /// Records that the old one held and the new one does not; their keys are marked.
    pub(crate) records_lost: u64,
    /// Headers of beats that could not be read. Views at these beats are gone; the newest header is never lost.
    pub(crate) headers_lost: u64,
}

/// Writes run `to` with the content of run `from`, whose index, filter, head or foot may be damaged. Both may be the same:
/// then the old file is replaced at the end, and unless records were lost the new one has the same bytes as the old one had when it was whole.
///
/// # Errors
/// `Corrupt` when neither head nor foot can be read, or when records or range deletions are lost and `on_loss` says `Refuse`;
/// `Cancelled`, `Io`, `Full`. The old file is then as it was.
pub(crate) fn rebuild(
    disk: &dyn Disk,
    dir: &Path,
    (from, to): (u32, u32),
    on_loss: OnLoss,
    seen: &dyn Observer,
) -> Result<Rebuilt> {
    let path = dir.join(names::Kind::Run.name(from));
    let file = disk.open(&path, FileMode::Read)?;
    let bytes = file.map(0, file.len()?)?;
    let old = Old { path: &path, bytes: &bytes, number: from };
    let summary = old.summary()?;
    let mut head = summary.head;
    head.number = to;
    let mut job = Rebuild {
        summary,
        head,
        on_loss,
        writer: RunWriter::create(disk, dir, head)?,
        records: 0,
        last_key: None,
        hole: None,
        lost: 0,
        ranges: Vec::new(),
        marks: Vec::new(),
        headers: Vec::new(),
    };
    let mut at = 0;
    while let Some((offset, block)) = old.next_block(at) {
        seen.step(
            "rebuild",
            Progress { phase: "rebuild", done: offset, total: Some(bytes.len() as u64), unit: "bytes" },
        )?;
        job.take(&old, offset, &block)?;
        at = aligned(block.end);
    }
    job.finish(&old)
}

/// The file of the run.
struct Old<'r> {
    path: &'r Path,
    bytes: &'r [u8],
    number: u32,
}

impl<'r> Old<'r> {
    /// The first block at or behind an offset that verifies.
    fn next_block(&self, mut at: u64) -> Option<(u64, Block<'r>)> {
        while at < self.bytes.len() as u64 {
            if let Ok(block) = block::read(self.bytes, self.number, at) {
                return Some((at, block));
            }
            at = at.saturating_add(ALIGN);
        }
        None
    }

    /// The head, or the foot, wherever the file ends.
    fn summary(&self) -> Result<Summary> {
        let foot = (self.bytes.len() as u64).saturating_sub(SUMMARY_BLOCK);
        let read = |(offset, kind)| {
            let block = block::read(self.bytes, self.number, offset)
                .ok()
                .filter(|block| block.header.kind == kind)?;
            Summary::decode(block.payload).ok().filter(|summary| summary.head.number == self.number)
        };
        let found = [(0, Kind::Head), (foot, Kind::Foot)].into_iter().find_map(read);
        found.ok_or_else(|| {
            corrupt(OP, self.path, 0, "neither head nor foot can be read, so the run cannot be rebuilt")
        })
    }
}

/// Where records are missing.
struct Hole {
    after: Option<Vec<u8>>,
    offset: u64,
    what: String,
}

struct Rebuild<'d> {
    /// Of the old run.
    summary: Summary,
    /// Of the new one.
    head: RunHead,
    on_loss: OnLoss,
    writer: RunWriter<'d>,
    /// Records of the old run up to here, the lost ones included.
    records: u64,
    last_key: Option<Vec<u8>>,
    hole: Option<Hole>,
    lost: u64,
    ranges: Vec<RangeDelete>,
    /// Marks of what is lost.
    marks: Vec<RangeDelete>,
    headers: Vec<BeatHeader>,
}

impl Rebuild<'_> {
    fn take(&mut self, old: &Old<'_>, offset: u64, block: &Block<'_>) -> Result<()> {
        let malformed = || corrupt(OP, old.path, offset, "malformed, though its checksum fits");
        match block.header.kind {
            Kind::Data => {
                self.reach(old, block.header.before, offset)?;
                self.rows(block).unwrap_or_else(|| Err(malformed()))?;
            }
            Kind::Ranges => {
                ranges::read(block.payload, block.header.count, &mut self.ranges).ok_or_else(malformed)?;
            }
            Kind::Headers => {
                let (headers, _) = block.payload.as_chunks::<{ BeatHeader::ENCODED_LEN }>();
                self.headers.extend(headers.iter().filter_map(|header| BeatHeader::decode(header).ok()));
            }
            Kind::Head | Kind::Filter | Kind::Index | Kind::Top | Kind::Foot => {}
        }
        Ok(())
    }

    /// Notes that the records up to `before` are missing, if they are.
    fn reach(&mut self, old: &Old<'_>, before: u64, offset: u64) -> Result<()> {
        let Some(missing) = before.checked_sub(self.records).filter(|missing| *missing > 0) else {
            return Ok(());
        };
        let what = format!("{missing} records before here cannot be read");
        self.allow(old, offset, &what)?;
        self.lost = self.lost.saturating_add(missing);
        self.records = before;
        self.hole = Some(Hole { after: self.last_key.clone(), offset, what });
        Ok(())
    }

    fn allow(&self, old: &Old<'_>, offset: u64, what: &str) -> Result<()> {
        match self.on_loss {
            OnLoss::Refuse => Err(corrupt(OP, old.path, offset, what)),
            OnLoss::Mark => Ok(()),
        }
    }

    /// `None` when the block is malformed, or not in order.
    fn rows(&mut self, block: &Block<'_>) -> Option<Result<()>> {
        let data = DataBlock::parse(block.payload, self.summary.head.floor.0)?;
        let mut rows = data.rows_from(0);
        for (key, version) in rows.by_ref() {
            if let Some(hole) = self.hole.take() {
                self.mark(hole, Bound::Included(key.to_vec()));
            }
            match self.add(key, version.beat, &version.stored) {
                Err(error) if error.kind() == ErrorKind::Corrupt => return None,
                Err(error) => return Some(Err(error)),
                Ok(()) => {}
            }
        }
        let last = data.row(data.count.checked_sub(1)?)?.0;
        self.last_key = Some(last.to_vec());
        rows.is_at_end().then_some(Ok(()))
    }

    fn add(&mut self, key: &[u8], beat: BeatNo, stored: &Stored<'_>) -> Result<()> {
        self.records = self.records.saturating_add(1);
        self.writer.add(key, beat, stored)
    }

    /// The keys of a hole: its neighbours too, for some of their versions may have been in it.
    fn mark(&mut self, hole: Hole, end: Bound<Vec<u8>>) {
        let file = names::Kind::Run.name(self.summary.head.number);
        self.marks.push(RangeDelete {
            start: hole.after.map_or(Bound::Unbounded, Bound::Included),
            end,
            beat: self.summary.head.last_beat,
            kind: RangeKind::Damaged { file, offset: hole.offset, what: hole.what },
        });
    }

    fn finish(mut self, old: &Old<'_>) -> Result<Rebuilt> {
        let stat = self.summary.stat;
        let end = old.bytes.len() as u64;
        self.reach(old, stat.records, end)?;
        if let Some(hole) = self.hole.take() {
            self.mark(hole, Bound::Unbounded);
        }
        if (self.ranges.len() as u64) < stat.ranges {
            let what = "range deletions cannot be read".to_owned();
            self.allow(old, self.summary.sections.ranges, &what)?;
            self.mark(Hole { after: None, offset: self.summary.sections.ranges, what }, Bound::Unbounded);
        }
        for range in self.ranges.iter().chain(&self.marks) {
            self.writer.range(range);
        }
        let all = self.ranges.iter().chain(&self.marks);
        let losses = all.filter(|range| range.kind != RangeKind::Deleted).count();
        let headers_lost = stat.headers.saturating_sub(self.headers.len() as u64);
        if self.headers.last() != Some(&self.summary.newest) && stat.headers > 0 {
            self.headers.push(self.summary.newest);
        }
        for header in &self.headers {
            self.writer.header(header);
        }
        Ok(Rebuilt {
            head: self.head,
            stat: self.writer.finish()?,
            marks: self.marks,
            ranges: self.ranges,
            losses,
            records_lost: self.lost,
            headers_lost,
        })
    }
}
