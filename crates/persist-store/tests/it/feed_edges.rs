//! The feed at its limits: of an engine, of the disk, and of what still verifies.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use persist_api::{CommitNo, Durability, ErrorKind, Quiet, Severity};
use persist_io::Disk;
use persist_store::{HoldOptions, Store, Transacted, default_request};

use crate::faulty::fails_after;
use crate::feed::{drain, numbers};
use crate::fussy::fussy;
use crate::group::{log, queue};
use crate::kit::{
    change_raw, content, fails, memory, only, open, open_default, open_memory, place, put, raw_value, toy,
};
use crate::toy::Toy;

const ALL: HoldOptions = HoldOptions { bytes_max: u64::MAX, commits_max: u64::MAX };

#[test]
fn a_commits_copy_counts_against_the_limit_of_its_beat_before_the_beat_opens() {
    let place = place();
    let mut small = toy();
    small.limits.beat_bytes_max = 1000;
    let (mut writer, store) = open(&small, &place.home, &default_request()).unwrap();
    put(&mut writer, &[]);
    let alone = log(&[(b"k", &[1; 994])]); // 1 + 1 + 994 + 4 = 1000
    writer.commit(&alone, Durability::Durable).unwrap();
    let hold = store.hold("h", ALL).unwrap();
    fails(writer.commit(&alone, Durability::Durable), ErrorKind::TooLarge, &["limit here"]);
    fails(store.commit(alone.clone(), Durability::Durable), ErrorKind::TooLarge, &["limit here"]);
    // The record takes 6 + n, its copy 13 + 108 + 12 + 9 + 1 + n + 4, and the table 6 + 32 + 42 + 1 + 2 * 16 + 4.
    let fits = |n: usize| log(&[(b"k", &vec![1; n])]);
    let most = (1000 - 6 - 147 - 117) / 2;
    writer.commit(&fits(most), Durability::Durable).unwrap();
    store.commit(fits(most), Durability::Durable).unwrap().wait().unwrap();
    fails(writer.commit(&fits(most + 1), Durability::Durable), ErrorKind::TooLarge, &["limit here"]);
    let mut beat = writer.begin(Durability::Durable).unwrap();
    fails(beat.put(b"k", &vec![1; most + 1]), ErrorKind::TooLarge, &["limit here"]);
    drop(beat);
    let transact = |n: usize| store.transact(Durability::Durable, |tx| tx.put(b"k", &vec![1; n]));
    assert!(matches!(transact(most).unwrap(), Transacted::Committed(..)));
    fails(transact(most + 1), ErrorKind::TooLarge, &["limit here"]);
    // What is too much for one beat makes several.
    let pending: Vec<_> = (0..3).map(|_| store.commit(fits(200), Durability::Durable).unwrap()).collect();
    let beats: Vec<_> = pending.into_iter().map(|pending| pending.wait().unwrap().beat.0).collect();
    assert!(beats.windows(2).all(|pair| pair[0] < pair[1]), "{beats:?}");
    assert_eq!(drain(&mut hold.feed().unwrap()).len(), 6);
    hold.release().unwrap();
    writer.commit(&alone, Durability::Durable).unwrap();
}

#[test]
fn a_commit_that_was_queued_before_the_hold_is_refused_alone_where_its_copy_finds_no_room() {
    let place = place();
    let mut small = toy();
    small.limits.beat_bytes_max = 1000;
    let (_writer, store) = open(&small, &place.home, &default_request()).unwrap();
    queue(&store, b"first", b"").wait().unwrap();
    let large = store.commit(log(&[(b"k", &[1; 900])]), Durability::Durable).unwrap();
    let other = queue(&store, b"other", b"");
    let hold = store.hold("h", ALL).unwrap();
    // Both came before the hold, in a beat of their own or before it in its beat: no copy is wanted.
    large.wait().unwrap();
    other.wait().unwrap();
    let waiting = store.commit(log(&[(b"k", &[1; 300])]), Durability::Durable).unwrap();
    waiting.wait().unwrap();
    assert_eq!(drain(&mut hold.feed().unwrap()).len(), 1);
}

