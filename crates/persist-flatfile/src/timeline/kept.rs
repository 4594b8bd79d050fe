//! Segments that stay for the feed once runs have their frames: `branch.old.<number>.<end>`, the same bytes under another
//! name, which says where the frames end.
//!
//! They are no part of recovery: what they hold is in runs. A place is part of every checksum, and the number of the segment is
//! part of the place, so a file verifies under its new name as under the old one.

use std::path::Path;

use persist_api::{BeatNo, Result};
use persist_io::{Disk, EntryKind, FileMode};

use super::frame::{FRAME_HEADER, FrameHead, Place};
use super::segment_header::{FIRST_FRAME_AT, SEGMENT_HEADER, SegmentHeader};
use crate::names::{Kind, kept_name, parse, parse_kept};

/// What stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Nothing: a segment goes when a run has its frames.
    Nothing,
    /// Whatever there is, until somebody says what is needed.
    Everything,
    /// The beats after this one.
    After(BeatNo),
}

/// One kept segment.
#[derive(Debug, Clone, Copy)]
struct KeptSegment {
    number: u32,
    /// Where its frames end.
    end: u64,
    /// Beat of its first frame; `None` when that does not verify.
    first_beat: Option<BeatNo>,
    /// The segment before it; `None` when there was none or nothing says so.
    previous: Option<u32>,
    bytes: u64,
}

/// The kept segments, oldest first.
#[derive(Debug)]
pub(crate) struct Kept {
    keep: Keep,
    segments: Vec<KeptSegment>,
}

impl Kept {
    /// Finds what was kept before. Without `keep` it is removed; with it, what lies before a gap is: nobody can follow over that.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn open(disk: &dyn Disk, dir: &Path, store: u64, keep: bool) -> Result<Self> {
        let mut kept =
            Self { keep: if keep { Keep::Everything } else { Keep::Nothing }, segments: Vec::new() };
        for entry in disk.list(dir)?.unwrap_or_default() {
            if let (EntryKind::File, Some((number, end))) = (entry.kind, parse_kept(&entry.name)) {
                if keep {
                    cut(disk, &dir.join(&entry.name), end)?;
                }
                kept.add(disk, dir, store, number, end)?;
            }
        }
        kept.segments.sort_by_key(|segment| segment.number);
        let needless = if keep { kept.before_gap(disk, dir, store)? } else { usize::MAX };
        kept.remove(disk, dir, needless)?;
        Ok(kept)
    }

    /// How many segments lie before one that is missing.
    fn before_gap(&self, disk: &dyn Disk, dir: &Path, store: u64) -> Result<usize> {
        let in_use = disk.list(dir)?.unwrap_or_default().into_iter().filter_map(|entry| {
            parse(&entry.name).filter(|(kind, _)| *kind == Kind::Timeline && entry.kind == EntryKind::File)
        });
        // An older one was kept too; a crash has undone that, and it will be again.
        let newest_kept = self.segments.last().map_or(0, |segment| segment.number);
        let oldest = in_use.map(|(_, number)| number).filter(|number| *number > newest_kept).min();
        let following = match oldest {
            Some(number) => previous(disk, &dir.join(Kind::Timeline.name(number)), store, number)?,
            None => None,
        };
        let befores = self.segments.iter().skip(1).map(|segment| segment.previous).chain([following]);
        let misses =
            |(segment, before): (&KeptSegment, Option<u32>)| before.is_some_and(|b| b != segment.number);
        let last = self.segments.iter().zip(befores).enumerate().filter(|(_, pair)| misses(*pair)).last();
        Ok(last.map_or(0, |(at, _)| at + 1))
    }

    fn add(&mut self, disk: &dyn Disk, dir: &Path, store: u64, number: u32, end: u64) -> Result<()> {
        let path = dir.join(kept_name(number, end));
        let bytes = disk.open(&path, FileMode::Read)?.len()?;
        let first_beat = first_beat(disk, &path, store, number)?;
        let previous = previous(disk, &path, store, number)?;
        self.segments.push(KeptSegment { number, end, first_beat, previous, bytes });
        Ok(())
    }

    /// Takes a timeline segment over whose frames end at `end`.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn take(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        store: u64,
        (number, end): (u32, u64),
    ) -> Result<()> {
        let path = dir.join(kept_name(number, end));
        disk.rename(&dir.join(Kind::Timeline.name(number)), &path)?;
        cut(disk, &path, end)?;
        self.add(disk, dir, store, number, end)?;
        self.segments.sort_by_key(|segment| segment.number);
        Ok(())
    }

    /// True when segments that are done with are to be handed over.
    pub(crate) fn wants_any(&self) -> bool {
        self.keep != Keep::Nothing
    }

    /// What stays.
    pub(crate) fn keep(&self) -> Keep {
        self.keep
    }

    /// Changes what stays.
    pub(crate) fn set(&mut self, keep: Keep) {
        self.keep = keep;
    }

    /// Removes what need not stay. `following` is the first beat of the oldest segment that is not kept here but still in use.
    ///
    /// # Errors
    /// `Io`; what is still listed is tried again next time.
    pub(crate) fn trim(&mut self, disk: &dyn Disk, dir: &Path, following: Option<BeatNo>) -> Result<()> {
        let done = match self.keep {
            Keep::Everything => 0,
            Keep::Nothing => self.segments.len(),
            // A segment goes when all of its beats may: when the one after it begins with such a beat.
            Keep::After(after) => {
                let begins = self.segments.iter().map(|segment| segment.first_beat).chain([following]);
                let needed_from = begins
                    .collect::<Vec<_>>()
                    .iter()
                    .rposition(|first| first.is_some_and(|first| first <= after));
                needed_from.unwrap_or(0)
            }
        };
        self.remove(disk, dir, done)
    }

    /// Removes the oldest `count`.
    fn remove(&mut self, disk: &dyn Disk, dir: &Path, count: usize) -> Result<()> {
        for _ in 0..count.min(self.segments.len()) {
            let Some(oldest) = self.segments.first() else { break };
            disk.remove_file(&dir.join(kept_name(oldest.number, oldest.end)))?;
            self.segments.remove(0);
        }
        Ok(())
    }

    /// Number and first beat of each, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, Option<BeatNo>)> + '_ {
        self.segments.iter().map(|segment| (segment.number, segment.first_beat))
    }

    /// Where the frames of a kept segment end.
    pub(crate) fn end_of(&self, number: u32) -> Option<u64> {
        self.segments.iter().find(|segment| segment.number == number).map(|segment| segment.end)
    }

    /// Bytes of all.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().fold(0, |sum, segment| sum.saturating_add(segment.bytes))
    }
}

