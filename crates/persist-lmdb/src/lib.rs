//! LMDB as a persist engine: a memory-mapped copy-on-write tree, read without copying.
//!
//! A beat is LMDB's one write transaction, a view one of its read transactions, which are owned and not bound to a
//! thread. Values are handed out as slices of the map. The map is reserved at open, up to the ceiling of the store;
//! address space is all that it costs, and the file grows as it is written. Limits, knobs and traps stand in
//! `docs/engines/lmdb.md`.
//!
//! This crate must never know another engine or the runtime. Nobody else may link LMDB.
//!
//! # Unsafe code
//!
//! heed marks three calls as unsafe, and there is no other unsafe code here. All are in one module:
//!
//! - *Opening an environment* maps a file into memory: who changes or shortens the file behind LMDB's back changes what
//!   references point to. The directory lock keeps other processes of ours out, LMDB's own lock file orders other LMDB
//!   programs, and before the file is mapped its length is checked against its meta pages.
//! - *Setting a flag when opening* is used for read-ahead advice alone.
//! - *Changing `MDB_NOMETASYNC` between commits*, which no two threads may do at once: the gate that lets one beat in at
//!   a time sees to that.
//!
//! ```
//! use persist_api::{BeatHeader, Driver, Durability, OpenOptions, Quiet};
//! use persist_lmdb::LmdbDriver;
//!
//! let home = tempfile::tempdir()?;
//! let engine = LmdbDriver::new().open(home.path(), &OpenOptions::default(), &Quiet)?;
//! let mut beat = engine.begin_beat(BeatHeader::default().next(1, Durability::Durable, None)?)?;
//! beat.put_record(b"key", b"value")?;
//! beat.commit_beat()?;
//! let view = engine.view()?;
//! let value = view.get_record(b"key")?;
//! assert!(value.is_some_and(|value| *value == *b"value" && value.is_zero_copy()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod beat;
mod bounds;
mod copy;
mod cursor;
mod driver;
mod engine;
mod error;
mod home;
#[cfg(test)]
mod interrupted;
mod layout;
mod live;
mod options;
mod room;
mod verify;
mod view;
mod walk;

pub use driver::LmdbDriver;
