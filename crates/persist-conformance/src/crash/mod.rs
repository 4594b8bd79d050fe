//! Crashes: what is left of a store after its process was killed, and after the power failed.
//!
//! Three classes over one workload, whose beats are a pure function of a seed, so that the complete state after any beat
//! can be computed:
//!
//! - [`kill`]: children commit beats and are killed with SIGKILL at random moments. Nothing acknowledged may be missing.
//!   This proves nothing about syncing, for the page cache survives the process.
//! - [`power_cut`]: a child runs under `strace`, which records every write, rename and sync that it asks of the kernel,
//!   in order with its acknowledgements. From the record, disk images are rebuilt that hold only what was synced before
//!   a moment, plus random sectors and names that were not; the engine under test opens each of them. Some
//!   children begin with what a killed one has left, synced or not, before the power fails.
//! - [`block_cut`]: a child works on a real ext4 whose disk logs every write. From the log, disks are rebuilt that hold what
//!   was written before a moment, or only what was flushed and random sectors of the rest; each is mounted, and the engine
//!   opens what its journal leaves. It needs Linux, root, and the storage daemon of QEMU.
//!
//! All examine homes in child processes, so that an engine that dies on one is a finding and not the end of the run.
//! A child is the running executable itself: [`child_main_if_asked`] turns it into one. For a test binary,
//! [`crash_classes!`](crate::crash_classes) writes everything. Without macros:
//!
//! ```
//! use persist_api::OpenOptions;
//! use persist_conformance::crash::{KillOptions, Reentry, Subject, child_main_if_asked, kill};
//! use persist_memory::MemoryDriver;
//!
//! let driver = MemoryDriver::new();
//! let subject = Subject { driver: &driver, options: OpenOptions::default() };
//! child_main_if_asked(&subject); // first of all: a child ends here
//! let report = kill(&subject, &Reentry::main(), &KillOptions::default())?;
//! assert_eq!((report.is_clean(), report.kills), (true, 0)); // nothing in memory survives, so there is nothing to kill
//! # Ok::<(), persist_conformance::crash::CrashError>(())
//! ```
//!
//! This module must never know an engine by name.

mod asserts;
mod block;
mod check;
mod child;
mod cuts;
mod disk;
mod event;
mod image;
mod kernel;
mod kill;
mod macros;
mod parent;
mod plan;
mod power;
mod record;
mod report;
mod rng;
mod sparse;
mod start;
mod trace;
mod words;

pub use asserts::{assert_kill, assert_power_cut, assert_power_cut_notices_lost_syncs};
pub use block::{BlockOptions, BlockReport, LogError, block_cut};
pub use child::{CHILD_ENV, Subject, child_main_if_asked};
pub use disk::NameRules;
pub use kill::{KillOptions, kill};
pub use parent::Reentry;
pub use plan::Profile;
pub use power::{PowerOptions, power_cut};
pub use report::{CrashError, KillReport, PowerReport, Violation};

fn number_from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}
