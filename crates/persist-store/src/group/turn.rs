//! Waiting for a turn: of a thread that blocks on its commit, of the writer, and of whoever closes.

use std::sync::Arc;
use std::time::Duration;

use persist_api::{Error, ErrorKind, Result};

use super::entry::{Care, Entry, Failure, Outcome};
use super::lead::lead;
use super::queue::{FenceAt, Gate, Queue, WriterAt};
use super::{Group, busy, wake_all};
use crate::seat::Seat;
use crate::shared::{Core, closed};
use crate::sync::{Budget, lock, wait, wait_for};

/// No commit is taken while this exists.
pub(crate) struct Shut<'g> {
    group: &'g Group,
    /// What it leaves.
    then: Gate,
}

impl Shut<'_> {
    /// It stays so: the store is closed.
    pub(crate) fn for_good(mut self) {
        self.then = Gate::ShutForGood;
    }
}

impl Drop for Shut<'_> {
    fn drop(&mut self) {
        self.group.lock().gate = self.then;
    }
}

impl Group {
    /// Takes no commits from now on.
    ///
    /// # Errors
    /// `Closed` when the store is closed; `Busy` while somebody else is about to close it, which may fail.
    pub(crate) fn shut(&self) -> Result<Shut<'_>> {
        let mut queue = self.lock();
        match queue.gate {
            Gate::Open => queue.gate = Gate::Shut,
            Gate::Shut => {
                return Err(Error::new(ErrorKind::Busy, "close", "somebody else is closing the store"));
            }
            Gate::ShutForGood => return Err(closed("close")),
        }
        self.end_gathering(&mut queue);
        if queue.want_room > 0 {
            self.room.notify_all();
        }
        Ok(Shut { group: self, then: Gate::Open })
    }

    /// Tells those that wait that somebody has the lane for longer: their budget begins.
    pub(super) fn hold_up(&self, queue: &Queue) {
        queue.in_care(Care::Blocked).iter().for_each(|entry| entry.turn.notify_one());
        if queue.wants_helper() {
            self.helper.notify_one();
        }
    }
}

impl Core {
    /// Blocks until a commit is decided, and leads where nobody does.
    pub(super) fn await_outcome(&self, entry: &Arc<Entry>) -> Outcome {
        let mut queue = self.group.lock();
        loop {
            if let Some(outcome) = entry.take_outcome() {
                return outcome;
            }
            if queue.may_lead() {
                lead(self, queue);
                queue = self.group.lock();
                continue;
            }
            let dropped = entry.set_care(Care::Blocked, None).dropped;
            if dropped.is_some() {
                drop(queue);
                drop(dropped);
                // Everything may be different now.
                queue = self.group.lock();
                continue;
            }
            if !queue.is_held() {
                queue = wait(&entry.turn, queue);
            } else if let Some(left) = entry.patience(queue.options.wait) {
                queue = wait_for(&entry.turn, queue, left);
            } else {
                queue.remove(entry);
                if queue.want_room > 0 {
                    self.group.room.notify_all();
                }
                entry.decide(Err(Failure::Error(held_up())));
            }
        }
    }

    /// Takes the lane for the writer, behind everything that was queued before.
    #[allow(
        clippy::unnecessary_box_returns,
        reason = "the seat goes from hand to hand, and not byte by byte"
    )]
    pub(crate) fn take_lane(&self) -> Box<Seat> {
        let group = &self.group;
        let mut queue = group.lock();
        queue.writer = WriterAt::Waiting { ahead: queue.len() };
        group.end_gathering(&mut queue);
        loop {
            if queue.may_lead() {
                lead(self, queue);
                queue = group.lock();
            } else if queue.fence == FenceAt::Away
                && let Some(seat) = queue.seat.take()
            {
                queue.writer = WriterAt::InLane;
                group.hold_up(&queue);
                return seat;
            } else {
                queue.want_lane += 1;
                queue = wait(&group.lane, queue);
                queue.want_lane -= 1;
            }
        }
    }

    /// Gives the writer's lane back.
    pub(crate) fn leave_lane(&self, seat: Box<Seat>) {
        let mut queue = self.group.lock();
        queue.writer = WriterAt::Away;
        wake_all(self.group.put_back(queue, seat));
    }

    /// Commits what is queued, in at most so much time.
    ///
    /// # Errors
    /// `Busy` when time is up.
    pub(crate) fn drain(&self, within: Option<Duration>) -> Result<()> {
        let group = &self.group;
        let mut budget = Budget::default();
        let mut queue = group.lock();
        loop {
            if queue.may_lead() {
                lead(self, queue);
                queue = group.lock();
                continue;
            }
            if queue.is_empty() && (queue.seat.is_some() || queue.writer == WriterAt::InLane) {
                return Ok(());
            }
            let left = within.map(|within| budget.left(within));
            queue.want_lane += 1;
            queue = match left {
                None => wait(&group.lane, queue),
                Some(Some(left)) => wait_for(&group.lane, queue, left),
                Some(None) => {
                    queue.want_lane -= 1;
                    let context = format!("{} commits are still on their way", queue.len().max(1));
                    return Err(Error::new(ErrorKind::Busy, "close", context));
                }
            };
            queue.want_lane -= 1;
        }
    }

    /// Commits what is left and ends the helper: the last handle is gone.
    pub(crate) fn finish_commits(&self) {
        self.group.lock().gate = Gate::ShutForGood;
        // The helper would do it too, if there was a thread to be had. Without a limit it cannot fail.
        let _ = self.drain(None);
        self.dismiss_helper();
    }

    /// Ends the helper, and waits for it unless this is the helper.
    pub(crate) fn dismiss_helper(&self) {
        let group = &self.group;
        group.lock().dismissed = true;
        group.helper.notify_one();
        // Not under the lock, which a helper that panics takes too.
        let thread = lock(&group.thread).take();
        if let Some(thread) = thread
            && thread.thread().id() != crate::sync::thread::current().id()
        {
            // It ends with nothing to tell; a panic in it was reported by its hook.
            let _ = thread.join();
        }
    }
}

pub(super) fn held_up() -> Error {
    busy("an explicit beat of the writer, or a swap, took longer than a commit waits")
}
