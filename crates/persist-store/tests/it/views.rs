//! The limit of age of views, with a clock that stands still until told.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use persist_api::{Durability, ErrorKind, Scan};
use persist_store::{Clock, Store, ViewOptions, ViewStats, Writer, default_request, volatile_request};

use crate::kit::{drivers, fails, look, look_at, options, place, put, toy};

/// A clock that is put forward by hand.
#[derive(Default)]
pub struct HandClock(Mutex<Duration>);

impl HandClock {
    pub fn forward(&self, by: Duration) {
        *self.0.lock() += by;
    }
}

impl Clock for HandClock {
    fn now(&self) -> Duration {
        *self.0.lock()
    }
}

const LIMIT: Duration = Duration::from_secs(60);

fn limited(age_max: Option<Duration>) -> (Writer, Store, Arc<HandClock>) {
    let clock = Arc::new(HandClock::default());
    let opened = look_at(&drivers(&[]), Path::new(""), Some("memory"), &options()).unwrap();
    let (mut writer, store) = opened.with_clock(clock.clone()).negotiate(&volatile_request()).unwrap();
    store.set_view_options(ViewOptions { age_max });
    put(&mut writer, &[(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]);
    (writer, store, clock)
}

fn views(store: &Store) -> ViewStats {
    store.stats().unwrap().views
}

fn engine_views(store: &Store) -> u64 {
    store.stats().unwrap().engine.views_open
}

#[test]
fn the_next_beat_recalls_a_view_that_its_holder_forgot() {
    let (mut writer, store, clock) = limited(Some(LIMIT));
    let view = store.view().unwrap();
    assert_eq!(&*view.get(b"a").unwrap().unwrap(), b"1");
    clock.forward(Duration::new(59, 999_999_999));
    put(&mut writer, &[(b"a", b"later")]);
    assert_eq!(&*view.get(b"a").unwrap().unwrap(), b"1");
    clock.forward(Duration::from_nanos(1));
    put(&mut writer, &[(b"a", b"later still")]);
    // Nobody has touched the view, and the engine has it no more.
    assert_eq!(engine_views(&store), 0);
    let expected = ViewStats { recalled: 1, ..ViewStats::default() };
    assert_eq!(views(&store), expected);
    let error = fails(view.get(b"a"), ErrorKind::Stale, &["60s", "open a new one"]);
    assert_eq!(error.beat(), Some(view.header().beat));
    fails(view.scan(Scan::all(), |_, _| ControlFlow::Continue(())), ErrorKind::Stale, &[]);
    fails(view.cursor(Scan::all()), ErrorKind::Stale, &[]);
    assert_eq!(&*store.view().unwrap().get(b"a").unwrap().unwrap(), b"later still");
}

#[test]
fn every_verb_that_a_view_stands_in_the_way_of_recalls_it_first() {
    type Verb = fn(&Store);
    let verbs: [Verb; 5] = [
        |store| drop(store.view().unwrap()),
        |store| drop(store.stats().unwrap()),
        |store| drop(store.checkpoint()),
        |store| assert_eq!(store.recall_views(), 1),
        |store| store.close().unwrap(),
    ];
    for verb in verbs {
        let place = place();
        let clock = Arc::new(HandClock::default());
        let opened = look(&toy(), &place.home).unwrap().with_clock(clock.clone());
        let (mut writer, store) = opened.negotiate(&default_request()).unwrap();
        put(&mut writer, &[(b"a", b"1")]);
        store.set_view_options(ViewOptions { age_max: Some(LIMIT) });
        let view = store.view().unwrap();
        clock.forward(LIMIT);
        verb(&store);
        fails(view.get(b"a"), ErrorKind::Stale, &[]);
    }
}

#[test]
fn a_recalled_view_keeps_neither_the_engine_nor_the_home() {
    let place = place();
    let clock = Arc::new(HandClock::default());
    let opened = look(&toy(), &place.home).unwrap().with_clock(clock.clone());
    let (writer, store) = opened.negotiate(&default_request()).unwrap();
    let view = store.view().unwrap();
    fails(store.close(), ErrorKind::Busy, &[]);
    clock.forward(ViewOptions::default().age_max.unwrap());
    store.close().unwrap();
    drop((writer, store));
    look(&toy(), &place.home).unwrap().negotiate(&default_request()).unwrap();
    fails(view.get(b"a"), ErrorKind::Stale, &[]);
}

#[test]
fn a_value_that_is_held_stays_and_the_view_goes_with_it() {
    let (mut writer, store, clock) = limited(Some(LIMIT));
    let view = store.view().unwrap();
    let (first, second) = (view.get(b"a").unwrap().unwrap(), view.get(b"b").unwrap().unwrap());
    assert!(first.is_zero_copy());
    clock.forward(LIMIT);
    put(&mut writer, &[(b"a", b"x"), (b"b", b"y")]);
    assert_eq!((views(&store).overdue, engine_views(&store)), (1, 1));
    fails(view.get(b"c"), ErrorKind::Stale, &[]);
    assert_eq!((&*first, &*second), (b"1".as_slice(), b"2".as_slice()));
    drop(first);
    assert_eq!(engine_views(&store), 1);
    assert_eq!(second.into_vec(), b"2");
    assert_eq!((views(&store).overdue, engine_views(&store)), (0, 0));
}

#[test]
fn a_cursor_is_told_at_its_next_step_and_lets_go() {
    let (mut writer, store, clock) = limited(Some(LIMIT));
    let view = store.view().unwrap();
    let mut cursor = view.cursor(Scan::all()).unwrap();
    assert!(cursor.advance().unwrap());
    clock.forward(LIMIT);
    put(&mut writer, &[(b"a", b"x")]);
    assert_eq!((cursor.key(), cursor.value()), (b"a".as_slice(), b"1".as_slice()));
    assert_eq!(views(&store).overdue, 1);
    fails(cursor.advance(), ErrorKind::Stale, &[]);
    // The cursor and the view are still there; the engine's are not.
    assert_eq!((views(&store).overdue, engine_views(&store)), (0, 0));
    assert_eq!((cursor.key(), cursor.value()), (b"".as_slice(), b"".as_slice()));
    fails(cursor.seek(b"a"), ErrorKind::Stale, &[]);
}

#[test]
fn a_scan_ends_before_its_next_row() {
    for keys_only in [false, true] {
        let (mut writer, store, clock) = limited(Some(LIMIT));
        let view = store.view().unwrap();
        let mut seen = Vec::new();
        let done = view.scan(Scan { keys_only, ..Scan::all() }, |key, _| {
            // A read within a scan of the same view.
            assert!(view.get(key).unwrap().is_some());
            seen.push(key.to_vec());
            if seen.len() == 2 {
                clock.forward(LIMIT);
                put(&mut writer, &[(b"z", b"1")]);
            }
            ControlFlow::Continue(())
        });
        fails(done, ErrorKind::Stale, &[]);
        assert_eq!(seen, [b"a", b"b"]);
        assert_eq!((views(&store).overdue, engine_views(&store)), (0, 0));
    }
}

#[test]
fn a_limit_holds_for_views_opened_after_it_and_without_one_nothing_is_recalled() {
    let (mut writer, store, clock) = limited(None);
    let free = store.view().unwrap();
    store.set_view_options(ViewOptions { age_max: Some(LIMIT) });
    let bound = store.view().unwrap();
    assert_eq!(store.view_options().age_max, Some(LIMIT));
    clock.forward(LIMIT * 1000);
    put(&mut writer, &[(b"a", b"x")]);
    assert_eq!(&*free.get(b"a").unwrap().unwrap(), b"1");
    fails(bound.get(b"a"), ErrorKind::Stale, &[]);
    let figures = views(&store);
    assert_eq!((figures.open, figures.recalled, figures.overdue), (1, 1, 0));
    assert_eq!((figures.oldest_beat, figures.oldest_age), (Some(free.header().beat), Some(LIMIT * 1000)));
}

#[test]
fn the_oldest_view_is_the_one_opened_first() {
    let (mut writer, store, clock) = limited(Some(LIMIT));
    let first = store.view().unwrap();
    clock.forward(Duration::from_secs(5));
    put(&mut writer, &[(b"a", b"x")]);
    let second = store.view().unwrap();
    clock.forward(Duration::from_secs(7));
    let figures = views(&store);
    assert_eq!((figures.open, figures.oldest_beat), (2, Some(first.header().beat)));
    assert_eq!(figures.oldest_age, Some(Duration::from_secs(12)));
    drop(first);
    let figures = views(&store);
    assert_eq!(figures.oldest_beat, Some(second.header().beat));
    assert_eq!(figures.oldest_age, Some(Duration::from_secs(7)));
    drop(second);
    assert_eq!(views(&store), ViewStats::default());
}

#[test]
fn a_transaction_that_takes_too_long_is_told() {
    let (mut writer, store, clock) = limited(Some(LIMIT));
    let done = store.transact(persist_api::Durability::Volatile, |tx| {
        tx.get(b"a")?;
        clock.forward(LIMIT);
        put(&mut writer, &[(b"z", b"1")]);
        tx.get(b"b").map(|_| ())
    });
    fails(done.map(|_| ()), ErrorKind::Stale, &[]);
}

#[test]
fn readers_of_many_threads_see_the_right_value_or_are_told() {
    let (mut writer, store, clock) = limited(Some(Duration::from_nanos(50)));
    let (read, told, done) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let view = store.view().unwrap();
                    let beat = view.header().beat.0;
                    for _ in 0..50 {
                        match view.get(b"beat") {
                            Ok(None) => assert_eq!(beat, 1),
                            Ok(Some(value)) => {
                                assert_eq!(*value, *beat.to_string().as_bytes());
                                read.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(error) => {
                                assert_eq!(error.kind(), ErrorKind::Stale);
                                told.fetch_add(1, Ordering::Relaxed);
                                break;
                            }
                        }
                        clock.forward(Duration::from_nanos(1));
                    }
                }
            });
        }
        let mut beat = 2_u64;
        while beat < 2_000 || read.load(Ordering::Relaxed) == 0 || told.load(Ordering::Relaxed) == 0 {
            put(&mut writer, &[(b"beat", beat.to_string().as_bytes())]);
            clock.forward(Duration::from_nanos(10));
            beat += 1;
        }
        done.store(true, Ordering::Relaxed);
    });
    let left = views(&store);
    assert_eq!((left.open, left.overdue, engine_views(&store)), (0, 0, 0));
}

/// It is as long open as the verb takes, and no longer.
#[test]
fn an_export_is_not_recalled() {
    let place = place();
    let clock = Arc::new(HandClock::default());
    let opened = look(&toy(), &place.home).unwrap().with_clock(clock.clone());
    let (mut writer, store) = opened.negotiate(&default_request()).unwrap();
    put(&mut writer, &[(b"a", b"1"), (b"b", &vec![7; 200_000])]);
    store.set_view_options(ViewOptions { age_max: Some(LIMIT) });
    let slow = |_| {
        clock.forward(LIMIT);
        let mut log = persist_store::BeatLog::new();
        log.put(b"meanwhile", b"").unwrap();
        store.commit(log, Durability::Buffered).unwrap().wait().unwrap();
        ControlFlow::Continue(())
    };
    let report = store.export(&place.home.with_file_name("bundle"), &slow).unwrap();
    assert_eq!((report.manifest.digest.records, report.manifest.beat.0), (2, 1));
    assert!(store.stats().unwrap().commit.0 > 1);
    assert_eq!((views(&store), engine_views(&store)), (ViewStats::default(), 0));
}
