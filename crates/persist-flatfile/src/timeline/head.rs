//! The head, `branch.meta`: two slots that say what was known durable when they were written. A hint: whatever it says
//! can be found out from the other files, except that frames which ought to be there are missing.
//!
//! A file of 8192 bytes: slot 0, slot 1, 4096 bytes each. The head with sequence number `s` goes to slot `s % 2`; of two valid
//! slots the one with the greater sequence number counts.
//!
//! ```text
//!  0  magic "PBM1"                            40  u64 newest beat known durable
//!  4  u32 CRC-32C of bytes 8..4096            48  u64 floor: oldest beat that can be viewed
//!  8  u64 sequence number                     56  u64 payload end: offset
//! 16  u64 store tag                           64  u32 payload end: segment, 0 = none
//! 24  u32 format version, 1                   68  u32 oldest timeline segment, 0 = none
//! 28  u32 flags: 1 = closed cleanly           72  u32 number of runs
//! 32  u64 newest frame known durable          76  u32 number of segment ends
//! 80  runs, 24 bytes each: u32 number, u32 zero, u64 after, u64 upto (frames after `after`, up to and with `upto`)
//!  …  segment ends, 16 bytes each: u32 segment, u32 zero, u64 offset behind its last valid frame
//!  …  u64 newest commit known durable, 0 = not known, as in heads that were written before this was kept
//!  …  zeros
//! ```
//!
//! Both slots are written, one after the other, each synced: when a store is created, opened for writing, and closed, and
//! when the set of runs changes, before what the runs replace is removed. So a damaged slot never brings back a head that
//! calls an open store closed, nor one that does not know a run whose frames are nowhere else.

use std::path::{Path, PathBuf};

use crc32c::crc32c;
use persist_api::{Error, ErrorKind, Result};
use persist_io::{Disk, DiskFile, FileMode, read_file};

use super::frame::PayloadEnd;
use super::span::FrameSpan;
use crate::coding::{u32_at, u64_at};
use crate::error::SCHEME;
use crate::names::HEAD;

const SLOT: usize = 4096;
const SLOT_BYTES: u64 = 4096;
/// Bytes of the file.
pub(crate) const HEAD_BYTES: u64 = 2 * SLOT_BYTES;
const MAGIC: u32 = u32::from_le_bytes(*b"PBM1");
const VERSION: u32 = 1;
const CLEAN: u32 = 1;
const FIXED: usize = 80;
const RUN: usize = 24;
const END: usize = 16;
/// Runs that a head can name; of more, the newest are named.
pub(crate) const HEAD_RUNS_MAX: usize = 128;
/// Segment ends that a head can name; of more, the newest are named.
pub(crate) const HEAD_ENDS_MAX: usize = 56;

/// A run that is live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LiveRun {
    /// Its number.
    pub(crate) number: u32,
    /// The frames in it.
    pub(crate) span: FrameSpan,
}

/// Where a closed segment's valid frames end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentEnd {
    /// Number of the segment.
    pub(crate) segment: u32,
    /// Offset behind its last valid frame.
    pub(crate) end: u64,
}

/// What a slot says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Head {
    /// Tag of the store: a random number drawn at creation.
    pub(crate) store: u64,
    /// Newest frame known durable.
    pub(crate) durable_frame: u64,
    /// Newest beat known durable.
    pub(crate) durable_beat: u64,
    /// The last commit of that beat; 0 = not known.
    pub(crate) durable_commit: u64,
    /// Oldest beat that can be viewed.
    pub(crate) floor: u64,
    /// True when the store was closed and nothing was written since.
    pub(crate) clean: bool,
    /// Where payloads end.
    pub(crate) payload_end: PayloadEnd,
    /// Oldest timeline segment that is needed; 0 = none.
    pub(crate) oldest_segment: u32,
    /// The live runs.
    pub(crate) runs: Vec<LiveRun>,
    /// Ends of closed segments that are still needed.
    pub(crate) ends: Vec<SegmentEnd>,
}

fn newest<T>(items: &[T], max: usize) -> &[T] {
    items.get(items.len().saturating_sub(max)..).unwrap_or_default()
}

