//! Recognising and opening.

use std::path::Path;
use std::sync::Arc;

use persist_api::{
    Caps, Driver, Engine, Error, ErrorKind, Limits, Observer, Offer, OpenMode, OpenOptions, Probe, Progress,
    Result, ViewLedger,
};
use persist_io::{RealDisk, absolute, create_dir_durably, lock_dir};
use rocksdb::DB;

use crate::core::Core;
use crate::engine::RocksEngine;
use crate::error::{corrupt, map_error};
use crate::home;
use crate::repair;
use crate::settings::Settings;

pub(crate) const SCHEME: &str = "rocksdb";

/// The release of RocksDB that the binding carries.
const LIBRARY: &str = "RocksDB 11.8.1";

const KEY_BYTES_MAX: u64 = 8 << 20;
const VALUE_BYTES_MAX: u64 = 1 << 30;
/// A batch counts its operations in 32 bits. Each stages at least one byte, so this bound keeps the count far below that.
const BEAT_BYTES_MAX: u64 = 2 << 30;
const VIEWS_MAX: u64 = 1 << 16;

/// Opens RocksDB engines.
///
/// The knobs and the files are described in `docs/engines/rocksdb.md`. A home is held by one engine at a time, in this
/// process or another; the hold ends with the last of the engine and its views.
#[derive(Debug, Clone, Copy, Default)]
pub struct RocksDbDriver;

fn offer(options: &OpenOptions) -> Offer {
    Offer {
        engine: SCHEME,
        library: LIBRARY.to_owned(),
        format: 1,
        caps: Caps::BEAT_ATOMIC
            | Caps::PREFIX_SCAN
            | Caps::CHECKPOINT
            | Caps::COMPACTION
            | Caps::CRC32C
            | Caps::ORDERED
            | Caps::SNAPSHOT
            | Caps::DURABLE
            | Caps::BUFFERED
            | Caps::ZERO_COPY
            | Caps::DELETE_RANGE
            | Caps::LONG_KEYS
            | Caps::BACKUP,
        limits: Limits {
            key_bytes_max: KEY_BYTES_MAX,
            value_bytes_max: VALUE_BYTES_MAX,
            beat_bytes_max: BEAT_BYTES_MAX,
            views_max: options.views_max.unwrap_or(VIEWS_MAX),
            store_bytes_max: options.store_bytes_max.unwrap_or(u64::MAX),
        },
    }
}

impl Driver for RocksDbDriver {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn probe(&self, home: &Path) -> Result<Probe> {
        home::probe(home).map_err(|error| error.with_engine(SCHEME))
    }

    fn offer(&self, options: &OpenOptions) -> Offer {
        offer(options)
    }

    fn check(&self, options: &OpenOptions) -> Result<()> {
        Settings::of(options).map(drop)
    }

    fn open(&self, home: &Path, options: &OpenOptions, seen: &dyn Observer) -> Result<Box<dyn Engine>> {
        open(home, options, seen).map_err(|error| error.with_engine(SCHEME))
    }
}

fn open(home: &Path, options: &OpenOptions, seen: &dyn Observer) -> Result<Box<dyn Engine>> {
    let settings = Settings::of(options)?;
    let home = &absolute("open", home)?;
    may_open(home, options.mode)?;
    seen.step("open", Progress { phase: "recover", done: 0, total: Some(1), unit: "stores" })?;
    create_dir_durably(&RealDisk, home)?;
    let lock = lock_dir(&RealDisk, home)?;
    // Again, now that nobody else can change it.
    if !may_open(home, options.mode)? {
        home::create(home, &settings)?;
        repair::note_manifest(home)?;
    }
    home::clear_unfinished(home)?;
    let dir = home::db_dir(home);
    repair::mend_manifest(home, &settings)?;
    let db = DB::open(&settings.for_writing()?, &dir).map_err(|error| open_error(error, &dir))?;
    repair::note_manifest(home)?;
    let offer = offer(options);
    let core = Core {
        db,
        home: home.clone(),
        limits: offer.limits,
        ledger: ViewLedger::new(offer.limits.views_max),
        _lock: lock,
    };
    let engine = RocksEngine::new(Arc::new(core), offer, settings, options)?;
    seen.step("open", Progress { phase: "recover", done: 1, total: Some(1), unit: "stores" })?;
    Ok(Box::new(engine))
}

/// True where a store exists and the mode lets it be opened, false where one may be created.
fn may_open(home: &Path, mode: OpenMode) -> Result<bool> {
    mode.check_probe(home::probe(home)?).map_err(|error| error.with_path(home))
}

/// A database that is there but not whole is `Corrupt`, whichever code RocksDB gives it.
fn open_error(error: rocksdb::Error, dir: &Path) -> Error {
    let mapped = map_error("open", error);
    match mapped.kind() {
        ErrorKind::Invalid | ErrorKind::Unsupported => {
            corrupt("open", mapped.context().to_owned()).with_path(dir).with_source(mapped)
        }
        _ => mapped.with_path(dir),
    }
}
