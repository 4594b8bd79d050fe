//! The real `persist` binary, command by command.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should stop where it stands; it also makes files to be read"
)]

mod bundles;
mod config;
#[cfg(feature = "conformance")]
mod conformance;
mod demo;
#[cfg(feature = "flatfile")]
mod doctor;
mod errors;
mod frames;
mod import_branch;
mod ingest;
mod keys;
mod kit;
mod records;
mod signals;
mod stats_watch;
mod swap;
mod tail;
mod upkeep;
