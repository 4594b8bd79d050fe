//! What a record holds.

use std::ops::Bound;

use persist_api::BeatNo;

use crate::payload_ref::PayloadRef;

/// What is stored under a key at a beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored<'a> {
    /// The value itself.
    Inline(&'a [u8]),
    /// The value lies in a payload segment.
    Large(PayloadRef),
    /// The key was deleted.
    Deleted,
}

/// One version of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version<'a> {
    /// The beat that wrote it; the floor of its run where that beat is at or below the floor.
    pub(crate) beat: BeatNo,
    /// What it wrote.
    pub(crate) stored: Stored<'a>,
}

/// A record as it lies in a run: key and version.
pub(crate) type Row<'a> = (&'a [u8], Version<'a>);

/// A deletion of many keys at once, or a beat whose records are lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RangeDelete {
    /// Where it begins.
    pub(crate) start: Bound<Vec<u8>>,
    /// Where it ends.
    pub(crate) end: Bound<Vec<u8>>,
    /// The beat that did it. In its own run it hides the versions with a smaller beat; all of it hides older runs.
    pub(crate) beat: BeatNo,
    /// Why the keys are gone.
    pub(crate) kind: RangeKind,
}

/// Why the keys of a range are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RangeKind {
    /// They were deleted.
    Deleted,
    /// The beat could not be read back: a read that finds nothing newer must fail. It covers every key.
    Damaged {
        /// The file that was damaged, by its plain name.
        file: String,
        /// Where in it.
        offset: u64,
        /// What was found there.
        what: String,
    },
}
