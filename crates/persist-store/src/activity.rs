//! What goes on in a store that its upkeep wants to know: how much was committed, and whether a long verb is at work.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::log::BeatLog;

/// Counters that the handles of a store share.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    committed_bytes: AtomicU64,
    long_verbs: AtomicU64,
}

/// A long verb at work, until it is dropped.
pub(crate) struct LongVerb<'a>(&'a Activity);

impl Activity {
    /// Counts the commits of a beat that was made.
    pub(crate) fn committed<'l>(&self, logs: impl Iterator<Item = &'l BeatLog>) {
        let bytes = logs.fold(0_u64, |sum, log| sum.saturating_add(log.tally().staged_bytes(0, 0)));
        self.committed_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes of keys and values that were committed since the store was opened.
    pub(crate) fn committed_bytes(&self) -> u64 {
        self.committed_bytes.load(Ordering::Relaxed)
    }

    /// Notes that a backup or a compaction begins.
    pub(crate) fn begin(&self) -> LongVerb<'_> {
        self.long_verbs.fetch_add(1, Ordering::Relaxed);
        LongVerb(self)
    }

    /// Backups and compactions at work.
    pub(crate) fn long_verbs(&self) -> u64 {
        self.long_verbs.load(Ordering::Relaxed)
    }
}

impl Drop for LongVerb<'_> {
    fn drop(&mut self) {
        self.0.long_verbs.fetch_sub(1, Ordering::Relaxed);
    }
}
