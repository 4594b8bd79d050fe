//! What is special about this engine. What every engine must do is the conformance suite's business.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod beside;
mod chdir;
mod compaction;
mod feed;
mod full;
mod full_open;
mod segments;
mod sim;
mod simulated;
mod values;

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
persist_conformance::crash_classes!(crash, FlatfileDriver::default(), persist_api::OpenOptions::default());

/// The same with tiny tables and everything done by the caller, so that every case rolls, flushes and merges.
mod tiny {
    use persist_api::OpenOptions;
    use persist_conformance::Fixture;
    use persist_flatfile::FlatfileDriver;

    use super::DRIVER;

    pub(super) fn options() -> OpenOptions {
        let knobs = [
            ("maintenance", "inline"),
            ("memtable_bytes", "4096"),
            ("large_value_bytes", "128"),
            ("segment_step_bytes", "4096"),
        ];
        let knobs = knobs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        OpenOptions { knobs: knobs.into(), ..OpenOptions::default() }
    }

    struct Tiny;

    impl Fixture for Tiny {
        fn driver(&self) -> &dyn persist_api::Driver {
            &*DRIVER
        }

        fn options(&self) -> OpenOptions {
            options()
        }
    }

    persist_conformance::conformance!(Tiny);
    persist_conformance::crash_classes!(crash, FlatfileDriver::default(), options());
}

/// Tiny tables with threads, so that flushes and merges go on beside everything else.
mod busy {
    use persist_api::OpenOptions;
    use persist_conformance::Fixture;
    use persist_flatfile::FlatfileDriver;

    use super::DRIVER;

    fn options() -> OpenOptions {
        let mut options = super::tiny::options();
        options.knobs.remove("maintenance");
        options
    }

    struct Busy;

    impl Fixture for Busy {
        fn driver(&self) -> &dyn persist_api::Driver {
            &*DRIVER
        }

        fn options(&self) -> OpenOptions {
            options()
        }
    }

    persist_conformance::conformance!(Busy);
    persist_conformance::crash_classes!(crash, FlatfileDriver::default(), options());
}
