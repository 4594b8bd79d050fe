//! The steps of a sequence.

use std::ops::Bound;

use persist_api::{Direction, KeyRange, Scan};

/// One step. Steps that name a view mean "the view in that slot, if there is one", so that any part of a sequence is a
/// sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Puts a record in the open beat, beginning one if need be. The value is `length` bytes made from `seed`.
    Put {
        /// The key.
        key: Vec<u8>,
        /// Length of the value.
        length: usize,
        /// First byte of the value; the others follow from it.
        seed: u8,
    },
    /// Deletes a record in the open beat.
    Delete(Vec<u8>),
    /// Deletes a range in the open beat.
    Range(Bound<Vec<u8>>, Bound<Vec<u8>>),
    /// Reads from the open beat.
    Peek(Vec<u8>),
    /// Makes the open beat fail, by a put without key.
    Poison,
    /// Ends the open beat, or an empty one.
    End(End),
    /// Opens a view and keeps it, in place of the oldest where there are many.
    View,
    /// Drops a view.
    Drop(usize),
    /// Reads a record.
    Get(usize, Vec<u8>),
    /// Scans.
    Scan(usize, ScanSpec),
    /// Moves a cursor.
    Cursor(usize, ScanSpec, Vec<Move>),
    /// Compares a view whole.
    Compare(usize),
    /// Drops all views, closes and opens again.
    Reopen,
    /// Checkpoints, where it is offered.
    Checkpoint,
    /// Compacts, where it is offered.
    Compact,
    /// Backs up, where it is offered, and compares the copy.
    Backup,
    /// Verifies and compares the counts.
    Verify,
    /// Compares a view of an earlier beat, so many before the newest, where HISTORY is offered.
    Past(u64),
}

/// How a beat ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Committed at the cheapest durability.
    Commit,
    /// Committed and followed by a sync, where that is offered.
    Durable,
    /// Aborted.
    Abort,
    /// Dropped.
    Drop,
}

/// What a scan or a cursor visits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanSpec {
    /// Lower bound.
    pub start: Bound<Vec<u8>>,
    /// Upper bound.
    pub end: Bound<Vec<u8>>,
    /// Which way.
    pub direction: Direction,
    /// How many rows.
    pub limit: u64,
    /// Keys without values.
    pub keys_only: bool,
}

/// One movement of a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// To the next row.
    Advance,
    /// To a key.
    Seek(Vec<u8>),
}

impl ScanSpec {
    /// The scan itself.
    #[must_use]
    pub fn scan(&self) -> Scan<'_> {
        Scan {
            range: KeyRange::new(borrowed(&self.start), borrowed(&self.end)),
            direction: self.direction,
            limit: self.limit,
            keys_only: self.keys_only,
            // By the limit, so that both are tried.
            fill_cache: self.limit.is_multiple_of(2),
        }
    }
}

/// A bound that borrows its key.
pub(super) fn borrowed(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

/// The value of a put.
pub(super) fn value(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|at| seed.wrapping_add((at % 251).to_le_bytes()[0])).collect()
}
