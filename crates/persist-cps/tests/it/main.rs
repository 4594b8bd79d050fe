//! Ingestion against the shared vectors, hostile frames and damaged stores, on the memory engine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on should stop where it stands"
)]

mod branch_blobs;
mod branch_damage;
mod branch_failed;
mod branch_flips;
mod branch_kit;
mod branch_limits;
mod branch_read;
mod branch_twins;
mod branch_work;
mod damage;
mod defects;
mod kit;
mod refusals;
mod vectors;
