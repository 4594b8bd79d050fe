//! The reference engine passes everything, as one test per case.

use std::sync::LazyLock;

use persist_api::Driver;
use persist_conformance::Fixture;
use persist_memory::MemoryDriver;

static DRIVER: LazyLock<MemoryDriver> = LazyLock::new(MemoryDriver::new);

struct Memory;

impl Fixture for Memory {
    fn driver(&self) -> &dyn Driver {
        &*DRIVER
    }
}

persist_conformance::conformance!(Memory);
