//! persist's own engine: one sequential write and one sync for a durable beat, sorted runs for reading, and every byte
//! that is read back checked.
//!
//! A store is a *timeline* of frames, one a beat, mirrored in *memtables*; full memtables become immutable sorted *runs*, and
//! neighbouring runs are merged. Large values lie in *payload segments* of their own. Everything goes through a
//! [`Disk`](persist_io::Disk), so that a simulated one can be put under it. Limits, knobs, traps and costs are in
//! `docs/engines/flatfile.md`.
//!
//! This crate must never know the runtime, another engine, or what records mean.
//!
//! ```
//! use persist_api::{BeatHeader, Driver, Durability, OpenOptions, Quiet};
//! use persist_flatfile::FlatfileDriver;
//!
//! let dir = tempfile::tempdir()?;
//! let engine = FlatfileDriver::default().open(dir.path(), &OpenOptions::default(), &Quiet)?;
//! let header = BeatHeader::default().next(1, Durability::Durable, None)?;
//! let mut beat = engine.begin_beat(header)?;
//! beat.put_record(b"key", b"value")?;
//! assert_eq!(beat.commit_beat()?.reached, Durability::Durable);
//! assert_eq!(engine.view()?.get_record(b"key")?.as_deref(), Some(b"value".as_slice()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod backup;
mod beat;
#[cfg(test)]
mod bounds_tests;
mod coding;
mod compaction;
mod core;
mod cover;
pub mod doctor;
mod driver;
mod engine;
mod error;
mod feed;
mod flush;
mod home;
mod log;
mod lost;
mod maintain;
mod memtable;
mod merge;
mod merging;
mod missed;
mod names;
mod newrun;
mod options;
mod own;
mod pace;
mod payload;
mod payload_ref;
mod pins;
mod reader;
mod recover;
mod removal;
mod retain;
mod run;
mod runs;
mod shortage;
mod state;
mod stats;
#[cfg(test)]
mod tables_tests;
mod timeline;
mod upkeep;
mod verify;
mod view;

pub use driver::FlatfileDriver;
