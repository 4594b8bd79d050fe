//! Checkpoint, compaction and figures.

use persist_api::{CheckpointStat, CompactStat, Error, ErrorKind, Observer, Progress, Result, Stats};
use rocksdb::properties::{self, PropName};
use rocksdb::{BottommostLevelCompaction, CompactOptions, DB};

use crate::core::Core;
use crate::engine::RocksEngine;
use crate::error::map_error;
use crate::home;

/// Moves everything from the log into tables: the next open then has nothing to replay.
pub(crate) fn checkpoint(engine: &RocksEngine) -> Result<CheckpointStat> {
    let beat = engine.newest("checkpoint")?;
    let bytes = figure(&engine.core.db, properties::CUR_SIZE_ALL_MEM_TABLES)?;
    engine.flush("checkpoint")?;
    Ok(CheckpointStat { beat, bytes })
}

/// Rewrites every table without what was overwritten or deleted. Records that open views still see stay.
pub(crate) fn compact(engine: &RocksEngine, seen: &dyn Observer) -> Result<CompactStat> {
    let step =
        |done| seen.step("compact", Progress { phase: "rewrite", done, total: Some(1), unit: "stores" });
    step(0)?;
    engine.flush("compact")?;
    let bytes_before = bytes_of_records(&engine.core)?;
    rewrite(engine, "compact")?;
    let stat = CompactStat { bytes_before, bytes_after: bytes_of_records(&engine.core)? };
    // Too late to stop: it is done.
    let _ = step(1);
    Ok(stat)
}

/// Has RocksDB merge all tables.
pub(crate) fn rewrite(engine: &RocksEngine, op: &'static str) -> Result<()> {
    let db = &engine.core.db;
    let errors_before = figure(db, properties::BACKGROUND_ERRORS)?;
    let mut options = CompactOptions::default();
    options.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
    db.compact_range_opt(None::<&[u8]>, None::<&[u8]>, &options);
    // The call itself says nothing about how it went.
    if figure(db, properties::BACKGROUND_ERRORS)? > errors_before {
        engine.health.poison();
        return Err(Error::new(ErrorKind::Io, op, "RocksDB reports a failure in the background"));
    }
    Ok(())
}

/// Bytes of the tables and logs that are in use. Those that were replaced and wait to be dropped do not count.
pub(crate) fn bytes_of_records(core: &Core) -> Result<u64> {
    let tables = figure(&core.db, properties::TOTAL_SST_FILES_SIZE)?;
    let oldest_log = figure(&core.db, properties::MIN_LOG_NUMBER_TO_KEEP)?;
    let in_use = |name: &str| home::number_of_log(name).is_some_and(|number| number >= oldest_log);
    Ok(tables.saturating_add(home::size_of(&core.home, &in_use)?))
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
        beat: engine.newest("stats")?,
        bytes_on_disk: home::size_of(&core.home, &|_| true)?,
        ..Stats::default()
    };
    for (name, property) in figures {
        stats.engine.push((name, figure(&core.db, property)?));
    }
    core.ledger.fill(&mut stats);
    Ok(stats)
}
