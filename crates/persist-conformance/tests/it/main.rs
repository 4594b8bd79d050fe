//! Tests of the suite itself.

mod crash;
mod memory;
