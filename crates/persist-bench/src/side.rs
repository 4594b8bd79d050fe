//! What both sides of a comparison can do.

use std::path::Path;

use crate::ours::Ours;
use crate::raw;
use crate::rows::Row;

/// Errors of a benchmark are sentences.
pub(crate) type Result<T> = std::result::Result<T, String>;

/// One side: the raw library, or our interface over it. Each method does its whole batch, so that calling it through a
/// vtable costs nothing per row.
pub(crate) trait Side {
    /// Commits rows in one durable beat, the header record included.
    fn beat(&mut self, rows: &[Row]) -> Result<()>;
    /// After loading: puts the files into the state that a store at rest is in, so that both sides read the same shape.
    fn settle(&mut self) -> Result<()> {
        Ok(())
    }
    /// Reads every key in one snapshot; answers the sum of the value lengths.
    fn gets(&mut self, keys: &[Vec<u8>]) -> Result<u64>;
    /// Scans the whole store `times` times in one snapshot; answers rows seen and bytes of keys and values.
    fn scans(&mut self, times: u32) -> Result<(u64, u64)>;
}

/// The engines of a comparison.
pub(crate) const ENGINES: &[&str] = &[
    "lmdb",
    "sqlite",
    #[cfg(feature = "rocksdb")]
    "rocksdb",
];

/// Opens one side of one engine in an empty directory.
pub(crate) fn open(engine: &str, side: &str, home: &Path) -> Result<Box<dyn Side>> {
    Ok(match (engine, side) {
        ("lmdb", "raw") => Box::new(raw::lmdb::Lmdb::create(home)?),
        ("lmdb", "ours") => Box::new(Ours::create(&persist_lmdb::LmdbDriver, home)?),
        ("sqlite", "raw") => Box::new(raw::sqlite::Sqlite::create(home)?),
        ("sqlite", "ours") => Box::new(Ours::create(&persist_sqlite::SqliteDriver, home)?),
        #[cfg(feature = "rocksdb")]
        ("rocksdb", "raw") => Box::new(raw::rocksdb::Rocks::create(home)?),
        #[cfg(feature = "rocksdb")]
        ("rocksdb", "ours") => Box::new(Ours::create(&persist_rocksdb::RocksDbDriver, home)?),
        _ => return Err(format!("no such side: {engine} {side}")),
    })
}

/// Turns any error into a sentence.
pub(crate) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
