//! The example engine passes the whole suite. Its own tests run here, too; one of them reads the walk-through.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "../../examples/tiny_engine/engine.rs"]
mod engine;

use persist_api::Driver;
use persist_conformance::{Filter, Fixture, run};

struct Tiny;

impl Fixture for Tiny {
    fn driver(&self) -> &dyn Driver {
        &engine::TinyDriver
    }
}

#[test]
fn passes_the_whole_suite() {
    let report = run(&Tiny, &Filter::default());
    assert!(report.is_ok(), "{}", report.failures());
    assert!(report.twins() > 0, "it does not offer everything, so some twins run");
}
