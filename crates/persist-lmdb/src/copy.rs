//! Backup and compaction: both are LMDB's compacting copy, pumped through a pipe so that it can be watched and stopped.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use heed::CompactionOption;
use persist_api::{BackupStat, BeatHeader, CompactStat, Error, ErrorKind, Observer, Progress, Result};
use persist_io::{Disk, FileMode, absolute, create_dir_durably};

use crate::driver::SCHEME;
use crate::engine::LmdbEngine;
use crate::error::{corrupt, map_error};
use crate::home::{Draft, read_newest};
use crate::live::Live;

/// Bytes moved at once.
const PIECE: usize = 1 << 20;

/// Copies the newest beat into `target`, which must not exist, without free pages. Answers how many bytes.
fn copy(disk: &dyn Disk, live: &Live, op: &'static str, target: &Path, seen: &dyn Observer) -> Result<u64> {
    let os = |error| Error::io(op, target, error).with_engine(SCHEME);
    let file = disk.open(target, FileMode::CreateNew)?;
    let (reader, writer) = std::io::pipe().map_err(os)?;
    let total = live.bytes_used();
    std::thread::scope(|scope| {
        let copier = std::thread::Builder::new().name("persist-lmdb-copy".into()).spawn_scoped(scope, || {
            // Dropped at the end: the reader sees that nothing more comes.
            let mut writer = File::from(OwnedFd::from(writer));
            live.env.copy_to_file(&mut writer, CompactionOption::Enabled)
        });
        let copier = copier.map_err(os)?;
        let mut done = 0_u64;
        let pumped = pump(reader, op, &mut |piece| {
            seen.step(op, Progress { phase: "copy", done, total: Some(total.max(done)), unit: "bytes" })?;
            file.write_at(done, piece)?;
            done = done.saturating_add(piece.len() as u64);
            Ok(())
        });
        let copied = copier.join();
        pumped.map_err(|error| error.with_engine(SCHEME))?;
        match copied {
            Ok(Ok(())) => {}
            Ok(Err(heed::Error::Mdb(heed::MdbError::Incompatible))) => {
                return Err(corrupt(op, "pages are in no tree and not free; verify says more"));
            }
            Ok(Err(error)) => return Err(map_error(op, error)),
            Err(_) => return Err(corrupt(op, "the copying thread died")),
        }
        seen.step(op, Progress { phase: "copy", done, total: Some(done), unit: "bytes" })?;
        Ok(done)
    })
}

/// Feeds what comes out of a pipe to `sink` until its end. After an error of the sink the rest is thrown away.
fn pump(mut pipe: impl Read, op: &'static str, sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut buffer = vec![0_u8; PIECE];
    let mut outcome = Ok(());
    loop {
        let got = match pipe.read(&mut buffer) {
            Ok(0) => return outcome,
            Ok(got) => got,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::new(ErrorKind::Io, op, error.to_string()).with_source(error)),
        };
        if outcome.is_ok() {
            outcome = sink(buffer.get(..got).unwrap_or_default());
        }
        // LMDB takes a closed pipe for an error and ends. Where a blocked signal that is also ignored stays pending, as
        // on Linux, it does so at once; elsewhere it would wait for that signal for ever, so there the rest is read.
        if outcome.is_err() && cfg!(target_os = "linux") {
            return outcome;
        }
    }
}

/// Copies the newest beat into the directory `into`.
pub(crate) fn backup(disk: &dyn Disk, live: &Live, into: &Path, seen: &dyn Observer) -> Result<BackupStat> {
    let into = &absolute("backup", into)?;
    let entries = disk.list(into)?;
    if entries.as_ref().is_some_and(|entries| !entries.is_empty()) {
        return Err(Error::occupied("backup", into).with_engine(SCHEME));
    }
    create_dir_durably(disk, into)?;
    let draft = Draft::begin(disk, into)?;
    let copied = copy(disk, live, "backup", &draft.data(), seen);
    let copied = copied.and_then(|bytes| Ok((bytes, read_newest(disk, &draft.data())?.1)));
    match copied {
        Ok((bytes, header)) => {
            draft.finish()?;
            Ok(BackupStat { beat: header.beat, bytes })
        }
        Err(error) => {
            // The first error counts; what cannot be removed is recognised as unfinished by the next open.
            let _ = draft.discard();
            if entries.is_none() {
                let _ = disk.remove_dir(into);
            }
            Err(error)
        }
    }
}

/// Replaces the data file by a compacted copy of itself.
pub(crate) fn compact(disk: &dyn Disk, engine: &LmdbEngine, seen: &dyn Observer) -> Result<CompactStat> {
    let busy = |what: &str| Error::new(ErrorKind::Busy, "compact", what).with_engine(SCHEME);
    engine.health.check("compact").map_err(|error| error.with_engine(SCHEME))?;
    let _ticket = engine.gate.enter().map_err(|_| busy("a beat is open"))?;
    let Some(_alone) = engine.in_use.try_write() else {
        return Err(busy("a backup or a verification is running"));
    };
    if engine.ledger.count() > 0 {
        return Err(busy("views are open"));
    }
    let draft = Draft::begin(disk, &engine.home)?;
    let made = {
        let live = engine.live("compact")?;
        let before = live.file_bytes("compact");
        before.and_then(|before| Ok((before, copy(disk, &live, "compact", &draft.data(), seen)?)))
    };
    let (bytes_before, bytes_after) = match made {
        Ok((before, after)) if after < before => (before, after),
        Ok((before, _)) => {
            draft.discard()?;
            return Ok(CompactStat { bytes_before: before, bytes_after: before });
        }
        Err(error) => {
            let _ = draft.discard();
            return Err(error);
        }
    };
    swap(disk, engine, draft)?;
    Ok(CompactStat { bytes_before, bytes_after })
}

/// Closes the environment, puts the new data file in its place and opens it. New views wait, for some system calls.
fn swap(disk: &dyn Disk, engine: &LmdbEngine, draft: Draft<'_>) -> Result<()> {
    let expected: BeatHeader = *engine.last.lock();
    let (_, header) = read_newest(disk, &draft.data())?;
    if header != expected {
        let what = format!("the copy is of beat {} instead of {}", header.beat, expected.beat);
        return Err(corrupt("compact", what).with_path(draft.data()));
    }
    let mut live = engine.live.write();
    // Under this lock no view can open, so what is counted now stays.
    if engine.ledger.count() > 0 {
        drop(live);
        draft.discard()?;
        return Err(Error::new(ErrorKind::Busy, "compact", "a view was opened meanwhile").with_engine(SCHEME));
    }
    if let Some(old) = live.take() {
        old.close()?;
    }
    let placed = draft.finish();
    // Old or new, the file in place is whole: go on with it, but after a failed sync only for reading.
    *live = Some(Live::open(&engine.home, &engine.settings)?);
    engine.note_fresh_environment();
    if placed.is_err() {
        engine.health.poison();
    }
    placed
}
