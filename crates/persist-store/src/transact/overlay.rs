//! What a transaction has staged, as its own reads see it.

use std::collections::BTreeMap;
use std::ops::Bound;

use persist_api::{Direction, KeyRange};

use super::spans::Spans;
use crate::log::{BeatLog, Op};

/// The staged state over the base. What is not in here is as in the base.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    /// Value, or `None` for a deleted record.
    records: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Ranges of the base that are gone.
    cleared: Spans,
}

/// What the overlay says about a key.
pub(super) enum Staged<'o> {
    Value(&'o [u8]),
    Deleted,
    /// Nothing: ask the base.
    AsBefore,
}

impl Overlay {
    pub(super) fn put(&mut self, key: &[u8], value: &[u8]) {
        self.records.insert(key.to_vec(), Some(value.to_vec()));
    }

    pub(super) fn delete(&mut self, key: &[u8]) {
        self.records.insert(key.to_vec(), None);
    }

    pub(super) fn delete_range(&mut self, range: &KeyRange<'_>) {
        if range.is_empty() {
            return;
        }
        // What is not in the range is not looked at, for there may be many records and many ranges.
        let first = |overlay: &Self| {
            let bounds: (Bound<&[u8]>, Bound<&[u8]>) = range.bounds();
            overlay.records.range::<[u8], _>(bounds).next().map(|(key, _)| key.clone())
        };
        while let Some(key) = first(self) {
            self.records.remove(&key);
        }
        self.cleared.insert(range);
    }

    /// Stages all operations of a log.
    pub(crate) fn apply(&mut self, log: &BeatLog) {
        for op in log.ops() {
            match op {
                Op::Put { key, value } => self.put(key, value),
                Op::Delete { key } => self.delete(key),
                Op::DeleteRange { range } => self.delete_range(&range),
            }
        }
    }

    pub(super) fn get(&self, key: &[u8]) -> Staged<'_> {
        match self.records.get(key) {
            Some(Some(value)) => Staged::Value(value),
            Some(None) => Staged::Deleted,
            None if self.cleared.contains(key) => Staged::Deleted,
            None => Staged::AsBefore,
        }
    }

    /// What is staged in a range that is not empty, deletes included, in a direction.
    pub(super) fn rows(&self, range: &KeyRange<'_>, direction: Direction) -> Rows<'_> {
        let bounds: (Bound<&[u8]>, Bound<&[u8]>) = range.bounds();
        let rows = self.records.range::<[u8], _>(bounds);
        match direction {
            Direction::Forward => Box::new(rows.map(row)),
            Direction::Reverse => Box::new(rows.rev().map(row)),
        }
    }
}

/// Rows of an overlay.
pub(super) type Rows<'o> = Box<dyn Iterator<Item = (&'o [u8], Option<&'o [u8]>)> + 'o>;

fn row<'o>((key, value): (&'o Vec<u8>, &'o Option<Vec<u8>>)) -> (&'o [u8], Option<&'o [u8]>) {
    (key, value.as_deref())
}
