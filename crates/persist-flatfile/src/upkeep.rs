//! The work behind the commits: full memtables become runs, runs are merged, room is made ahead of the beats.

use std::sync::Arc;
use std::time::Duration;

use persist_api::{CheckpointStat, Result};

use crate::core::Core;
use crate::maintain::Job;
use crate::options::Upkeep;
use crate::pace::FROZEN_SLOW;

/// So many full memtables may wait for their runs; once the active one is full too, commits wait. One that becomes full
/// behind the back of a commit, by the index that a reader makes, is a fourth one for a moment.
const FROZEN_MAX: usize = 3;
/// Beats longer than a memtable make fewer wait: while as much as so many memtables, or more, lies in memory, none comes on top.
const MEMTABLES_MAX: u64 = 5;

impl Core {
    /// Waits while too many memtables are full; where nobody else does it, does what is due.
    pub(crate) fn catch_up(&self) -> Result<()> {
        let room = || {
            let state = &self.published.lock().state;
            let most = self.settings.memtable_bytes.saturating_mul(MEMTABLES_MAX);
            let is_light =
                || state.tables().fold(0, |sum: u64, table| sum.saturating_add(table.bytes())) < most;
            match state.frozen.len() {
                0 => true,
                1..FROZEN_MAX => is_light(),
                FROZEN_MAX => !self.is_full(&state.active) && is_light(),
                _ => false,
            }
        };
        let before = self.shortage.count();
        let is_ready = room();
        if !is_ready {
            // Asked for already, unless there was no room on the disk the last time.
            self.due.ask(Job::Flush);
        }
        let is_stuck = || self.shortage.count() != before && crate::flush::is_left(self, u64::MAX);
        if self.settings.upkeep == Upkeep::Inline {
            self.work_due();
            // Somebody else may be at work on what is full, a checkpoint.
            let is_left = || self.claimed.lock().is_empty();
            self.due.until(|| (room() || is_left() || self.health.is_poisoned() || is_stuck()).then_some(()));
        } else if !is_ready {
            self.owed.count_stopped();
            self.due.until(|| (room() || self.health.is_poisoned() || is_stuck()).then_some(()));
        }
        self.health.check("commit_beat")?;
        if is_ready || room() {
            return Ok(());
        }
        let refusal = self.shortage.refusal("commit_beat");
        let what = format!("memtables are full, and there is no room for their runs: {}", refusal.context());
        Err(refusal.reworded(what))
    }

    /// Whether commits are to slow down: so many memtables are full, and somebody makes runs of them.
    pub(crate) fn is_behind(&self) -> bool {
        let full = self.published.lock().state.frozen.len();
        full >= FROZEN_SLOW && !self.claimed.lock().is_empty()
    }

    /// Waits as long as a commit took, unless a run is finished before.
    pub(crate) fn give_time(&self, took: Duration) {
        let seen = self.due.seen();
        if let Some(wait) = self.owed.add(took)
            && self.is_behind()
        {
            self.owed.count_slowed();
            self.due.for_a_while(seen, wait);
        }
    }

    /// Does what is due, in a fixed order.
    fn work_due(&self) {
        for job in [Job::Ahead, Job::Flush, Job::Merge] {
            if self.due.take(job) {
                self.work(job);
            }
        }
    }

    /// Does a job. A failure poisons the engine, or is left to whoever comes next; so is what the disk has no room for.
    pub(crate) fn work(&self, job: Job) {
        if self.health.is_poisoned() {
            self.due.finished();
            return;
        }
        match job {
            Job::Ahead => {
                self.work_ahead();
                return;
            }
            // Those who need what could not be done are told by the health and by the shortage.
            Job::Flush => {
                if self.flush_full().is_ok_and(|flushed| flushed) {
                    self.due.ask(Job::Merge);
                }
            }
            Job::Merge => self.help_and_merge(),
        }
        self.due.finished();
    }

    /// Full memtables that nobody works on come first: commits may be waiting for them.
    fn help_and_merge(&self) {
        if self.flush_full().is_err() {
            return;
        }
        let merged = self.judge(crate::merging::merge_due(self));
        let is_no_room = merged.is_err_and(|error| crate::error::is_no_room(&error));
        if is_no_room && crate::flush::is_left(self, u64::MAX) {
            // What was written of the merged run took the room of theirs, and is gone.
            self.due.ask(Job::Flush);
        }
    }

