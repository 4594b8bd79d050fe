//! Followers under a scheduler that tries many interleavings.

use std::sync::Arc;
use std::time::Duration;

use persist_api::{CommitNo, ErrorKind};
use shuttle::{future, thread};

use super::{Feed, HoldOptions};
use crate::CommitOptions;
use crate::group::tests::{LEVEL, explore, log, open, queue, waits};

const LONG: Duration = Duration::from_secs(1 << 20);

/// Pulls until commit `last` was there, and checks that each comes once and in order.
fn follow(mut feed: Feed, last: u64, mut wait: impl FnMut(&mut Feed)) {
    while feed.position().0 < last {
        let next = feed.position().0 + 1;
        match feed.pull().unwrap() {
            Some(commit) => assert_eq!(commit.commit.0, next, "no gap, no repeat"),
            None => wait(&mut feed),
        }
    }
    assert!(feed.pull().unwrap().is_none());
}

#[test]
fn a_follower_that_blocks_misses_no_wake_up() {
    explore(|| {
        let (mut writer, store) = open(CommitOptions { beat_commits_max: 2, ..CommitOptions::default() });
        let hold = store.hold("h", HoldOptions::default()).unwrap();
        let feed = hold.feed().unwrap();
        // It would wait for good if a beat did not wake it.
        let follower = thread::spawn(move || follow(feed, 5, |feed| assert!(feed.wait(LONG).unwrap())));
        let waiting = store.clone();
        let waiting = thread::spawn(move || {
            queue(&waiting, 1).wait().unwrap();
            queue(&waiting, 2).wait().unwrap();
        });
        writer.commit(&log(3), LEVEL).unwrap();
        drop(queue(&store, 4));
        waiting.join().unwrap();
        follower.join().unwrap();
    });
}

#[test]
fn a_follower_that_is_polled_misses_no_wake_up() {
    explore(|| {
        let (mut writer, store) = open(CommitOptions::default());
        let hold = store.hold("h", HoldOptions::default()).unwrap();
        let feeds = [hold.feed().unwrap(), hold.feed().unwrap()];
        let followers = feeds.map(|feed| {
            thread::spawn(move || follow(feed, 4, |feed| future::block_on(feed.ready()).unwrap()))
        });
        let waiting = store.clone();
        let waiting = thread::spawn(move || queue(&waiting, 1).wait().unwrap());
        writer.commit(&log(2), LEVEL).unwrap();
        future::block_on(queue(&store, 3)).unwrap();
        waiting.join().unwrap();
        for follower in followers {
            follower.join().unwrap();
        }
    });
}

#[test]
fn a_waker_that_uses_the_feed_when_dropped_meets_no_lock() {
    explore(|| {
        let (_writer, store) = open(CommitOptions::default());
        let hold = store.hold("h", HoldOptions::default()).unwrap();
        let mut feed = hold.feed().unwrap();
        let mut ready = Box::pin(feed.ready());
        assert!(waits(ready.as_mut(), &store, 1));
        // The first waker commits when the second takes its place, and that when the future is dropped.
        waits(ready.as_mut(), &store, 2);
        drop(ready);
        follow(feed, 3, |feed| assert!(feed.wait(LONG).unwrap()));
    });
}

#[test]
fn who_advances_while_others_commit_loses_nothing() {
    explore(|| {
        let (_writer, store) = open(CommitOptions::default());
        let hold = Arc::new(store.hold("h", HoldOptions::default()).unwrap());
        let mut feed = hold.feed().unwrap();
        let advancing = Arc::clone(&hold);
        let follower = thread::spawn(move || {
            while feed.position().0 < 4 {
                match feed.pull().unwrap() {
                    Some(commit) => advancing.advance(commit.commit).unwrap(),
                    None => assert!(feed.wait(LONG).unwrap()),
                }
            }
        });
        let other = store.clone();
        let other = thread::spawn(move || {
            let held = other.hold("other", HoldOptions::default()).unwrap();
            let position = held.position().unwrap();
            queue(&other, 1).wait().unwrap();
            let mut feed = held.feed().unwrap();
            assert_eq!(feed.pull().unwrap().unwrap().commit.0, position.0 + 1);
        });
        queue(&store, 2).wait().unwrap();
        other.join().unwrap();
        follower.join().unwrap();
        // Hold, other hold, two commits: all passed by one, and the rest kept for the other.
        queue(&store, 3).wait().unwrap();
        let stats = store.holds().unwrap();
        assert_eq!((stats[0].position, stats[0].commits), (CommitNo(4), 1));
        assert_eq!(store.feed(stats[1].position).unwrap().pull().unwrap().is_some(), stats[1].commits > 0);
    });
}

/// As a swap does, that follows what views show.
#[test]
fn what_a_view_shows_may_be_passed_before_the_feed_tells_of_it() {
    explore(|| {
        let (_writer, store) = open(CommitOptions::default());
        let hold = store.hold("h", HoldOptions::default()).unwrap();
        let viewing = store.clone();
        let passing = thread::spawn(move || {
            let shown = viewing.view().unwrap().header().last_commit();
            hold.advance(shown).unwrap();
            let beyond = hold.advance(CommitNo(3)).unwrap_err();
            assert_eq!(beyond.kind(), ErrorKind::Invalid, "{beyond}");
        });
        queue(&store, 1).wait().unwrap();
        passing.join().unwrap();
    });
}

#[test]
fn who_is_left_behind_is_told_and_gets_nothing_wrong() {
    explore(|| {
        let (_writer, store) = open(CommitOptions::default());
        let bounds = HoldOptions { commits_max: 2, ..HoldOptions::default() };
        let hold = store.hold("h", bounds).unwrap();
        let mut feed = hold.feed().unwrap();
        let follower = thread::spawn(move || {
            while feed.position().0 < 5 {
                let next = feed.position().0 + 1;
                match feed.pull() {
                    Ok(Some(commit)) => assert_eq!(commit.commit.0, next),
                    Ok(None) => assert!(feed.wait(LONG).unwrap()),
                    Err(error) => return assert_eq!(error.kind(), ErrorKind::Stale, "{error}"),
                }
                let _ = hold.advance(feed.position());
            }
        });
        for key in 0..4 {
            queue(&store, key).wait().unwrap();
        }
        follower.join().unwrap();
        let stat = store.holds().unwrap().remove(0);
        assert!(stat.stale || stat.commits <= 2, "{stat:?}");
    });
}

#[test]
fn the_end_of_the_store_is_told_to_who_waits() {
    explore(|| {
        let (writer, store) = open(CommitOptions::default());
        let hold = store.hold("h", HoldOptions::default()).unwrap();
        let feeds = [hold.feed().unwrap(), hold.feed().unwrap()];
        drop(hold);
        let [mut blocked, mut polled] = feeds;
        let blocked = thread::spawn(move || blocked.wait(LONG).unwrap_err().kind());
        let polled = thread::spawn(move || future::block_on(polled.ready()).unwrap_err().kind());
        let last = thread::spawn(move || drop(store));
        drop(writer);
        last.join().unwrap();
        assert_eq!((blocked.join().unwrap(), polled.join().unwrap()), (ErrorKind::Closed, ErrorKind::Closed));
    });
}
