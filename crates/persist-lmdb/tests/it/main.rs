//! What is special about this engine. What every engine must do is the conformance suite's business.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation, clippy::large_stack_arrays, reason = "small numbers of our own")]
#![allow(clippy::disallowed_methods, reason = "tests damage files on purpose")]

mod beats;
mod damage;
mod limits;
mod lock;
mod maintain;
mod opening;
mod reads;
mod room;
mod support;

use persist_conformance::Fixture;
use persist_lmdb::LmdbDriver;

/// The engine with its defaults.
struct Lmdb;

impl Fixture for Lmdb {
    fn driver(&self) -> &dyn persist_api::Driver {
        &LmdbDriver
    }
}

persist_conformance::conformance!(Lmdb);
persist_conformance::crash_classes!(crash, LmdbDriver::new(), persist_api::OpenOptions::default());
