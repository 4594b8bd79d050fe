//! The reference engine passes everything, as one test per case.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::LazyLock;

use persist_api::{BeatHeader, BeatNo, Driver, Durability, OpenOptions, Quiet};
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

/// Clause L-4: every error names the engine, and the refused level of durability its capability.
#[test]
fn errors_name_the_engine() {
    let home = Path::new("errors");
    let options = OpenOptions { views_max: Some(1), ..OpenOptions::default() };
    let engine = DRIVER.open(home, &options, &Quiet).unwrap();
    let view = engine.view().unwrap();
    let next = view.header().next(1, Durability::Volatile, None).unwrap();
    let durable = engine.begin_beat(BeatHeader { durability: Durability::Durable, ..next }).err().unwrap();
    let buffered = engine.begin_beat(BeatHeader { durability: Durability::Buffered, ..next }).err().unwrap();
    assert!(durable.context().contains("capability DURABLE"), "{durable}");
    assert!(buffered.context().contains("capability BUFFERED"), "{buffered}");
    let order = engine.begin_beat(BeatHeader { beat: BeatNo(9), ..next }).err().unwrap();
    let mut beat = engine.begin_beat(next).unwrap();
    let second = engine.begin_beat(next).err().unwrap();
    let empty = beat.put_record(b"", b"").unwrap_err();
    let poisoned = beat.put_record(b"key", b"").unwrap_err();
    let locked = DRIVER.open(home, &options, &Quiet).err().unwrap();
    let views = engine.view().err().unwrap();
    for error in [durable, buffered, order, second, empty, poisoned, locked, views] {
        assert_eq!(error.engine(), Some("memory"), "{error}");
    }
}
