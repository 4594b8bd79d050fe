//! Configuration, registry and maintenance, over real engines.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "tests"
)]

mod config;
mod config_errors;
mod environment;
mod kit;
mod maintenance;
mod registry;
mod registry_keys;
