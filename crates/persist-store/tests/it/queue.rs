//! The queue: its bounds, its end, and its turns with the writer.

use std::thread;
use std::time::Duration;

use persist_api::{Durability, ErrorKind, OpenOptions};
use persist_store::{CommitOptions, Pending, Store, default_request};

use crate::fussy::fussy;
use crate::futures::block_on;
use crate::group::{log, numbers, queue};
use crate::kit::{content, drivers, fails, look_at, open_default, place, put, toy};

/// A budget that is used up at once.
fn impatient(store: &Store) {
    store.set_commit_options(CommitOptions { wait: Duration::ZERO, ..store.commit_options() });
}

#[test]
fn a_full_queue_pushes_back() {
    let (_writer, store, mind) = fussy();
    impatient(&store);
    store.set_commit_options(CommitOptions { queue_commits_max: 2, ..store.commit_options() });
    mind.stop_after(0);
    thread::scope(|scope| {
        let leading = scope.spawn(|| queue(&store, b"0", b"").wait().unwrap());
        mind.wait_until_stopped();
        let waiting = [queue(&store, b"1", b""), queue(&store, b"2", b"")];
        fails(store.commit(log(&[(b"3", b"")]), Durability::Durable), ErrorKind::Busy, &["full"]);
        let back = store.try_commit(log(&[(b"3", b"")]), Durability::Durable).unwrap_err();
        assert_eq!(back.error().kind(), ErrorKind::Busy);
        assert_eq!(back.into_parts().0, log(&[(b"3", b"")]), "the log comes back");
        // With a budget, it waits for room.
        store.set_commit_options(CommitOptions { wait: Duration::from_secs(600), ..store.commit_options() });
        let patient = scope.spawn(|| queue(&store, b"3", b"").wait().unwrap());
        mind.go();
        assert_eq!(leading.join().unwrap().commit.0, 1);
        assert_eq!(waiting.map(|pending| pending.wait().unwrap().commit.0), [2, 3]);
        assert_eq!(patient.join().unwrap().commit.0, 4);
    });
    assert_eq!(content(&store.view().unwrap()).len(), 4);
}

/// Checks that a queue of so many bytes takes what `first` queues, behind a beat that is on its way, and nothing after it.
fn is_full_after(queue_bytes_max: u64, first: impl FnOnce(&Store) -> Pending) {
    let (_writer, store, mind) = fussy();
    impatient(&store);
    store.set_commit_options(CommitOptions { queue_bytes_max, ..store.commit_options() });
    mind.stop_after(0);
    thread::scope(|scope| {
        let leading = scope.spawn(|| queue(&store, b"0", b"").wait().unwrap());
        mind.wait_until_stopped();
        let first = first(&store);
        let another = store.commit(log(&[]), Durability::Durable);
        mind.go();
        leading.join().unwrap();
        first.wait().unwrap();
        fails(another, ErrorKind::Busy, &["full"]);
    });
}

#[test]
fn a_full_queue_is_bounded_in_bytes_and_takes_one_large_commit() {
    is_full_after(1000, |store| queue(store, b"1", &[7; 5000]));
}

/// Memory of a long log that a short one came into is given back before it fills a small queue.
#[test]
fn a_short_log_in_the_memory_of_a_long_one_does_not_fill_the_queue() {
    let (_writer, store, mind) = fussy();
    impatient(&store);
    store.set_commit_options(CommitOptions { queue_bytes_max: 100_000, ..store.commit_options() });
    mind.stop_after(0);
    thread::scope(|scope| {
        let leading = scope.spawn(|| queue(&store, b"0", b"").wait().unwrap());
        mind.wait_until_stopped();
        drop(log(&[(b"long", &vec![7; 200_000])]));
        let first = queue(&store, b"1", b"");
        let second = store.try_commit(log(&[(b"2", b"")]), Durability::Durable);
        mind.go();
        leading.join().unwrap();
        first.wait().unwrap();
        second.unwrap().wait().unwrap();
    });
}

#[test]
fn who_fills_the_queue_alone_leads() {
    let (_writer, store, mind) = fussy();
    impatient(&store);
    store.set_commit_options(CommitOptions { queue_commits_max: 3, ..store.commit_options() });
    let pending: Vec<_> = (0..10_u8).map(|n| queue(&store, &[n], b"")).collect();
    assert_eq!(mind.groups(), [3, 3, 3]);
    for pending in pending {
        pending.wait().unwrap();
    }
    assert_eq!(mind.groups(), [3, 3, 3, 1]);
}

#[test]
fn a_commit_that_was_refused_room_sets_the_helper_to_work() {
    let (_writer, store, _mind) = fussy();
    store.set_commit_options(CommitOptions { queue_commits_max: 1, ..store.commit_options() });
    let held = queue(&store, b"held", b"");
    let mut log = log(&[(b"k", b"")]);
    let pending = loop {
        match store.try_commit(log, Durability::Durable) {
            Ok(pending) => break pending,
            Err(refused) => log = refused.into_parts().0,
        }
        thread::yield_now();
    };
    assert_eq!(held.wait().unwrap().commit.0, 1);
    assert_eq!(pending.wait().unwrap().commit.0, 2);
}

