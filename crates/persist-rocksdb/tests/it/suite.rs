//! What every engine must do, checked by the suite that all engines share.

use persist_api::{Driver, OpenOptions};
use persist_conformance::Fixture;
use persist_rocksdb::RocksDbDriver;

struct RocksDb;

impl Fixture for RocksDb {
    fn driver(&self) -> &dyn Driver {
        &RocksDbDriver
    }
}

persist_conformance::conformance!(RocksDb);

/// A small write buffer, so that tables are written and logs are dropped while it crashes.
fn small() -> OpenOptions {
    crate::kit::with_knob("write_buffer_bytes", 64 << 10)
}

persist_conformance::crash_classes!(crash, RocksDbDriver, small());