/// The segment before one, as its header says; `None` when that names none or does not verify.
///
/// # Errors
/// `Io`.
fn previous(disk: &dyn Disk, path: &Path, store: u64, segment: u32) -> Result<Option<u32>> {
    let mut bytes = [0; SEGMENT_HEADER];
    disk.open(path, FileMode::Read)?.read_at(0, &mut bytes)?;
    let header = SegmentHeader::decode(&bytes).and_then(Result::ok);
    let header = header.filter(|header| header.segment == segment && header.store == store);
    Ok(header.map(|header| header.previous).filter(|previous| *previous > 0))
}

/// Cuts off what lies behind the frames of a kept segment: mostly zeros that were filled ahead. Its name says where that begins, so
/// it need not be durable: where a crash brings them back, the next opening cuts them off again.
///
/// # Errors
/// `Io` when the file cannot be opened. One that cannot be cut takes more room, no more.
fn cut(disk: &dyn Disk, path: &Path, end: u64) -> Result<()> {
    let file = disk.open(path, FileMode::Write)?;
    if file.len()? > end {
        let _ = file.truncate(end);
    }
    Ok(())
}

/// The beat of a segment's first frame; `None` when there is none that verifies.
///
/// # Errors
/// `Io`.
pub(crate) fn first_beat(disk: &dyn Disk, path: &Path, store: u64, segment: u32) -> Result<Option<BeatNo>> {
    let mut bytes = [0; FRAME_HEADER];
    disk.open(path, FileMode::Read)?.read_at(FIRST_FRAME_AT, &mut bytes)?;
    let seed = Place { store, segment, offset: FIRST_FRAME_AT }.seed();
    Ok(FrameHead::read(&bytes, seed).map(|head| BeatNo(head.beat)))
}
