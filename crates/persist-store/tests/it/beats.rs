//! Beats, commits, views and closing.

use std::ops::Bound;
use std::time::Duration;

use persist_api::{Caps, Cursor, Durability, ErrorKind, KeyRange, OpenOptions, Scan, View};
use persist_io::RealDisk;
use persist_store::{BeatLog, beat_root, default_request, open_with, volatile_request};
use std::sync::Arc;

use crate::kit::{
    change_raw, content, drivers, fails, memory, open_default, place, put, raw, raw_value, toy,
};

pub(crate) fn log(records: &[(&[u8], &[u8])]) -> BeatLog {
    let mut log = BeatLog::new();
    for (key, value) in records {
        log.put(key, value).unwrap();
    }
    log
}

#[test]
fn numbers_go_on_over_restarts() {
    let place = place();
    for round in 0..3_u64 {
        let (mut writer, store) = open_default(&place.home);
        assert_eq!(writer.last().beat.0, 2 * round);
        let receipt = put(&mut writer, &[(b"k", b"v")]);
        assert_eq!((receipt.beat.0, receipt.commit.0), (2 * round + 1, 4 * round + 1));
        let logs = [log(&[(b"a", b"1")]), log(&[(b"b", b"2")]), log(&[])];
        let receipts = writer.commit_group(&logs, Durability::Durable).unwrap();
        let numbers: Vec<_> =
            receipts.iter().map(|r| r.as_ref().map(|r| (r.beat.0, r.commit.0)).unwrap()).collect();
        let beat = 2 * round + 2;
        assert_eq!(numbers, [(beat, 4 * round + 2), (beat, 4 * round + 3), (beat, 4 * round + 4)]);
        assert_eq!(store.stats().unwrap().commit.0, 4 * round + 4);
        assert_eq!(store.stats().unwrap().engine.beat.0, beat);
        if round == 1 {
            store.close().unwrap();
        }
    }
}

#[test]
fn a_bad_commit_of_a_group_is_refused_alone() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    let too_long = vec![7; 100_000];
    let too_large = vec![7; 1 << 20];
    let logs = [
        log(&[(b"a", b"1")]),
        log(&[(b"x", b"1"), (&too_long, b"")]),
        log(&[(b"b", b"2")]),
        log(&[(b"y", &too_large)]),
        log(&[(b"c", b"3")]),
    ];
    let results = writer.commit_group(&logs, Durability::Durable).unwrap();
    let kinds: Vec<_> = results
        .iter()
        .map(|r| r.as_ref().map(|r| (r.beat.0, r.commit.0)).map_err(persist_api::Error::kind))
        .collect();
    let refused = Err(ErrorKind::TooLarge);
    assert_eq!(kinds, [Ok((1, 1)), refused, Ok((1, 2)), refused, Ok((1, 3))]);
    let keys: Vec<_> = content(&store.view().unwrap()).into_keys().collect();
    assert_eq!(keys, [b"a", b"b", b"c"]);

    let results = writer.commit_group(&logs[1..2], Durability::Durable).unwrap();
    assert_eq!(results[0].as_ref().unwrap_err().kind(), ErrorKind::TooLarge);
    assert!(writer.commit_group(&[], Durability::Durable).unwrap().is_empty());
    assert_eq!(writer.last().beat.0, 1, "without a good commit there is no beat");
}

#[test]
fn a_failed_operation_poisons_its_staged_beat_and_nothing_else() {
    let (mut writer, store) = memory();
    let mut beat = writer.begin(Durability::Durable).unwrap();
    beat.put(b"a", b"1").unwrap();
    let long = vec![0; 2 << 20];
    fails(beat.put(&long, b""), ErrorKind::TooLarge, &["put", "key", "1048575"]);
    fails(beat.put(b"b", b"1"), ErrorKind::Poisoned, &["put"]);
    fails(beat.delete(b"b"), ErrorKind::Poisoned, &["delete"]);
    fails(beat.commit(), ErrorKind::Poisoned, &["commit"]);
    assert_eq!(put(&mut writer, &[(b"c", b"1")]).beat.0, 1);
    assert_eq!(content(&store.view().unwrap()).len(), 1);
}

