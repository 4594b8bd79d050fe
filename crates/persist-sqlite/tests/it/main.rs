//! What is particular to SQLite. The contract itself is checked by the conformance suite.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod bodies;
mod bounds;
mod ceiling;
mod damage;
mod failures;
mod kit;
mod locking;
mod maintain;
mod opening;
mod storm;

use persist_conformance::Fixture;
use persist_sqlite::SqliteDriver;

/// The engine with its defaults.
struct Sqlite;

impl Fixture for Sqlite {
    fn driver(&self) -> &dyn persist_api::Driver {
        &SqliteDriver
    }
}

persist_conformance::conformance!(Sqlite);
persist_conformance::crash_classes!(crash, SqliteDriver, persist_api::OpenOptions::default());

/// A WAL so small that it is checkpointed and begun anew every few beats.
fn small_wal() -> persist_api::OpenOptions {
    kit::options(&[("wal_bytes", "32768")])
}

persist_conformance::crash_classes!(crash_small_wal, SqliteDriver, super::small_wal());
