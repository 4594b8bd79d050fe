//! Ranges that LMDB can take: it refuses empty keys, and keys longer than 511 bytes can neither be stored nor searched.

use std::ops::Bound;

use persist_api::KeyRange;

/// Longest key in bytes, a constant of the library (`mdb_env_get_maxkeysize`).
pub(crate) const KEY_BYTES_MAX: usize = 511;

/// A range with the same keys, whose bounds are keys that LMDB takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span<'k> {
    pub(crate) start: Bound<&'k [u8]>,
    pub(crate) end: Bound<&'k [u8]>,
}

impl<'k> Span<'k> {
    /// `None` when no key can lie inside.
    pub(crate) fn of(range: &'k KeyRange<'_>) -> Option<Self> {
        if range.is_empty() {
            return None;
        }
        // A stored key is at most 511 bytes long, so it is never equal to a longer bound and lies below it exactly if
        // it is at most the bound's first 511 bytes.
        let start = match range.start() {
            Bound::Included([]) | Bound::Excluded([]) | Bound::Unbounded => Bound::Unbounded,
            Bound::Included(key) if key.len() <= KEY_BYTES_MAX => Bound::Included(key),
            Bound::Included(key) | Bound::Excluded(key) => Bound::Excluded(shorten(key)),
        };
        let end = match range.end() {
            Bound::Included([]) | Bound::Excluded([]) => return None,
            Bound::Excluded(key) if key.len() <= KEY_BYTES_MAX => Bound::Excluded(key),
            Bound::Included(key) | Bound::Excluded(key) => Bound::Included(shorten(key)),
            Bound::Unbounded => Bound::Unbounded,
        };
        Some(Self { start, end })
    }

    /// True if it holds every key.
    pub(crate) fn is_all(&self) -> bool {
        self.start == Bound::Unbounded && self.end == Bound::Unbounded
    }

    /// True if the key does not lie above the end.
    #[inline]
    pub(crate) fn ends_after(&self, key: &[u8]) -> bool {
        match self.end {
            Bound::Included(end) => key <= end,
            Bound::Excluded(end) => key < end,
            Bound::Unbounded => true,
        }
    }

    /// True if the key does not lie below the start.
    #[inline]
    pub(crate) fn starts_before(&self, key: &[u8]) -> bool {
        match self.start {
            Bound::Included(start) => key >= start,
            Bound::Excluded(start) => key > start,
            Bound::Unbounded => true,
        }
    }
}

fn shorten(key: &[u8]) -> &[u8] {
    key.get(..KEY_BYTES_MAX).unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A span must hold exactly the storable keys that its range holds.
    #[test]
    fn a_span_holds_what_its_range_holds() {
        let long = |byte: u8, len: usize| vec![byte; len];
        let mut tail = long(7, 511);
        tail.push(1);
        let mut below = long(7, 510);
        below.push(6);
        let bounds: Vec<Vec<u8>> = vec![
            vec![],
            vec![0],
            vec![7],
            long(7, 510),
            below.clone(),
            long(7, 511),
            tail,
            long(7, 512),
            long(7, 600),
            vec![8],
            long(255, 511),
            long(255, 512),
        ];
        let keys: Vec<&Vec<u8>> = bounds.iter().filter(|key| (1..=511).contains(&key.len())).collect();
        let kinds = |key: &Vec<u8>| [Bound::Included(key.clone()), Bound::Excluded(key.clone())];
        let all: Vec<Bound<Vec<u8>>> = bounds.iter().flat_map(kinds).chain([Bound::Unbounded]).collect();
        for start in &all {
            for end in &all {
                let range = KeyRange::owned(start.clone(), end.clone());
                let span = Span::of(&range);
                for key in &keys {
                    let held = span.is_some_and(|span| span.starts_before(key) && span.ends_after(key));
                    assert_eq!(held, range.contains(key), "{} bytes in {range:?}", key.len());
                }
                for bound in span.iter().flat_map(|span| [span.start, span.end]) {
                    if let Bound::Included(key) | Bound::Excluded(key) = bound {
                        assert!((1..=511).contains(&key.len()));
                    }
                }
            }
        }
    }
}
