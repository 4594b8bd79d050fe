//! One store that is kept in shape.

use std::sync::Arc;
use std::time::Duration;

use persist_api::{BeatNo, Caps, CompactScope, Error, ErrorKind, Observer, Result};
use persist_store::Store;

use super::guard::guarded;
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

    /// Looks whether a task is due. After a swap, what is known of the engine before counts no more.
    pub(super) fn look(&mut self, task: Task, now: Duration) -> Result<Option<Reason>> {
        // What is past its age shall hold nothing back, also where nobody commits.
        self.store.recall_views();
        if Granted::of(&self.store) != self.engine {
            (self.engine, self.plan) = begin(&self.store, &self.config, now)?;
        }
        let figures = figures(&self.store)?;
        Ok(self.plan.due(task, figures, now))
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
        // What is committed while it runs may be too late for it.
        let outcome = guarded(|| {
            let before = figures(&self.store)?;
            Ok((self.work(task, seen)?, before))
        });
        let now = clock.now();
        let ended = match &outcome {
            // Where it cannot be told what the store takes now, there is nothing to count from.
            Ok((_, before)) => Some(guarded(|| figures(&self.store)).map_or(Ended::Failed, |after| {
                Ended::Done(Figures { bytes_on_disk: after.bytes_on_disk, ..*before })
            })),
            Err(error) if error.kind() == ErrorKind::Busy => Some(Ended::Busy),
            // Whoever stopped it decides what comes next.
            Err(error) if error.kind() == ErrorKind::Cancelled => None,
            Err(_) => Some(Ended::Failed),
        };
        if let Some(ended) = ended {
            self.plan.ended(task, ended, now);
        }
        let outcome = outcome.map(|(bytes, _)| bytes).map_err(Arc::new);
        UpkeepRun { store: self.name.clone(), task, why, began, took: now.saturating_sub(began), outcome }
    }

    fn work(&self, task: Task, seen: &dyn Observer) -> Result<u64> {
        let stats = self.store.stats()?;
        if stats.long_verbs > 0 {
            return Err(Error::new(ErrorKind::Busy, task.name(), "a backup or a compaction is at work"));
        }
        match task {
            Task::Checkpoint => self.checkpoint(stats.engine.beat),
            Task::Compact => self.store.compact(self.scope(), seen).map(|stat| stat.reclaimed()),
        }
    }

    /// A checkpoint of everything up to `newest`; one of less has not done its work.
    fn checkpoint(&self, newest: BeatNo) -> Result<u64> {
        let stat = self.store.checkpoint()?;
        if stat.beat < newest {
            let what = format!("it got to beat {} of {newest}; an open view may hold the rest", stat.beat);
            return Err(Error::new(ErrorKind::Busy, Task::Checkpoint.name(), what));
        }
        Ok(stat.bytes)
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
