//! The feed: what is stored, read and freed.

use std::time::Duration;

use persist_api::{CommitNo, Durability, ErrorKind, KeyRange, Scan};
use persist_store::{BeatLog, Feed, FeedCommit, HoldOptions, Store};

use crate::group::log;
use crate::kit::{content, fails, memory, open_default, place, put, raw, toy};

pub fn drain(feed: &mut Feed) -> Vec<FeedCommit> {
    std::iter::from_fn(|| feed.pull().unwrap()).collect()
}

pub fn numbers(commits: &[FeedCommit]) -> Vec<u64> {
    commits.iter().map(|commit| commit.commit.0).collect()
}

fn hold_all(store: &Store, name: &str) -> persist_store::Hold {
    store.hold(name, HoldOptions::default()).unwrap()
}

/// Engine keys of the runtime's own records, of a store that is closed.
pub fn own_keys(toy: &crate::toy::Toy, home: &std::path::Path) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    let view = raw(toy, home).view().unwrap();
    let own = KeyRange::prefix(b"\x00");
    view.scan(Scan::range(own), &mut |key, _| {
        keys.push(key.to_vec());
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    keys
}

#[test]
fn commits_come_as_they_were_made_in_order_and_once() {
    let (mut writer, store) = memory();
    put(&mut writer, &[(b"before", b"1")]);
    let hold = hold_all(&store, "mirror");
    assert_eq!(hold.position().unwrap(), CommitNo(2), "its own commit");
    let mut feed = hold.feed().unwrap();
    assert_eq!(feed.pull().unwrap(), None);
    let logs = [log(&[(b"a", b"1"), (b"b", b"2")]), log(&[]), log(&[(b"a", b"3")])];
    let made = writer.commit_group(&logs, Durability::Durable).unwrap();
    let mut last = BeatLog::new();
    last.delete(b"b").unwrap();
    last.delete_range(&KeyRange::prefix(b"be")).unwrap();
    writer.commit(&last, Durability::Durable).unwrap();
    let commits = drain(&mut feed);
    assert_eq!(numbers(&commits), [3, 4, 5, 6]);
    for (commit, (log, made)) in commits.iter().zip(logs.iter().zip(&made)) {
        let made = made.as_ref().unwrap();
        assert_eq!((&commit.log, commit.commit, commit.header.beat), (log, made.commit, made.beat));
        assert_eq!((commit.header.root, commit.header.commits), (made.root, 3));
        assert_eq!(commit.ends_beat(), commit.commit.0 == 5);
    }
    assert_eq!(commits[3].log, last);
    assert_eq!(feed.position(), CommitNo(6));
    assert_eq!(feed.pull().unwrap(), None);
    let again = drain(&mut store.feed(CommitNo(4)).unwrap());
    assert_eq!(again, commits[2..]);
}

#[test]
fn nothing_is_stored_while_nobody_holds_and_nothing_stays_when_all_is_passed() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    put(&mut writer, &[(b"a", b"1")]);
    fails(store.feed(CommitNo(0)), ErrorKind::Stale, &["commit 1", "no hold"]);
    let hold = hold_all(&store, "mirror");
    for n in 0..100_u8 {
        put(&mut writer, &[(b"a", &[n])]);
    }
    assert_eq!(store.stats().unwrap().engine.records, Some(1));
    let stat = store.holds().unwrap().remove(0);
    assert_eq!((stat.position.0, stat.commits, stat.stale), (2, 100, false));
    // Head 108, log 12 + 9 + 1 + 1, key 13, checksum 4.
    assert_eq!(stat.bytes, 100 * (108 + 23 + 13 + 4));
    let view = store.view().unwrap();
    assert_eq!(content(&view).len(), 1, "users see their own records only");
    drop(view);
    hold.advance(CommitNo(60)).unwrap();
    assert_eq!(store.holds().unwrap().remove(0).commits, 42);
    hold.flush().unwrap();
    fails(store.feed(CommitNo(59)), ErrorKind::Stale, &["commit 60"]);
    assert_eq!(numbers(&drain(&mut store.feed(CommitNo(60)).unwrap())), (61..=103).collect::<Vec<_>>());
    hold.release().unwrap();
    fails(store.feed(CommitNo(103)), ErrorKind::Stale, &["commit 104"]);
    assert!(store.holds().unwrap().is_empty());
    store.close().unwrap();
    drop((writer, store));
    assert_eq!(own_keys(&toy(), &place.home), [b"\x00format".to_vec()]);
}