#[test]
fn a_hold_a_transaction_and_commits_share_a_beat() {
    let (mut writer, store, mind) = fussy();
    put(&mut writer, &[(b"n", b"0")]);
    let first = queue(&store, b"a", b"1");
    let again = queue(&store, b"b", b"2");
    let hold = store.hold("h", ALL).unwrap();
    assert_eq!((mind.groups(), hold.position().unwrap()), (vec![1, 3], CommitNo(4)));
    assert_eq!((first.wait().unwrap().commit.0, again.wait().unwrap().commit.0), (2, 3));
    // With a hold there already, another one, commits on both sides and a transaction.
    let before = queue(&store, b"c", b"3");
    let outcome = store.transact(Durability::Durable, |tx| {
        let value = tx.get(b"n")?.map(|value| value.to_vec()).unwrap_or_default();
        tx.put(b"n", &[value, b"1".to_vec()].concat())
    });
    assert!(matches!(outcome.unwrap(), Transacted::Committed(..)));
    before.wait().unwrap();
    let explicit = put(&mut writer, &[(b"d", b"4")]);
    assert_eq!(mind.groups(), [1, 3, 2, 1]);
    let commits = drain(&mut hold.feed().unwrap());
    assert_eq!(numbers(&commits), [5, 6, 7]);
    assert_eq!(commits[0].header, commits[1].header);
    assert_eq!(commits[2].header.beat, explicit.beat);
    assert_eq!(commits[1].log, log(&[(b"n", b"01")]));
    // In the middle of a group: what comes after it in its beat is kept, what came before is not.
    hold.release().unwrap();
    let pending = queue(&store, b"e", b"5");
    let held = store.hold("again", ALL).unwrap();
    drop(pending);
    assert!(drain(&mut held.feed().unwrap()).is_empty());
}

#[test]
fn a_beat_that_the_engine_refuses_leaves_the_feed_as_it_was() {
    let (_writer, store, mind) = fussy();
    let hold = store.hold("h", ALL).unwrap();
    let pending: Vec<_> = (0..4_u8).map(|n| queue(&store, &[n], b"")).collect();
    let refused = queue(&store, crate::fussy::REFUSED, b"");
    for pending in pending {
        pending.wait().unwrap();
    }
    fails(refused.wait(), ErrorKind::Full, &[]);
    assert_eq!(mind.attempts(), [1, 5, 2, 3, 1, 2, 1, 1]);
    let commits = drain(&mut hold.feed().unwrap());
    assert_eq!(numbers(&commits), [2, 3, 4, 5]);
    let stat = hold.stat().unwrap();
    assert_eq!((stat.commits, stat.bytes), (4, 4 * (13 + 108 + 22 + 4)), "nothing is counted twice");
    mind.set_fate(crate::fussy::Fate::Poisoned);
    fails(queue(&store, b"k", b"").wait(), ErrorKind::Io, &[]);
    assert_eq!(hold.stat().unwrap(), stat);
}

/// Each operation of the disk in turn is the last: the commit is there with its copy, or neither is.
#[test]
fn a_commit_and_its_copy_are_both_there_or_neither() {
    let (mut with, mut without) = (0, 0);
    for steps in 0.. {
        let place = place();
        let (mut writer, store) = open_default(&place.home);
        put(&mut writer, &[(b"k", b"1")]);
        let hold = store.hold("h", ALL).unwrap();
        put(&mut writer, &[(b"k", b"2")]);
        drop((hold, writer, store));
        let disk = fails_after(u64::MAX - 1);
        let stopping = Toy::new(Arc::clone(&disk) as Arc<dyn Disk>);
        let (writer, store) = open(&stopping, &place.home, &default_request()).unwrap();
        disk.intercept().stop_after(steps);
        let hold = store.find_hold("h").unwrap().unwrap();
        hold.advance(CommitNo(3)).unwrap();
        let second = store.hold("second", ALL).is_ok();
        let commit = queue(&store, b"k", b"3").wait().is_ok();
        let done = !disk.intercept().stopped();
        drop((hold, writer, store));

        let (mut writer, store) = open_default(&place.home);
        let last = store.stats().unwrap().commit.0;
        let names: Vec<_> =
            store.holds().unwrap().into_iter().map(|stat| (stat.name, stat.position.0)).collect();
        assert!(!second || names.len() == 2, "step {steps}");
        assert!(!commit || last == 5);
        assert_eq!(names[0], ("h".to_owned(), if names.len() == 2 { 3 } else { 2 }), "advanced by that beat");
        assert_eq!(names.len() == 2, last >= 4);
        let kept = drain(&mut store.find_hold("h").unwrap().unwrap().feed().unwrap());
        assert_eq!(numbers(&kept), (names[0].1 + 1..=last).collect::<Vec<_>>(), "step {steps}");
        let value = content(&store.view().unwrap())[b"k".as_slice()].clone();
        assert_eq!(value, if last == 5 { b"3" } else { b"2" });
        if last == 5 {
            with += 1;
        } else {
            without += 1;
        }
        put(&mut writer, &[(b"k", b"4")]);
        assert_eq!(drain(&mut store.find_hold("h").unwrap().unwrap().feed().unwrap()).len(), kept.len() + 1);
        if done {
            break;
        }
    }
    assert!(with > 0 && without > 4, "{with} {without}");
}

