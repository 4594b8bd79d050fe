//! What upkeep did, and what it will do.

use std::sync::Arc;
use std::time::Duration;

use persist_api::{Error, ErrorKind};

use super::plan::{Reason, Task};

/// One run of a task.
#[derive(Debug, Clone)]
pub struct UpkeepRun {
    /// The store.
    pub store: String,
    /// What was done.
    pub task: Task,
    /// Why.
    pub why: Reason,
    /// When it began, by the clock of the maintenance.
    pub began: Duration,
    /// How long it took.
    pub took: Duration,
    /// What came of it: bytes that a checkpoint moved, or that a compaction gave back. `Busy` and `Cancelled` are no
    /// failures; it is tried again.
    pub outcome: Result<u64, Arc<Error>>,
}

impl UpkeepRun {
    /// True unless it did its work or is only put off.
    #[must_use]
    pub fn failed(&self) -> bool {
        let put_off = |error: &Arc<Error>| matches!(error.kind(), ErrorKind::Busy | ErrorKind::Cancelled);
        self.outcome.as_ref().is_err_and(|error| !put_off(error))
    }
}

/// Figures of one task of one store.
#[derive(Debug, Clone, Default)]
pub struct TaskStats {
    /// Runs that did their work.
    pub done: u64,
    /// Runs that found the store busy and were put off.
    pub busy: u64,
    /// Runs that failed.
    pub failed: u64,
    /// Failures since the last run that did its work, or since a swap brought another engine.
    pub failed_in_a_row: u32,
    /// Bytes that were moved or given back by all runs together.
    pub bytes: u64,
    /// The last run.
    pub last: Option<UpkeepRun>,
    /// When it is due by time alone, should nothing else happen, by the clock of the maintenance.
    pub next_by_time: Option<Duration>,
}

/// Figures of the upkeep of one store.
#[derive(Debug, Clone, Default)]
pub struct UpkeepStats {
    /// What is being done just now, and since when.
    pub running: Option<(Task, Duration)>,
    /// Checkpoints.
    pub checkpoint: TaskStats,
    /// Compactions.
    pub compact: TaskStats,
    /// Why the store could not be looked at the last time.
    pub blind: Option<Arc<Error>>,
}

impl UpkeepStats {
    /// The figures of a task.
    #[must_use]
    pub fn task(&self, task: Task) -> &TaskStats {
        match task {
            Task::Checkpoint => &self.checkpoint,
            Task::Compact => &self.compact,
        }
    }

    pub(super) fn task_mut(&mut self, task: Task) -> &mut TaskStats {
        match task {
            Task::Checkpoint => &mut self.checkpoint,
            Task::Compact => &mut self.compact,
        }
    }

    pub(super) fn note(&mut self, run: &UpkeepRun) {
        let stats = self.task_mut(run.task);
        match &run.outcome {
            Ok(bytes) => {
                stats.done = stats.done.saturating_add(1);
                stats.bytes = stats.bytes.saturating_add(*bytes);
            }
            Err(error) if error.kind() == ErrorKind::Busy => stats.busy = stats.busy.saturating_add(1),
            Err(error) if error.kind() == ErrorKind::Cancelled => {}
            Err(_) => stats.failed = stats.failed.saturating_add(1),
        }
        stats.last = Some(run.clone());
    }
}
