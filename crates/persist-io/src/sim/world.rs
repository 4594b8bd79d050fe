//! The state behind a simulated disk, and the door that every operation goes through.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use persist_api::{Error, ErrorKind, Result};
use rustix::io::Errno;

use super::fault::{Fault, When};
use super::mapped::Mapped;
use super::trace::{Event, Op, Trace};
use super::tree::{Ino, Tree};
use super::{CutPoint, Mark};

#[derive(Debug)]
pub(super) struct World {
    pub(super) tree: Tree,
    pub(super) ops: u64,
    pub(super) plans: Vec<(When, Fault)>,
    pub(super) trace: Trace,
    /// Faults that were met.
    pub(super) met: Vec<(u64, Op, Fault)>,
    /// The machine has stopped: nothing works any more.
    pub(super) stopped: bool,
    pub(super) locks: BTreeSet<Ino>,
    /// How often each file is open.
    pub(super) open: BTreeMap<Ino, u64>,
    /// What of files is mapped.
    pub(super) mapped: Mapped,
    /// Bytes that all files together may have.
    pub(super) space: Option<u64>,
    /// The disk before each operation that changes it, where that is wanted.
    pub(super) cuts: Option<Vec<CutPoint>>,
    pub(super) seed: u64,
}

/// An operation that has begun.
pub(super) struct Begun {
    pub(super) n: u64,
    pub(super) op: Op,
    pub(super) path: Arc<Path>,
    /// The fault it meets; what needs no help of the operation itself has happened already.
    pub(super) fault: Option<Fault>,
}

impl Begun {
    /// The error of this operation.
    pub(super) fn fail(&self, error: impl Into<io::Error>) -> Error {
        let verb = match self.op {
            Op::Open | Op::Create => "open_file",
            Op::List => "list_dir",
            Op::Len => "read_len",
            Op::Read => "read_file",
            Op::Map => "map_file",
            Op::Write => "write_file",
            Op::Truncate => "truncate",
            Op::SyncFile => "sync_file",
            Op::SyncDir => "sync_dir",
            Op::Rename => "rename",
            Op::RemoveFile => "remove_file",
            Op::RemoveDir => "remove_dir",
            Op::CreateDir => "create_dir",
            Op::Lock => "lock",
            Op::DropCache => "drop_cache",
        };
        Error::io(verb, &self.path, error.into())
    }
}

impl World {
    pub(super) fn new(tree: Tree, seed: u64) -> Self {
        Self {
            tree,
            ops: 0,
            plans: Vec::new(),
            trace: Trace::default(),
            met: Vec::new(),
            stopped: false,
            locks: BTreeSet::new(),
            open: BTreeMap::new(),
            mapped: Mapped::default(),
            space: None,
            cuts: None,
            seed,
        }
    }

    /// Counts and notes an operation, and lets its fault happen as far as it comes before the effect.
    pub(super) fn begin(&mut self, op: Op, path: &Arc<Path>, offset: u64, len: u64) -> Result<Begun> {
        if self.stopped {
            return Err(stopped(path));
        }
        if op.changes()
            && let Some(cuts) = &mut self.cuts
        {
            cuts.push(CutPoint { after: self.ops, next: Some(op), tree: self.tree.clone() });
        }
        self.ops = self.ops.saturating_add(1);
        let n = self.ops;
        self.trace.push(Event::Done { n, op, path: Arc::clone(path), offset, len });
        let meets = |plan: &&(When, Fault)| plan.0.meets(n) && plan.1.fits(op);
        let fault = self.plans.iter().find(meets).map(|plan| plan.1);
        if let Some(fault) = fault {
            self.trace.push(Event::Fault(format!("{fault:?}")));
            self.met.push((n, op, fault));
        }
        let begun = Begun { n, op, path: Arc::clone(path), fault };
        match fault {
            Some(Fault::CrashBefore) => {
                self.stopped = true;
                Err(stopped(path))
            }
            Some(fault) if fault.hidden(op) => Ok(begun),
            Some(Fault::Error { code, applied: false }) => Err(begun.fail(code.errno())),
            _ => Ok(begun),
        }
    }

    /// Lets happen what a fault does after the effect.
    pub(super) fn end(&mut self, begun: &Begun) -> Result<()> {
        match begun.fault {
            Some(Fault::CrashAfter) => {
                self.stopped = true;
                Err(stopped(&begun.path))
            }
            Some(Fault::Error { code, applied: true }) => Err(begun.fail(code.errno())),
            _ => Ok(()),
        }
    }

    pub(super) const fn has_limit(&self) -> bool {
        self.space.is_some()
    }

    /// Bytes that may still be added. What was removed is given back once its name is gone from the disk and nobody holds it.
    pub(super) fn room(&self) -> u64 {
        self.space.map_or(u64::MAX, |space| space.saturating_sub(self.tree.bytes(self.held())))
    }

    /// Files that are open or mapped: they are there without a name, too.
    fn held(&self) -> impl Iterator<Item = Ino> {
        self.open.keys().copied().chain(self.mapped.files())
    }

    /// Drops what is held by nobody and nothing leads to, once in a while.
    pub(super) fn tidy(&mut self) {
        self.tree.tidy(self.open.keys().copied().chain(self.mapped.files()));
    }

    pub(super) fn mark(&mut self, mark: Mark) {
        self.trace.push(Event::Mark(mark));
    }

    pub(super) fn opened(&mut self, ino: Ino) {
        let count = self.open.entry(ino).or_default();
        *count = count.saturating_add(1);
    }

    pub(super) fn closed(&mut self, ino: Ino, locked: bool) {
        if locked {
            self.locks.remove(&ino);
        }
        match self.open.get_mut(&ino) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                self.open.remove(&ino);
            }
        }
    }

    /// A file that a handle is on: it exists as long as the handle does.
    pub(super) fn file(&self, begun: &Begun, ino: Ino) -> Result<&super::node::FileNode> {
        self.tree.files.get(&ino).map(Arc::as_ref).ok_or_else(|| begun.fail(Errno::STALE))
    }

    pub(super) fn file_mut(&mut self, begun: &Begun, ino: Ino) -> Result<&mut super::node::FileNode> {
        self.tree.file_mut(ino).ok_or_else(|| begun.fail(Errno::STALE))
    }
}

fn stopped(path: &Path) -> Error {
    Error::new(ErrorKind::Io, "use_disk", "the simulated machine has stopped").with_path(path)
}
