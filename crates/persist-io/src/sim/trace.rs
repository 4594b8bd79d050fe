//! What happened on the disk, for people and for the search.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// What kind of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    /// Opening an existing file.
    Open,
    /// Opening a file that was not there.
    Create,
    /// Listing a directory.
    List,
    /// Asking for a length.
    Len,
    /// Reading.
    Read,
    /// Mapping.
    Map,
    /// Writing.
    Write,
    /// Cutting or extending.
    Truncate,
    /// Syncing a file.
    SyncFile,
    /// Syncing a directory.
    SyncDir,
    /// Renaming.
    Rename,
    /// Removing a file.
    RemoveFile,
    /// Removing a directory.
    RemoveDir,
    /// Creating a directory.
    CreateDir,
    /// Taking a lock.
    Lock,
    /// Dropping clean memory.
    DropCache,
}

impl Op {
    /// True when it can change what a crash would leave.
    #[must_use]
    pub const fn changes(self) -> bool {
        !matches!(
            self,
            Self::Open | Self::List | Self::Len | Self::Read | Self::Map | Self::Lock | Self::DropCache
        )
    }

    /// True for the syncs.
    #[must_use]
    pub const fn syncs(self) -> bool {
        matches!(self, Self::SyncFile | Self::SyncDir)
    }

    /// True when it changes a name.
    #[must_use]
    pub const fn names(self) -> bool {
        matches!(self, Self::Create | Self::Rename | Self::RemoveFile | Self::RemoveDir | Self::CreateDir)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Create => "create",
            Self::List => "list",
            Self::Len => "len",
            Self::Read => "read",
            Self::Map => "map",
            Self::Write => "write",
            Self::Truncate => "truncate",
            Self::SyncFile => "sync",
            Self::SyncDir => "sync-dir",
            Self::Rename => "rename",
            Self::RemoveFile => "remove",
            Self::RemoveDir => "remove-dir",
            Self::CreateDir => "create-dir",
            Self::Lock => "lock",
            Self::DropCache => "drop-cache",
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a workload says about itself. Its steps are numbered 1, 2, 3, …
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// It is about to ask for this step; asking again for the same one after a failure is fine.
    Submitted(u64),
    /// This step was reported as done, and to survive a killed process.
    Buffered(u64),
    /// This step was reported as durable.
    Acknowledged(u64),
    /// It opened its store again, so that an earlier failure is forgiven.
    Reopened,
    /// Anything else worth printing.
    Note(String),
}

/// One line of the trace.
#[derive(Debug, Clone)]
pub enum Event {
    /// An operation.
    Done {
        /// Its number, from 1.
        n: u64,
        /// What it was.
        op: Op,
        /// The file or directory it was asked for.
        path: Arc<Path>,
        /// Position or new length, where there is one.
        offset: u64,
        /// Bytes, where there are some.
        len: u64,
    },
    /// A fault that the operation before met.
    Fault(String),
    /// What the workload said.
    Mark(Mark),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done { n, op, path, offset, len } => {
                write!(f, "#{n} {op} {}", path.display())?;
                match op {
                    Op::Read | Op::Write | Op::Map => write!(f, " at {offset}, {len} bytes"),
                    Op::Truncate => write!(f, " to {offset}"),
                    _ => Ok(()),
                }
            }
            Self::Fault(what) => write!(f, "    ! {what}"),
            Self::Mark(mark) => write!(f, "    = {mark:?}"),
        }
    }
}

/// Most lines that are kept; older ones are forgotten.
pub(super) const EVENTS_MAX: usize = 1 << 16;

/// What happened, in order. `Display` prints one line each.
#[derive(Debug, Clone, Default)]
pub struct Trace(pub Vec<Event>);

impl Trace {
    pub(super) fn push(&mut self, event: Event) {
        if self.0.len() >= EVENTS_MAX {
            self.0.drain(..EVENTS_MAX / 2);
        }
        self.0.push(event);
    }

    /// Number and kind of each operation.
    pub fn operations(&self) -> impl Iterator<Item = (u64, Op)> + '_ {
        self.0.iter().filter_map(|event| match event {
            Event::Done { n, op, .. } => Some((*n, *op)),
            Event::Fault(_) | Event::Mark(_) => None,
        })
    }

    /// What the workload said before operation `n` was begun.
    pub fn marks_before(&self, n: u64) -> impl Iterator<Item = &Mark> + '_ {
        let begun = move |event: &&Event| !matches!(event, Event::Done { n: at, .. } if *at >= n);
        self.0.iter().take_while(begun).filter_map(|event| match event {
            Event::Mark(mark) => Some(mark),
            Event::Done { .. } | Event::Fault(_) => None,
        })
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|event| writeln!(f, "{event}"))
    }
}
