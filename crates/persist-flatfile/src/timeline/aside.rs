//! What recovery moves aside: into `damaged/`, never lost, never in the way.

use std::path::{Path, PathBuf};

use persist_api::{Error, ErrorKind, Result};
use persist_io::{Disk, FileMode, create_dir_durably};

use super::head::SegmentEnd;
use super::replay::{Aside, Ended};
use super::segment_header::FIRST_FRAME_AT;
use crate::error::SCHEME;
use crate::names::{DAMAGED, Kind, kept_name};

/// Bytes copied at a time.
const COPY: usize = 1 << 20;
/// Names tried for one file.
const NAMES: u32 = 10_000;

/// Brings the directory into the state that replay has decided on, durably, so that the next replay decides the same and
/// reports less: torn bytes are copied to `damaged/`, whole files of dropped frames moved there, segments that runs supersede
/// or that were never used removed; with `keep`, superseded ones stay for the feed. Nothing is modified in place. Repeating it does no harm. Answers the files made in
/// `damaged/`.
///
/// # Errors
/// `Io`, `Full`.
pub(crate) fn clear_up(disk: &dyn Disk, dir: &Path, ended: &Ended, keep: bool) -> Result<Vec<PathBuf>> {
    let mut made = Vec::new();
    // Newest first: what is left after a crash in between is the beginning of what was there.
    for aside in ended.aside.iter().rev() {
        let path = dir.join(Kind::Timeline.name(aside.segment));
        made.push(match aside.tail {
            None => move_aside(disk, dir, &path)?,
            Some((from, to)) => copy_tail(disk, dir, aside, from, to)?,
        });
    }
    for &SegmentEnd { segment, end } in &ended.superseded {
        let path = dir.join(Kind::Timeline.name(segment));
        if keep && end > FIRST_FRAME_AT {
            disk.rename(&path, &dir.join(kept_name(segment, end)))?;
        } else {
            disk.remove_file(&path)?;
        }
    }
    for &segment in &ended.unused {
        disk.remove_file(&dir.join(Kind::Timeline.name(segment)))?;
    }
    Ok(made)
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

/// Copies the bytes `from..to` of a segment. The name says segment and offset, and the bytes there never change, so that a copy
/// which a crash cut short is simply made again.
fn copy_tail(disk: &dyn Disk, dir: &Path, aside: &Aside, from: u64, to: u64) -> Result<PathBuf> {
    let damaged = dir.join(DAMAGED);
    create_dir_durably(disk, &damaged)?;
    let name = Kind::Timeline.name(aside.segment);
    let source = disk.open(&dir.join(&name), FileMode::Read)?;
    let path = damaged.join(format!("{name}.from-{from}"));
    let target = disk.open(&path, FileMode::OpenOrCreate)?;
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
    disk.sync_dir(&damaged)?;
    Ok(path)
}
