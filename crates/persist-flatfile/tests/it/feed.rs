//! Following the feed while segments end, are kept, and are given up.

use std::ops::ControlFlow;

use persist_api::{
    BeatNo, CompactScope, Driver, Durability, Engine, ErrorKind, FeedItem, OpenOptions, Progress, Quiet,
    Result,
};
use persist_flatfile::FlatfileDriver;
use tempfile::TempDir;

/// A store that does its own upkeep when it is told to.
pub(super) fn opened(dir: &TempDir) -> Box<dyn Engine> {
    let home = dir.path().join("home");
    FlatfileDriver::default().open(&home, &super::tiny::options(), &Quiet).unwrap()
}

pub(super) fn put(engine: &dyn Engine, value: &[u8]) {
    let header = engine.view().unwrap().header().next(1, Durability::Durable, None).unwrap();
    let mut beat = engine.begin_beat(header).unwrap();
    beat.put_record(b"key", value).unwrap();
    beat.commit_beat().unwrap();
}

/// The beats after `after`, and how it ended; `met` is called at each.
fn follow(engine: &dyn Engine, after: u64, mut met: impl FnMut(u64)) -> (Vec<u64>, Result<()>) {
    let mut beats = Vec::new();
    let done = engine.feed(BeatNo(after), &mut |item| {
        if let FeedItem::Beat(header) = item {
            beats.push(header.beat.0);
            met(header.beat.0);
        }
        ControlFlow::Continue(())
    });
    (beats, done)
}

#[test]
fn who_has_read_all_goes_on_behind_the_end_of_a_segment() {
    let dir = tempfile::tempdir().unwrap();
    let engine = opened(&dir);
    engine.keep_feed(Some(BeatNo(0))).unwrap();
    for beat in 1..5 {
        put(&*engine, &[1; 300]);
        let (beats, done) = follow(&*engine, beat - 1, |_| ());
        done.unwrap();
        assert_eq!(beats, [beat]);
        engine.checkpoint().unwrap();
    }
}

#[test]
fn what_nobody_wanted_is_stale_also_for_who_has_read_all() {
    let dir = tempfile::tempdir().unwrap();
    let engine = opened(&dir);
    put(&*engine, b"1");
    follow(&*engine, 0, |_| ()).1.unwrap();
    for _ in 0..3 {
        engine.checkpoint().unwrap();
        put(&*engine, b"2");
    }
    for _ in 0..2 {
        assert_eq!(follow(&*engine, 1, |_| ()).1.unwrap_err().kind(), ErrorKind::Stale);
    }
}

#[test]
fn what_is_given_up_under_a_reader_is_stale_and_no_damage() {
    for len in [1, 300] {
        let dir = tempfile::tempdir().unwrap();
        let engine = opened(&dir);
        engine.keep_feed(Some(BeatNo(0))).unwrap();
        for n in 0..6 {
            put(&*engine, &vec![n; len]);
            engine.checkpoint().unwrap();
        }
        let (beats, done) = follow(&*engine, 0, |beat| {
            if beat == 1 {
                engine.keep_feed(Some(BeatNo(4))).unwrap();
                engine.compact(CompactScope { keep_beats: 0 }, &Quiet).unwrap();
            }
        });
        assert_eq!((beats, done.unwrap_err().kind()), (vec![1], ErrorKind::Stale));
        let (beats, done) = follow(&*engine, 4, |_| ());
        done.unwrap();
        assert_eq!(beats, [5, 6]);
    }
}

#[test]
fn verify_reads_what_is_left_when_a_part_is_given_up_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let engine = opened(&dir);
    engine.keep_feed(Some(BeatNo(0))).unwrap();
    for _ in 0..6 {
        put(&*engine, b"value");
        engine.checkpoint().unwrap();
    }
    let give_up = |progress: Progress| {
        if (progress.phase, progress.done) == ("feed", 1) {
            engine.keep_feed(Some(BeatNo(4))).unwrap();
        }
        ControlFlow::Continue(())
    };
    let stat = engine.verify(&mut |finding| panic!("{finding:?}"), &give_up).unwrap();
    assert_eq!(stat.damaged, 0);
}

/// A durable beat of one record: a value of `len` bytes, or none.
fn commit(engine: &dyn Engine, key: &[u8], len: Option<usize>) {
    let header = engine.view().unwrap().header().next(1, Durability::Durable, None).unwrap();
    let mut beat = engine.begin_beat(header).unwrap();
    match len {
        Some(len) => beat.put_record(key, &vec![7; len]).unwrap(),
        None => beat.delete_record(key).unwrap(),
    }
    beat.commit_beat().unwrap();
}

