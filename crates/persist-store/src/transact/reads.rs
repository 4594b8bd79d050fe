//! What a transaction has read.

use std::collections::BTreeSet;

use persist_api::{BeatNo, KeyRange};

use super::spans::Spans;
use super::{Cause, Conflict};
use crate::log::{BeatLog, Op};

/// Memory of one key beside its bytes, about.
const KEY_BYTES: u64 = 48;

/// The keys and ranges that a transaction has read, and the beat at which they were so. Bounded: beyond it, it counts as
/// having read everything, which is never wrong.
#[derive(Debug)]
pub(crate) struct Reads {
    /// The newest beat at which all of it is known to be as read.
    pub(super) at: BeatNo,
    /// The beat that was read.
    base: BeatNo,
    keys: BTreeSet<Vec<u8>>,
    spans: Spans,
    key_bytes: u64,
    bytes_max: u64,
}

impl Reads {
    pub(super) fn new(base: BeatNo, bytes_max: u64) -> Self {
        Self { at: base, base, keys: BTreeSet::new(), spans: Spans::default(), key_bytes: 0, bytes_max }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.spans.is_empty()
    }

    /// What it keeps in memory, about.
    pub(crate) fn memory(&self) -> u64 {
        self.key_bytes.saturating_add(self.spans.memory())
    }

    /// Notes that a key was read, whether there was a record or not.
    pub(super) fn note_key(&mut self, key: &[u8]) {
        if self.contains(key) {
            return;
        }
        self.keys.insert(key.to_vec());
        self.key_bytes = self.key_bytes.saturating_add(KEY_BYTES).saturating_add(key.len() as u64);
        self.stay_small();
    }

    /// Notes that all of a range was read.
    pub(super) fn note_range(&mut self, range: &KeyRange<'_>) {
        self.spans.insert(range);
        self.stay_small();
    }

    fn stay_small(&mut self) {
        if self.memory() > self.bytes_max {
            self.keys.clear();
            self.key_bytes = 0;
            self.spans.insert(&KeyRange::all());
        }
    }

    fn contains(&self, key: &[u8]) -> bool {
        self.keys.contains(key) || self.spans.contains(key)
    }

    fn overlaps(&self, range: &KeyRange<'_>) -> bool {
        self.spans.overlaps(range) || self.keys.range::<[u8], _>(range.bounds()).next().is_some()
    }

    /// What of a commit changes something that was read.
    pub(super) fn touched_by(&self, log: &BeatLog) -> Option<Cause> {
        log.ops().find_map(|op| match op {
            Op::Put { key, .. } | Op::Delete { key } => {
                self.contains(key).then(|| Cause::Changed(key.to_vec()))
            }
            Op::DeleteRange { range } => self.overlaps(&range).then_some(Cause::RangeDeleted),
        })
    }

    /// What of several commits together, given as keys and ranges, changes something that was read.
    pub(super) fn touched_by_all(&self, keys: &BTreeSet<&[u8]>, cleared: &Spans) -> Option<Cause> {
        let key = self.keys.iter().map(Vec::as_slice).find(|key| keys.contains(key));
        let key = key.or_else(|| {
            self.spans.ranges().find_map(|range| keys.range::<[u8], _>(range.bounds()).next().copied())
        });
        if let Some(key) = key {
            return Some(Cause::Changed(key.to_vec()));
        }
        let deleted = self.keys.iter().any(|key| cleared.contains(key))
            || !cleared.is_empty() && self.spans.ranges().any(|range| cleared.overlaps(&range));
        deleted.then_some(Cause::RangeDeleted)
    }

    pub(super) fn conflict(&self, cause: Cause) -> Conflict {
        Conflict { cause, base: self.base, redos: 0 }
    }
}
