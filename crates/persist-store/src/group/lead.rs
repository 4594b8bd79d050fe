//! Leading: one thread makes one beat of what waits, for all.

use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use persist_api::{Error, ErrorKind, Result};

use super::Group;
use super::entry::{Entry, Failure, Listener};
use super::queue::{FenceAt, Gate, Next, Queue, WriterAt};
use super::wake_all;
use crate::seat::{NotMade, Seat};
use crate::shared::Core;
use crate::sync::{Budget, MutexGuard, thread, wait_for};

/// How long a leader that waits for company stays awake: those that were just told are back sooner than a thread that sleeps
/// is woken.
const YIELDING: Duration = Duration::from_micros(50);

/// A group on its way. Dropping it, also when the engine panics, decides what is open, gives the lane back and tells
/// everybody.
struct Lead<'c> {
    core: &'c Core,
    seat: Option<Box<Seat>>,
    batch: Vec<Arc<Entry>>,
    started: Option<Instant>,
}

/// Makes one beat of what waits, if the lane is free and anything may go.
pub(super) fn lead<'c>(core: &'c Core, queue: MutexGuard<'c, Queue>) {
    if let Some(mut lead) = Lead::take(core, queue) {
        lead.make_beat();
    }
}

impl<'c> Lead<'c> {
    fn take(core: &'c Core, mut queue: MutexGuard<'c, Queue>) -> Option<Self> {
        if !queue.may_lead() {
            return None;
        }
        let mut seat = queue.seat.take()?;
        let batch = std::mem::take(&mut seat.batch);
        // From here on, dropping it gives the lane back.
        let mut lead = Self { core, seat: Some(seat), batch, started: None };
        queue = core.group.gather(queue);
        if let Some(seat) = &lead.seat {
            let room = core.beat_room(&seat.active.terms);
            queue.take_group(|work| room.cost(&seat.active.terms, work), room.bytes, &mut lead.batch);
        }
        lead.started = queue.gather.wants_time(lead.batch.len()).then(Instant::now);
        if queue.want_room > 0 {
            core.group.room.notify_all();
        }
        Some(lead)
    }

    fn make_beat(&mut self) {
        let Some(seat) = &mut self.seat else { return };
        // Those that conflict are told at the end: who redoes a transaction wants to see this beat.
        let renewed = renew(self.core, seat, &self.batch);
        if self.core.recent.judge(&self.batch) || renewed {
            let good: Vec<_> = self.batch.iter().filter(|entry| entry.is_open()).map(Arc::clone).collect();
            write_all(self.core, seat, &good);
        } else {
            write_all(self.core, seat, &self.batch);
        }
    }
}

/// Checks commits once more that were queued before a swap, under the terms that hold now, and refuses those that do not
/// fit. True if there were any.
fn renew(core: &Core, seat: &Seat, group: &[Arc<Entry>]) -> bool {
    let (epoch, terms) = (seat.active.epoch, &seat.active.terms);
    let mut refused = false;
    for entry in group.iter().filter(|entry| entry.work.epoch != epoch) {
        let fits = core.check(terms, &entry.work.log).and_then(|()| terms.durability(entry.work.durability));
        if let Err(error) = fits {
            entry.decide(Err(Failure::Error(error)));
            refused = true;
        }
    }
    refused
}

/// Writes commits as one beat, or as several where the engine refuses some.
fn write_all(core: &Core, seat: &mut Seat, group: &[Arc<Entry>]) {
    if let Err(error) = by_halves(core, seat, group, &mut None) {
        let mut open = group.iter().filter(|entry| entry.is_open());
        let first = open.next();
        open.for_each(|entry| entry.decide(Err(Failure::Error(copy_of(&error)))));
        if let Some(first) = first {
            first.decide(Err(Failure::Error(error)));
        }
    }
}

/// Writes commits as one beat; when the engine refuses them, each half by itself, in order. `refused` is why it did last, if
/// no beat was made since.
///
/// # Errors
/// What ends all writing: it belongs to every commit that is still open. Where a refusal has poisoned the engine, as a disk
/// that is full does, that is the refusal.
fn by_halves(core: &Core, seat: &mut Seat, group: &[Arc<Entry>], refused: &mut Option<Error>) -> Result<()> {
    let Some(asked) = group.iter().map(|entry| entry.work.durability).max() else { return Ok(()) };
    let durability = seat.active.terms.durability(asked)?;
    let changes: Vec<_> =
        (0..).zip(group).filter_map(|(index, entry)| Some((index, entry.work.change.as_ref()?))).collect();
    let logs = group.iter().map(|entry| &entry.work.log);
    let not_made = match seat.write(core, logs, &changes, durability) {
        Ok(done) => {
            for (index, entry) in (0_u64..).zip(group) {
                entry.decide(Ok(done.receipt(index)));
            }
            *refused = None;
            return Ok(());
        }
        Err(not_made) => not_made,
    };
    let is_theirs = lies_with_a_commit(&not_made);
    let error = not_made.error;
    if !is_theirs {
        let cause = refused.take().filter(|_| error.kind() == ErrorKind::Poisoned);
        return Err(cause.unwrap_or(error));
    }
    if let [only] = group {
        *refused = Some(copy_of(&error));
        only.decide(Err(Failure::Error(error)));
        return Ok(());
    }
    *refused = Some(error);
    let (left, right) = group.split_at(group.len() / 2);
    by_halves(core, seat, left, refused)?;
    by_halves(core, seat, right, refused)
}

