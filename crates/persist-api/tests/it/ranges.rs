//! Key ranges, prefix successors, and what is left of a scan.

use std::ops::Bound;

use persist_api::{KeyRange, Scan, prefix_successor};
use proptest::prelude::*;

use crate::kit::config;

/// Keys of few letters, so that prefixes, neighbours and equals are common.
fn key() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(prop_oneof![Just(0), Just(1), Just(0x61), Just(0xFE), Just(0xFF)], 0..4)
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![Just(Bound::Unbounded), key().prop_map(Bound::Included), key().prop_map(Bound::Excluded)]
}

fn range() -> impl Strategy<Value = KeyRange<'static>> {
    (bound(), bound()).prop_map(|(start, end)| KeyRange::owned(start, end))
}

/// Every key of at most three letters of `key`'s alphabet.
fn all_keys() -> Vec<Vec<u8>> {
    let letters = [0_u8, 1, 0x61, 0xFE, 0xFF];
    let mut keys = vec![Vec::new()];
    let mut last = keys.clone();
    for _ in 0..3 {
        last =
            last.iter().flat_map(|key| letters.map(|letter| [key.as_slice(), &[letter]].concat())).collect();
        keys.extend(last.iter().cloned());
    }
    keys
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_prefix_range_holds_what_begins_with_it(prefix in key(), other in key()) {
        let range = KeyRange::prefix(&prefix);
        prop_assert_eq!(range.contains(&other), other.starts_with(&prefix));
        let longer = [prefix.as_slice(), &other].concat();
        prop_assert!(range.contains(&longer));
    }

    #[test]
    fn the_successor_is_the_smallest_key_beyond(prefix in key(), other in key()) {
        match prefix_successor(&prefix) {
            None => prop_assert!(prefix.iter().all(|byte| *byte == 0xFF)),
            Some(end) => {
                prop_assert!(end > prefix);
                prop_assert!(!end.starts_with(&prefix));
                // Whatever lies between begins with the prefix: nothing smaller would do.
                if other >= prefix && other < end {
                    prop_assert!(other.starts_with(&prefix));
                }
                if other.starts_with(&prefix) {
                    prop_assert!(other < end);
                }
            }
        }
    }

    #[test]
    fn inside_is_neither_before_nor_after(range in range(), key in key()) {
        let inside = range.contains(&key);
        prop_assert_eq!(inside, !range.is_before_start(&key) && !range.is_after_end(&key));
        let (start, end) = range.bounds();
        let by_std = std::ops::RangeBounds::<[u8]>::contains(&(start, end), key.as_slice());
        prop_assert_eq!(inside, by_std);
    }

    #[test]
    fn empty_means_that_no_key_is_inside(range in range()) {
        let held = all_keys().iter().any(|key| range.contains(key));
        // A range may hold only keys longer than the sample, never the other way round.
        prop_assert!(!(range.is_empty() && held));
        if !range.is_empty() {
            prop_assert!(range.contains(&witness(&range)), "{:?}", range);
        }
    }

    #[test]
    fn owning_and_borrowing_change_nothing(range in range()) {
        prop_assert_eq!(&range.borrowed(), &range);
        prop_assert_eq!(range.clone().into_owned(), range);
    }

    #[test]
    fn what_is_left_of_a_scan_is_what_lies_at_and_beyond(range in range(), at in key(), key in key(), reverse: bool) {
        let mut scan = Scan::range(range.clone()).limit(7);
        if reverse {
            scan = scan.reverse();
        }
        let left = scan.from(&at);
        let beyond = if reverse { key <= at } else { key >= at };
        prop_assert_eq!(left.range.contains(&key), range.contains(&key) && beyond);
        prop_assert_eq!((left.limit, left.direction), (scan.limit, scan.direction));
    }
}

/// A key of a range that is not empty: its lower bound, or the first key after it.
fn witness(range: &KeyRange<'_>) -> Vec<u8> {
    match range.start() {
        Bound::Unbounded => Vec::new(),
        Bound::Included(start) => start.to_vec(),
        Bound::Excluded(start) => [start, &[0]].concat(),
    }
}

#[test]
fn ranges_of_rust() {
    let of = KeyRange::of::<[u8]>(b"a".as_slice()..=b"b".as_slice());
    assert_eq!(of, KeyRange::new(Bound::Included(b"a"), Bound::Included(b"b")));
    assert_eq!(KeyRange::of::<str>("a".."b"), KeyRange::new(Bound::Included(b"a"), Bound::Excluded(b"b")));
    assert_eq!(KeyRange::prefix(b""), KeyRange::all());
    assert_eq!(prefix_successor(b"a\xFF\xFF"), Some(b"b".to_vec()));
    assert_eq!(prefix_successor(b"\xFF"), None);
    assert_eq!(prefix_successor(b""), None);
}
