//! The example engine passes the whole suite, and the walk-through quotes it as it is.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "../../examples/tiny_engine/engine.rs"]
mod engine;

use persist_api::Driver;
use persist_conformance::{Filter, Fixture, run};

const ENGINE: &str = include_str!("../../examples/tiny_engine/engine.rs");
const MAIN: &str = include_str!("../../examples/tiny_engine/main.rs");
const WALK: &str = include_str!("../../../../docs/write-a-backend.md");

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

/// Lines without their indentation, so that a quotation may begin at the margin.
fn flat(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_walk_through_quotes_real_code() {
    let code = [flat(ENGINE), flat(MAIN)];
    let blocks: Vec<&str> =
        WALK.split("```rust\n").skip(1).map(|rest| rest.split_once("```").unwrap().0).collect();
    assert!(blocks.len() >= 8, "only {} blocks of code", blocks.len());
    for block in blocks {
        assert!(code.iter().any(|code| code.contains(&flat(block))), "not in the example:\n{block}");
    }
}
