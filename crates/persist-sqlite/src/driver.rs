//! Recognising and opening.

use std::path::Path;
use std::sync::Arc;

use persist_api::{Driver, Engine, Observer, Offer, OpenMode, OpenOptions, Probe, Progress, Result};
use persist_io::{Disk, FileMode, RealDisk, absolute, create_dir_durably, lock_dir, renew};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::connection::{self, Role};
use crate::core::Core;
use crate::engine::SqliteEngine;
use crate::error::during;
use crate::home::{self, DATA, LiveMark};
use crate::settings::{self, Settings};
use crate::{read, sql};

pub(crate) const SCHEME: &str = "sqlite";

/// Opens SQLite engines.
#[derive(Debug, Clone, Copy, Default)]
pub struct SqliteDriver;

impl Driver for SqliteDriver {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn probe(&self, home: &Path) -> Result<Probe> {
        home::probe(home).map_err(|error| error.with_engine(SCHEME))
    }

    fn offer(&self, options: &OpenOptions) -> Offer {
        settings::offer(options)
    }

    fn check(&self, options: &OpenOptions) -> Result<()> {
        Settings::of(options).map(drop)
    }

    fn open(&self, home: &Path, options: &OpenOptions, seen: &dyn Observer) -> Result<Box<dyn Engine>> {
        let settings = Settings::of(options)?;
        // Absolute, so that a change of directory moves nothing and no name can be read as a URI.
        let home = absolute("open", home)?;
        let core = open_core(&RealDisk, &home, options, settings, seen)
            .map_err(|error| error.with_engine(SCHEME))?;
        Ok(Box::new(SqliteEngine::new(Arc::new(core), options)))
    }
}

/// True if there is a store; an error if there is something that the mode, or anybody, must leave alone.
fn check_mode(home: &Path, mode: OpenMode) -> Result<bool> {
    mode.check_probe(home::probe(home)?).map_err(|error| error.with_path(home))
}

pub(crate) fn open_core(
    disk: &dyn Disk,
    home: &Path,
    options: &OpenOptions,
    settings: Settings,
    seen: &dyn Observer,
) -> Result<Core> {
    check_mode(home, options.mode)?;
    create_dir_durably(disk, home)?;
    let lock = lock_dir(disk, home)?;
    // Again under the lock: another process may have been here in between.
    if !check_mode(home, options.mode)? {
        home::create(home, &settings)?;
    }
    let wal_bytes = home::len_of(&home::wal_path(home))?;
    let live = LiveMark::new(&home.join(DATA))?;
    let writer = connection::open(&home.join(DATA), Role::Writer, &settings)?;
    may_checkpoint_on_close(&writer, wal_bytes == 0)?;
    let page_bytes = connection::prepare_writer(&writer, &settings)?;
    // The first read recovers the WAL, or creates it; then its name is made durable before anything depends on it.
    read::header(&writer, "open")?;
    if wal_bytes > 0 {
        renew_wal(&writer, disk, home, seen)?;
        may_checkpoint_on_close(&writer, true)?;
    }
    let wal = disk.open(&home::wal_path(home), FileMode::Read)?;
    disk.sync_dir(home)?;
    Core::new(writer, wal, (live, lock), home.to_path_buf(), settings, page_bytes)
}

/// Writes a WAL that was left again and syncs it, before anybody sees or builds on what it holds: after a sync that failed, the
/// system shows frames that are not on the disk, and takes them for written. A checkpoint would not do: a power cut
/// in the middle of it could leave pages in the database from frames that the WAL on the disk does not have.
fn renew_wal(writer: &Connection, disk: &dyn Disk, home: &Path, seen: &dyn Observer) -> Result<()> {
    // As long as this transaction is open no other program writes to the WAL.
    connection::run(writer, sql::BEGIN_WRITE).map_err(during("open"))?;
    let path = home::wal_path(home);
    let bytes = home::len_of(&path)?;
    let tell =
        |done| seen.step("open", Progress { phase: "recover", done, total: Some(bytes), unit: "bytes" });
    renew(disk, &path, bytes, &mut { tell })?;
    connection::run(writer, sql::ROLLBACK).map_err(during("open"))?;
    tell(bytes)
}

/// Whether the connection copies the WAL when it closes as the last one. A WAL that is not known to be durable must stay.
fn may_checkpoint_on_close(writer: &Connection, may: bool) -> Result<()> {
    let set = writer.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !may);
    set.map(drop).map_err(during("open"))
}

#[cfg(test)]
mod tests;
