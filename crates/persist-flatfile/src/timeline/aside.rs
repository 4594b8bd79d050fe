//! What recovery moves aside: into `damaged/`, never lost, never in the way.

use std::path::{Path, PathBuf};

use persist_api::{Error, ErrorKind, Result};
use persist_io::{Disk, DiskFile, FileMode, create_dir_durably};

use super::head::SegmentEnd;
use super::replay::{Aside, Ended};
use super::segment_header::FIRST_FRAME_AT;
use crate::error::SCHEME;
use crate::names::{DAMAGED, Kind, kept_name};

/// Bytes copied at a time.
const COPY: usize = 1 << 20;
/// Names tried for one file.
const NAMES: u32 = 10_000;

/// What replay has decided and what is still to be done of it: torn bytes are copied to `damaged/`, whole files of dropped frames
/// moved there, segments that runs supersede or that were never used removed; with `keep`, superseded ones stay for the feed. The next
/// replay then decides the same and reports less. Nothing is modified in place.
pub(crate) struct ClearUp {
    aside: Vec<Aside>,
    superseded: Vec<SegmentEnd>,
    unused: Vec<u32>,
    keep: bool,
    /// Copies for which there was no room.
    pub(crate) left_out: u64,
}

impl ClearUp {
    pub(crate) fn new(ended: &Ended, keep: bool) -> Self {
        let Ended { aside, superseded, unused, .. } = ended.clone();
        Self { aside, superseded, unused, keep, left_out: 0 }
    }

    /// Does what is left to do, durably. Where there is no room for a copy, the bytes stay where they are: a segment is never removed
    /// before they are copied ([`remove`]).
    ///
    /// # Errors
    /// `Full` when there is no room to move a file. Until that is done no frame may be written and no segment removed: replay would
    /// take what it has dropped for a part of the timeline. `Io`.
    pub(crate) fn work(&mut self, disk: &dyn Disk, dir: &Path) -> Result<()> {
        // Newest first: what is left after a crash in between is the beginning of what was there.
        while let Some(&Aside { segment, tail }) = self.aside.last() {
            match tail {
                None => drop(move_aside(disk, dir, &dir.join(Kind::Timeline.name(segment)))?),
                Some((from, to)) => {
                    // To the last byte, also where a segment that was just moved says that this one ends before: the next opening
                    // would not know, and copy more.
                    let file = disk.open(&dir.join(Kind::Timeline.name(segment)), FileMode::Read)?;
                    let to = used_end(&*file, from)?.max(to);
                    self.left_out += u64::from(!copy(disk, dir, segment, (from, to))?);
                }
            }
            self.aside.pop();
        }
        for end in std::mem::take(&mut self.superseded) {
            if self.keep && end.end > FIRST_FRAME_AT {
                if copy_rest(disk, dir, end)? {
                    let name = Kind::Timeline.name(end.segment);
                    disk.rename(&dir.join(name), &dir.join(kept_name(end.segment, end.end)))?;
                }
            } else {
                remove(disk, dir, end)?;
            }
        }
        for segment in std::mem::take(&mut self.unused) {
            disk.remove_file(&dir.join(Kind::Timeline.name(segment)))?;
        }
        Ok(())
    }
}

/// Removes a segment whose frames are all in durable runs, once what lies behind them [is copied](copy_rest). Answers whether it is
/// gone.
///
/// # Errors
/// `Io`.
pub(crate) fn remove(disk: &dyn Disk, dir: &Path, end: SegmentEnd) -> Result<bool> {
    let copied = copy_rest(disk, dir, end)?;
    if copied {
        disk.remove_file(&dir.join(Kind::Timeline.name(end.segment)))?;
    }
    Ok(copied)
}

/// Bytes behind the end of a segment that are not zero are what an opening has dropped. It may have had no room for a copy of them,
/// so it is made, or made again; false when there is no room still.
///
/// # Errors
/// `Io`.
pub(crate) fn copy_rest(disk: &dyn Disk, dir: &Path, end: SegmentEnd) -> Result<bool> {
    let path = dir.join(Kind::Timeline.name(end.segment));
    let used = used_end(&*disk.open(&path, FileMode::Read)?, end.end)?;
    Ok(used == end.end || copy(disk, dir, end.segment, (end.end, used))?)
}

/// Behind the last byte from `from` on that is not zero; `from` when there is none.
///
/// # Errors
/// `Io`.
pub(crate) fn used_end(file: &dyn DiskFile, from: u64) -> Result<u64> {
    let (mut at, mut used) = (from, from);
    let mut buffer = vec![0; COPY];
    loop {
        let got = file.read_at(at, &mut buffer)?;
        if got == 0 {
            return Ok(used);
        }
        if let Some(last) = buffer.iter().take(got).rposition(|byte| *byte != 0) {
            used = at.saturating_add(last as u64 + 1);
        }
        at = at.saturating_add(got as u64);
    }
}

/// Moves a file to `damaged/`, durably, under its own name or the first free one with a number behind.
///
/// # Errors
/// `Io`.
pub(crate) fn move_aside(disk: &dyn Disk, dir: &Path, path: &Path) -> Result<PathBuf> {
    let damaged = dir.join(DAMAGED);
    create_dir_durably(disk, &damaged)?;
    let there = disk.list(&damaged)?.unwrap_or_default();
    let plain = path.file_name().unwrap_or_default();
    let free = (0..NAMES)
        .map(|n| {
            let mut name = plain.to_owned();
            if n > 0 {
                name.push(format!(".{n}"));
            }
            name
        })
        .find(|name| there.iter().all(|entry| entry.name != *name));
    let Some(name) = free else {
        let error =
            Error::new(ErrorKind::Io, "move_aside", "no free name; clear the directory of damaged files");
        return Err(error.with_engine(SCHEME).with_path(damaged));
    };
    let to = damaged.join(name);
    disk.rename(path, &to)?;
    disk.sync_dir(&damaged)?;
    disk.sync_dir(dir)?;
    Ok(to)
}

/// Copies the bytes `from..to` of a segment to `damaged/`; false when there is no room, and then no part of a copy is left to take it.
fn copy(disk: &dyn Disk, dir: &Path, segment: u32, (from, to): (u64, u64)) -> Result<bool> {
    let name = Kind::Timeline.name(segment);
    let path = dir.join(DAMAGED).join(format!("{name}.from-{from}"));
    match copy_tail(disk, dir, &name, &path, (from, to)) {
        Err(error) if error.kind() == ErrorKind::Full => {
            // It may not even have been made.
            let _ = disk.remove_file(&path);
            Ok(false)
        }
        copied => copied.map(|()| true),
    }
}

/// The name says segment and offset, and the bytes there never change, so that a copy which a crash cut short is simply made
/// again.
fn copy_tail(disk: &dyn Disk, dir: &Path, name: &str, path: &Path, (from, to): (u64, u64)) -> Result<()> {
    let damaged = dir.join(DAMAGED);
    create_dir_durably(disk, &damaged)?;
    let source = disk.open(&dir.join(name), FileMode::Read)?;
    let target = disk.open(path, FileMode::OpenOrCreate)?;
    let mut buffer = vec![0; COPY];
    let mut at = from;
    while at < to {
        let want = usize::try_from(to - at).unwrap_or(COPY).min(COPY);
        let got = source.read_at(at, buffer.get_mut(..want).unwrap_or_default())?;
        if got == 0 {
            break;
        }
        target.write_at(at - from, buffer.get(..got).unwrap_or_default())?;
        at = at.saturating_add(got as u64);
    }
    target.truncate(at - from)?;
    target.sync_data()?;
    disk.sync_dir(&damaged)
}