#[test]
fn large_values_stay_for_the_feed_when_the_newest_payload_segment_was_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let compact = |engine: &dyn Engine| engine.compact(CompactScope { keep_beats: 0 }, &Quiet).unwrap();
    let open = |keep_feed| {
        let options = OpenOptions { keep_feed, ..super::tiny::options() };
        FlatfileDriver::default().open(&dir.path().join("home"), &options, &Quiet).unwrap()
    };
    // Payloads end in the second segment, which is gone.
    let engine = open(false);
    commit(&*engine, b"stays", Some(1000));
    compact(&*engine);
    commit(&*engine, b"goes", Some(1000));
    commit(&*engine, b"goes", None);
    compact(&*engine);
    assert!(!dir.path().join("home/branch.dat.00000002").exists());
    engine.keep_feed(Some(BeatNo(3))).unwrap();
    commit(&*engine, b"small", Some(1));
    assert!(engine.close().is_ok());
    let engine = open(true);
    commit(&*engine, b"small", Some(2));
    assert!(engine.close().is_ok());
    // What the feed still needs must not lie before what it no longer needs.
    let engine = open(true);
    commit(&*engine, b"large", Some(8000));
    commit(&*engine, b"large", None);
    compact(&*engine);
    let (beats, done) = follow(&*engine, 3, |_| ());
    done.unwrap();
    assert_eq!(beats, [4, 5, 6, 7]);
}

/// Adds a beat with the number of the newest one, as an import does.
fn repeat(engine: &dyn Engine, key: &[u8]) {
    let header = *engine.view().unwrap().header();
    let mut beat = engine.begin_beat(header).unwrap();
    beat.put_record(key, b"value").unwrap();
    beat.commit_beat().unwrap();
}

#[test]
fn a_beat_of_which_a_part_is_gone_is_not_served() {
    let open = |dir: &TempDir, importing, keep_feed| {
        let options = OpenOptions { importing, keep_feed, ..super::tiny::options() };
        FlatfileDriver::default().open(&dir.path().join("home"), &options, &Quiet).unwrap()
    };
    for reopened in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut engine = open(&dir, true, false);
        commit(&*engine, b"one", Some(1));
        commit(&*engine, b"two", Some(1));
        engine.checkpoint().unwrap();
        repeat(&*engine, b"the rest of two");
        if reopened {
            // Without a close, which would make a run of it.
            drop(engine);
            engine = open(&dir, false, true);
        }
        for _ in 0..2 {
            assert_eq!(engine.keep_feed(Some(BeatNo(1))).unwrap().after, BeatNo(2));
            assert_eq!(follow(&*engine, 1, |_| ()).1.unwrap_err().kind(), ErrorKind::Stale);
            for n in 0..20 {
                commit(&*engine, b"more", Some(n));
                engine.checkpoint().unwrap();
            }
            let (beats, done) = follow(&*engine, 2, |_| ());
            done.unwrap();
            assert_eq!(beats[..20], (3..23).collect::<Vec<_>>());
        }
    }
}

#[test]
fn all_parts_of_a_beat_are_served_when_they_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions { importing: true, ..super::tiny::options() };
    let engine = FlatfileDriver::default().open(&dir.path().join("home"), &options, &Quiet).unwrap();
    commit(&*engine, b"one", Some(1));
    engine.checkpoint().unwrap();
    assert_eq!(engine.keep_feed(Some(BeatNo(1))).unwrap().after, BeatNo(1));
    commit(&*engine, b"two", Some(1));
    for _ in 0..2 {
        engine.checkpoint().unwrap();
        repeat(&*engine, b"the rest of two");
    }
    assert_eq!(engine.keep_feed(Some(BeatNo(1))).unwrap().after, BeatNo(1));
    let (beats, done) = follow(&*engine, 1, |_| ());
    done.unwrap();
    assert_eq!(beats, [2, 2, 2]);
}

#[cfg(target_os = "linux")]
#[test]
fn segments_that_are_given_up_are_not_held_open_for_who_may_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let engine = opened(&dir);
    engine.keep_feed(Some(BeatNo(0))).unwrap();
    for n in 0..4 {
        put(&*engine, b"value");
        follow(&*engine, n, |_| ()).1.unwrap();
        engine.checkpoint().unwrap();
    }
    engine.keep_feed(None).unwrap();
    // Nor are those that nobody asked for.
    put(&*engine, b"value");
    follow(&*engine, 4, |_| ()).1.unwrap();
    engine.checkpoint().unwrap();
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let open = open.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    let open = open.filter(|path| path.starts_with(dir.path())).map(|path| path.display().to_string());
    let gone: Vec<_> = open
        .filter(|path| path.ends_with(" (deleted)"))
        .filter(|path| path.contains("branch.old.") || path.contains("branch.idx."))
        .collect();
    assert_eq!(gone, [""; 0]);
}