#[test]
fn dropped_without_waiting_it_still_commits() {
    let place = place();
    let (writer, store) = open_default(&place.home);
    for n in 0..20_u8 {
        drop(queue(&store, &[n], b"v"));
    }
    drop((writer, store));
    let patient = OpenOptions { close_wait: Duration::from_secs(60), ..OpenOptions::default() };
    let opened = look_at(&drivers(&[toy()]), &place.home, None, &patient).unwrap();
    let (writer, store) = opened.negotiate(&default_request()).unwrap();
    assert_eq!(content(&store.view().unwrap()).len(), 20);
    for n in 0..20_u8 {
        drop(queue(&store, &[n], b"w"));
    }
    store.close().unwrap();
    drop((writer, store));
    let (_writer, store) = open_default(&place.home);
    assert!(content(&store.view().unwrap()).values().all(|value| value == b"w"));
}

#[test]
fn closing_commits_what_is_queued_and_takes_nothing_more() {
    let (mut writer, store, mind) = fussy();
    let held = queue(&store, b"held", b"");
    let beat = writer.begin(Durability::Durable).unwrap();
    let late = queue(&store, b"late", b"");
    fails(store.close(), ErrorKind::Busy, &["on their way"]);
    assert_eq!(mind.groups(), [1], "the one before the explicit beat");
    let again = queue(&store, b"again", b"");
    beat.commit().unwrap();
    store.close().unwrap();
    assert_eq!(mind.groups(), [1, 1, 2]);
    fails(store.commit(log(&[]), Durability::Durable), ErrorKind::Closed, &[]);
    fails(store.close(), ErrorKind::Closed, &[]);
    assert_eq!([held, late, again].map(|pending| pending.wait().unwrap().commit.0), [1, 3, 4]);
}

#[test]
fn a_pending_commit_keeps_the_store_open() {
    let place = place();
    let (writer, store) = open_default(&place.home);
    let pending = queue(&store, b"k", b"v");
    drop((writer, store));
    assert_eq!(pending.wait().unwrap().commit.0, 1);
    let (_writer, store) = open_default(&place.home);
    assert_eq!(content(&store.view().unwrap()).len(), 1);
}

#[test]
fn explicit_beats_and_commits_take_effect_in_the_order_of_arrival() {
    let (mut writer, store, mind) = fussy();
    let before = [queue(&store, b"k", b"1"), queue(&store, b"k", b"2")];
    let mut beat = writer.begin(Durability::Durable).unwrap();
    assert!(before.iter().all(Pending::is_done), "what was queued before is committed before");
    beat.put(b"k", b"3").unwrap();
    let after = queue(&store, b"k", b"4");
    assert_eq!(numbers(&beat.commit().unwrap()), (2, 3));
    assert!(!after.is_done());
    assert_eq!(numbers(&after.wait().unwrap()), (3, 4));
    let last = queue(&store, b"k", b"5");
    assert_eq!(writer.commit(&log(&[(b"k", b"6")]), Durability::Durable).unwrap().commit.0, 6);
    assert!(last.is_done());
    assert_eq!(mind.groups(), [2, 1, 1, 1, 1]);
    assert_eq!(content(&store.view().unwrap())[b"k".as_slice()], b"6");
    assert_eq!((writer.last().beat.0, writer.last().last_commit().0), (5, 6));
}

#[test]
fn commits_wait_for_a_staged_beat_within_their_budget() {
    let (mut writer, store, mind) = fussy();
    impatient(&store);
    let beat = writer.begin(Durability::Durable).unwrap();
    let (waited, polled, left) =
        (queue(&store, b"a", b""), queue(&store, b"b", b""), queue(&store, b"c", b""));
    drop(left);
    fails(waited.wait(), ErrorKind::Busy, &["explicit beat"]);
    fails(block_on(polled), ErrorKind::Busy, &["explicit beat"]);
    beat.abort();
    // Who was left alone waits on.
    while content(&store.view().unwrap()).is_empty() {
        thread::yield_now();
    }
    assert_eq!(mind.groups(), [1]);
    store.set_commit_options(CommitOptions::default());
    let beat = writer.begin(Durability::Durable).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| queue(&store, b"d", b"").wait().unwrap());
        let polling = scope.spawn(|| block_on(queue(&store, b"e", b"")).unwrap());
        drop(beat);
        waiting.join().unwrap();
        polling.join().unwrap();
    });
    assert_eq!(content(&store.view().unwrap()).into_keys().collect::<Vec<_>>(), [b"c", b"d", b"e"]);
}

#[test]
fn a_staged_beat_that_is_forgotten_blocks_nobody_for_good() {
    let (mut writer, store, _mind) = fussy();
    std::mem::forget(writer.begin(Durability::Durable).unwrap());
    assert_eq!(put(&mut writer, &[(b"a", b"")]).commit.0, 1);
    assert_eq!(queue(&store, b"b", b"").wait().unwrap().commit.0, 2);
    std::mem::forget(writer.begin(Durability::Durable).unwrap());
    drop(writer);
    assert_eq!(queue(&store, b"c", b"").wait().unwrap().commit.0, 3);
}
