//! A copy at one beat: a store of its own with one run.

use std::path::Path;
use std::sync::Arc;

use persist_api::{BackupStat, BeatNo, Direction, Error, ErrorKind, KeyRange, Observer, Progress, Result};
use persist_io::{Disk, absolute, create_dir_durably, size_of_tree};

use crate::core::Core;
use crate::names::{HEAD, UNFINISHED};
use crate::payload::{PayloadWriter, Payloads};
use crate::reader::Reader;
use crate::recover::new_store_tag;
use crate::run::{RunHead, RunWriter, Stored};
use crate::timeline::FrameSpan;
use crate::timeline::head::{Head, HeadWriter, LiveRun, read_head};

/// Rows between two reports.
const STEP: u64 = 4096;
/// The one run of a copy.
const RUN: u32 = 1;

/// Copies the newest beat into the directory `into`.
///
/// # Errors
/// `Mismatch` when it holds anything, `Corrupt` when a record cannot be read, `Cancelled`, `Io`, `Full`. What was written is
/// then removed.
pub(crate) fn backup(core: &Core, into: &Path, seen: &dyn Observer) -> Result<BackupStat> {
    let disk = &core.disk;
    let into = &absolute("backup", into)?;
    let entries = disk.list(into)?;
    if entries.as_ref().is_some_and(|entries| !entries.is_empty()) {
        let error = Error::new(ErrorKind::Mismatch, "backup", "the target is not empty");
        return Err(error.with_path(into));
    }
    create_dir_durably(&**disk, into)?;
    let reader = core.newest();
    let tag = new_store_tag(core.settings.upkeep, into);
    let copied = Copy { core, reader: &reader, into, tag }.run(seen);
    if copied.is_err() {
        // The first error counts; what cannot be removed is told from a store by its head, which is written last.
        let _ = clear(&**disk, into);
        if entries.is_none() {
            let _ = disk.remove_dir(into);
        }
    }
    copied
}

/// Removes what a copy may have written.
fn clear(disk: &dyn Disk, into: &Path) -> Result<()> {
    for entry in disk.list(into)?.unwrap_or_default() {
        let name = entry.name.to_string_lossy().into_owned();
        if name == HEAD || name.ends_with(UNFINISHED) || crate::names::parse(&entry.name).is_some() {
            disk.remove_file(&into.join(&entry.name))?;
        }
    }
    Ok(())
}

struct Copy<'c> {
    core: &'c Core,
    reader: &'c Reader,
    into: &'c Path,
    /// Of the new store.
    tag: u64,
}

impl Copy<'_> {
    fn run(&self, seen: &dyn Observer) -> Result<BackupStat> {
        let disk = &self.core.disk;
        let header = *self.reader.header();
        // A new store has no frame to hold a run.
        let frames = u64::from(header.beat > BeatNo(0));
        let span = FrameSpan { after: 0, upto: frames };
        if frames > 0 {
            self.rows(span, seen)?;
        } else {
            Self::step(0, seen)?;
        }
        let head = Head {
            store: self.tag,
            durable_frame: frames,
            durable_beat: header.beat.0,
            durable_commit: header.last_commit().0,
            floor: header.beat.0,
            clean: true,
            runs: if frames > 0 { vec![LiveRun { number: RUN, span }] } else { Vec::new() },
            ..Head::default()
        };
        HeadWriter::open(&**disk, self.into, &read_head(&**disk, self.into)?)?.write_both(&head)?;
        disk.sync_dir(self.into)?;
        Ok(BackupStat { beat: header.beat, bytes: size_of_tree(&**disk, self.into)? })
    }

    fn step(done: u64, seen: &dyn Observer) -> Result<()> {
        seen.step("backup", Progress { phase: "copy", done, total: None, unit: "records" })
    }

    fn rows(&self, span: FrameSpan, seen: &dyn Observer) -> Result<()> {
        let disk = &self.core.disk;
        let header = *self.reader.header();
        let beat = header.beat;
        let head = RunHead { number: RUN, span, first_beat: beat, last_beat: beat, floor: beat };
        let mut run = RunWriter::create(&**disk, self.into, head)?;
        let mut values = PayloadWriter::resume(
            Arc::clone(disk),
            self.into,
            self.tag,
            &Payloads::default(),
            None,
            self.core.settings.payload_segment_bytes(),
        )?;
        let all = KeyRange::all();
        let (range, lost) = self.reader.readable(&all, Direction::Forward);
        if let Some(lost) = lost {
            return Err(lost.error("backup"));
        }
        let mut rows = self.reader.rows(Direction::Forward);
        rows.seek(&range)?;
        let mut done = 0;
        while let Some(row) = rows.next()? {
            if done % STEP == 0 {
                Self::step(done, seen)?;
            }
            done += 1;
            let stored = match &row.stored {
                Stored::Large(payload) => Stored::Large(values.stage(&self.reader.large(row.key, payload)?)?),
                stored => *stored,
            };
            run.add(row.key, beat, &stored)?;
        }
        Self::step(done, seen)?;
        run.header(&header);
        values.sync()?;
        run.finish().map(|_| ())
    }
}
