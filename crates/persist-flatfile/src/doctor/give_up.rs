//! Giving up what is lost: runs are written again without the marks of losses, and without values that cannot be read.

use std::ops::Bound;
use std::path::Path;

use persist_api::{ErrorKind, Observer, Progress, Result};
use persist_io::Disk;

use super::examine::OP;
use super::told::{Complaint, Remedy, Trouble};
use crate::payload::Payloads;
use crate::run::{RangeKind, Run, RunWriter, Stored};

/// Rows between two reports.
const STEP: u64 = 4096;

/// True if giving up concerns this run: it has marks of losses, or one of the lost values.
pub(super) fn concerns(run: &Run, lost: &[Complaint], files: &Payloads) -> Result<bool> {
    if run.ranges().iter().any(|range| range.kind != RangeKind::Deleted) {
        return Ok(true);
    }
    let values = || lost.iter().filter(|complaint| complaint.trouble == Trouble::Value);
    if run.stat().large_values == 0 || values().next().is_none() {
        return Ok(false);
    }
    let mut cursor = run.cursor();
    cursor.seek(Bound::Unbounded)?;
    while let Some((_, version)) = cursor.next()? {
        if let Stored::Large(place) = version.stored
            && unreadable(files.read(&place).map(drop))?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn unreadable(read: Result<()>) -> Result<bool> {
    match read {
        Ok(()) => Ok(false),
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(true),
        Err(error) => Err(error),
    }
}

/// Writes a run again, in its own place: marks of losses are left out, and a value that cannot be read becomes a deletion, so
/// that no older value of the key takes its place. Answers how many such values there were.
///
/// # Errors
/// `Corrupt` when a block does not verify (a run is made anew first), `Cancelled`, `Io`, `Full`. The run is then as it was.
pub(super) fn rewrite(
    disk: &dyn Disk,
    home: &Path,
    run: &Run,
    files: &Payloads,
    seen: &dyn Observer,
) -> Result<u64> {
    let mut writer = RunWriter::create(disk, home, *run.head())?;
    let mut cursor = run.cursor();
    cursor.seek(Bound::Unbounded)?;
    let (mut rows, mut lost) = (0_u64, 0_u64);
    while let Some((key, version)) = cursor.next()? {
        let mut stored = version.stored;
        if let Stored::Large(place) = stored
            && unreadable(files.read(&place).map(drop))?
        {
            stored = Stored::Deleted;
            lost += 1;
        }
        writer.add(key, version.beat, &stored)?;
        rows += 1;
        if rows % STEP == 1 {
            let total = Some(run.stat().records);
            seen.step(OP, Progress { phase: "give up", done: rows, total, unit: "records" })?;
        }
    }
    for range in run.ranges().iter().filter(|range| range.kind == RangeKind::Deleted) {
        writer.range(range);
    }
    for header in run.headers()? {
        writer.header(&header);
    }
    writer.finish()?;
    Ok(lost)
}

/// True if a complaint says that keys are lost.
pub(super) fn is_loss(complaint: &Complaint) -> bool {
    complaint.remedy == Remedy::AcceptLoss && complaint.keys.is_some()
}
