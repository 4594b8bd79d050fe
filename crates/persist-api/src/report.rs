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
    /// How many beats before the newest must stay readable as history (capability HISTORY); 0: only the newest must.
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

/// What an engine keeps for its feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FeedStat {
    /// Every beat after this one can be served.
    pub after: BeatNo,
    /// Bytes on the medium that are kept for it and for nothing else.
    pub bytes: u64,
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

impl Severity {
    /// The stable lower-case name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Unchecked => "unchecked",
            Self::Damage => "damage",
        }
    }
}

/// What a finding is about, for programs: they read this, never the sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FindingCode {
    /// The engine keeps no checksums of its own, so that changed bytes inside of values go unnoticed by it.
    NoChecksums,
    /// Something was not read, because of other damage.
    NotRead,
    /// A Merkle root cannot be computed again, because what it is over is not kept.
    RootNotComputed,
    /// A file, page, table or index of the engine is not as it must be.
    Structure,
    /// As many records as were found do not agree with the engine's own count.
    Count,
    /// The header of a beat, its root or the format grant is missing, unreadable or contradicts the stamp.
    Header,
    /// A record does not fit its checksum, cannot be read, or lies where none may lie.
    Record,
    /// A Merkle root or a hash does not fit what it is over.
    Root,
    /// A record that this build does not know.
    Unknown,
}

impl FindingCode {
    /// All codes, in the order of their documentation.
    pub const ALL: [Self; 9] = [
        Self::NoChecksums,
        Self::NotRead,
        Self::RootNotComputed,
        Self::Structure,
        Self::Count,
        Self::Header,
        Self::Record,
        Self::Root,
        Self::Unknown,
    ];

    /// The stable lower-case name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoChecksums => "no_checksums",
            Self::NotRead => "not_read",
            Self::RootNotComputed => "root_not_computed",
            Self::Structure => "structure",
            Self::Count => "count",
            Self::Header => "header",
            Self::Record => "record",
            Self::Root => "root",
            Self::Unknown => "unknown",
        }
    }

    /// What it says, in one sentence for people.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NoChecksums => {
                "the engine has no checksums of its own; a note where a layer checked every record"
            }
            Self::NotRead => "something was not read, because of other damage",
            Self::RootNotComputed => "a Merkle root cannot be computed again: what it is over is not kept",
            Self::Structure => "a file, page, table or index of the engine is not as it must be",
            Self::Count => "the engine's own count of records is wrong",
            Self::Header => {
                "the header of a beat or the format grant is missing, unreadable or contradicts the stamp"
            }
            Self::Record => "a record does not fit its checksum, cannot be read, or lies where none may lie",
            Self::Root => "a Merkle root or a hash does not fit what it is over",
            Self::Unknown => "a record that this build does not know",
        }
    }
}

/// One thing that `verify` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about, for programs.
    pub code: FindingCode,
    /// What was found, in one sentence.
    pub what: String,
    /// Where: file and offset, key, or beat.
    pub place: String,
}

impl Finding {
    /// A finding of severity `Damage`.
    pub fn damage(code: FindingCode, what: impl Into<String>, place: impl Into<String>) -> Self {
        Self { severity: Severity::Damage, code, what: what.into(), place: place.into() }
    }

    /// A finding of severity `Unchecked`.
    pub fn unchecked(code: FindingCode, what: impl Into<String>, place: impl Into<String>) -> Self {
        Self { severity: Severity::Unchecked, code, what: what.into(), place: place.into() }
    }
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
