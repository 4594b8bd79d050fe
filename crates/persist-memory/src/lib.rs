//! The reference engine: an ordered map in memory, with the strictest reading of every clause of the contract.
//!
//! It is the oracle of the conformance suite's model tests, so it prefers plainness to speed: one persistent
//! (copy-on-write) map, published by swapping its root. A view is a clone of the root and costs nothing to keep but
//! memory. Nothing survives the process: it offers `Volatile` only and refuses the rest. A `home` is a name here:
//! within one process it can be closed and opened again (see [`MemoryDriver`]), and it is never created on disk.
//!
//! It must never know another engine, the runtime, or a disk.
//!
//! ```
//! use persist_api::{BeatHeader, Driver, Durability, OpenOptions, Quiet};
//! use persist_memory::MemoryDriver;
//!
//! let engine = MemoryDriver::new().open("anything".as_ref(), &OpenOptions::default(), &Quiet)?;
//! let header = BeatHeader::default().next(1, Durability::Volatile, None)?;
//! let mut beat = engine.begin_beat(header)?;
//! beat.put_record(b"key", b"value")?;
//! beat.commit_beat()?;
//! assert_eq!(engine.view()?.get_record(b"key")?.as_deref(), Some(b"value".as_slice()));
//! # Ok::<(), persist_api::Error>(())
//! ```

mod beat;
mod driver;
mod engine;
mod view;

pub use driver::MemoryDriver;