#[test]
fn dropping_or_aborting_a_beat_leaves_nothing() {
    let (mut writer, store) = memory();
    let mut beat = writer.begin(Durability::Durable).unwrap();
    beat.put(b"a", b"1").unwrap();
    beat.abort();
    let mut beat = writer.begin(Durability::Durable).unwrap();
    assert!(beat.log().is_empty());
    beat.put(b"a", b"1").unwrap();
    drop(beat);
    assert_eq!(put(&mut writer, &[(b"b", b"1")]).beat.0, 1);
    assert_eq!(content(&store.view().unwrap()).into_keys().collect::<Vec<_>>(), [b"b"]);
}

#[test]
fn operations_apply_in_order() {
    let (mut writer, store) = memory();
    let mut beat = writer.begin(Durability::Durable).unwrap();
    beat.put(b"a", b"1").unwrap();
    beat.put(b"a", b"2").unwrap();
    beat.put(b"b", b"1").unwrap();
    beat.delete(b"b").unwrap();
    beat.delete(b"never").unwrap();
    beat.put(b"c1", b"").unwrap();
    beat.delete_range(&KeyRange::prefix(b"c")).unwrap();
    beat.put(b"c2", b"").unwrap();
    beat.delete_range(&KeyRange::of::<[u8]>(b"z".as_slice()..b"a".as_slice())).unwrap();
    assert_eq!(beat.log().len(), 8, "the inverted range is not recorded");
    beat.commit().unwrap();
    let content = content(&store.view().unwrap());
    assert_eq!(
        content.into_iter().collect::<Vec<_>>(),
        [(b"a".to_vec(), b"2".to_vec()), (b"c2".to_vec(), vec![])]
    );
}

#[test]
fn users_cannot_reach_the_runtimes_records() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"", b"empty"), (b"\xFF\xFF", b"high"), (b"\0format", b"mine")]);
    let view = store.view().unwrap();
    assert_eq!(content(&view).len(), 3);
    for range in [
        KeyRange::all(),
        KeyRange::new(Bound::Included(b""), Bound::Unbounded),
        KeyRange::new(Bound::Unbounded, Bound::Included(b"\xFF\xFF\xFF")),
    ] {
        put(&mut writer, &[(b"", b"empty"), (b"\xFF\xFF", b"high")]);
        let mut beat = writer.begin(Durability::Durable).unwrap();
        beat.delete_range(&range).unwrap();
        beat.commit().unwrap();
        assert!(content(&store.view().unwrap()).is_empty(), "{range:?}");
    }
    store.close().unwrap_err();
    drop(view);
    store.close().unwrap();
    assert!(raw(&toy(), &place.home).view().unwrap().get_record(b"\0format").unwrap().is_some());
    open_default(&place.home);
}

#[test]
fn users_cannot_reach_beyond_their_records() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"a", b"1")]);
    drop((writer, store));
    change_raw(&toy(), &place.home, &[(b"\x02", b"x"), (b"\x02x", b"x"), (b"\0x", b"x")]);
    let (mut writer, store) = open_default(&place.home);
    let view = store.view().unwrap();
    assert_eq!(content(&view).len(), 1);
    let mut cursor = view.cursor(Scan::all().reverse()).unwrap();
    assert!(cursor.seek(b"\xFF\xFF").unwrap());
    assert_eq!(cursor.key(), b"a");
    assert!(!cursor.advance().unwrap());
    let mut beat = writer.begin(Durability::Durable).unwrap();
    beat.delete_range(&KeyRange::all()).unwrap();
    beat.commit().unwrap();
    assert!(content(&store.view().unwrap()).is_empty());
    drop(cursor);
    drop(view);
    store.close().unwrap();
    for key in [b"\x02".as_slice(), b"\x02x", b"\0x"] {
        assert_eq!(raw_value(&toy(), &place.home, key), b"x");
    }
}

#[test]
fn stats_need_no_view() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"a", b"1")]);
    let views: Vec<_> = (0..8).map(|_| store.view().unwrap()).collect();
    fails(store.view(), ErrorKind::Busy, &["8 views"]);
    let stats = store.stats().unwrap();
    assert_eq!((stats.commit.0, stats.engine.views_open), (1, 8));
    drop(views);
    store.view().unwrap();
}

