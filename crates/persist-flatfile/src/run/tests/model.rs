//! Runs of random content against a sorted map.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow};

use persist_api::{BeatNo, Direction, KeyRange};
use proptest::prelude::*;

use super::*;
use crate::run::hash;

const FLOOR: u64 = 50;
const LAST: u64 = 60;

fn keys() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => proptest::collection::vec(prop_oneof![Just(0_u8), Just(b'a'), Just(b'b'), Just(0xff)], 0..5),
        2 => proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'b')], 8..12).prop_map(|end| [&b"a common part/"[..], &end].concat()),
        1 => (0_usize..600).prop_map(|len| vec![b'k'; len]),
    ]
}

fn values() -> impl Strategy<Value = Kept> {
    prop_oneof![
        6 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Kept::Inline),
        1 => (0_usize..2000).prop_map(|len| Kept::Inline(vec![b'v'; len])),
        1 => Just(Kept::Deleted),
        1 => any::<(u32, u32, u64, u64)>().prop_map(|(segment, crc, offset, len)| Kept::Large(PayloadRef { segment, crc, offset, len })),
    ]
}

fn models() -> impl Strategy<Value = Model> {
    proptest::collection::vec((keys(), proptest::collection::btree_map(FLOOR..=LAST, values(), 1..6)), 0..60)
        .prop_map(|keys| {
            let keys: BTreeMap<_, _> = keys.into_iter().collect();
            let versions = keys.into_iter().flat_map(|(key, versions)| {
                versions.into_iter().map(move |(beat, kept)| ((key.clone(), Reverse(beat)), kept))
            });
            versions.collect()
        })
}

fn shapes() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::default()),
        (30_usize..400, 1_usize..300).prop_map(|(block, index)| Shape { block, index, ranges: 64 })
    ]
}

fn bounds() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![Just(Bound::Unbounded), keys().prop_map(Bound::Included), keys().prop_map(Bound::Excluded)]
}

type Rows = Vec<(Vec<u8>, u64, Kept)>;

fn all(model: &Model) -> Rows {
    model.iter().map(|((key, Reverse(beat)), kept)| (key.clone(), *beat, kept.clone())).collect()
}

/// Of each key the newest version at or below a beat.
fn seen(rows: &Rows, at: u64) -> Rows {
    let mut last = None;
    let newest = |(key, beat, _): &&(Vec<u8>, u64, Kept)| {
        *beat <= at && last.replace(key.clone()).as_ref() != Some(key)
    };
    rows.iter().filter(newest).cloned().collect()
}

fn check_gets(run: &Run, model: &Model, keys: &[Vec<u8>]) {
    for key in keys {
        for at in FLOOR..=LAST + 1 {
            let found = run.get(key, hash(key), BeatNo(at)).unwrap();
            let found = found.map(|version| (version.beat.0, Kept::of(&version.stored)));
            let expected = model.range((key.clone(), Reverse(at))..).next();
            let expected = expected.filter(|((have, _), _)| have == key);
            let expected = expected.map(|((_, Reverse(beat)), kept)| (*beat, kept.clone()));
            assert_eq!(found, expected, "{key:?} at {at}");
        }
    }
}

fn check_cursor(run: &Run, rows: &Rows, range: &KeyRange<'_>) {
    let inside: Rows = rows.iter().filter(|(key, ..)| range.contains(key)).cloned().collect();
    let mut cursor = run.cursor();
    assert!(cursor.next().unwrap().is_none() && cursor.previous().unwrap().is_none());
    cursor.seek(range.start()).unwrap();
    let behind: Rows = rows.iter().filter(|(key, ..)| !range.is_before_start(key)).cloned().collect();
    for row in &behind {
        assert_eq!(cursor.next().unwrap().map(kept).as_ref(), Some(row));
    }
    assert_eq!(cursor.next().unwrap(), None);
    assert_eq!(cursor.next().unwrap(), None);
    for row in rows.iter().rev() {
        assert_eq!(cursor.previous().unwrap().map(kept).as_ref(), Some(row));
    }
    assert_eq!(cursor.previous().unwrap(), None);
    cursor.seek_back(range.end()).unwrap();
    for row in rows.iter().rev().filter(|(key, ..)| !range.is_after_end(key)) {
        assert_eq!(cursor.previous().unwrap().map(kept).as_ref(), Some(row));
    }
    assert_eq!(cursor.previous().unwrap(), None);
    cursor.seek_back(range.end()).unwrap();
    let beyond = rows.iter().find(|(key, ..)| range.is_after_end(key));
    assert_eq!(cursor.next().unwrap().map(kept).as_ref(), beyond);

    for direction in [Direction::Forward, Direction::Reverse] {
        let ordered = |mut rows: Rows| {
            if direction == Direction::Reverse {
                rows.reverse();
            }
            rows
        };
        let expected = if range.is_empty() { Rows::new() } else { ordered(inside.clone()) };
        let mut visited = Rows::new();
        let done = run.visit(range, direction, |key, version| {
            visited.push(kept((key, version)));
            ControlFlow::Continue(())
        });
        assert_eq!((done.unwrap(), &visited), (ControlFlow::Continue(()), &expected));
        for at in [FLOOR, FLOOR + 3, LAST] {
            let expected = if range.is_empty() { Rows::new() } else { ordered(seen(&inside, at)) };
            let mut visited = Rows::new();
            let _ = run.visit_at(range, direction, BeatNo(at), |key, version| {
                visited.push(kept((key, version)));
                ControlFlow::Continue(())
            });
            assert_eq!(visited, expected);
            let half = expected.len() / 2;
            let mut visited = Rows::new();
            let done = run.visit_at(range, direction, BeatNo(at), |key, version| {
                visited.push(kept((key, version)));
                if visited.len() > half { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            assert_eq!(done.unwrap().is_break(), !expected.is_empty());
            assert_eq!(visited, expected.into_iter().take(half + 1).collect::<Rows>());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_run_is_the_sorted_map_of_its_versions(
        model in models(),
        shape in shapes(),
        others in proptest::collection::vec(keys(), 20),
        ranges in proptest::collection::vec((bounds(), bounds()), 6),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let stat = write(dir.path(), head(LAST, FLOOR), shape, &model, &[], &[]);
        let run = Run::open(&RealDisk, dir.path(), NUMBER).unwrap();
        let rows = all(&model);
        let mut keys: BTreeSet<Vec<u8>> = rows.iter().map(|(key, ..)| key.clone()).collect();
        prop_assert_eq!(stat.records, rows.len() as u64);
        prop_assert_eq!(stat.keys, keys.len() as u64);
        let ends = keys.first().cloned().zip(keys.last().cloned());
        prop_assert_eq!(run.key_bounds().map(|(a, b)| (a.to_vec(), b.to_vec())), ends);
        keys.extend(others);
        check_gets(&run, &model, &keys.into_iter().collect::<Vec<_>>());
        check_cursor(&run, &rows, &KeyRange::all());
        for (start, end) in ranges {
            check_cursor(&run, &rows, &KeyRange::owned(start, end));
        }
    }
}