/// True for errors that a smaller or another group might not meet: what only one commit can be to blame for, and all that an
/// operation met, such as a damaged page, before the engine was asked to commit. After any other error the engine may be
/// poisoned, or the beat may be there: nothing is tried again.
fn lies_with_a_commit(NotMade { error, in_staging }: &NotMade) -> bool {
    use ErrorKind::{Closed, Full, Invalid, Poisoned, TooLarge, Unsupported};
    match error.kind() {
        Full | TooLarge | Invalid | Unsupported => true,
        Poisoned | Closed => false,
        _ => *in_staging,
    }
}

/// The same error once more; the cause stays with the first.
fn copy_of(error: &Error) -> Error {
    error.reworded(error.context())
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        for entry in &self.batch {
            if entry.is_open() {
                let context =
                    "the engine panicked while it wrote this beat; reopen to see whether it is there";
                entry.decide(Err(Failure::Error(Error::new(ErrorKind::Poisoned, "commit", context))));
            }
        }
        let group = &self.core.group;
        let mut queue = group.lock();
        let took = self.started.map(|started| started.elapsed());
        let waiting = queue.len();
        queue.gather.note(self.batch.len(), waiting, took);
        let mut loud = Vec::new();
        for entry in self.batch.drain(..) {
            match entry.listener() {
                Listener::Nobody => {}
                listener => loud.push((entry, listener)),
            }
        }
        let mut following = Vec::new();
        if let Some(mut seat) = self.seat.take() {
            seat.batch = std::mem::take(&mut self.batch);
            following = group.put_back(queue, seat);
        }
        // Threads first: who is behind a task does not wait for what its waker does.
        let mut wakers = Vec::new();
        for (entry, listener) in loud {
            match listener {
                Listener::Nobody => {}
                Listener::Thread => entry.turn.notify_one(),
                Listener::Task(waker) => wakers.push(waker),
            }
        }
        wake_all(wakers.into_iter().chain(following));
    }
}

impl Group {
    /// Lets a leader that waits for company go.
    pub(super) fn end_gathering(&self, queue: &mut Queue) {
        if queue.gathering.take().is_some() {
            self.company.notify_one();
        }
    }

    /// Waits a little for company, with the lane taken.
    fn gather<'q>(&'q self, mut queue: MutexGuard<'q, Queue>) -> MutexGuard<'q, Queue> {
        if queue.gate != Gate::Open || queue.writer != WriterAt::Away || queue.fence != FenceAt::Away {
            return queue;
        }
        let (waiting, options) = (queue.len(), queue.options);
        let Some((target, window)) = queue.gather.plan(waiting, &options) else { return queue };
        let mut budget = Budget::default();
        queue.gathering = Some(target);
        while queue.gathering.is_some() {
            let Some(left) = budget.left(window) else { break };
            queue = if window.saturating_sub(left) < YIELDING {
                drop(queue);
                thread::yield_now();
                self.lock()
            } else {
                wait_for(&self.company, queue, left)
            };
        }
        let in_vain = queue.gathering.take().is_some();
        queue.gather.waited(in_vain);
        queue
    }

    /// Frees the lane and passes it on. Gives the tasks that follow the feed, which are to be woken now.
    #[must_use]
    pub(super) fn put_back(&self, mut queue: MutexGuard<'_, Queue>, mut seat: Box<Seat>) -> Vec<Waker> {
        let following = std::mem::take(&mut seat.following);
        queue.last = seat.last;
        queue.seat = Some(seat);
        self.pass_on(queue);
        following
    }

    /// Passes a lane that may be free on.
    pub(super) fn pass_on(&self, queue: MutexGuard<'_, Queue>) {
        let next = queue.next_leader();
        let (want_lane, want_room) = (queue.want_lane > 0, queue.want_room > 0);
        drop(queue);
        if want_lane {
            self.lane.notify_all();
        }
        match next {
            // Whoever leads makes room.
            Next::Thread(entry) => entry.turn.notify_one(),
            Next::Helper => self.helper.notify_one(),
            Next::Nobody if want_room => self.room.notify_all(),
            Next::Nobody => {}
        }
    }
}