#[test]
fn empty_keys_and_values_are_ordinary() {
    let (mut writer, store) = memory();
    put(&mut writer, &[(b"", b""), (b"\0", b"zero"), (b"\xFF", b"ff")]);
    let view = store.view().unwrap();
    assert_eq!(view.get(b"").unwrap().as_deref(), Some(b"".as_slice()));
    let mut cursor = view.cursor(Scan::all()).unwrap();
    assert!(cursor.seek(b"").unwrap());
    assert_eq!((cursor.key(), cursor.value()), (b"".as_slice(), b"".as_slice()));
    assert!(cursor.advance().unwrap());
    assert_eq!((cursor.key(), cursor.value()), (b"\0".as_slice(), b"zero".as_slice()));
    let mut beat = writer.begin(Durability::Durable).unwrap();
    beat.delete(b"").unwrap();
    beat.commit().unwrap();
    assert!(store.view().unwrap().get(b"").unwrap().is_none());
    assert!(view.get(b"").unwrap().is_some(), "a view stays at its beat");
}

/// Scans and cursors of the runtime agree with a plain map, for bounds of every kind.
#[test]
fn scans_and_cursors_agree_with_a_map() {
    let (mut writer, store) = memory();
    let keys: [&[u8]; 6] = [b"", b"\0", b"a", b"a\0", b"b", b"\xFF\xFF"];
    put(&mut writer, &keys.map(|key| (key, key)));
    let view = store.view().unwrap();
    let mut bounds = vec![Bound::Unbounded];
    let probes: [&[u8]; 8] = [b"", b"\0", b"a", b"a\0", b"aa", b"b", b"\xFF", b"\xFF\xFF\xFF"];
    bounds.extend(probes.iter().flat_map(|key| [Bound::Included(*key), Bound::Excluded(*key)]));
    for start in &bounds {
        for end in &bounds {
            for (reverse, limit, keys_only) in
                [(false, u64::MAX, false), (true, u64::MAX, true), (true, 2, false)]
            {
                let range = KeyRange::new(*start, *end);
                let mut scan = Scan { keys_only, ..Scan::range(range.clone()).limit(limit) };
                let mut expected: Vec<&[u8]> = keys.into_iter().filter(|key| range.contains(key)).collect();
                if reverse {
                    scan = scan.reverse();
                    expected.reverse();
                }
                expected.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
                let mut rows = Vec::new();
                view.scan(scan.clone(), |key, value| {
                    assert_eq!(value, if keys_only { &[] } else { key });
                    rows.push(key.to_vec());
                    std::ops::ControlFlow::Continue(())
                })
                .unwrap();
                assert_eq!(rows, expected, "{scan:?}");
                let mut cursor = view.cursor(scan).unwrap();
                assert_eq!(cursor.key(), b"");
                for key in &expected {
                    assert!(cursor.advance().unwrap());
                    assert_eq!(cursor.key(), *key);
                    assert_eq!(cursor.value(), if keys_only { b"".as_slice() } else { *key });
                }
                assert!(!cursor.advance().unwrap());
                assert!(!cursor.advance().unwrap());
            }
        }
    }
}

