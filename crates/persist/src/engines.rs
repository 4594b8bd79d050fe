//! The engines that this build has, and those that it could have.

use std::sync::Arc;

use persist_api::Driver;

/// An engine of this project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownEngine {
    /// The name in `scheme:path`.
    pub scheme: &'static str,
    /// The feature that turns it on; `None` for an engine that is always there.
    pub feature: Option<&'static str>,
    /// One sentence for people.
    pub about: &'static str,
    /// True when this build has it.
    pub present: bool,
}

/// Every engine of this project, whatever the features.
pub const KNOWN_ENGINES: &[KnownEngine] = &[
    KnownEngine {
        scheme: "memory",
        feature: None,
        about: "an ordered map in memory; nothing survives the process",
        present: true,
    },
    KnownEngine {
        scheme: "flatfile",
        feature: Some("flatfile"),
        about: "our own: one append and one sync a beat, every byte verified",
        present: cfg!(feature = "flatfile"),
    },
    KnownEngine {
        scheme: "sqlite",
        feature: Some("sqlite"),
        about: "SQLite in WAL mode, bundled",
        present: cfg!(feature = "sqlite"),
    },
    KnownEngine {
        scheme: "lmdb",
        feature: Some("lmdb"),
        about: "LMDB: a memory-mapped B+ tree, reads without copies",
        present: cfg!(feature = "lmdb"),
    },
    KnownEngine {
        scheme: "rocksdb",
        feature: Some("rocksdb"),
        about: "RocksDB: a log-structured merge tree",
        present: cfg!(feature = "rocksdb"),
    },
];

/// Drivers of the engines in this build, one new driver for each. What one memory driver stored, another does not see.
#[must_use]
pub fn drivers() -> Vec<Arc<dyn Driver>> {
    vec![
        Arc::new(persist_memory::MemoryDriver::new()),
        #[cfg(feature = "flatfile")]
        Arc::new(persist_flatfile::FlatfileDriver::default()),
        #[cfg(feature = "sqlite")]
        Arc::new(persist_sqlite::SqliteDriver),
        #[cfg(feature = "lmdb")]
        Arc::new(persist_lmdb::LmdbDriver::new()),
        #[cfg(feature = "rocksdb")]
        Arc::new(persist_rocksdb::RocksDbDriver),
    ]
}
