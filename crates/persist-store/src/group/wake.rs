//! Waking tasks. A waker is code of a user: it may use the store, so that nobody calls, clones or drops one under a lock or with
//! the lane; and it may panic, which must not keep those behind it from being woken.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// Wakes all of them. Whose waker panics has been told by the hook of the panic; whoever made the beat has no part in it.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
    }
}
