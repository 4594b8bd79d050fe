//! Tests of the suite itself.

mod crash;
mod example;
mod liars;
mod memory;
mod model;
mod registry;
