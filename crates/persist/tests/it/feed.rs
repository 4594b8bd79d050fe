//! The feed on every engine of this build: clauses H and F of `docs/feed.md` where real files are below.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use persist::{
    BeatLog, Caps, CommitNo, Durability, ErrorKind, Feed, FeedCommit, Hold, HoldOptions, KeyId, KeyRing,
    Quiet, Request, SecretKey, Store, Transacted, Writer, beat_root, compressed, default_request, encrypted,
};

use crate::kit::{Place, durable_places, fails, places, put};

fn hold(store: &Store) -> Hold {
    store.hold("mirror", HoldOptions::default()).unwrap()
}

fn drain(feed: &mut Feed) -> Vec<FeedCommit> {
    std::iter::from_fn(|| feed.pull().unwrap()).collect()
}

fn log(records: &[(&[u8], &[u8])]) -> BeatLog {
    let mut log = BeatLog::new();
    for (key, value) in records {
        log.put(key, value).unwrap();
    }
    log
}

/// Beats of one commit and of several, large ones and deletions among them.
fn fill(writer: &mut Writer) -> Vec<BeatLog> {
    let mut made = Vec::new();
    for round in 0..6_u8 {
        let mut last = log(&[(&[round], &vec![round; 300_000])]);
        last.delete(&[round / 2]).unwrap();
        let logs = [log(&[(b"a", &[round]), (&[b'r', round], b"as plain as can be")]), log(&[]), last];
        for receipt in writer.commit_group(&logs, Durability::Buffered).unwrap() {
            receipt.unwrap();
        }
        made.extend(logs);
    }
    put(writer, &[(b"last", b"")]);
    made.push(log(&[(b"last", b"")]));
    made
}

/// Every commit once, in order, under the header of its beat, whose root it has.
fn check(commits: &[FeedCommit], first: u64, made: &[BeatLog]) {
    let numbers: Vec<u64> = commits.iter().map(|commit| commit.commit.0).collect();
    assert_eq!(numbers, (first..first + made.len() as u64).collect::<Vec<_>>());
    let mut leaves = Vec::new();
    for (commit, log) in commits.iter().zip(made) {
        assert_eq!(commit.log, *log);
        leaves.push(commit.log.leaf());
        if commit.ends_beat() {
            assert_eq!(commit.header.root, Some(beat_root(&leaves)));
            assert_eq!(commit.header.commits, leaves.len() as u64);
            leaves.clear();
        }
    }
    assert!(leaves.is_empty());
}

/// H-1, H-2, F-1, F-2.
#[test]
fn what_was_held_is_there_after_a_reopening_and_replays_to_the_same_store() {
    for place in durable_places() {
        let (mut writer, store) = place.open().unwrap();
        put(&mut writer, &[]);
        let position = hold(&store).position().unwrap();
        let made = fill(&mut writer);
        store.close().unwrap();
        drop((writer, store));
        let (writer, store) = place.open().unwrap();
        let commits = drain(&mut hold(&store).feed().unwrap());
        check(&commits, position.0 + 1, &made);
        let mirror = places().into_iter().find(|place| place.scheme == "memory").unwrap();
        let (mut mirror_writer, mirror) = mirror.open().unwrap();
        for commit in &commits {
            mirror_writer.commit(&commit.log, Durability::Durable).unwrap();
        }
        let digest = |store: &Store| store.digest(&store.view().unwrap()).unwrap();
        assert_eq!(digest(&mirror), digest(&store), "{}", place.scheme);
        assert_eq!(store.verify(&mut |_| {}, &Quiet).unwrap().damaged, 0, "{}", place.scheme);
        drop(writer);
    }
}

/// H-4, H-5: after it was passed on, nothing of it is left.
#[test]
fn what_all_have_passed_is_freed() {
    for place in durable_places() {
        let (mut writer, store) = place.open().unwrap();
        let hold = hold(&store);
        let made = fill(&mut writer);
        let passed = hold.position().unwrap().0 + made.len() as u64 - 1;
        assert!(hold.stat().unwrap().bytes > 6 * 300_000, "{}", place.scheme);
        hold.advance(CommitNo(passed)).unwrap();
        hold.flush().unwrap();
        fails(store.feed(CommitNo(passed - 1)), ErrorKind::Stale, &["no hold kept it"]);
        drop((hold, writer, store));
        let (_writer, store) = place.open().unwrap();
        let hold = store.find_hold("mirror").unwrap().unwrap();
        assert_eq!(hold.position().unwrap(), CommitNo(passed), "{}", place.scheme);
        assert_eq!(
            drain(&mut hold.feed().unwrap()).len(),
            2,
            "{}: the last, and that of the flush",
            place.scheme
        );
        hold.release().unwrap();
        assert!(store.holds().unwrap().is_empty());
        assert_eq!(store.verify(&mut |_| {}, &Quiet).unwrap().damaged, 0, "{}", place.scheme);
    }
}