pub fn findings(store: &Store) -> Vec<String> {
    let mut found = Vec::new();
    let report = store.verify(
        &mut |finding| {
            if finding.severity == Severity::Damage {
                found.push(format!("{} ({})", finding.what, finding.place));
            }
        },
        &Quiet,
    );
    assert_eq!(report.unwrap().damaged, found.len() as u64);
    found
}

pub fn key(commit: u64) -> Vec<u8> {
    [b"\x00feed".as_slice(), &commit.to_be_bytes()].concat()
}

/// Commits 1 to 6; a hold is at 1.
pub fn held(home: &std::path::Path) {
    let (mut writer, store) = open_default(home);
    store.hold("h", ALL).unwrap();
    for n in 2..=6_u8 {
        put(&mut writer, &[(b"k", &[n])]);
    }
}

#[test]
fn every_changed_byte_of_a_kept_commit_is_noticed() {
    let whole = place();
    held(&whole.home);
    let record = raw_value(&toy(), &whole.home, &key(4));
    for at in 0..record.len() {
        let place = place();
        held(&place.home);
        let mut changed = record.clone();
        changed[at] ^= 1 << (at % 8);
        change_raw(&toy(), &place.home, &[(&key(4), &changed)]);
        let (_writer, store) = open_default(&place.home);
        let mut feed = store.feed(CommitNo(1)).unwrap();
        let read = [feed.pull().unwrap().unwrap(), feed.pull().unwrap().unwrap()];
        assert_eq!(numbers(&read), [2, 3], "what comes before it is right");
        fails(feed.pull(), ErrorKind::Corrupt, &["feed"]);
        fails(feed.pull(), ErrorKind::Corrupt, &["feed"]);
    }
}

/// Without a layer, the record's own numbers and the root notice what they can: nothing is given out under a wrong number.
#[test]
fn without_a_checksum_a_record_under_another_number_is_noticed() {
    let (mut writer, store) = open_memory(&only(persist_api::Caps::SNAPSHOT));
    store.hold("h", ALL).unwrap();
    writer.commit(&log(&[(b"k", b"v")]), Durability::Volatile).unwrap();
    assert_eq!(store.holds().unwrap()[0].bytes, 13 + 108 + 23, "no layer, no checksum");
    assert_eq!(drain(&mut store.feed(CommitNo(1)).unwrap()).len(), 1);
    drop((writer, store));
    let place = place();
    held(&place.home);
    let other = raw_value(&toy(), &place.home, &key(3));
    change_raw(&toy(), &place.home, &[(&key(4), &other)]);
    let (_writer, store) = open_default(&place.home);
    fails(store.feed(CommitNo(3)), ErrorKind::Corrupt, &["feed"]);
    let mut feed = store.feed(CommitNo(2)).unwrap();
    assert_eq!(feed.pull().unwrap().unwrap().commit, CommitNo(3));
    fails(feed.pull(), ErrorKind::Corrupt, &["feed"]);
}

#[test]
fn damage_in_the_feed_costs_the_holds_never_the_store() {
    let place = place();
    held(&place.home);
    // The raw beat makes commit 7 without a copy: the newest commit is missing from the feed.
    change_raw(&toy(), &place.home, &[(b"\x01k", &raw_value(&toy(), &place.home, b"\x01k"))]);
    let (mut writer, store) = open_default(&place.home);
    assert!(store.holds().unwrap()[0].stale);
    fails(store.hold("h", ALL), ErrorKind::Stale, &["start over"]);
    let found = findings(&store);
    assert!(found.iter().any(|what| what.contains("missing (feed, commit 7)")), "{found:?}");
    put(&mut writer, &[(b"k", b"on")]);
    store.find_hold("h").unwrap().unwrap().release().unwrap();
    assert!(findings(&store).iter().all(|what| !what.contains("feed")), "nothing is left to be wrong");
    store.hold("h", ALL).unwrap();
    put(&mut writer, &[(b"k", b"on")]);
    assert_eq!(
        store.find_hold("h").unwrap().unwrap().feed().unwrap().pull().unwrap().unwrap().log,
        log(&[(b"k", b"on")])
    );
}

#[test]
fn a_sound_feed_verifies_and_lets_the_root_be_computed() {
    let place = place();
    held(&place.home);
    let (_writer, store) = open_default(&place.home);
    let mut found = Vec::new();
    let report = store.verify(&mut |finding| found.push(finding), &Quiet).unwrap();
    assert_eq!((found.len(), report.unchecked, report.records), (0, 0, 1), "{found:?}");
}

