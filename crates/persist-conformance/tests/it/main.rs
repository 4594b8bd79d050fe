//! Tests of the suite itself.

mod crash;
mod liars;
mod memory;
