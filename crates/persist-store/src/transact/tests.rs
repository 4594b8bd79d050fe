//! Sets of ranges against a model, and judging a group by itself.

use std::ops::Bound;
use std::sync::Arc;

use persist_api::{BeatNo, Durability, KeyRange};
use proptest::collection::vec;
use proptest::prelude::*;

use super::spans::Spans;
use super::{Cause, Reads, Recent};
use crate::BeatLog;
use crate::group::{Entry, Failure, Work};

/// Every key of up to two of three letters.
fn universe() -> Vec<Vec<u8>> {
    let mut keys = vec![Vec::new()];
    for first in 0..3 {
        keys.push(vec![first]);
        keys.extend((0..3).map(|second| vec![first, second]));
    }
    keys
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    vec(0_u8..3, 0..3)
}

fn range() -> impl Strategy<Value = KeyRange<'static>> {
    let bound = || {
        (key(), 0..3).prop_map(|(key, kind)| match kind {
            0 => Bound::Included(key),
            1 => Bound::Excluded(key),
            _ => Bound::Unbounded,
        })
    };
    (bound(), bound()).prop_map(|(start, end)| KeyRange::owned(start, end))
}

proptest! {
    #[test]
    fn spans_are_sets_of_keys(ranges in vec(range(), 0..6), asked in range()) {
        let mut spans = Spans::default();
        for range in &ranges {
            spans.insert(range);
        }
        for key in universe() {
            let expected = ranges.iter().any(|range| range.contains(&key));
            prop_assert_eq!(spans.contains(&key), expected, "{:?}", key);
            let listed = spans.ranges().filter(|range| range.contains(&key)).count();
            prop_assert_eq!(listed, usize::from(expected), "disjoint");
        }
        // Between any two keys there are others, so what overlaps may hold none of these few.
        let common = universe().iter().any(|key| asked.contains(key) && spans.contains(key));
        prop_assert!(spans.overlaps(&asked) || !common);
        prop_assert_eq!(spans.overlaps(&asked), ranges.iter().any(|range| overlap(range, &asked)));
        let listed: Vec<_> = spans.ranges().collect();
        prop_assert!(listed.iter().all(|range| !range.is_empty()));
        prop_assert_eq!(spans.is_empty(), ranges.iter().all(KeyRange::is_empty));
        prop_assert_eq!(spans.memory() == 0, spans.is_empty());
    }
}

/// Whether two ranges have a key in common: their intersection is not empty.
fn overlap(one: &KeyRange<'_>, other: &KeyRange<'_>) -> bool {
    let starts = [one.start(), other.start()];
    let ends = [one.end(), other.end()];
    !one.is_empty()
        && !other.is_empty()
        && starts.iter().all(|start| ends.iter().all(|end| !KeyRange::new(*start, *end).is_empty()))
}

fn entry(log: BeatLog, reads: Option<Reads>) -> Arc<Entry> {
    Arc::new(Entry::new(Work { reads, ..Work::new(log, Durability::Volatile, 0) }))
}

fn log(change: impl Fn(&mut BeatLog)) -> BeatLog {
    let mut log = BeatLog::new();
    change(&mut log);
    log
}

fn reads(note: impl Fn(&mut Reads)) -> Reads {
    let mut reads = Reads::new(BeatNo(7), 1 << 20);
    note(&mut reads);
    reads
}

/// Earlier commits of a group count, refused ones do not, and a transaction does not stand against itself.
#[test]
fn a_group_is_judged_in_order() {
    let cause = |earlier: &BeatLog, reads: Reads| {
        let recent = Recent::new(BeatNo(7));
        let mine = log(|log| log.put(b"k", b"mine").unwrap());
        let group = [entry(earlier.clone(), None), entry(mine, Some(reads))];
        let refused = recent.judge(&group);
        assert!(group[0].is_open());
        match group[1].take_outcome() {
            Some(Err(Failure::Conflict(conflict))) => {
                assert!(refused);
                Some(conflict.cause)
            }
            Some(_) => panic!("a conflict"),
            None => {
                assert!(!refused);
                None
            }
        }
    };
    let put = log(|log| log.put(b"k", b"").unwrap());
    let delete = log(|log| log.delete(b"k").unwrap());
    let clear = log(|log| log.delete_range(&KeyRange::prefix(b"k")).unwrap());
    let changed = Some(Cause::Changed(b"k".to_vec()));
    shuttle::check_random(
        move || {
            let key = |key: &'static [u8]| move || reads(|reads| reads.note_key(key));
            let span = |key: &'static [u8]| move || reads(|reads| reads.note_range(&KeyRange::prefix(key)));
            for earlier in [&put, &delete] {
                assert_eq!(cause(earlier, key(b"k")()), changed);
                assert_eq!(cause(earlier, span(b"k")()), changed);
                assert_eq!(cause(earlier, key(b"ka")()), None);
                assert_eq!(cause(earlier, span(b"ka")()), None);
            }
            for touched in [key(b"k")(), key(b"kz")(), span(b"k")(), span(b"ka")(), span(b"")()] {
                assert_eq!(cause(&clear, touched), Some(Cause::RangeDeleted));
            }
            assert_eq!(cause(&clear, key(b"l")()), None);
            assert_eq!(cause(&clear, span(b"l")()), None);
        },
        1,
    );
}

#[test]
fn what_a_refused_transaction_would_have_changed_stands_against_nobody() {
    shuttle::check_random(
        || {
            let recent = Recent::new(BeatNo(7));
            let write = |key: &'static [u8]| log(move |log| log.put(key, b"").unwrap());
            let group = [
                entry(write(b"a"), None),
                entry(write(b"b"), Some(reads(|reads| reads.note_key(b"a")))),
                entry(write(b"c"), Some(reads(|reads| reads.note_key(b"b")))),
                entry(write(b"d"), Some(reads(|reads| reads.note_key(b"c")))),
            ];
            assert!(recent.judge(&group));
            assert_eq!(group.map(|entry| entry.is_open()), [true, false, true, false]);
        },
        1,
    );
}
