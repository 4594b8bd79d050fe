//! The raw libraries, called by hand as a careful user would.

pub(crate) mod lmdb;
#[cfg(feature = "rocksdb")]
pub(crate) mod rocksdb;
pub(crate) mod sqlite;
