//! One store that is kept in shape.

use std::sync::Arc;
use std::time::Duration;

use persist_api::{Caps, CompactScope, Error, ErrorKind, Observer, Result};
use persist_store::Store;

use super::plan::{Ended, Figures, Plan, Reason, Task};
use super::report::{UpkeepRun, UpkeepStats};
use crate::clock::Clock;
use crate::config::MaintenanceConfig;

/// A store, its plan, and what is told of it.
pub(super) struct Keeper {
    pub(super) name: String,
    store: Store,
    config: MaintenanceConfig,
    /// What the plan was made for.
    engine: Granted,
    plan: Plan,
}

/// The engine of a store and what it was granted: a swap brings another.
#[derive(PartialEq, Eq)]
struct Granted {
    epoch: u64,
    name: &'static str,
    caps: Caps,
}

impl Keeper {
    pub(super) fn new(name: &str, store: &Store, config: &MaintenanceConfig, now: Duration) -> Result<Self> {
        let (engine, plan) = begin(store, config, now)?;
        Ok(Self { name: name.to_owned(), store: store.clone(), config: config.clone(), engine, plan })
    }

    /// Looks whether something is due. After a swap, what is known of the engine before counts no more.
    pub(super) fn look(&mut self, now: Duration) -> Result<Option<(Task, Reason)>> {
        // What is past its age shall hold nothing back, also where nobody commits.
        self.store.recall_views();
        if Granted::of(&self.store) != self.engine {
            (self.engine, self.plan) = begin(&self.store, &self.config, now)?;
        }
        let figures = figures(&self.store)?;
        Ok(self.plan.due(figures, now))
    }

    /// Does a task.
    pub(super) fn run(
        &mut self,
        task: Task,
        why: Reason,
        clock: &dyn Clock,
        seen: &dyn Observer,
    ) -> UpkeepRun {
        let began = clock.now();
        let outcome = self.work(task, seen);
        let now = clock.now();
        let ended = match &outcome {
            Ok(_) => Some(Ended::Done),
            Err(error) if error.kind() == ErrorKind::Busy => Some(Ended::Busy),
            // Whoever stopped it decides what comes next.
            Err(error) if error.kind() == ErrorKind::Cancelled => None,
            Err(_) => Some(Ended::Failed),
        };
        if let Some(ended) = ended {
            // The base after a run is what the store is then. Where it cannot be told, the run has not done its work.
            let (ended, figures) = match figures(&self.store) {
                Ok(figures) => (ended, figures),
                Err(_) => (Ended::Failed, Figures::default()),
            };
            self.plan.ended(task, ended, figures, now);
        }
        let outcome = outcome.map_err(Arc::new);
        UpkeepRun { store: self.name.clone(), task, why, began, took: now.saturating_sub(began), outcome }
    }

    fn work(&self, task: Task, seen: &dyn Observer) -> Result<u64> {
        if self.store.stats()?.long_verbs > 0 {
            return Err(Error::new(ErrorKind::Busy, task.name(), "a backup or a compaction is at work"));
        }
        match task {
            Task::Checkpoint => self.store.checkpoint().map(|stat| stat.bytes),
            Task::Compact => self.store.compact(self.scope(), seen).map(|stat| stat.reclaimed()),
        }
    }

    fn scope(&self) -> CompactScope {
        CompactScope { keep_beats: self.config.compact_keep_beats }
    }

    /// Brings what is told of the store up to date.
    pub(super) fn publish(&self, stats: &mut UpkeepStats) {
        for task in Task::ALL {
            let told = stats.task_mut(task);
            told.next_by_time = self.plan.next_by_time(task);
            told.failed_in_a_row = self.plan.failures(task);
        }
    }
}

impl Granted {
    fn of(store: &Store) -> Self {
        let epoch = store.stamp().map_or(0, |stamp| stamp.epoch);
        Self { epoch, name: store.engine_name(), caps: store.grant().session.caps }
    }
}

/// A plan for the engine that is there, as for a store that was opened just now.
fn begin(store: &Store, config: &MaintenanceConfig, now: Duration) -> Result<(Granted, Plan)> {
    // Where a swap comes in between, the figures are of the engine after it, and the next look sees another engine than this.
    let engine = Granted::of(store);
    let tasks: Vec<Task> = Task::ALL.into_iter().filter(|task| engine.caps.contains(needs(*task))).collect();
    let plan = Plan::new(config, &tasks, figures(store)?, now);
    Ok((engine, plan))
}

fn needs(task: Task) -> Caps {
    match task {
        Task::Checkpoint => Caps::CHECKPOINT,
        Task::Compact => Caps::COMPACTION,
    }
}

fn figures(store: &Store) -> Result<Figures> {
    let stats = store.stats()?;
    Ok(Figures {
        commit: stats.commit,
        committed_bytes: stats.committed_bytes,
        bytes_on_disk: stats.engine.bytes_on_disk,
    })
}
