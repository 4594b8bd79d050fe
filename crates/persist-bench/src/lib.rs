//! Benchmarks of persist: engines side by side in one process and one run, the physical limit beside each figure, and
//! gates that count instead of measuring.
//!
//! Whatever takes part is a [`contender::Contender`]; engines of ours come through one adapter over
//! `persist_api::Driver`, libraries are called by hand. Programs choose who takes part and hand over to [`cli::main`].
//! `docs/bench/README.md` says how the figures are taken and how to read them.
//!
//! It must never be a dependency of anything but benchmarks.
//!
//! ```
//! use persist_bench::contender::{Ack, Settings};
//! use persist_bench::entrants::{engines, find};
//! use persist_bench::rows::Data;
//!
//! let data = Data { rows: 10 };
//! let entrants = engines();
//! let memory = find(&entrants, "memory")?;
//! let store = (memory.open)("home".as_ref(), &Settings::USUAL)?;
//! store.commit(&[data.row(3)], Ack::Unsynced)?;
//! assert_eq!(store.reader()?.gets(&[data.key(3), data.absent(3)])?.rows, 1);
//! # Ok::<(), String>(())
//! ```

#![allow(
    clippy::indexing_slicing,
    reason = "a benchmark of our own fixed-size data; a panic is a fine failure"
)]

mod busy;
mod child;
pub mod cli;
pub mod contender;
mod disk;
pub mod entrants;
mod flips;
mod floor;
mod gates;
mod group;
mod limit;
mod machine;
mod memory;
mod ours;
mod overhead;
mod pressure;
mod raw;
mod record;
mod report;
mod rounds;
pub mod rows;
mod session;
mod slow_disk;
mod stats;
mod store;
mod strace;
mod valgrind;
mod workloads;
