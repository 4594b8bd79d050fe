//! What the doctor says.

use std::ops::{Bound, RangeInclusive};

use persist_api::{BeatNo, KeyRange, Severity};

/// What kind of thing is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Trouble {
    /// A slot of `branch.meta`, or all of it.
    Head,
    /// Frames that were durable and do not verify.
    Frames,
    /// Frames behind the last one that was known durable: a write that a crash has cut short.
    TornTail,
    /// The index, filter, head or foot of a run, or anything else that its data blocks can replace.
    RunStructure,
    /// Records, range deletions or headers of a run that cannot be read.
    RunRecords,
    /// A run of which nothing can be read.
    Run,
    /// Frames that should be in a run and are in none.
    Gap,
    /// The header of a payload segment.
    PayloadHeader,
    /// A large value.
    Value,
    /// A loss that was found before: reads of what it may have hit fail.
    Lost,
    /// A file that belongs to no live state.
    Leftover,
    /// The files contradict each other.
    Contradiction,
}

impl Trouble {
    /// The stable lower-case name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Frames => "frames",
            Self::TornTail => "torn_tail",
            Self::RunStructure => "run_structure",
            Self::RunRecords => "run_records",
            Self::Run => "run",
            Self::Gap => "gap",
            Self::PayloadHeader => "payload_header",
            Self::Value => "value",
            Self::Lost => "lost",
            Self::Leftover => "leftover",
            Self::Contradiction => "contradiction",
        }
    }
}

/// What helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Remedy {
    /// Nothing need be done.
    None,
    /// The next opening of the store deals with it.
    Opening,
    /// [`repair`](super::repair()) makes it anew; nothing is lost.
    Repair,
    /// Something is lost. Reads of it fail until a repair that accepts the loss.
    AcceptLoss,
    /// Nothing here helps; a backup does.
    Backup,
}

impl Remedy {
    /// The stable lower-case name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Opening => "opening",
            Self::Repair => "repair",
            Self::AcceptLoss => "accept_loss",
            Self::Backup => "backup",
        }
    }
}

/// How a store stands, all in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// There is no store here, or one that was never finished.
    Empty,
    /// No damage. There may be notes.
    Whole,
    /// Damage, and nothing of it concerns a record.
    Repairable,
    /// Something is lost; the rest can be read.
    Lossy,
    /// Nothing can be read, or the files contradict each other.
    Unreadable,
}

impl Verdict {
    /// The stable lower-case name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Whole => "whole",
            Self::Repairable => "repairable",
            Self::Lossy => "lossy",
            Self::Unreadable => "unreadable",
        }
    }
}

/// Keys between two bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySpan {
    /// Where they begin.
    pub start: Bound<Vec<u8>>,
    /// Where they end.
    pub end: Bound<Vec<u8>>,
}

impl KeySpan {
    /// Every key.
    pub(super) const ALL: Self = Self { start: Bound::Unbounded, end: Bound::Unbounded };

    /// One key.
    pub(super) fn one(key: &[u8]) -> Self {
        Self { start: Bound::Included(key.to_vec()), end: Bound::Included(key.to_vec()) }
    }

    /// The only key between the bounds, if that is what they say.
    #[must_use]
    pub fn single(&self) -> Option<&[u8]> {
        match (&self.start, &self.end) {
            (Bound::Included(start), Bound::Included(end)) if start == end => Some(start),
            _ => None,
        }
    }

    /// As a range.
    #[must_use]
    pub fn range(&self) -> KeyRange<'_> {
        KeyRange::new(self.start.as_ref().map(Vec::as_slice), self.end.as_ref().map(Vec::as_slice))
    }
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of thing it is.
    pub trouble: Trouble,
    /// What helps.
    pub remedy: Remedy,
    /// The file, by its plain name.
    pub file: String,
    /// Where in it.
    pub offset: u64,
    /// How many bytes are concerned, where known.
    pub len: Option<u64>,
    /// The frames that are concerned, where known.
    pub frames: Option<RangeInclusive<u64>>,
    /// The beats that are concerned, where known.
    pub beats: Option<RangeInclusive<u64>>,
    /// How many records are lost, where known.
    pub records: Option<u64>,
    /// The keys that are concerned, where some are lost.
    pub keys: Option<KeySpan>,
    /// What was found, in one sentence.
    pub what: String,
}

impl Complaint {
    pub(super) fn new(
        severity: Severity,
        trouble: Trouble,
        remedy: Remedy,
        (file, offset): (impl Into<String>, u64),
        what: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            trouble,
            remedy,
            file: file.into(),
            offset,
            len: None,
            frames: None,
            beats: None,
            records: None,
            keys: None,
            what: what.into(),
        }
    }

    pub(super) fn beats(mut self, first: BeatNo, last: BeatNo) -> Self {
        self.beats = Some(first.0..=last.0);
        self
    }
}

/// What an examination came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// All in all.
    pub verdict: Verdict,
    /// The newest beat that can be read; 0 without one.
    pub beat: BeatNo,
    /// Runs that can be read, or made anew.
    pub runs: u64,
    /// Frames behind the runs that can be read.
    pub frames: u64,
    /// Versions of records and operations that verified.
    pub records: u64,
    /// Large values that verified.
    pub values: u64,
    /// The store was closed, and nothing was written since.
    pub closed: bool,
    /// What is not as it should be: at most 1000.
    pub complaints: Vec<Complaint>,
    /// How many more there are.
    pub left_out: u64,
    /// What lies in `damaged/` from earlier on: names below it.
    pub aside: Vec<String>,
}

impl Diagnosis {
    /// Complaints that are damage.
    pub fn damage(&self) -> impl Iterator<Item = &Complaint> {
        self.complaints.iter().filter(|complaint| complaint.severity == Severity::Damage)
    }
}
