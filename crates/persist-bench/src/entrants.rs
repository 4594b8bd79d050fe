//! Who takes part: engines of ours through one adapter, and the libraries under them.

use std::path::Path;
use std::sync::Arc;

use persist_api::Driver;
use persist_io::Disk;

use crate::contender::{Contender, Entrant, Result, Settings};
use crate::ours::Ours;
use crate::raw;
use crate::slow_disk::slow_disk;
use crate::store::{Runtime, Usage};

/// Opens an engine of ours.
fn ours<D: Driver>(driver: &D, home: &Path, settings: &Settings) -> Result<Box<dyn Contender>> {
    if settings.slow_disk {
        return Err(format!("{} does not take its disk from us", driver.scheme()));
    }
    Ok(Box::new(Ours::open(driver, home, settings)?))
}

/// Opens our own engine, which takes its disk from us.
fn flatfile(home: &Path, settings: &Settings) -> Result<Box<dyn Contender>> {
    let driver = if settings.slow_disk {
        persist_flatfile::FlatfileDriver::new(Arc::new(slow_disk()))
    } else {
        persist_flatfile::FlatfileDriver::default()
    };
    Ok(Box::new(Ours::open(&driver, home, settings)?))
}

/// Opens a store of the runtime over our own engine.
fn runtime(home: &Path, settings: &Settings, usage: Usage) -> Result<Box<dyn Contender>> {
    let disk: Arc<dyn Disk> =
        if settings.slow_disk { Arc::new(slow_disk()) } else { Arc::new(persist_io::RealDisk) };
    Ok(Box::new(Runtime::open(disk, home, settings, usage)?))
}

/// Engines of ours that need no library beside Rust and a C compiler.
#[must_use]
pub fn engines() -> Vec<Entrant> {
    vec![
        Entrant {
            name: "flatfile",
            settings: "persist-flatfile, our own engine, defaults; bulk: buffered beats, a sync and a checkpoint at the \
                       end; at rest: checkpoint and compaction",
            ours: true,
            durable: true,
            open: flatfile,
        },
        Entrant {
            name: "memory",
            settings: "persist-memory: copy-on-write map; keeps nothing, so only its reads compare",
            ours: true,
            durable: false,
            open: |home, settings| ours(&persist_memory::MemoryDriver::new(), home, settings),
        },
        Entrant {
            name: "persist-sqlite",
            settings: "our interface over SQLite, defaults of the engine",
            ours: true,
            durable: true,
            open: |home, settings| ours(&persist_sqlite::SqliteDriver, home, settings),
        },
        Entrant {
            name: "persist-lmdb",
            settings: "our interface over LMDB, defaults of the engine",
            ours: true,
            durable: true,
            open: |home, settings| ours(&persist_lmdb::LmdbDriver, home, settings),
        },
        Entrant {
            name: "store",
            settings: "the runtime over flatfile: grant, layers, Store::commit with its group committer, blocking; no Merkle \
                       roots, as engines alone make none",
            ours: false,
            durable: true,
            open: |home, settings| runtime(home, settings, Usage::Blocking),
        },
        Entrant {
            name: "store-awaited",
            settings: "as store, but each commit is awaited as a future by a thread that parks; the helper thread commits",
            ours: false,
            durable: true,
            open: |home, settings| runtime(home, settings, Usage::Awaited),
        },
        Entrant {
            name: "store-held",
            settings: "as store, while a hold without bounds keeps every durable commit for the feed",
            ours: false,
            durable: true,
            open: |home, settings| runtime(home, settings, Usage::Held),
        },
        Entrant {
            name: "store-merkle",
            settings: "as store, with the default request, so that each commit carries the Merkle root of its records",
            ours: false,
            durable: true,
            open: |home, settings| runtime(home, settings, Usage::Merkle),
        },
        #[cfg(feature = "rocksdb")]
        Entrant {
            name: "persist-rocksdb",
            settings: "our interface over RocksDB, defaults of the engine",
            ours: true,
            durable: true,
            open: |home, settings| ours(&persist_rocksdb::RocksDbDriver, home, settings),
        },
    ]
}

/// The libraries under our engines, called by hand.
#[must_use]
pub fn libraries() -> Vec<Entrant> {
    vec![
        Entrant {
            name: "lmdb",
            settings: "heed 0.23, two databases, map of 64 GiB; bulk: MDB_NOSYNC and one sync at the end",
            ours: false,
            durable: true,
            open: |home, settings| Ok(Box::new(raw::lmdb::Lmdb::open(home, settings)?)),
        },
        Entrant {
            name: "sqlite",
            settings: "rusqlite 0.41 bundled, WAL, WITHOUT ROWID, synchronous=FULL, mapped, default automatic \
                       checkpoint, one writer and one reader connection; bulk: synchronous=NORMAL and a checkpoint at the end",
            ours: false,
            durable: true,
            open: |home, settings| Ok(Box::new(raw::sqlite::Sqlite::open(home, settings)?)),
        },
        #[cfg(feature = "rocksdb")]
        Entrant {
            name: "rocksdb",
            settings: "rocksdb 0.25, default memtable, 10-bit filter, CRC-32C, no compression, sync writes; bulk: \
                       unsynced writes and one WAL flush at the end; at rest: fully compacted",
            ours: false,
            durable: true,
            open: |home, settings| Ok(Box::new(raw::rocksdb::Rocks::open(home, settings)?)),
        },
    ]
}

/// Opens the entrant of this name.
///
/// # Errors
/// A sentence naming those that exist.
pub fn find<'e>(entrants: &'e [Entrant], name: &str) -> Result<&'e Entrant> {
    entrants.iter().find(|entrant| entrant.name == name).ok_or_else(|| {
        let names: Vec<&str> = entrants.iter().map(|entrant| entrant.name).collect();
        format!("nobody is called {name:?}; there are {}", names.join(", "))
    })
}
