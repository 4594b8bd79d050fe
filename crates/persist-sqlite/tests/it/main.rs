//! What is particular to SQLite. The contract itself is checked by the conformance suite.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod bodies;
mod ceiling;
mod damage;
mod failures;
mod kit;
mod locking;
mod maintain;
mod opening;
mod storm;
