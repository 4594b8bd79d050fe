//! The thread that commits what nobody blocks on, and looks after what is only held.

use std::sync::Arc;
use std::time::Instant;

use super::entry::{Care, Entry, Failure, Listener};
use super::lead::lead;
use super::queue::Queue;
use super::turn::held_up;
use super::wake_all;
use super::watch::LOOK_EVERY;
use crate::shared::Core;
use crate::sync::{MutexGuard, lock, thread, wait, wait_for};

/// When an engine panics under the helper, another helper goes on with what waits.
struct Successor<'c>(&'c Arc<Core>);

impl Drop for Successor<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let group = &self.0.group;
        let mut queue = group.lock();
        drop(lock(&group.thread).take());
        queue.watch.end();
        if queue.wants_helper() {
            drop(self.0.wake_helper(queue));
        }
    }
}

impl Core {
    /// Lets the helper look at the queue, and starts it where it does not run yet. Without a thread, the caller leads.
    pub(super) fn wake_helper<'q>(
        self: &'q Arc<Self>,
        queue: MutexGuard<'q, Queue>,
    ) -> MutexGuard<'q, Queue> {
        let group = &self.group;
        let mut slot = lock(&group.thread);
        if slot.is_some() || queue.dismissed {
            drop(slot);
            // While a beat is on its way, its leader passes on.
            if queue.may_lead() || queue.is_held() {
                group.helper.notify_one();
            }
            return queue;
        }
        if self.start_helper(&mut slot) {
            return queue;
        }
        drop(slot);
        lead(self, queue);
        group.lock()
    }

    /// Starts the helper; false where there is no thread to be had.
    fn start_helper(self: &Arc<Self>, slot: &mut Option<thread::JoinHandle<()>>) -> bool {
        let core = Arc::clone(self);
        let started = thread::Builder::new().name("persist-commit".to_owned()).spawn(move || core.help());
        *slot = started.ok();
        slot.is_some()
    }

    /// Lets the helper look after commits that are only held, if it does not yet. Without a thread, nobody does.
    pub(super) fn watch(self: &Arc<Self>, queue: &mut Queue) {
        if queue.dismissed || !queue.watch.begin() {
            return;
        }
        let mut slot = lock(&self.group.thread);
        if slot.is_some() {
            self.group.helper.notify_one();
        } else {
            self.start_helper(&mut slot);
        }
    }

    /// Waits until there may be work, or until it is time to look whether there is.
    fn rest<'q>(
        &'q self,
        queue: MutexGuard<'q, Queue>,
        look_at: &mut Option<Instant>,
    ) -> MutexGuard<'q, Queue> {
        if !queue.watch.is_on() {
            *look_at = None;
            return wait(&self.group.helper, queue);
        }
        let due = *look_at.get_or_insert_with(|| Instant::now() + LOOK_EVERY);
        let left = due.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            return wait_for(&self.group.helper, queue, left);
        }
        *look_at = None;
        let mut queue = queue;
        queue.look();
        queue
    }

    /// The life of the helper.
    fn help(self: &Arc<Self>) {
        let _successor = Successor(self);
        let group = &self.group;
        let mut queue = group.lock();
        let mut look_at = None;
        loop {
            if queue.wants_helper() && queue.may_lead() {
                lead(self, queue);
                queue = group.lock();
                continue;
            }
            if queue.dismissed && queue.is_empty() {
                return;
            }
            queue.hurried &= !queue.is_empty();
            if !queue.is_held() {
                queue = self.rest(queue, &mut look_at);
                continue;
            }
            // Commits that were left alone have nobody to try again: they wait on.
            let wait_max = queue.options.wait;
            let mut late = queue.in_care(Care::Polled);
            let patience = late.iter().filter_map(|entry| entry.patience(wait_max)).min();
            late.retain(|entry| entry.patience(wait_max).is_none());
            queue = match patience {
                _ if !late.is_empty() => {
                    self.refuse(queue, &late);
                    group.lock()
                }
                Some(left) => wait_for(&group.helper, queue, left),
                None => self.rest(queue, &mut look_at),
            };
        }
    }

    /// Refuses what has waited too long behind the writer.
    fn refuse(&self, mut queue: MutexGuard<'_, Queue>, late: &[Arc<Entry>]) {
        for entry in late {
            queue.remove(entry);
            entry.decide(Err(Failure::Error(held_up())));
        }
        if queue.want_room > 0 {
            self.group.room.notify_all();
        }
        drop(queue);
        wake_all(late.iter().filter_map(|entry| match entry.listener() {
            Listener::Task(waker) => Some(waker),
            Listener::Nobody | Listener::Thread => None,
        }));
    }
}
