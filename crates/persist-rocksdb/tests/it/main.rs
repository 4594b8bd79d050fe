//! What is particular to this engine. What every engine must do is checked by the conformance suite.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod beats;
mod damage;
mod failures;
mod kit;
mod maintain;
mod open;
mod processes;
mod suite;
mod views;