#[test]
fn names_and_numbers_of_holds_are_bounded() {
    let (mut writer, store) = memory();
    let long = "x".repeat(65);
    for name in ["", "a\nb", long.as_str()] {
        fails(store.hold(name, ALL), ErrorKind::Invalid, &["name a hold"]);
    }
    let holds: Vec<_> = (0..16).map(|n| store.hold(&format!("{n:0>64}"), ALL).unwrap()).collect();
    fails(store.hold("one more", ALL), ErrorKind::Full, &["one more", "16"]);
    put(&mut writer, &[(b"k", b"v")]);
    for hold in &holds {
        assert_eq!(drain(&mut hold.feed().unwrap()).last().unwrap().log, log(&[(b"k", b"v")]));
    }
    fails(holds[0].advance(CommitNo(1000)), ErrorKind::Invalid, &["1000"]);
    let bounds = HoldOptions { bytes_max: 1 << 20, commits_max: 99 };
    store.hold(holds[3].name(), bounds).unwrap();
    assert_eq!(holds[3].stat().unwrap().options, bounds);
    let (name, first) = (holds[0].name().to_owned(), holds[0].position().unwrap());
    store.find_hold(&name).unwrap().unwrap().release().unwrap();
    fails(holds[0].stat(), ErrorKind::Stale, &["released"]);
    let again = store.hold(&name, ALL).unwrap();
    fails(holds[0].advance(first), ErrorKind::Stale, &["released"]);
    assert!(again.position().unwrap() > first, "another hold of that name");
}

#[test]
fn a_store_without_views_has_no_feed() {
    let (_writer, store) = open_memory(&only(persist_api::Caps::BEAT_ATOMIC));
    fails(store.hold("h", ALL), ErrorKind::Unsupported, &["SNAPSHOT"]);
    fails(store.feed(CommitNo(0)), ErrorKind::Unsupported, &["SNAPSHOT"]);
    let place = place();
    let mut tiny = toy();
    tiny.limits.value_bytes_max = 100;
    let (_writer, store) = open(&tiny, &place.home, &default_request()).unwrap();
    fails(store.hold("h", ALL), ErrorKind::Unsupported, &["108"]);
}

#[test]
fn a_feed_is_awaited_without_a_runtime() {
    let (mut writer, store) = memory();
    let hold = store.hold("h", ALL).unwrap();
    let mut feed = hold.feed().unwrap();
    let waits = |feed: &mut persist_store::Feed| {
        let ready = std::pin::pin!(feed.ready());
        ready.poll(&mut Context::from_waker(Waker::noop())).is_pending()
    };
    assert!(waits(&mut feed) && waits(&mut feed));
    put(&mut writer, &[(b"k", b"v")]);
    assert!(!waits(&mut feed));
    feed.pull().unwrap().unwrap();
    let follower = std::thread::spawn(move || {
        crate::futures::block_on(feed.ready()).unwrap();
        feed.pull().unwrap().unwrap().commit
    });
    assert_eq!(put(&mut writer, &[(b"k", b"w")]).commit, follower.join().unwrap());
    let mut feed = hold.feed().unwrap();
    drain(&mut feed);
    drop((writer, hold));
    let closer = std::thread::spawn(move || drop(store));
    let closed = crate::futures::block_on(feed.ready());
    fails(closed, ErrorKind::Closed, &[]);
    closer.join().unwrap();
    let Poll::Ready(closed) = std::pin::pin!(feed.ready()).poll(&mut Context::from_waker(Waker::noop()))
    else {
        panic!("ready")
    };
    fails(closed, ErrorKind::Closed, &[]);
}

/// The bytes that `docs/format.md` describes, in a store without checksums and roots.
#[test]
fn golden_bytes() {
    let place = place();
    let plain = persist_api::Request { durability: Durability::Durable, ..only(persist_api::Caps::SNAPSHOT) };
    let (mut writer, store) = open(&toy(), &place.home, &plain).unwrap();
    store.hold("h", HoldOptions { bytes_max: 1000, commits_max: 7 }).unwrap();
    let commit = log(&[(b"k", b"v")]);
    writer.commit(&commit, Durability::Durable).unwrap();
    drop((writer, store));
    let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
    let header = persist_api::BeatHeader {
        beat: persist_api::BeatNo(2),
        first_commit: CommitNo(2),
        commits: 1,
        durability: Durability::Durable,
        root: None,
    };
    let bytes = 13 + 108 + 23;
    let record = [&header.encode()[..], &words(&[2, bytes, 1, 23]), &[1, 0, 0, 0], commit.canonical_bytes()];
    assert_eq!(raw_value(&toy(), &place.home, &key(2)), record.concat());
    let head = [&b"PFH1"[..], &[1, 0, 1, 0], &words(&[bytes, 1, 0])];
    let rest = [&words(&[2, 3])[..], &words(&[1, 1, 0, 1000, 7]), &[0, 1], b"h"];
    assert_eq!(raw_value(&toy(), &place.home, b"\x00holds"), [head.concat(), rest.concat()].concat());
}
