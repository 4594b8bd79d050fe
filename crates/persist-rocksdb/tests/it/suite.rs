//! What every engine must do, checked by the suite that all engines share.

use persist_api::Driver;
use persist_conformance::Fixture;
use persist_rocksdb::RocksDbDriver;

struct RocksDb;

impl Fixture for RocksDb {
    fn driver(&self) -> &dyn Driver {
        &RocksDbDriver
    }
}

persist_conformance::conformance!(RocksDb);