#[test]
fn a_hold_is_found_again_after_a_reopening() {
    let place = place();
    let (mut writer, store) = open_default(&place.home);
    let hold = hold_all(&store, "mirror");
    for n in 0..10_u8 {
        put(&mut writer, &[(&[n], b"v")]);
    }
    hold.advance(CommitNo(4)).unwrap();
    hold.flush().unwrap();
    hold.advance(CommitNo(8)).unwrap();
    drop((hold, writer, store));
    let (mut writer, store) = open_default(&place.home);
    let hold = hold_all(&store, "mirror");
    assert_eq!(hold.position().unwrap(), CommitNo(4), "what was not flushed is seen again");
    assert_eq!(store.holds().unwrap().len(), 1);
    put(&mut writer, &[(b"new", b"v")]);
    let commits = drain(&mut hold.feed().unwrap());
    assert_eq!(numbers(&commits), (5..=13).collect::<Vec<_>>());
    let stat = hold.stat().unwrap();
    let expected = [(1, 7), (0, 1), (3, 1)]; // one-byte keys, the empty commit of `flush`, `new`
    let bytes: u64 = expected
        .iter()
        .map(|(key, times)| match key {
            0 => 137 * times,
            key => (137 + 10 + key) * times,
        })
        .sum();
    assert_eq!(stat.bytes, bytes);
}

#[test]
fn waiting_ends_with_a_commit_with_time_or_with_the_store() {
    let (mut writer, store) = memory();
    let hold = hold_all(&store, "mirror");
    let mut feed = hold.feed().unwrap();
    assert!(!feed.wait(Duration::ZERO).unwrap());
    put(&mut writer, &[(b"a", b"1")]);
    assert!(feed.wait(Duration::ZERO).unwrap());
    feed.pull().unwrap().unwrap();
    assert!(!feed.wait(Duration::ZERO).unwrap());
    drop((hold, writer));
    store.close().unwrap();
    fails(feed.wait(Duration::MAX), ErrorKind::Closed, &[]);
    fails(feed.pull().map(|_| ()).and_then(|()| feed.wait(Duration::MAX)), ErrorKind::Closed, &[]);
}

#[test]
fn a_hold_that_falls_too_far_behind_goes_stale_and_the_store_stays_bounded() {
    let bounds = [
        HoldOptions { commits_max: 20, ..HoldOptions::default() },
        HoldOptions { bytes_max: 20 * 151, ..HoldOptions::default() }, // key 13, head 108, log 26, checksum 4
    ];
    for options in bounds {
        let (mut writer, store) = memory();
        let slow = store.hold("slow", options).unwrap();
        let quick = hold_all(&store, "quick");
        slow.advance(quick.position().unwrap()).unwrap();
        let mut feed = slow.feed().unwrap();
        for n in 0..20_u8 {
            put(&mut writer, &[(b"key", &[n, n])]);
        }
        assert!(!slow.stat().unwrap().stale);
        put(&mut writer, &[(b"key", b"ab")]);
        let stat = slow.stat().unwrap();
        assert_eq!((stat.stale, stat.bytes, stat.commits), (true, 0, 21));
        fails(slow.feed(), ErrorKind::Stale, &["slow", "To start over"]);
        fails(slow.advance(CommitNo(5)), ErrorKind::Stale, &["slow", "To start over"]);
        fails(store.hold("slow", options), ErrorKind::Stale, &["slow", "To start over"]);
        assert!(!quick.stat().unwrap().stale, "others are not touched");
        assert_eq!(drain(&mut feed).len(), 21, "what another hold keeps can still be read");
        quick.release().unwrap();
        fails(store.feed(CommitNo(2)), ErrorKind::Stale, &["commit 3"]);
        store.find_hold("slow").unwrap().unwrap().release().unwrap();
        let again = store.hold("slow", options).unwrap();
        put(&mut writer, &[(b"key", b"cd")]);
        assert_eq!(drain(&mut again.feed().unwrap()).len(), 1);
    }
}
