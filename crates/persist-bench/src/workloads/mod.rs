//! The workloads.

#![allow(clippy::unnecessary_wraps, reason = "all workloads have one signature")]

mod bulk;
mod cache;
mod commit;
mod growth;
mod loaded;
mod mixed;
mod open;
mod read;
mod slow;
mod swap;
mod syscalls;
mod values;
mod verify;
mod writers;

pub(crate) use bulk::child as bulk_child;
pub(crate) use loaded::rest_child;
pub(crate) use open::child as tail_child;
pub(crate) use swap::{COPY, COPY_OVER_BOTH, COPY_OVER_BULK, LONGEST, PAUSE};
pub(crate) use syscalls::child as commits_child;
pub(crate) use syscalls::{Counted, count, count_writers, writers_child};

use crate::contender::Result;
use crate::session::Session;

/// A workload.
pub(crate) struct Workload {
    /// Its name, and that of its file of samples.
    pub(crate) name: &'static str,
    /// The goals it measures.
    pub(crate) goals: &'static [&'static str],
    /// What it shows, for the tables.
    pub(crate) title: &'static str,
    /// Runs it. Samples and failures go to the session.
    pub(crate) run: fn(&mut Session) -> Result<()>,
}

/// All workloads, in the order in which they run: those that leave the machine as it was come first.
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "read",
        goals: &["P8", "P9", "P10"],
        title: "Gets, misses, skewed gets, scans and prefixes of a store at rest",
        run: read::run,
    },
    Workload {
        name: "verify",
        goals: &["P13"],
        title: "Checking every byte of a store (engines of ours)",
        run: verify::run,
    },
    Workload {
        name: "commit",
        goals: &["P1", "P2", "P3", "P4"],
        title: "Durable commits of N rows, beside a raw write and sync of as many bytes",
        run: commit::run,
    },
    Workload {
        name: "values",
        goals: &["values"],
        title: "One durable value of 4 KiB and of 1 MiB",
        run: values::run,
    },
    Workload {
        name: "writers",
        goals: &["P6"],
        title: "Durable single puts by one to eight threads",
        run: writers::run,
    },
    Workload {
        name: "mixed",
        goals: &["mixed"],
        title: "Reads and durable single writes, half and half and 95 to 5, popular keys first",
        run: mixed::run,
    },
    Workload {
        name: "syscalls",
        goals: &["P5"],
        title: "What a durable commit asks of the system, counted from outside",
        run: syscalls::run,
    },
    Workload {
        name: "open",
        goals: &["P11", "P12"],
        title: "Opening: closed well, with a tail behind a checkpoint, and killed after a load",
        run: open::run,
    },
    Workload {
        name: "cache",
        goals: &["cache"],
        title: "Gets from a store larger than the cache, and with nothing in memory",
        run: cache::run,
    },
    Workload {
        name: "bulk",
        goals: &["P7", "P14"],
        title: "Bulk load in a process of its own: time, memory, disk",
        run: bulk::run,
    },
    Workload {
        name: "swap",
        goals: &["P16"],
        title: "The engine changes under four writers and four readers, and the copy beside a bulk load of the target",
        run: swap::run,
    },
    Workload {
        name: "growth",
        goals: &["growth"],
        title: "Each figure over the size of the store, a process of its own for each",
        run: growth::run,
    },
];

/// Runs only when asked for.
pub(crate) const SLOW_DISK: Workload = Workload {
    name: "slow-disk",
    goals: &["slow-disk"],
    title: "Commits on a disk on which every sync takes a millisecond longer",
    run: slow::run,
};

/// The workload with a name or a goal.
#[must_use]
pub(crate) fn find(word: &str) -> Vec<&'static Workload> {
    let fits = |workload: &&Workload| {
        workload.name == word || workload.goals.iter().any(|goal| goal.eq_ignore_ascii_case(word))
    };
    WORKLOADS.iter().filter(fits).collect()
}
