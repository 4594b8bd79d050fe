//! Progress of long verbs, and the way to stop them.

use std::ops::ControlFlow;

use crate::{Error, Result};

/// How far a long verb has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done, as `copy` or `replay`.
    pub phase: &'static str,
    /// How much is done, in `unit`.
    pub done: u64,
    /// How much there is, where known.
    pub total: Option<u64>,
    /// What is counted, as `records` or `bytes`.
    pub unit: &'static str,
}

/// Watches a long verb. Answering `Break` stops it: the verb then fails with `Cancelled` and leaves the store as a crash
/// at that point would, that is whole.
pub trait Observer {
    /// Called now and then, on the thread that does the work and in the midst of it: portable code does not write to the engine from
    /// here, which may wait for the very work that is under way.
    fn progress(&self, progress: Progress) -> ControlFlow<()>;
}

impl dyn Observer + '_ {
    /// Reports progress and turns a request to stop into `Cancelled`.
    ///
    /// # Errors
    /// `Cancelled` when the observer answered `Break`.
    pub fn step(&self, op: &'static str, progress: Progress) -> Result<()> {
        match self.progress(progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::cancelled(op)),
        }
    }
}

/// An observer that watches nothing and never stops.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Observer for Quiet {
    fn progress(&self, _: Progress) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<F: Fn(Progress) -> ControlFlow<()>> Observer for F {
    fn progress(&self, progress: Progress) -> ControlFlow<()> {
        self(progress)
    }
}
