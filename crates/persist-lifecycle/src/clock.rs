//! Time, as it is given to everything here that waits or counts.

use std::time::{Duration, Instant};

/// A clock that never goes back. Nothing here asks for the time of day, so that setting it changes nothing.
pub trait Clock: Send + Sync {
    /// The time since some moment that stays the same.
    fn now(&self) -> Duration;

    /// Returns when `time` has passed, or somewhat earlier.
    fn pause(&self, time: Duration);
}

/// The clock of the system, from the moment when it was made.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock(Instant);

impl Default for SystemClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn pause(&self, time: Duration) {
        std::thread::sleep(time);
    }
}
