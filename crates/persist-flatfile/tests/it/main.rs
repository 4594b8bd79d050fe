//! What is special about this engine. What every engine must do is the conformance suite's business.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::LazyLock;

use persist_conformance::Fixture;
use persist_flatfile::FlatfileDriver;

static DRIVER: LazyLock<FlatfileDriver> = LazyLock::new(FlatfileDriver::default);

/// The engine with its defaults.
struct Flatfile;

impl Fixture for Flatfile {
    fn driver(&self) -> &dyn persist_api::Driver {
        &*DRIVER
    }
}

persist_conformance::conformance!(Flatfile);
