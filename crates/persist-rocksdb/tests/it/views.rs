//! Views: ownership, pinned reads, scans and cursors beside the header's record.

use std::ops::Bound::{Excluded, Included, Unbounded};
use std::ops::ControlFlow;

use persist_api::{Direction, Durability, Engine, ErrorKind, KeyRange, OpenOptions, Scan, View};

use crate::kit::{commit, home, open, open_with, put, rows};

#[test]
fn handles_go_between_threads() {
    fn is_send_and_sync<T: Send + Sync + ?Sized>() {}
    fn is_send<T: Send + ?Sized>() {}
    is_send_and_sync::<dyn Engine>();
    is_send_and_sync::<persist_rocksdb::RocksDbDriver>();
    is_send::<dyn View>();
    let (_guard, home) = home();
    let engine = open(&home);
    put(&*engine, b"a", b"1");
    let view = engine.view().unwrap();
    let seen = std::thread::spawn(move || {
        let value = view.get_record(b"a").unwrap().unwrap();
        assert!(value.is_zero_copy());
        value.into_vec()
    });
    assert_eq!(seen.join().unwrap(), b"1");
}

#[test]
fn a_view_outlives_its_engine_and_keeps_its_beat() {
    let (_guard, home) = home();
    let engine = open(&home);
    put(&*engine, b"a", b"1");
    let view = engine.view().unwrap();
    commit(&*engine, Durability::Durable, |beat| {
        beat.delete_range(KeyRange::all()).unwrap();
        beat.put_record(b"b", b"2").unwrap();
    });
    engine.checkpoint().unwrap();
    engine.compact(persist_api::CompactScope::default(), &persist_api::Quiet).unwrap();
    drop(engine);
    assert_eq!(view.header().beat.0, 1);
    assert_eq!(rows(&*view, Scan::all()), [(b"a".to_vec(), b"1".to_vec())]);
    drop(view);
    assert_eq!(rows(&*open(&home).view().unwrap(), Scan::all()), [(b"b".to_vec(), b"2".to_vec())]);
}

#[test]
fn the_header_is_never_a_row() {
    let (_guard, home) = home();
    let engine = open(&home);
    put(&*engine, b"\0", b"first");
    let view = engine.view().unwrap();
    assert!(view.get_record(b"").unwrap().is_none());
    for range in [
        KeyRange::all(),
        KeyRange::prefix(b""),
        KeyRange::new(Included(b""), Unbounded),
        KeyRange::new(Excluded(b""), Unbounded),
        KeyRange::new(Included(b""), Included(b"\0")),
    ] {
        for scan in [Scan::range(range.borrowed()), Scan::range(range.borrowed()).reverse()] {
            assert_eq!(rows(&*view, scan.clone()), [(vec![0], b"first".to_vec())], "{scan:?}");
            let mut cursor = view.cursor(scan).unwrap();
            assert!(cursor.seek(b"").unwrap() == (cursor.key() == b"\0"));
            cursor.seek(b"\0").unwrap();
            assert_eq!(cursor.key(), b"\0");
            assert!(!cursor.advance().unwrap());
        }
    }
    assert_eq!(rows(&*view, Scan::range(KeyRange::new(Unbounded, Included(b"")))), []);
}

/// A cursor and the visitor against a plain filter, over all bounds and seeks.
#[test]
fn cursors_and_scans_show_what_a_filter_shows() {
    let keys: [&[u8]; 6] = [b"\0", b"a", b"a\0", b"b", b"\xff", b"\xff\xff"];
    let (_guard, home) = home();
    let engine = open(&home);
    commit(&*engine, Durability::Buffered, |beat| {
        for key in keys {
            beat.put_record(key, key).unwrap();
        }
    });
    let view = engine.view().unwrap();
    let probes: [&[u8]; 8] = [b"", b"\0", b"\0\0", b"a", b"aa", b"b", b"\xff", b"\xff\xff\xff"];
    let bounds = || probes.iter().flat_map(|key| [Included(*key), Excluded(*key)]).chain([Unbounded]);
    for start in bounds() {
        for end in bounds() {
            for direction in [Direction::Forward, Direction::Reverse] {
                let scan = Scan { direction, ..Scan::range(KeyRange::new(start, end)) };
                assert_eq!(walk(&*view, scan.clone(), None), expected(&keys, &scan), "{scan:?}");
                assert_eq!(
                    rows(&*view, scan.clone()).into_iter().map(|row| row.0).collect::<Vec<_>>(),
                    expected(&keys, &scan),
                    "{scan:?}"
                );
                for probe in probes {
                    let rest = scan.from(probe);
                    assert_eq!(
                        walk(&*view, scan.clone(), Some(probe)),
                        expected(&keys, &rest),
                        "{scan:?} {probe:?}"
                    );
                }
            }
        }
    }
}

fn expected(keys: &[&[u8]], scan: &Scan<'_>) -> Vec<Vec<u8>> {
    let mut found: Vec<_> =
        keys.iter().filter(|key| scan.range.contains(key)).map(|key| key.to_vec()).collect();
    if scan.direction == Direction::Reverse {
        found.reverse();
    }
    found
}

fn walk(view: &dyn View, scan: Scan<'_>, seek: Option<&[u8]>) -> Vec<Vec<u8>> {
    let mut cursor = view.cursor(scan).unwrap();
    assert!(cursor.key().is_empty());
    let mut found = Vec::new();
    let mut more = match seek {
        Some(key) => cursor.seek(key).unwrap(),
        None => cursor.advance().unwrap(),
    };
    while more {
        assert_eq!(cursor.key(), cursor.value());
        found.push(cursor.key().to_vec());
        more = cursor.advance().unwrap();
    }
    assert!(!cursor.advance().unwrap());
    assert!(cursor.key().is_empty() && cursor.value().is_empty());
    found
}

#[test]
fn limits_count_rows_and_break_ends_a_scan() {
    let (_guard, home) = home();
    let engine = open(&home);
    commit(&*engine, Durability::Buffered, |beat| {
        for n in 0..10_u8 {
            beat.put_record(&[n], &[n]).unwrap();
        }
    });
    let view = engine.view().unwrap();
    assert_eq!(rows(&*view, Scan::all().limit(0)), []);
    assert_eq!(rows(&*view, Scan::all().limit(3)).len(), 3);
    assert!(
        rows(&*view, Scan::all().keys_only()).iter().all(|(key, value)| key.len() == 1 && value.is_empty())
    );
    let mut visited = 0;
    view.scan(Scan::all(), &mut |_, _| {
        visited += 1;
        if visited == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap();
    assert_eq!(visited, 4);
    let mut cursor = view.cursor(Scan::all().limit(2)).unwrap();
    assert!(cursor.advance().unwrap() && cursor.advance().unwrap() && !cursor.advance().unwrap());
    assert!(cursor.seek(&[5]).unwrap() && cursor.advance().unwrap() && !cursor.advance().unwrap());
    assert!(!view.cursor(Scan::all().limit(0)).unwrap().seek(&[1]).unwrap());
}

#[test]
fn views_are_counted() {
    let (_guard, home) = home();
    let options =
        OpenOptions { views_max: Some(1), close_wait: std::time::Duration::ZERO, ..OpenOptions::default() };
    let engine = open_with(&home, &options).unwrap();
    let view = engine.view().unwrap();
    assert_eq!(engine.view().err().unwrap().kind(), ErrorKind::Busy);
    let (engine, error) = engine.close().err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert_eq!(engine.stats().unwrap().views_open, 1);
    drop(view);
    drop(engine.view().unwrap());
    assert!(engine.close().is_ok());
}
