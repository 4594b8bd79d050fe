//! Commits as futures, without a runtime.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use persist_api::{Durability, ErrorKind};
use persist_store::{HoldOptions, Store};

use crate::fussy::{Fate, fussy};
use crate::group::{log, numbers, queue};
use crate::kit::fails;

struct Unpark(Thread, AtomicU64);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.unpark();
    }
}

/// An executor of a few lines.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current(), AtomicU64::new(0))));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}

#[test]
fn a_future_is_committed_by_the_helper_and_told() {
    let (_writer, store, mind) = fussy();
    assert_eq!(numbers(&block_on(queue(&store, b"a", b"1")).unwrap()), (1, 1));
    let both = async {
        let (first, second) = (queue(&store, b"b", b"2"), queue(&store, b"c", b"3"));
        (first.await.unwrap().commit.0, second.await.unwrap().commit.0)
    };
    assert_eq!(block_on(both), (2, 3));
    mind.set_fate(Fate::Poisoned);
    fails(block_on(queue(&store, b"d", b"")), ErrorKind::Io, &[]);
}

#[test]
fn a_future_tells_its_last_waker_once_and_then_that_it_was_told() {
    let (_writer, store, mind) = fussy();
    mind.stop_after(0);
    let wakers = [(); 2].map(|()| Arc::new(Unpark(thread::current(), AtomicU64::new(0))));
    let mut pending = pin!(queue(&store, b"a", b"1"));
    for waker in &wakers {
        let waker = Waker::from(Arc::clone(waker));
        assert!(pending.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    mind.wait_until_stopped();
    mind.go();
    while wakers[1].1.load(Ordering::SeqCst) == 0 {
        thread::park();
    }
    let waker = Waker::noop();
    assert!(matches!(pending.as_mut().poll(&mut Context::from_waker(waker)), Poll::Ready(Ok(_))));
    let Poll::Ready(again) = pending.as_mut().poll(&mut Context::from_waker(waker)) else { panic!("ready") };
    fails(again, ErrorKind::Invalid, &["again"]);
    assert_eq!(wakers.map(|waker| waker.1.load(Ordering::SeqCst)), [0, 1]);
}

#[test]
fn a_waker_may_use_the_store() {
    struct Again(Store);
    impl Wake for Again {
        fn wake(self: Arc<Self>) {
            self.0.commit(log(&[(b"woken", b"")]), Durability::Durable).unwrap().wait().unwrap();
        }
    }
    let (writer, store, mind) = fussy();
    let waker = Waker::from(Arc::new(Again(store.clone())));
    let mut pending = Box::pin(queue(&store, b"a", b"1"));
    while pending.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        thread::yield_now();
    }
    // The helper may be the one that drops the last handle.
    drop((writer, waker, pending));
    while mind.groups() != [1, 1] {
        thread::yield_now();
    }
    drop(store);
}

#[test]
fn a_waker_of_the_feed_may_use_the_store() {
    struct Again(Store);
    impl Wake for Again {
        fn wake(self: Arc<Self>) {
            self.0.commit(log(&[(b"woken", b"")]), Durability::Durable).unwrap().wait().unwrap();
        }
    }
    let (mut writer, store, mind) = fussy();
    let hold = store.hold("h", HoldOptions::default()).unwrap();
    let waker = Waker::from(Arc::new(Again(store.clone())));
    // The lane of whoever leads, of the writer, and of the helper.
    let makers: [&mut dyn FnMut(); 3] = [
        &mut || assert!(queue(&store, b"a", b"1").wait().is_ok()),
        &mut || assert!(writer.commit(&log(&[(b"b", b"2")]), Durability::Durable).is_ok()),
        &mut || assert!(block_on(queue(&store, b"c", b"3")).is_ok()),
    ];
    for (beats, make) in (0_usize..).step_by(2).zip(makers) {
        let mut feed = hold.feed().unwrap();
        while feed.pull().unwrap().is_some() {}
        let mut ready = pin!(feed.ready());
        assert!(ready.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        make();
        while mind.groups().len() < 1 + beats + 2 {
            thread::yield_now();
        }
        assert!(ready.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
    }
    drop(waker);
}

#[test]
fn after_a_panic_under_the_helper_another_goes_on() {
    let (_writer, store, mind) = fussy();
    mind.stop_after(0);
    let (mut first, mut behind) = (Box::pin(queue(&store, b"a", b"1")), None);
    assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    mind.wait_until_stopped();
    let waker = Waker::from(Arc::new(Unpark(thread::current(), AtomicU64::new(0))));
    for key in [b"b", b"c"] {
        let mut pending = Box::pin(queue(&store, key, b"1"));
        assert!(pending.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        behind = Some(pending);
    }
    mind.set_fate(Fate::Panics);
    mind.go();
    for pending in [Some(first), behind].into_iter().flatten() {
        fails(block_on(pending), ErrorKind::Poisoned, &["panicked"]);
    }
    mind.set_fate(Fate::Committed);
    block_on(queue(&store, b"d", b"1")).unwrap();
}

#[test]
fn a_waker_that_panics_keeps_nobody_waiting() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker that panics");
        }
    }
    let (mut writer, store, _mind) = fussy();
    let beat = writer.begin(Durability::Durable).unwrap();
    let mut first = Box::pin(queue(&store, b"a", b"1"));
    let waker = Waker::from(Arc::new(Panics));
    assert!(first.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let second = queue(&store, b"b", b"2");
    let blocked = thread::spawn(move || second.wait().unwrap());
    let mut third = Box::pin(queue(&store, b"c", b"3"));
    let waker = Arc::new(Unpark(thread::current(), AtomicU64::new(0)));
    let unpark = Waker::from(Arc::clone(&waker));
    assert!(third.as_mut().poll(&mut Context::from_waker(&unpark)).is_pending());
    beat.commit().unwrap();
    while waker.1.load(Ordering::SeqCst) == 0 {
        thread::park();
    }
    blocked.join().unwrap();
    assert!(matches!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(_))));
    block_on(third).unwrap();
    block_on(queue(&store, b"d", b"4")).unwrap();
}

#[test]
fn started_once_more_it_still_tells_its_waker() {
    let (mut writer, store, _mind) = fussy();
    let beat = writer.begin(Durability::Durable).unwrap();
    let mut pending = Box::pin(queue(&store, b"a", b"1"));
    let told = Arc::new(Unpark(thread::current(), AtomicU64::new(0)));
    let waker = Waker::from(Arc::clone(&told));
    assert!(pending.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    pending.start();
    beat.commit().unwrap();
    while told.1.load(Ordering::SeqCst) == 0 {
        thread::park();
    }
}

#[test]
fn started_it_is_committed_without_anybody_waiting() {
    let (_writer, store, mind) = fussy();
    let pending = queue(&store, b"a", b"1");
    pending.start();
    while mind.groups().is_empty() {
        thread::yield_now();
    }
    assert_eq!(pending.wait().unwrap().commit.0, 1);
}

/// Nobody blocks, polls, asks or drops.
#[test]
fn a_commit_that_is_only_held_is_made_in_the_end() {
    let (_writer, store, _mind) = fussy();
    let hold = store.hold("h", HoldOptions::default()).unwrap();
    let mut feed = hold.feed().unwrap();
    for commit in 2..4 {
        let held = queue(&store, b"a", b"1");
        assert!(feed.wait(Duration::from_secs(600)).unwrap());
        assert_eq!(feed.pull().unwrap().unwrap().commit.0, commit);
        assert_eq!(held.wait().unwrap().commit.0, commit);
    }
}
