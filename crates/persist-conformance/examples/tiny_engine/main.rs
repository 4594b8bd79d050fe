//! An engine of a stranger's own, and the whole suite run against it: `cargo run -p persist-conformance --example
//! tiny_engine`. `docs/write-a-backend.md` walks through it.

#[path = "engine.rs"] // so that its own modules lie beside it
mod engine;

use std::process::ExitCode;

use persist_api::Driver;
use persist_conformance::Fixture;

struct Mine;

impl Fixture for Mine {
    fn driver(&self) -> &dyn Driver {
        &engine::TinyDriver
    }
}

fn main() -> ExitCode {
    persist_conformance::main(&Mine)
}
