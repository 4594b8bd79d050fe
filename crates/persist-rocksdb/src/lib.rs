//! RocksDB as a persist engine: a log-structured store for data that outgrows memory and is written a lot.
//!
//! A beat is one write batch, a durable beat is one sync of RocksDB's log, and a view is a snapshot that owns its share
//! of the database. Everything lives in one column family, because after a power loss several could come back at
//! different beats. The header of the newest beat is the record with the empty key: the contract has no empty keys, so
//! it stands outside the visible key space, and it travels in the beat's own batch.
//!
//! Files: `lock` is persist's, `db/` is RocksDB's. What each durability does, the knobs and the traps are in
//! `docs/engines/rocksdb.md`.
//!
//! This crate must never know another engine, the runtime or the names that the runtime gives to keys.
//!
//! ```
//! use persist_api::{BeatHeader, Driver, Durability, OpenOptions, Quiet};
//! use persist_rocksdb::RocksDbDriver;
//!
//! let home = tempfile::tempdir()?;
//! let engine = RocksDbDriver.open(home.path(), &OpenOptions::default(), &Quiet)?;
//! let mut beat = engine.begin_beat(BeatHeader::default().next(1, Durability::Durable, None)?)?;
//! beat.put_record(b"key", b"value")?;
//! beat.commit_beat()?;
//! assert_eq!(engine.view()?.get_record(b"key")?.as_deref(), Some(b"value".as_slice()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backup;
mod beat;
mod bounds;
mod ceiling;
mod core;
mod cursor;
mod driver;
mod engine;
mod error;
mod home;
mod log;
mod maintain;
mod repair;
mod settings;
mod verify;
mod view;

pub use driver::RocksDbDriver;
