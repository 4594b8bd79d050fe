//! Checkpoint, backup, compaction and figures.

use std::path::Path;

use persist_api::{
    BackupStat, CheckpointStat, CompactStat, Error, ErrorKind, Observer, Progress, Result, Stats,
};
use persist_io::{RealDisk, create_dir_durably};
use rocksdb::checkpoint::Checkpoint;
use rocksdb::properties::{self, PropName};
use rocksdb::{BottommostLevelCompaction, CompactOptions, DB, ReadOptions};

use crate::core::{Core, read_header};
use crate::engine::RocksEngine;
use crate::error::map_error;
use crate::home;

/// Moves everything from the log into tables: the next open then has nothing to replay.
pub(crate) fn checkpoint(engine: &RocksEngine) -> Result<CheckpointStat> {
    let beat = engine.newest();
    let bytes = figure(&engine.core.db, properties::CUR_SIZE_ALL_MEM_TABLES)?;
    engine.flush("checkpoint")?;
    Ok(CheckpointStat { beat, bytes })
}

/// Has RocksDB link or copy its files, looks which beat they hold, and gives them their name when all is on the medium.
pub(crate) fn backup(engine: &RocksEngine, into: &Path, seen: &dyn Observer) -> Result<BackupStat> {
    const STEPS: u64 = 3;
    let step =
        |done| seen.step("backup", Progress { phase: "copy", done, total: Some(STEPS), unit: "steps" });
    engine.check_health("backup")?;
    if !home::is_vacant(into)? {
        let context = "the target of a backup must be empty or missing";
        return Err(Error::new(ErrorKind::Mismatch, "backup", context).with_path(into));
    }
    step(0)?;
    create_dir_durably(&RealDisk, into)?;
    let written = (|| {
        let new = home::new_dir(into);
        let fail = |error| map_error("backup", error).with_path(into);
        let made = Checkpoint::new(&engine.core.db).and_then(|made| made.create_checkpoint(&new));
        made.map_err(fail)?;
        step(1)?;
        let copy = DB::open_for_read_only(&engine.settings.for_checking()?, &new, false).map_err(fail)?;
        let header = read_header("backup", &copy, &ReadOptions::default())?;
        drop(copy);
        step(2)?;
        home::finish(into)?;
        Ok(BackupStat { beat: header.beat, bytes: home::size_of(into, &|_| true)? })
    })();
    match written {
        Ok(stat) => {
            // Too late to stop: the backup is there.
            let _ = step(STEPS);
            Ok(stat)
        }
        Err(error) => {
            // The directory is as empty as before, as far as the disk lets it be.
            let _ = home::clear_unfinished(into);
            Err(error)
        }
    }
}

/// Rewrites every table without what was overwritten or deleted. Records that open views still see stay.
pub(crate) fn compact(engine: &RocksEngine, seen: &dyn Observer) -> Result<CompactStat> {
    let step =
        |done| seen.step("compact", Progress { phase: "rewrite", done, total: Some(1), unit: "stores" });
    let core = &engine.core;
    step(0)?;
    engine.flush("compact")?;
    let bytes_before = bytes_of_records(core)?;
    let errors_before = figure(&core.db, properties::BACKGROUND_ERRORS)?;
    let mut options = CompactOptions::default();
    options.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
    core.db.compact_range_opt(None::<&[u8]>, None::<&[u8]>, &options);
    // The call itself says nothing about how it went.
    if figure(&core.db, properties::BACKGROUND_ERRORS)? > errors_before {
        engine.health.poison();
        return Err(Error::new(ErrorKind::Io, "compact", "RocksDB reports a failure in the background"));
    }
    let stat = CompactStat { bytes_before, bytes_after: bytes_of_records(core)? };
    // Too late to stop: it is done.
    let _ = step(1);
    Ok(stat)
}

/// Bytes of the files that hold records: tables and logs. Tables that were replaced and wait to be dropped do not count.
fn bytes_of_records(core: &Core) -> Result<u64> {
    let tables = figure(&core.db, properties::TOTAL_SST_FILES_SIZE)?;
    Ok(tables.saturating_add(home::size_of(&core.home, &home::is_log)?))
}

/// A figure that RocksDB keeps.
pub(crate) fn figure(db: &DB, name: &PropName) -> Result<u64> {
    let value = db.property_int_value(name).map_err(|error| map_error("stats", error))?;
    Ok(value.unwrap_or_default())
}

pub(crate) fn stats(engine: &RocksEngine) -> Result<Stats> {
    let core = &engine.core;
    let figures = [
        ("records_estimated", properties::ESTIMATE_NUM_KEYS),
        ("table_bytes", properties::TOTAL_SST_FILES_SIZE),
        ("write_buffer_bytes", properties::CUR_SIZE_ALL_MEM_TABLES),
        ("cache_bytes", properties::BLOCK_CACHE_USAGE),
        ("compaction_debt_bytes", properties::ESTIMATE_PENDING_COMPACTION_BYTES),
        ("writes_stopped", properties::IS_WRITE_STOPPED),
        ("background_errors", properties::BACKGROUND_ERRORS),
    ];
    let mut stats = Stats {
        beat: engine.newest(),
        bytes_on_disk: home::size_of(&core.home, &|_| true)?,
        ..Stats::default()
    };
    for (name, property) in figures {
        stats.engine.push((name, figure(&core.db, property)?));
    }
    core.ledger.fill(&mut stats);
    Ok(stats)
}
