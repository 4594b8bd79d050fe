//! Commits slow down before they would have to wait: each takes twice as long while memtables wait for their runs, so that
//! hardly ever one waits for a whole run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// With so many full memtables commits slow down. One run is made beside commits at their full speed.
pub(crate) const FROZEN_SLOW: usize = 2;
/// Less than this nobody can sleep: what short commits owe is added up.
const NAP: Duration = Duration::from_micros(100);

/// Time that commits have taken from those who make runs, and still owe them.
#[derive(Debug, Default)]
pub(crate) struct Owed(AtomicU64);

impl Owed {
    /// Adds what a commit took. Answers how long it has to wait now, if at all.
    pub(crate) fn add(&self, took: Duration) -> Option<Duration> {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        // Commits come one at a time; if they did not, one of them would wait for what another took.
        let owed = Duration::from_nanos(self.0.load(Ordering::Acquire).saturating_add(took));
        let (now, later) = if owed >= NAP { (Some(owed), Duration::ZERO) } else { (None, owed) };
        self.0.store(u64::try_from(later.as_nanos()).unwrap_or(u64::MAX), Ordering::Release);
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_commits_wait_together_and_a_long_one_as_long_as_it_took() {
        let owed = Owed::default();
        let micros = Duration::from_micros;
        assert_eq!(
            [40, 40, 40, 40].map(|took| owed.add(micros(took))),
            [None, None, Some(micros(120)), None]
        );
        assert_eq!(owed.add(micros(300)), Some(micros(340)));
        assert_eq!(owed.add(micros(99)), None);
        assert_eq!(owed.add(Duration::MAX), Some(Duration::from_nanos(u64::MAX)));
        assert_eq!(owed.add(Duration::ZERO), None);
    }
}
