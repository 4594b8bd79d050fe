//! The work behind the commits: full memtables become runs, runs are merged, room is made ahead of the beats.

use std::sync::Arc;

use persist_api::{CheckpointStat, Result};

use crate::core::Core;
use crate::maintain::Job;
use crate::options::Upkeep;

/// So many full memtables may wait for their runs; then commits wait.
const FROZEN_MAX: usize = 3;
impl Core {
    /// Waits while too many memtables are full; where nobody else does it, does what is due.
    pub(crate) fn catch_up(&self) -> Result<()> {
        if self.settings.upkeep == Upkeep::Inline {
            self.work_due();
            return self.health.check("commit_beat");
        }
        let room = || self.published.lock().state.frozen.len() < FROZEN_MAX;
        if !room() {
            self.due.until(|| (room() || self.health.is_poisoned()).then_some(()));
        }
        self.health.check("commit_beat")
    }

    /// Does what is due, in a fixed order.
    fn work_due(&self) {
        for job in [Job::Ahead, Job::Flush, Job::Merge] {
            if self.due.take(job) {
                self.work(job);
            }
        }
    }

    /// Does a job. A failure poisons the engine, or is left to whoever comes next.
    pub(crate) fn work(&self, job: Job) {
        if self.health.is_poisoned() {
            self.due.finished();
            return;
        }
        let fit = match job {
            Job::Ahead => {
                self.work_ahead();
                return;
            }
            Job::Flush => self.flush_due().is_ok(),
            Job::Merge => self.help_and_merge(),
        };
        if !fit {
            self.health.poison();
        }
        self.due.finished();
    }

    fn flush_due(&self) -> Result<()> {
        if self.flush_full()? {
            self.due.ask(Job::Merge);
        }
        Ok(())
    }

    /// Full memtables that nobody works on come first: commits may be waiting for them. False when writing has to end.
    fn help_and_merge(&self) -> bool {
        let merged = || crate::merging::merge_due(self);
        self.flush_full().is_ok() && !merged().is_err_and(|error| crate::error::ends_writing(&error))
    }

    /// Makes runs of the full memtables that nobody works on; false if there were none. Where merges lag too far behind, they
    /// come first.
    fn flush_full(&self) -> Result<bool> {
        let mut flushed = false;
        while crate::flush::flush_oldest(self, u64::MAX)?.is_some() {
            flushed = true;
            self.due.finished();
            crate::merging::keep_up(self)?;
        }
        Ok(flushed)
    }

    /// Prepares room for the beats to come, once there was one: a store that is at rest after a checkpoint stays small.
    fn work_ahead(&self) {
        // A segment that comes too late is removed again, which must not surprise whoever reads them all.
        let _nobody_begins_to = self.flushing.read();
        let (ahead, held, zeros, buffers) = {
            let log = self.log.lock();
            if log.timeline.current_bytes() == 0 {
                return;
            }
            (log.ahead.clone(), log.timeline.is_held(), log.zeros, Arc::clone(log.active.buffers()))
        };
        buffers.make_ready();
        // Zeros that cannot be written now do no harm; a sync that failed has poisoned the timeline, which says so.
        if !held {
            let _ = ahead.work(zeros);
        }
    }

    /// Makes runs of all beats committed so far.
    ///
    /// # Errors
    /// `Io`, `Full`: the engine is then poisoned.
    pub(crate) fn checkpoint(&self) -> Result<CheckpointStat> {
        let (beat, upto, several) = {
            let mut log = self.log.lock();
            self.roll(&mut log)?;
            let published = self.published.lock();
            (published.header.beat, published.frame, published.state.frozen.len() > 1)
        };
        if several && self.settings.upkeep == Upkeep::Threads {
            self.due.ask(Job::Flush);
        }
        let mut stat = CheckpointStat { beat, bytes: 0 };
        loop {
            let flushed = crate::flush::flush_oldest(self, upto).inspect_err(|_| self.health.poison());
            self.due.finished();
            let Some(bytes) = flushed? else { break };
            stat.bytes = stat.bytes.saturating_add(bytes);
            crate::merging::keep_up(self).inspect_err(|_| self.health.poison())?;
        }
        // Others may be at work on what is left.
        let is_done = || !self.published.lock().state.frozen.iter().any(|table| table.span().upto <= upto);
        self.due.until(|| (is_done() || self.health.is_poisoned()).then_some(()));
        self.health.check("checkpoint")?;
        if stat.bytes > 0 {
            self.due.ask(Job::Merge);
        }
        Ok(stat)
    }

    /// Begins the work that recovery has left.
    ///
    /// # Errors
    /// `Io`, `Full`.
    pub(crate) fn settle(&self) -> Result<()> {
        if self.published.lock().state.frozen.is_empty() {
            return Ok(());
        }
        if self.settings.upkeep == Upkeep::Threads {
            self.due.ask(Job::Flush);
        } else if self.flush_full()? {
            // No room is made ahead: a store that is opened twice must be the same the second time.
            self.due.ask(Job::Merge);
            self.work_due();
        }
        self.health.check("open")
    }
}
