//! What the maintenance verbs report.

use std::time::Duration;

use crate::BeatNo;

/// What `checkpoint` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckpointStat {
    /// The beat up to which the next open has no work.
    pub beat: BeatNo,
    /// Bytes moved into the main structure, where the engine knows.
    pub bytes: u64,
}

/// What `backup` wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BackupStat {
    /// The beat that the backup shows.
    pub beat: BeatNo,
    /// Bytes of the files written.
    pub bytes: u64,
}

/// What `compact` may give up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CompactScope {
    /// How many of the newest beats must stay readable as history (capability HISTORY); 0: only the newest.
    pub keep_beats: u64,
}

/// What `compact` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CompactStat {
    /// Bytes on the medium before.
    pub bytes_before: u64,
    /// Bytes on the medium after.
    pub bytes_after: u64,
}

impl CompactStat {
    /// Bytes given back; 0 if the store grew.
    #[must_use]
    pub const fn reclaimed(&self) -> u64 {
        self.bytes_before.saturating_sub(self.bytes_after)
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Something could not be checked.
    Unchecked,
    /// Stored bytes do not verify.
    Damage,
}

/// One thing that `verify` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was found, in one sentence.
    pub what: String,
    /// Where: file and offset, key, or beat.
    pub place: String,
}

/// What `verify` read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VerifyStat {
    /// Records read back.
    pub records: u64,
    /// Bytes of keys and values read back.
    pub bytes: u64,
    /// Findings of severity `Damage`.
    pub damaged: u64,
}

/// Figures of an open engine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stats {
    /// The newest beat.
    pub beat: BeatNo,
    /// Records, where the engine knows without counting.
    pub records: Option<u64>,
    /// Bytes on the medium; 0 for memory engines.
    pub bytes_on_disk: u64,
    /// Views open now.
    pub views_open: u64,
    /// The beat of the oldest open view.
    pub oldest_view_beat: Option<BeatNo>,
    /// How long the oldest open view has been open.
    pub oldest_view_age: Option<Duration>,
    /// Figures of this engine only, with names that are stable per engine.
    pub engine: Vec<(&'static str, u64)>,
}
