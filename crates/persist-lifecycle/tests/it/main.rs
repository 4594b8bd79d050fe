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
mod kept;
mod kit;
mod maintenance;
mod maintenance_panics;
mod maintenance_partial;
mod maintenance_swap;
mod registry;
mod registry_keys;
mod registry_swap;
