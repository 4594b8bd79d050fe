//! The primitives that threads of a store meet at: in the committer, in the feed, and where a swap puts another engine in
//! place. The unit tests of this crate replace them by those of a scheduler that tries many interleavings, so nothing else
//! there may block on anything. The mutexes of views and layers are others: whoever has one of them calls nothing that waits.

use std::time::{Duration, Instant};

#[cfg(not(test))]
pub(crate) use parking_lot::{MappedRwLockReadGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
#[cfg(not(test))]
pub(crate) use std::{
    sync::atomic::AtomicBool,
    sync::{Condvar, Mutex, MutexGuard},
    thread,
};

#[cfg(test)]
pub(crate) use shuttle::{
    sync::atomic::AtomicBool,
    sync::{Condvar, Mutex, MutexGuard},
    thread,
};
#[cfg(test)]
pub(crate) use shuttle_parking_lot::{MappedRwLockReadGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Locks. A thread that panicked under a lock has left nothing half done: what it held is put back by guards.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Waits until notified, or for no reason.
pub(crate) fn wait<'m, T>(condvar: &Condvar, guard: MutexGuard<'m, T>) -> MutexGuard<'m, T> {
    condvar.wait(guard).unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Waits until notified, until `left` has passed, or for no reason.
pub(crate) fn wait_for<'m, T>(
    condvar: &Condvar,
    guard: MutexGuard<'m, T>,
    left: Duration,
) -> MutexGuard<'m, T> {
    condvar.wait_timeout(guard, left).unwrap_or_else(std::sync::PoisonError::into_inner).0
}

/// Reads, also while somebody waits in [`write_for`].
pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    #[cfg(not(test))]
    return lock.read_recursive();
    #[cfg(test)]
    lock.read()
}

/// Waits until nobody reads or writes; `None` when `left` has passed.
pub(crate) fn write_for<T>(lock: &RwLock<T>, left: Duration) -> Option<RwLockWriteGuard<'_, T>> {
    #[cfg(not(test))]
    return lock.try_write_for(left);
    // No time passes under the scheduler. Its lock would not let readers pass somebody who stands in line.
    #[cfg(test)]
    loop {
        let got = lock.try_write();
        if got.is_some() || left.is_zero() {
            return got;
        }
        thread::yield_now();
    }
}

/// Counts a time budget from the moment when somebody first has to wait.
#[derive(Debug, Default)]
pub(crate) struct Budget(Option<Instant>);

impl Budget {
    /// What is left of `budget`; `None` when it is used up.
    pub(crate) fn left(&mut self, budget: Duration) -> Option<Duration> {
        let now = Instant::now();
        match self.0 {
            None => {
                // A time too far away to count never comes.
                self.0 = now.checked_add(budget);
                (!budget.is_zero()).then_some(budget)
            }
            Some(end) => Some(end.saturating_duration_since(now)).filter(|left| !left.is_zero()),
        }
    }
}
