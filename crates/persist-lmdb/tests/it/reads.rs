use std::ops::{Bound, ControlFlow};

use persist_api::{Direction, ErrorKind, KeyRange, OpenOptions, Scan};

use crate::support::*;

/// Every pair of bounds out of a list that holds the awkward ones, both ways, by visitor, cursor and seek.
#[test]
fn scans_of_all_bounds_agree_with_a_filter() {
    let home = tempfile::tempdir().unwrap();
    let engine = open(home.path());
    let long = |byte: u8, len: usize| vec![byte; len];
    let keys =
        [vec![0], vec![0, 0], vec![7], long(7, 510), long(7, 511), vec![8], long(255, 1), long(255, 511)];
    commit(&*engine, |beat| keys.iter().try_for_each(|key| beat.put_record(key, &key[..1])));
    let view = engine.view().unwrap();
    let bounds =
        [vec![], vec![0], vec![7], long(7, 511), long(7, 512), long(7, 600), vec![9], long(255, 600)];
    let kinds = |key: &Vec<u8>| [Bound::Included(key.clone()), Bound::Excluded(key.clone())];
    let bounds: Vec<_> = bounds.iter().flat_map(kinds).chain([Bound::Unbounded]).collect();
    for start in &bounds {
        for end in &bounds {
            let range = KeyRange::owned(start.clone(), end.clone());
            let mut expected: Vec<_> = keys.iter().filter(|key| range.contains(key)).cloned().collect();
            expected.sort();
            for direction in [Direction::Forward, Direction::Reverse] {
                if direction == Direction::Reverse {
                    expected.reverse();
                }
                let scan = Scan { direction, ..Scan::range(range.borrowed()) };
                let found = rows(&*view, scan.clone());
                assert!(found.iter().map(|(key, _)| key).eq(&expected), "{scan:?}");
                assert!(found.iter().all(|(key, value)| value[..] == key[..1]));
                let mut cursor = view.cursor(scan.clone()).unwrap();
                let mut stepped = Vec::new();
                while cursor.advance().unwrap() {
                    stepped.push(cursor.key().to_vec());
                }
                assert_eq!(stepped, expected);
                assert!(!cursor.advance().unwrap() && cursor.key().is_empty());
                for key in [b"".to_vec(), vec![7], long(7, 600), long(255, 600)] {
                    let beyond = |known: &&Vec<u8>| match direction {
                        Direction::Forward => **known >= key,
                        Direction::Reverse => **known <= key,
                    };
                    let hit = expected.iter().find(beyond);
                    assert_eq!(cursor.seek(&key).unwrap(), hit.is_some(), "{key:?} in {scan:?}");
                    assert_eq!(cursor.key(), hit.map_or(&[][..], |key| key));
                }
            }
        }
    }
}

#[test]
fn limits_breaks_and_keys_only() {
    let home = tempfile::tempdir().unwrap();
    let engine = open(home.path());
    fill(&*engine, 0, 10, 5);
    let view = engine.view().unwrap();
    for limit in [0, 1, 9, 10, 11] {
        assert_eq!(rows(&*view, Scan::all().limit(limit)).len() as u64, limit.min(10));
        let mut cursor = view.cursor(Scan::all().limit(limit)).unwrap();
        let mut count = 0;
        while cursor.advance().unwrap() {
            count += 1;
        }
        assert_eq!(count, limit.min(10));
        assert_eq!(cursor.seek(&3_u64.to_be_bytes()).unwrap(), limit > 0);
        assert_eq!(cursor.advance().unwrap(), limit > 1);
    }
    let mut seen = 0;
    let stop_at_four = &mut |_: &[u8], _: &[u8]| {
        seen += 1;
        if seen == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    view.scan(Scan::all(), stop_at_four).unwrap();
    assert_eq!(seen, 4);
    assert!(rows(&*view, Scan::all().keys_only()).iter().all(|(_, value)| value.is_empty()));
    let mut cursor = view.cursor(Scan::all().keys_only()).unwrap();
    assert!(cursor.key().is_empty() && cursor.advance().unwrap());
    assert!(cursor.value().is_empty() && cursor.key().len() == 8);
}

#[test]
fn values_are_slices_of_the_map() {
    let home = tempfile::tempdir().unwrap();
    let engine = open(home.path());
    fill(&*engine, 0, 2, 100_000);
    let view = engine.view().unwrap();
    let value = view.get_record(&1_u64.to_be_bytes()).unwrap().unwrap();
    assert!(value.is_zero_copy() && value.len() == 100_000);
    let again = view.get_record(&1_u64.to_be_bytes()).unwrap().unwrap();
    assert_eq!(value.as_ptr(), again.as_ptr());
    assert!(view.get_record(b"").unwrap().is_none() && view.get_record(&[0; 512]).unwrap().is_none());
}

#[test]
fn a_view_stays_at_its_beat_on_any_thread() {
    let home = tempfile::tempdir().unwrap();
    let engine = open(home.path());
    fill(&*engine, 0, 100, 10);
    let view = engine.view().unwrap();
    for round in 1..50 {
        fill(&*engine, round, 100, 20);
    }
    std::thread::spawn(move || {
        assert_eq!(view.header().beat.0, 1);
        assert!(rows(&*view, Scan::all()).iter().all(|(_, value)| value.len() == 10));
    })
    .join()
    .unwrap();
}

#[test]
fn views_are_counted_and_refused_beyond_the_limit() {
    let home = tempfile::tempdir().unwrap();
    let options =
        OpenOptions { views_max: Some(200), close_wait: std::time::Duration::ZERO, ..OpenOptions::default() };
    let engine = open_with(home.path(), &options).unwrap();
    let mut views: Vec<_> = (0..200).map(|_| engine.view().unwrap()).collect();
    assert_eq!(engine.view().err().unwrap().kind(), ErrorKind::Busy);
    let stats = engine.stats().unwrap();
    assert_eq!((stats.views_open, stats.oldest_view_beat.unwrap().0), (200, 0));
    views.pop();
    views.push(engine.view().unwrap());
    let Err((engine, error)) = engine.close() else { panic!("closed under 200 views") };
    assert_eq!(error.kind(), ErrorKind::Busy);
    drop(views);
    fill(&*engine, 0, 1, 1);
    assert!(engine.close().is_ok());
}
