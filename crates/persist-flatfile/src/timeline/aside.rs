//! What recovery moves aside: into `damaged/`, never lost, never in the way.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use persist_api::{Error, ErrorKind, Result};
use persist_io::{Disk, DiskFile, FileMode, create_dir_durably};

use super::head::SegmentEnd;
use super::replay::{Aside, Ended};
use crate::error::SCHEME;
use crate::names::{DAMAGED, Kind};

/// Bytes copied at a time.
const COPY: usize = 1 << 20;
/// Names tried for one file.
const NAMES: u32 = 10_000;

/// What replay has decided and what is still to be done of it: torn bytes are copied to `damaged/`, whole files of dropped frames
/// moved there, segments that were never used removed. The next replay then decides the same and reports less. Nothing is modified in
/// place.
pub(crate) struct ClearUp {
    aside: Vec<Aside>,
    unused: Vec<u32>,
    /// Copies for which there was no room.
    pub(crate) left_out: u64,
}

impl ClearUp {
    pub(crate) fn new(ended: &Ended) -> Self {
        let Ended { aside, unused, .. } = ended.clone();
        Self { aside, unused, left_out: 0 }
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
    let mut names = (0..NAMES).map(|n| numbered(plain, n));
    let Some(name) = names.find(|name| there.iter().all(|entry| entry.name != *name)) else {
        return Err(no_free_name(damaged));
    };
    let to = damaged.join(name);
    disk.rename(path, &to)?;
    disk.sync_dir(&damaged)?;
    disk.sync_dir(dir)?;
    Ok(to)
}

/// The first name for a file, and those with a number behind.
fn numbered(plain: &OsStr, n: u32) -> OsString {
    let mut name = plain.to_owned();
    if n > 0 {
        name.push(format!(".{n}"));
    }
    name
}

fn no_free_name(damaged: PathBuf) -> Error {
    let what = "no free name; clear the directory of damaged files";
    Error::new(ErrorKind::Io, "move_aside", what).with_engine(SCHEME).with_path(damaged)
}

/// Copies the bytes `from..to` of a segment to `damaged/`, under the name of the segment and where they began, or the first free one with
/// a number behind; false when there is no room, and then no part of a new copy is left to take it.
fn copy(disk: &dyn Disk, dir: &Path, segment: u32, (from, to): (u64, u64)) -> Result<bool> {
    let copied = copy_tail(disk, dir, segment, (from, to));
    if copied.as_ref().is_err_and(|error| error.kind() == ErrorKind::Full) {
        return Ok(false);
    }
    copied.map(|()| true)
}

fn copy_tail(disk: &dyn Disk, dir: &Path, segment: u32, (from, to): (u64, u64)) -> Result<()> {
    let name = Kind::Timeline.name(segment);
    let damaged = dir.join(DAMAGED);
    create_dir_durably(disk, &damaged)?;
    let source = disk.open(&dir.join(&name), FileMode::Read)?;
    let there = disk.list(&damaged)?.unwrap_or_default();
    for path in (0..NAMES).map(|n| numbered(OsStr::new(&format!("{name}.from-{from}")), n)) {
        let is_there = there.iter().any(|entry| entry.name == *path);
        let path = damaged.join(path);
        // A copy that a crash cut short is gone on with. One that says otherwise is of an earlier segment with this number.
        if is_there && !begins_like(&*disk.open(&path, FileMode::Read)?, &*source, (from, to))? {
            continue;
        }
        let written = write_copy(disk, &path, &*source, (from, to));
        if written.is_err() && !is_there {
            // It may not even have been made.
            let _ = disk.remove_file(&path);
        }
        written?;
        return disk.sync_dir(&damaged);
    }
    Err(no_free_name(damaged))
}

/// Whether a copy holds nothing else than what stands from `from` on, up to `to` at most.
fn begins_like(copy: &dyn DiskFile, source: &dyn DiskFile, (from, to): (u64, u64)) -> Result<bool> {
    let len = copy.len()?;
    let (mut one, mut two) = (vec![0; COPY], vec![0; COPY]);
    let mut at = 0;
    while at < len && len <= to - from {
        let want = usize::try_from(len - at).unwrap_or(COPY).min(COPY);
        let (Some(one), Some(two)) = (one.get_mut(..want), two.get_mut(..want)) else { break };
        let got = copy.read_at(at, one)?;
        if got == 0 || source.read_at(from + at, two)? < got || one.get(..got) != two.get(..got) {
            return Ok(false);
        }
        at = at.saturating_add(got as u64);
    }
    Ok(len <= to - from)
}

fn write_copy(disk: &dyn Disk, path: &Path, source: &dyn DiskFile, (from, to): (u64, u64)) -> Result<()> {
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
    target.sync_data()
}