#[test]
fn a_store_view_is_a_view_of_the_contract() {
    fn count(view: &dyn View) -> usize {
        let mut rows = 0;
        view.scan_prefix(b"a", &mut |_, _| {
            rows += 1;
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
        let mut cursor: Box<dyn Cursor + '_> = view.cursor(Scan::prefix(b"a")).unwrap();
        let mut stepped = 0;
        while cursor.advance().unwrap() {
            stepped += 1;
        }
        assert_eq!(rows, stepped);
        assert_eq!(view.get_record(b"a1").unwrap().as_deref(), Some(b"1".as_slice()));
        assert_eq!(view.header().beat.0, 1);
        rows
    }
    let (mut writer, store) = memory();
    put(&mut writer, &[(b"a1", b"1"), (b"a2", b"2"), (b"b", b"3")]);
    assert_eq!(count(&store.view().unwrap()), 2);
}

#[test]
fn the_root_is_the_tree_over_the_commits() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    let logs = [log(&[(b"a", b"1")]), log(&[(b"b", b"2")]), log(&[(b"c", b"3")])];
    let leaf = |log: &BeatLog| *blake3::hash(log.canonical_bytes()).as_bytes();
    let parent = |left: [u8; 32], right: [u8; 32]| *blake3::hash(&[left, right].concat()).as_bytes();
    let [a, b, c] = [leaf(&logs[0]), leaf(&logs[1]), leaf(&logs[2])];

    let single = writer.commit(&logs[0], Durability::Durable).unwrap();
    assert_eq!(single.root, Some(a), "one commit: its leaf");
    let group = writer.commit_group(&logs, Durability::Durable).unwrap();
    let root = parent(parent(a, b), parent(c, c));
    assert!(group.iter().all(|receipt| receipt.as_ref().unwrap().root == Some(root)));
    assert_eq!(store.view().unwrap().header().root, Some(root));
    assert_eq!(store.view().unwrap().header().commits, 3);
    assert_eq!(beat_root(&[]), [0; 32]);
    assert_eq!(beat_root(&[a, b]), parent(a, b));
    assert_eq!(
        beat_root(&[a, b, c, a, b]),
        parent(parent(parent(a, b), parent(c, a)), parent(parent(b, b), parent(b, b)))
    );
}

#[test]
fn closing_waits_for_views_and_then_everything_is_closed() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    let clone = store.clone();
    let view = store.view().unwrap();
    fails(store.close(), ErrorKind::Busy, &["1 views"]);
    put(&mut writer, &[(b"k", b"v")]);
    clone.view().unwrap();
    drop(view);
    clone.close().unwrap();
    fails(store.close(), ErrorKind::Closed, &[]);
    fails(store.view(), ErrorKind::Closed, &["view"]);
    fails(store.stats(), ErrorKind::Closed, &[]);
    fails(writer.begin(Durability::Durable), ErrorKind::Closed, &[]);
    fails(writer.commit(&BeatLog::new(), Durability::Durable), ErrorKind::Closed, &[]);
    open_default(&place.home); // while the closed handles still exist
}

#[test]
fn closing_waits_as_long_as_told() {
    let place = place();
    let waiting = OpenOptions { close_wait: Duration::from_secs(60), ..OpenOptions::default() };
    let toys = drivers(&[toy()]);
    let opened = open_with(Arc::new(RealDisk), &toys, &place.home, Some("toy"), &waiting).unwrap();
    let (_writer, store) = opened.negotiate(&default_request()).unwrap();
    let view = store.view().unwrap();
    std::thread::scope(|scope| {
        let closing = scope.spawn(|| store.close());
        // Closing has begun as soon as views are refused; only then does the last view go.
        while store.view().is_ok() {
            std::thread::yield_now();
        }
        // Nobody is told that the store is closed before it is: the first may still fail.
        fails(store.close(), ErrorKind::Busy, &["somebody else"]);
        drop(view);
        closing.join().unwrap().unwrap();
        fails(store.close(), ErrorKind::Closed, &[]);
    });
}

#[test]
fn closing_while_a_verb_is_at_work_is_busy_and_harmless() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"k", b"v")]);
    let calls = std::cell::Cell::new(0);
    let seen = |_: persist_api::Progress| {
        fails(store.close(), ErrorKind::Busy, &["still at work"]);
        calls.set(calls.get() + 1);
        std::ops::ControlFlow::Continue(())
    };
    store.verify(&mut |_| {}, &seen).unwrap();
    assert!(calls.get() > 0);
    put(&mut writer, &[(b"k", b"w")]);
    store.close().unwrap();
}

#[test]
fn handles_can_go_where_they_must() {
    fn shared<T: Send + Sync + Clone>() {}
    fn sent<T: Send>() {}
    shared::<persist_store::Store>();
    sent::<persist_store::Writer>();
    sent::<persist_store::StoreView>();
    sent::<persist_store::Opened>();
}

#[test]
fn readers_on_other_threads_see_whole_beats() {
    let (mut writer, store) = crate::kit::open_memory(&volatile_request());
    put(&mut writer, &[(b"a", b"0"), (b"b", b"0")]);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let store = store.clone();
            scope.spawn(move || {
                let mut last = 0;
                while last < 200 {
                    let view = store.view().unwrap();
                    let [a, b] = [b"a", b"b"].map(|key| view.get(key).unwrap().unwrap().into_vec());
                    assert_eq!(a, b);
                    assert!(view.header().beat.0 >= last);
                    last = view.header().beat.0;
                }
            });
        }
        for round in 0..200_u64 {
            let value = round.to_string();
            put(&mut writer, &[(b"a", value.as_bytes()), (b"b", value.as_bytes())]);
        }
    });
    assert!(store.grant().session.caps.contains(Caps::MERKLE));
}
