//! Key ranges in RocksDB's form: from a key, included, to a key, excluded.

use std::ops::Bound;

use persist_api::KeyRange;

/// The key of the header record. Nothing sorts before it, and no range of records reaches it.
pub(crate) const HEADER_KEY: &[u8] = &[];

/// The smallest key that a record can have.
const FIRST_KEY: &[u8] = &[0];

/// A range that can hold something: `start` is included and never the header's key, `end` is excluded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) start: Vec<u8>,
    pub(crate) end: Option<Vec<u8>>,
}

impl Bounds {
    /// The bounds of a range; `None` when nothing can lie in it.
    pub(crate) fn of(range: &KeyRange<'_>) -> Option<Self> {
        if range.is_empty() {
            return None;
        }
        let start = match range.start() {
            Bound::Unbounded | Bound::Included([]) => FIRST_KEY.to_vec(),
            Bound::Included(key) => key.to_vec(),
            Bound::Excluded(key) => successor(key),
        };
        let end = match range.end() {
            Bound::Unbounded => None,
            Bound::Included(key) => Some(successor(key)),
            Bound::Excluded(key) => Some(key.to_vec()),
        };
        let holds = end.as_ref().is_none_or(|end| start < *end);
        holds.then_some(Self { start, end })
    }
}

/// The smallest key above `key`: the same with a zero byte behind it.
pub(crate) fn successor(key: &[u8]) -> Vec<u8> {
    let mut next = Vec::with_capacity(key.len().saturating_add(1));
    next.extend_from_slice(key);
    next.push(0);
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_what_the_range_holds() {
        let keys: [&[u8]; 7] = [b"", b"\0", b"\0\0", b"a", b"a\0", b"b", b"\xff"];
        let bounds = keys.iter().flat_map(|key| [Bound::Included(*key), Bound::Excluded(*key)]);
        let bounds: Vec<_> = bounds.chain([Bound::Unbounded]).collect();
        for &start in &bounds {
            for &end in &bounds {
                let range = KeyRange::new(start, end);
                let made = Bounds::of(&range);
                for key in &keys[1..] {
                    let inside = made.as_ref().is_some_and(|made| {
                        *key >= made.start.as_slice() && made.end.as_deref().is_none_or(|end| *key < end)
                    });
                    assert_eq!(inside, range.contains(key), "{key:?} in {range:?}");
                }
                assert!(made.is_none_or(|made| !made.start.is_empty()), "{range:?} reaches the header");
            }
        }
    }
}
