//! The simulated stores of the tests, for a fuzzer.
#![allow(dead_code, unused_imports, reason = "the tests among them are left out")]

#[path = "../../tests/it/sim/mod.rs"]
mod sim;

/// Damaged and forged files.
pub fn open(input: &[u8]) {
    sim::fuzz::open(input);
}

/// Any bytes as a sorted run.
pub fn run(input: &[u8]) {
    sim::fuzz::run(input);
}

/// Any sequence of operations and crashes.
pub fn operations(input: &[u8]) {
    sim::fuzz::operations(input);
}