impl Head {
    fn encode(&self, sequence: u64) -> Vec<u8> {
        let (runs, ends) = (newest(&self.runs, HEAD_RUNS_MAX), newest(&self.ends, HEAD_ENDS_MAX));
        let mut rest = Vec::with_capacity(SLOT);
        let mut word = |word: u64| rest.extend_from_slice(&word.to_le_bytes());
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        word(sequence);
        word(self.store);
        word(pair(VERSION, if self.clean { CLEAN } else { 0 }));
        word(self.durable_frame);
        word(self.durable_beat);
        word(self.floor);
        word(self.payload_end.offset);
        word(pair(self.payload_end.segment, self.oldest_segment));
        word(pair(count(runs.len()), count(ends.len())));
        for run in runs {
            word(u64::from(run.number));
            word(run.span.after);
            word(run.span.upto);
        }
        for end in ends {
            word(u64::from(end.segment));
            word(end.end);
        }
        // Near to the others, so that a head with few runs is one sector, and never half an old one.
        word(self.durable_commit);
        rest.resize(SLOT - 8, 0);
        let mut slot = Vec::with_capacity(SLOT);
        slot.extend_from_slice(&MAGIC.to_le_bytes());
        slot.extend_from_slice(&crc32c(&rest).to_le_bytes());
        slot.extend_from_slice(&rest);
        slot
    }

    /// Reads a slot: sequence number and head. `None` unless all of it verifies; `Err` with a version that this code does
    /// not know.
    fn decode(slot: &[u8]) -> Option<Result<(u64, Self), u32>> {
        let slot: &[u8; SLOT] = slot.first_chunk()?;
        if u32_at(slot, 0)? != MAGIC || u32_at(slot, 4)? != crc32c(slot.get(8..)?) {
            return None;
        }
        let version = u32_at(slot, 24)?;
        if version != VERSION {
            return Some(Err(version));
        }
        let runs = usize::try_from(u32_at(slot, 72)?).ok()?;
        let ends = usize::try_from(u32_at(slot, 76)?).ok()?;
        if runs > HEAD_RUNS_MAX || ends > HEAD_ENDS_MAX {
            return None;
        }
        let ends_at = FIXED + runs * RUN;
        let head = Self {
            store: u64_at(slot, 16)?,
            durable_frame: u64_at(slot, 32)?,
            durable_beat: u64_at(slot, 40)?,
            durable_commit: u64_at(slot, ends_at + ends * END)?,
            floor: u64_at(slot, 48)?,
            clean: u32_at(slot, 28)? & CLEAN != 0,
            payload_end: PayloadEnd { segment: u32_at(slot, 64)?, offset: u64_at(slot, 56)? },
            oldest_segment: u32_at(slot, 68)?,
            runs: (0..runs).map_while(|n| read_run(slot, FIXED + n * RUN)).collect(),
            ends: (0..ends).map_while(|n| read_end(slot, ends_at + n * END)).collect(),
        };
        Some(Ok((u64_at(slot, 8)?, head)))
    }
}

fn read_run(slot: &[u8], at: usize) -> Option<LiveRun> {
    let span = FrameSpan::new(u64_at(slot, at + 8)?, u64_at(slot, at + 16)?);
    Some(LiveRun { number: u32_at(slot, at)?, span })
}

fn read_end(slot: &[u8], at: usize) -> Option<SegmentEnd> {
    Some(SegmentEnd { segment: u32_at(slot, at)?, end: u64_at(slot, at + 8)? })
}

/// What was found in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeadFound {
    /// The newest valid head.
    pub(crate) head: Option<Head>,
    /// Its sequence number; 0 without one.
    sequence: u64,
    /// Slots that do not verify, by the offset at which they begin. After a crash while a head was written, one such slot is
    /// nothing unusual.
    pub(crate) damaged: Vec<u64>,
    /// True when there is no file.
    pub(crate) missing: bool,
    /// True when both slots verify and say the same.
    pub(crate) agree: bool,
}

