//! Integration tests: the vectors of `fixtures/cps`, hostile input of our own, properties, memory.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test that fails may panic"
)]

mod bodies;
mod cas;
mod fixtures;
mod forge;
mod manifest;
mod memory;
mod mutations;
mod names;
mod payloads;
mod properties;
mod refusals;
mod refused_chunks;
mod refused_containers;
mod vectors;
mod writer;
