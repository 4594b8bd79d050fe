//! Ingestion against the shared vectors, hostile frames and damaged stores, on the memory engine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should stop where it stands"
)]

mod damage;
mod kit;
mod refusals;
mod vectors;