impl HeadFound {
    /// True if this head knows the frames of every run that has taken the place of segments, of which those that can be read hold frames
    /// up to `in_runs`. Where the other slot does not verify, it may have been the newer one; but both slots say that a store is open
    /// before a run is made, so not than one of a closed store.
    pub(crate) fn knows_all(&self, in_runs: u64) -> bool {
        let sure =
            |head: &Head| head.durable_frame >= in_runs.max(1) && (head.clean || self.damaged.is_empty());
        self.head.as_ref().is_some_and(sure)
    }

    /// Whether this head names a run.
    pub(crate) fn names(&self, run: u32) -> bool {
        self.head.as_ref().is_some_and(|head| head.runs.iter().any(|named| named.number == run))
    }
}

/// Reads the head of the store in `dir`.
///
/// # Errors
/// `Mismatch` for a newer format, `Io`.
pub(crate) fn read_head(disk: &dyn Disk, dir: &Path) -> Result<HeadFound> {
    let path = dir.join(HEAD);
    let mut found = HeadFound { head: None, sequence: 0, damaged: Vec::new(), missing: false, agree: false };
    // What lies behind the two slots is not ours to judge, only to bound.
    let Some(bytes) = read_file(disk, &path, 16 * SLOT_BYTES)? else {
        found.missing = true;
        return Ok(found);
    };
    for offset in [0, SLOT_BYTES] {
        let slot = usize::try_from(offset).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        match Head::decode(slot) {
            Some(Ok((sequence, head))) => {
                found.agree = found.head.as_ref() == Some(&head);
                if found.head.is_none() || sequence > found.sequence {
                    found.sequence = sequence;
                    found.head = Some(head);
                }
            }
            Some(Err(version)) => {
                let context =
                    format!("head of format version {version}; this program knows version {VERSION}");
                let error = Error::new(ErrorKind::Mismatch, "open", context);
                return Err(error.with_engine(SCHEME).with_path(path));
            }
            None => found.damaged.push(offset),
        }
    }
    Ok(found)
}

/// Writes heads.
pub(crate) struct HeadWriter {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    sequence: u64,
    /// What was found, where the slot with the head before it is whole. A process that died may have left the newer one in the
    /// system's memory alone, so that it has to be made durable before the older one is written over. Where the other slot is
    /// not whole, it was torn while it was written, and this one was durable before that; it alone counts, and stays untouched.
    found: Option<Head>,
}

impl HeadWriter {
    /// Opens the file, creating it when missing (its name is durable once this returns).
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn open(disk: &dyn Disk, dir: &Path, found: &HeadFound) -> Result<Self> {
        let path = dir.join(HEAD);
        let file = disk.open(&path, FileMode::OpenOrCreate)?;
        if found.missing {
            disk.sync_dir(dir)?;
        }
        Ok(Self {
            file,
            path,
            sequence: found.sequence,
            found: found.head.clone().filter(|_| found.damaged.is_empty()),
        })
    }

    /// Writes the next slot and syncs it; the first time, before that, the slot that was found, once more. After an error the
    /// other slot still holds the head before.
    ///
    /// # Errors
    /// `Io`, `Full`, `Invalid` when the numbers are used up.
    fn write(&mut self, head: &Head) -> Result<()> {
        let Some(sequence) = self.sequence.checked_add(1) else {
            let error = Error::new(ErrorKind::Invalid, "write_head", "the numbers of this head are used up");
            return Err(error.with_engine(SCHEME).with_path(&self.path));
        };
        if let Some(found) = &self.found {
            self.put(found, self.sequence)?;
            self.found = None;
        }
        self.put(head, sequence)?;
        self.sequence = sequence;
        Ok(())
    }

    fn put(&self, head: &Head, sequence: u64) -> Result<()> {
        self.file.write_at(sequence % 2 * SLOT_BYTES, &head.encode(sequence))?;
        self.file.sync_data()?;
        Ok(())
    }

    /// Writes both slots, one after the other, so that no single damage can bring an older head back.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub(crate) fn write_both(&mut self, head: &Head) -> Result<()> {
        self.write(head)?;
        self.write(head)
    }
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
