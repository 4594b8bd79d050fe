//! Commits slow down before they would have to wait: each takes twice as long while memtables wait for their runs, so that
//! hardly ever one waits for a whole run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// With so many full memtables commits slow down. One run is made beside commits at their full speed.
pub(crate) const FROZEN_SLOW: usize = 2;
/// Less than this nobody can sleep: what short commits owe is added up.
const NAP: Duration = Duration::from_micros(100);
/// No commit waits longer. One that takes so long has waited for the disk, not used it.
const MOST: Duration = Duration::from_millis(20);

/// Time that commits have taken from those who make runs, and still owe them.
#[derive(Debug, Default)]
pub(crate) struct Owed {
    nanos: AtomicU64,
    /// How often a commit has waited as long as it took, at most.
    slowed: AtomicU64,
    /// How often one has found all memory full, and waited for a run.
    stopped: AtomicU64,
}

impl Owed {
    /// Adds what a commit took. Answers how long it has to wait now, if at all.
    pub(crate) fn add(&self, took: Duration) -> Option<Duration> {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        // Commits come one at a time; if they did not, one of them would wait for what another took.
        let owed = Duration::from_nanos(self.nanos.load(Ordering::Acquire).saturating_add(nanos(took)));
        let (now, later) = if owed >= NAP { (Some(owed.min(MOST)), Duration::ZERO) } else { (None, owed) };
        self.nanos.store(nanos(later), Ordering::Release);
        now
    }

    /// Counts a commit that waits for what it owes.
    pub(crate) fn count_slowed(&self) {
        self.slowed.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a commit that finds all memory full.
    pub(crate) fn count_stopped(&self) {
        self.stopped.fetch_add(1, Ordering::Relaxed);
    }

    /// How often commits have waited for what they owed, and found all memory full.
    pub(crate) fn waits(&self) -> (u64, u64) {
        (self.slowed.load(Ordering::Relaxed), self.stopped.load(Ordering::Relaxed))
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
        assert_eq!(owed.add(Duration::MAX), Some(MOST), "nobody waits for a disk that hung");
        assert_eq!(owed.add(Duration::ZERO), None);
    }
}
