//! The facade over every engine of this build.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    unreachable_pub,
    reason = "tests"
)]

mod address;
#[cfg(target_os = "linux")]
mod bundle_memory;
mod bundles;
mod chdir;
mod engines;
mod feed;
mod forgotten;
mod kit;
#[cfg(any(feature = "flatfile", feature = "sqlite", feature = "lmdb", feature = "rocksdb"))]
mod layered;
mod stranger;
mod swap;