    /// Makes runs of the full memtables that nobody works on; false if there were none. Where merges lag too far behind, they
    /// come first.
    fn flush_full(&self) -> Result<bool> {
        self.flush_upto(u64::MAX).map(|bytes| bytes > 0)
    }

    /// The same for those with frames up to `upto`; answers the bytes of the runs, none of which is empty.
    fn flush_upto(&self, upto: u64) -> Result<u64> {
        let mut flushed = 0_u64;
        while let Some(bytes) = crate::flush::flush_oldest(self, upto)? {
            flushed = flushed.saturating_add(bytes);
            self.due.finished();
            self.judge(crate::merging::keep_up(self))?;
        }
        Ok(flushed)
    }

    /// Prepares room for the beats to come, once there was one: a store that is at rest after a checkpoint stays small.
    fn work_ahead(&self) {
        // Piece by piece, so that whoever begins to verify, or to close, waits for one.
        while self.due.go_on("work_ahead").is_ok() && self.work_ahead_once() {}
    }

    /// Answers whether there is more to do.
    fn work_ahead_once(&self) -> bool {
        // A segment that comes too late is removed again, which must not surprise whoever reads them all.
        let _nobody_begins_to = self.flushing.read();
        let (ahead, held, zeros, buffers) = {
            let log = self.log.lock();
            if log.timeline.current_bytes() == 0 {
                return false;
            }
            (log.ahead.clone(), log.timeline.is_held(), log.zeros, Arc::clone(log.active.buffers()))
        };
        buffers.make_ready();
        // Zeros that cannot be written now do no harm; a sync that failed has poisoned the timeline, which says so.
        !held && ahead.work(zeros).is_ok() && ahead.wanted(zeros)
    }

    /// Makes runs of all beats committed so far.
    ///
    /// # Errors
    /// `Io`: the engine is then poisoned. `Full`: what is no run yet stays as it is.
    pub(crate) fn checkpoint(&self) -> Result<CheckpointStat> {
        let mut bytes = 0_u64;
        if self.shortage.count() > 0 {
            // What there was no room for comes first: in vain, no further memtable is ended.
            bytes = self.flush_upto(u64::MAX)?;
        }
        let (beat, upto, several, _without_the_lock) = {
            let mut log = self.log.lock();
            let given_back = log.timeline.give_back();
            self.roll(&mut log)?;
            let published = self.published.lock();
            (published.header.beat, published.frame, published.state.frozen.len() > 1, given_back)
        };
        if several && self.settings.upkeep == Upkeep::Threads {
            self.due.ask(Job::Flush);
        }
        let is_done = || !self.published.lock().state.frozen.iter().any(|table| table.span().upto <= upto);
        while !is_done() {
            bytes = bytes.saturating_add(self.flush_upto(upto)?);
            // Others may be at work on what is left, or have given it up.
            let is_left = || crate::flush::is_left(self, upto);
            self.due.until(|| (is_done() || is_left() || self.health.is_poisoned()).then_some(()));
            self.health.check("checkpoint")?;
        }
        self.health.check("checkpoint")?;
        if bytes > 0 {
            self.due.ask(Job::Merge);
        }
        Ok(CheckpointStat { beat, bytes })
    }

    /// Begins the work that recovery has left. What there is no room for is left: a full disk can be read.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn settle(&self) -> Result<()> {
        if self.published.lock().state.frozen.is_empty() {
            return Ok(());
        }
        if self.settings.upkeep == Upkeep::Threads {
            self.due.ask(Job::Flush);
            return Ok(());
        }
        match self.flush_full() {
            // No room is made ahead: a store that is opened twice must be the same the second time.
            Ok(true) => {
                self.due.ask(Job::Merge);
                self.work_due();
            }
            Err(error) if crate::error::is_no_room(&error) => self.due.ask(Job::Flush),
            flushed => drop(flushed?),
        }
        self.health.check("open")
    }
}
