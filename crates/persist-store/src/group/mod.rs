//! Group commit: commits from any thread, folded into beats.
//!
//! A commit is queued and gets a handle, [`Pending`]. One thread at a time has the *lane*, that is the store's only
//! [`Seat`]: it takes what waits and makes one beat of it. A thread that blocks on its commit
//! leads when the lane is free, so a lone writer never hands anything over, and whoever leads commits for all that wait.
//! When a beat is done, its leader wakes the next one. Commits that nobody blocks on, because they are polled as futures or
//! their handle is gone or only held, are led by a helper thread. It is there from the first commit that somebody might only hold,
//! sleeps, and looks every second whether one was left.
//!
//! The [`Writer`](crate::Writer) takes the same lane for its explicit beats, in the order of arrival.
//!
//! [`Seat`]: crate::seat::Seat

mod entry;
mod fence;
mod gather;
#[cfg(test)]
mod gather_tests;
mod helper;
mod lead;
mod options;
mod pending;
mod queue;
#[cfg(test)]
pub(crate) mod tests;
mod turn;
mod wake;
mod watch;

use std::sync::Arc;

use persist_api::{BeatHeader, Error, ErrorKind, Result};

pub(crate) use entry::{Entry, Failure, Work};
pub(crate) use fence::Fence;
pub use options::CommitOptions;
pub use pending::{NotQueued, Pending};
pub(crate) use wake::wake_all;

use lead::lead;
use queue::{Gate, Queue};

use crate::shared::{Active, Core, closed};
use crate::sync::{Budget, Condvar, Mutex, MutexGuard, lock, thread, wait_for};

/// The queue of a store, and what its threads wait on; all of it goes with the lock of the queue.
pub(crate) struct Group {
    queue: Mutex<Queue>,
    /// There is room in the queue.
    room: Condvar,
    /// The lane is free.
    lane: Condvar,
    /// The leader has company.
    company: Condvar,
    /// The helper may have work.
    helper: Condvar,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
}

/// A log in the memory of a longer one gives that back where it takes more than this part of the queue. Of a queue as large as it
/// is unless set, that is as much as a thread keeps for its next log: then none of that is given back.
const LOOSE_PARTS: u64 = 256;

/// What to do while the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenFull {
    Wait,
    Refuse,
}

impl Group {
    pub(crate) fn new(last: BeatHeader, active: Arc<Active>) -> Self {
        Self {
            queue: Mutex::new(Queue::new(last, active)),
            room: Condvar::new(),
            lane: Condvar::new(),
            company: Condvar::new(),
            helper: Condvar::new(),
            thread: Mutex::new(None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }

    pub(crate) fn options(&self) -> CommitOptions {
        self.lock().options
    }

    pub(crate) fn set_options(&self, options: CommitOptions) {
        let mut queue = self.lock();
        queue.options = options;
        drop(queue);
        self.room.notify_all();
    }

    /// The header of the newest beat.
    pub(crate) fn last(&self) -> BeatHeader {
        self.lock().last
    }
}

impl Core {
    /// Puts a checked commit into the queue.
    ///
    /// # Errors
    /// `Busy` when the queue stays full, `Closed`; the commit comes back.
    pub(crate) fn enqueue(
        self: &Arc<Self>,
        mut work: Work,
        when_full: WhenFull,
    ) -> Result<Arc<Entry>, Box<(Work, Error)>> {
        match self.wait_for_room(&mut work, when_full) {
            Ok(mut queue) => {
                // Whoever transacts or changes a hold waits for it at once.
                let may_be_held = work.reads.is_none() && work.change.is_none();
                let entry = Arc::new(Entry::new(work));
                queue.push(Arc::clone(&entry));
                if may_be_held {
                    self.watch(&mut queue);
                }
                let waiting = queue.len();
                if queue.gathering.is_some_and(|target| waiting >= target) {
                    self.group.end_gathering(&mut queue);
                }
                Ok(entry)
            }
            Err(error) => Err(Box::new((work, error))),
        }
    }

    /// Waits for room and leads meanwhile, where nobody does.
    fn wait_for_room(
        self: &Arc<Self>,
        work: &mut Work,
        when_full: WhenFull,
    ) -> Result<MutexGuard<'_, Queue>> {
        let group = &self.group;
        let mut budget = Budget::default();
        let mut queue = group.lock();
        if work.log.is_loose() && work.memory() > queue.options.queue_bytes_max / LOOSE_PARTS {
            drop(queue);
            work.log.shrink();
            queue = group.lock();
        }
        let bytes = work.memory();
        loop {
            if queue.gate != Gate::Open {
                return Err(closed("commit"));
            }
            if queue.has_room(bytes) {
                return Ok(queue);
            }
            if when_full == WhenFull::Refuse {
                queue.hurried = true;
                drop(self.wake_helper(queue));
                return Err(busy("the queue of commits is full"));
            }
            if queue.may_lead() {
                lead(self, queue);
                queue = group.lock();
                continue;
            }
            let Some(left) = budget.left(queue.options.wait) else {
                return Err(busy("the queue of commits stayed full"));
            };
            queue.want_room += 1;
            queue = wait_for(&group.room, queue, left);
            queue.want_room -= 1;
        }
    }
}

fn busy(what: &str) -> Error {
    Error::new(ErrorKind::Busy, "commit", what)
}
