//! Recognising and opening.

use std::path::Path;
use std::sync::Arc;

use persist_api::{Driver, Engine, Error, Observer, Offer, OpenMode, OpenOptions, Probe, Progress, Result};
use persist_io::{Disk, FileMode, RealDisk, create_dir_durably, lock_dir};

use crate::connection::{self, Role};
use crate::core::Core;
use crate::engine::SqliteEngine;
use crate::home::{self, DATA, LiveMark};
use crate::read;
use crate::settings::{self, Settings};

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
        let home = std::path::absolute(home).map_err(|error| Error::io("open", home, error))?;
        let core = open_core(&home, options, settings, seen).map_err(|error| error.with_engine(SCHEME))?;
        Ok(Box::new(SqliteEngine::new(Arc::new(core), options)))
    }
}

/// True if there is a store; an error if there is something that the mode, or anybody, must leave alone.
fn check_mode(home: &Path, mode: OpenMode) -> Result<bool> {
    mode.check_probe(home::probe(home)?).map_err(|error| error.with_path(home))
}

pub(crate) fn open_core(
    home: &Path,
    options: &OpenOptions,
    settings: Settings,
    seen: &dyn Observer,
) -> Result<Core> {
    check_mode(home, options.mode)?;
    create_dir_durably(&RealDisk, home)?;
    let lock = lock_dir(&RealDisk, home)?;
    // Again under the lock: another process may have been here in between.
    if !check_mode(home, options.mode)? {
        home::create(home, &settings)?;
    }
    let wal_bytes = home::len_of(&home::wal_path(home))?;
    if wal_bytes > 0 {
        seen.step("open", Progress { phase: "recover", done: 0, total: Some(wal_bytes), unit: "bytes" })?;
    }
    let live = LiveMark::new(&home.join(DATA))?;
    let writer = connection::open(&home.join(DATA), Role::Writer, &settings)?;
    let page_bytes = connection::prepare_writer(&writer, &settings)?;
    // The first read recovers the WAL, or creates it; then its name is made durable before anything depends on it.
    read::header(&writer, "open")?;
    let wal = RealDisk.open(&home::wal_path(home), FileMode::Read)?;
    RealDisk.sync_dir(home)?;
    if wal_bytes > 0 {
        let done = Progress { phase: "recover", done: wal_bytes, total: Some(wal_bytes), unit: "bytes" };
        seen.step("open", done)?;
    }
    Core::new(writer, wal, (live, lock), home.to_path_buf(), settings, page_bytes)
}
