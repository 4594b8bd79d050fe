//! The thread that commits what nobody blocks on.

use std::sync::Arc;

use super::entry::{Care, Entry, Failure, Listener};
use super::lead::lead;
use super::queue::Queue;
use super::sync::{MutexGuard, lock, thread, wait, wait_for};
use super::turn::held_up;
use super::wake_all;
use crate::shared::Core;

/// When an engine panics under the helper, another helper goes on with what waits.
struct Successor<'c>(&'c Arc<Core>);

impl Drop for Successor<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let group = &self.0.group;
        let queue = group.lock();
        drop(lock(&group.thread).take());
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
        let core = Arc::clone(self);
        let started = thread::Builder::new().name("persist-commit".to_owned()).spawn(move || core.help());
        if let Ok(thread) = started {
            *slot = Some(thread);
            return queue;
        }
        drop(slot);
        lead(self, queue);
        group.lock()
    }

    /// The life of the helper.
    fn help(self: &Arc<Self>) {
        let _successor = Successor(self);
        let group = &self.group;
        let mut queue = group.lock();
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
                queue = wait(&group.helper, queue);
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
                None => wait(&group.helper, queue),
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
