//! Sets of key ranges.

use std::collections::BTreeMap;
use std::ops::Bound;

use persist_api::KeyRange;

/// Memory of one range beside its bounds, about.
const SPAN_BYTES: u64 = 96;

/// A set of keys, as ranges that neither overlap nor touch: start → end. A start belongs to its range, an end does not, and
/// no end means without end.
#[derive(Debug, Default)]
pub(super) struct Spans {
    spans: BTreeMap<Vec<u8>, End>,
    bytes: u64,
}

/// Where a range ends. The order is that of the keys, and no end comes last.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Before(Vec<u8>),
    Never,
}

impl End {
    fn is_after(&self, key: &[u8]) -> bool {
        match self {
            Self::Before(end) => end.as_slice() > key,
            Self::Never => true,
        }
    }

    fn reaches(&self, key: &[u8]) -> bool {
        match self {
            Self::Before(end) => end.as_slice() >= key,
            Self::Never => true,
        }
    }
}

/// The key right after this one.
fn after(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

/// A range in this form; `None` for an empty one.
fn span(range: &KeyRange<'_>) -> Option<(Vec<u8>, End)> {
    if range.is_empty() {
        return None;
    }
    let start = match range.start() {
        Bound::Included(key) => key.to_vec(),
        Bound::Excluded(key) => after(key),
        Bound::Unbounded => Vec::new(),
    };
    let end = match range.end() {
        Bound::Included(key) => End::Before(after(key)),
        Bound::Excluded(key) => End::Before(key.to_vec()),
        Bound::Unbounded => End::Never,
    };
    Some((start, end))
}

fn memory(start: &[u8], end: &End) -> u64 {
    let end = if let End::Before(end) = end { end.len() } else { 0 };
    SPAN_BYTES.saturating_add(start.len() as u64).saturating_add(end as u64)
}

impl Spans {
    /// Adds a range; merges it with those that it overlaps or touches.
    pub(super) fn insert(&mut self, range: &KeyRange<'_>) {
        let Some((mut start, mut end)) = span(range) else { return };
        if let Some((earlier, reach)) = self.spans.range(..=start.clone()).next_back()
            && reach.reaches(&start)
        {
            if *reach >= end {
                return;
            }
            start.clone_from(earlier);
        }
        while let Some((next, reach)) = self.spans.range(start.clone()..).next()
            && end.reaches(next)
        {
            let next = next.clone();
            self.bytes = self.bytes.saturating_sub(memory(&next, reach));
            if let Some(reach) = self.spans.remove(&next) {
                end = end.max(reach);
            }
        }
        self.bytes = self.bytes.saturating_add(memory(&start, &end));
        self.spans.insert(start, end);
    }

    pub(super) fn contains(&self, key: &[u8]) -> bool {
        self.spans
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(key)))
            .next_back()
            .is_some_and(|(_, end)| end.is_after(key))
    }

    /// True when some key lies both here and in the range.
    pub(super) fn overlaps(&self, range: &KeyRange<'_>) -> bool {
        let Some((start, end)) = span(range) else { return false };
        let before_end = match &end {
            End::Before(end) => Bound::Excluded(end.as_slice()),
            End::Never => Bound::Unbounded,
        };
        let last = self.spans.range::<[u8], _>((Bound::Unbounded, before_end)).next_back();
        last.is_some_and(|(_, end)| end.is_after(&start))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Each range, in order.
    pub(super) fn ranges(&self) -> impl Iterator<Item = KeyRange<'_>> {
        self.spans.iter().map(|(start, end)| {
            let end = match end {
                End::Before(end) => Bound::Excluded(end.as_slice()),
                End::Never => Bound::Unbounded,
            };
            KeyRange::new(Bound::Included(start), end)
        })
    }

    pub(super) const fn memory(&self) -> u64 {
        self.bytes
    }
}
