//! Tests of the suite itself.

mod crash;