/// H-6.
#[test]
fn a_hold_beyond_its_bound_is_stale_after_a_reopening_too() {
    for place in durable_places() {
        let (mut writer, store) = place.open().unwrap();
        let options = HoldOptions { bytes_max: 1_000_000, ..HoldOptions::default() };
        let slow = store.hold("slow", options).unwrap();
        fill(&mut writer);
        fails(slow.feed(), ErrorKind::Stale, &["slow"]);
        drop((slow, writer, store));
        let (_writer, store) = place.open().unwrap();
        let stat = store.holds().unwrap().remove(0);
        assert_eq!((stat.stale, stat.bytes), (true, 0), "{}", place.scheme);
        store.find_hold("slow").unwrap().unwrap().release().unwrap();
    }
}

/// F-1, F-4: writers on threads, and a follower that waits.
#[test]
fn a_follower_sees_every_commit_of_every_writer_once() {
    const EACH: u64 = 60;
    for place in places() {
        let (_writer, store) = place.open().unwrap();
        let (hold, done) = (hold(&store), AtomicBool::new(false));
        let first = hold.position().unwrap().0 + 1;
        let seen = thread::scope(|scope| {
            let follower = scope.spawn(|| {
                let (mut feed, mut seen) = (hold.feed().unwrap(), Vec::new());
                loop {
                    // Whoever is done has committed: so there is nothing behind an empty feed that was asked after that.
                    let last = done.load(Ordering::Acquire);
                    let commits = drain(&mut feed);
                    if last && commits.is_empty() {
                        return seen;
                    }
                    if let Some(commit) = commits.last() {
                        hold.advance(commit.commit).unwrap();
                    }
                    seen.extend(commits.into_iter().map(|commit| commit.commit.0));
                    feed.wait(Duration::from_millis(20)).unwrap();
                }
            });
            let writers = [0_u8, 1, 2].map(|who| {
                let store = &store;
                scope.spawn(move || {
                    for n in 0..EACH {
                        let done = store.transact(Durability::Buffered.min(level(store)), |tx| {
                            tx.put(&[who], &n.to_be_bytes())
                        });
                        assert!(matches!(done, Ok(Transacted::Committed(..))));
                    }
                })
            });
            for writer in writers {
                writer.join().unwrap();
            }
            done.store(true, Ordering::Release);
            follower.join().unwrap()
        });
        assert_eq!(seen, (first..first + 3 * EACH).collect::<Vec<_>>(), "{}", place.scheme);
    }
}

fn level(store: &Store) -> Durability {
    store.grant().session.durability
}

/// Copies of commits get the layers of the store: an encrypted one keeps nothing in clear for its feed either.
#[test]
fn commits_are_kept_under_the_layers_of_the_store() {
    let ring = || Arc::new(KeyRing::new().with(KeyId(1), SecretKey::new([1; 32])));
    let open = |place: &Place, request: &Request| {
        let opened = persist::open_with(&place.url(), &place.options.clone().keys(ring())).unwrap();
        opened.negotiate(request).unwrap()
    };
    for place in durable_places() {
        let request = encrypted(compressed(default_request()));
        let (mut writer, store) = open(&place, &request);
        assert!(store.grant().session.caps.contains(Caps::AEAD));
        let position = hold(&store).position().unwrap().0;
        let made = fill(&mut writer);
        store.close().unwrap();
        drop((writer, store));
        let home = std::path::PathBuf::from(place.path());
        assert!(crate::bundles::files_with(&home, b"as plain as can be").is_empty(), "{}", place.scheme);
        let (_writer, store) = open(&place, &request);
        check(&drain(&mut hold(&store).feed().unwrap()), position + 1, &made);
    }
}
