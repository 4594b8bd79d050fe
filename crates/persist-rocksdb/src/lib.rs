//! RocksDB as a persist engine
