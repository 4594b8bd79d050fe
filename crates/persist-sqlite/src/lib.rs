//! SQLite in WAL mode as an engine of persist.
//!
//! One writer connection, always `BEGIN IMMEDIATE`; every view owns a pooled connection with a read transaction of its
//! own. `Durable` is `synchronous=FULL`, `Buffered` is `synchronous=NORMAL`; neither can corrupt a store. What it costs,
//! its limits, knobs and traps are in `docs/engines/sqlite.md`.
//!
//! It must never know another engine or the runtime. It has two unsafe lines: one lets a connection and the statement that it owns
//! move to another thread together (`session.rs`), one asks SQLite what its cache takes (`cache.rs`).
//!
//! ```
//! use persist_api::{BeatHeader, Driver, Durability, OpenOptions, Quiet};
//! use persist_sqlite::SqliteDriver;
//!
//! let dir = tempfile::tempdir()?;
//! let engine = SqliteDriver.open(&dir.path().join("home"), &OpenOptions::default(), &Quiet)?;
//! let mut beat = engine.begin_beat(BeatHeader::default().next(1, Durability::Durable, None)?)?;
//! beat.put_record(b"key", b"value")?;
//! beat.commit_beat()?;
//! assert_eq!(engine.view()?.get_record(b"key")?.as_deref(), Some(b"value".as_slice()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backup;
mod beat;
mod cache;
mod connection;
mod core;
mod cursor;
mod driver;
mod engine;
mod error;
mod home;
mod read;
mod session;
mod settings;
mod sql;
mod upkeep;
mod verify;
mod view;
mod watch;

pub use driver::SqliteDriver;
