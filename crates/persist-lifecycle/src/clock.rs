//! Time, as it is given to everything here that waits or counts.

use std::time::Duration;

pub use persist_store::SystemClock;

/// A clock that can also wait. Stores that are opened here measure their limits by the same clock.
pub trait Clock: persist_store::Clock {
    /// Returns when `time` has passed, or somewhat earlier.
    fn pause(&self, time: Duration);
}

impl Clock for SystemClock {
    fn pause(&self, time: Duration) {
        std::thread::sleep(time);
    }
}
