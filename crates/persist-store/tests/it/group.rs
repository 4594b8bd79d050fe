//! Group commit.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use persist_api::{Caps, Durability, ErrorKind, KeyRange};
use persist_io::sim::SimDisk;
use persist_store::{BeatLog, CommitOptions, Pending, Receipt, Store, default_request};

use crate::fussy::{DAMAGED, DEADLY, Fate, REFUSED, UNREADABLE, fussy};
use crate::futures::block_on;
use crate::kit::{content, fails, memory, only, open, open_memory, place, put, toy};
use crate::toy::Toy;

pub fn log(records: &[(&[u8], &[u8])]) -> BeatLog {
    let mut log = BeatLog::new();
    for (key, value) in records {
        log.put(key, value).unwrap();
    }
    log
}

pub fn queue(store: &Store, key: &[u8], value: &[u8]) -> Pending {
    store.commit(log(&[(key, value)]), Durability::Durable).unwrap()
}

pub fn numbers(receipt: &Receipt) -> (u64, u64) {
    (receipt.beat.0, receipt.commit.0)
}

#[test]
fn what_waits_goes_into_one_beat_in_order() {
    let (_writer, store, mind) = fussy();
    let pending: Vec<_> = (0..5_u8).map(|n| queue(&store, b"k", &[n])).collect();
    assert!(mind.groups().is_empty(), "nothing is committed before somebody waits");
    assert!(!pending[0].is_done());
    let receipts: Vec<_> = pending.into_iter().rev().map(|pending| pending.wait().unwrap()).collect();
    let numbers: Vec<_> = receipts.iter().rev().map(numbers).collect();
    assert_eq!(numbers, [(1, 1), (1, 2), (1, 3), (1, 4), (1, 5)]);
    assert_eq!(mind.groups(), [5]);
    assert_eq!(content(&store.view().unwrap())[b"k".as_slice()], [4]);
    assert_eq!(store.stats().unwrap().commit.0, 5);
}

#[test]
fn a_commit_that_names_its_beat_names_the_right_one_whatever_is_queued() {
    let (mut writer, store, _mind) = fussy();
    let queued: Vec<_> = (0..3_u8).map(|n| queue(&store, &[n], b"v")).collect();
    let named = |writer: &mut persist_store::Writer| {
        writer.commit_with(Durability::Durable, |beat| Ok(log(&[(b"beat", &beat.0.to_be_bytes())])))
    };
    let receipt = named(&mut writer).unwrap();
    assert_eq!(content(&store.view().unwrap())[b"beat".as_slice()], receipt.beat.0.to_be_bytes());
    let last = queued.into_iter().map(|pending| pending.wait().unwrap().beat).max().unwrap();
    assert_eq!(receipt.beat.0, last.0 + 1, "what was queued before comes before");
    let refused = writer.commit_with(Durability::Durable, |_| Err(persist_api::Error::cancelled("make")));
    fails(refused, ErrorKind::Cancelled, &[]);
    assert_eq!(named(&mut writer).unwrap().beat.0, receipt.beat.0 + 1, "the lane is free again");
}

#[test]
fn a_group_is_as_durable_as_the_most_that_was_asked() {
    let place = place();
    let request = persist_api::Request { required: Caps::BUFFERED, ..default_request() };
    let (_writer, store) = open(&toy(), &place.home, &request).unwrap();
    let levels = [Durability::Volatile, Durability::Buffered, Durability::Durable, Durability::Volatile];
    for most in 1..=levels.len() {
        let pending: Vec<_> =
            levels[..most].iter().map(|level| store.commit(log(&[(b"k", b"v")]), *level).unwrap()).collect();
        let max = *levels[..most].iter().max().unwrap();
        for pending in pending {
            assert_eq!(pending.wait().unwrap().reached, max);
        }
    }
}

#[test]
fn the_root_and_the_receipts_are_those_of_an_explicit_group() {
    let logs = [log(&[(b"a", b"1")]), log(&[]), log(&[(b"b", b"2"), (b"c", b"3")])];
    for count in 1..=logs.len() {
        let (mut writer, _store) = memory();
        let (_, store) = memory();
        let logs = &logs[..count];
        let explicit = writer.commit_group(logs, Durability::Durable).unwrap();
        let pending: Vec<_> =
            logs.iter().map(|log| store.commit(log.clone(), Durability::Durable).unwrap()).collect();
        let queued: Vec<_> = pending.into_iter().map(|pending| pending.wait().unwrap()).collect();
        assert_eq!(explicit.into_iter().map(Result::unwrap).collect::<Vec<_>>(), queued);
        assert!(queued[0].root.is_some());
    }
}

#[test]
fn a_bad_commit_is_refused_alone() {
    let (_writer, store, mind) = fussy();
    let good = queue(&store, b"good", b"1");
    let long = vec![0; 2 << 20];
    fails(
        store.commit(log(&[(b"x", b"1"), (&long, b"")]), Durability::Durable),
        ErrorKind::TooLarge,
        &["key"],
    );
    let other = queue(&store, b"other", b"1");
    assert_eq!(numbers(&good.wait().unwrap()), (1, 1));
    assert_eq!(numbers(&other.wait().unwrap()), (1, 2));
    assert_eq!(mind.attempts(), [2], "the engine never met it");
    assert_eq!(
        content(&store.view().unwrap()).into_keys().collect::<Vec<_>>(),
        [b"good".to_vec(), b"other".to_vec()]
    );
}

#[test]
fn what_was_not_granted_is_refused_at_the_call() {
    let (_writer, store) = open_memory(&only(Caps::BEAT_ATOMIC));
    let mut ranges = BeatLog::new();
    ranges.delete_range(&KeyRange::all()).unwrap();
    fails(store.commit(ranges, Durability::Volatile), ErrorKind::Unsupported, &["DELETE_RANGE"]);
    fails(store.commit(log(&[]), Durability::Durable), ErrorKind::Unsupported, &["durable"]);
    let refused = store.try_commit(log(&[(b"k", b"v")]), Durability::Durable).unwrap_err();
    assert_eq!(refused.error().kind(), ErrorKind::Unsupported);
    assert_eq!(refused.into_parts().0, log(&[(b"k", b"v")]));
    store.commit(log(&[]), Durability::Volatile).unwrap().wait().unwrap();
}

#[test]
fn beats_are_bounded_in_commits_and_bytes() {
    let (_writer, store, mind) = fussy();
    store.set_commit_options(CommitOptions { beat_commits_max: 4, ..CommitOptions::default() });
    let pending: Vec<_> = (0..10_u8).map(|n| queue(&store, &[n], b"")).collect();
    let beats: Vec<_> = pending.into_iter().rev().map(|pending| pending.wait().unwrap().beat.0).collect();
    assert_eq!(beats, [3, 3, 2, 2, 2, 2, 1, 1, 1, 1]);
    // Each stages 2 + 100 bytes and, with a checksum layer, four more.
    store.set_commit_options(CommitOptions { beat_bytes_max: 250, ..CommitOptions::default() });
    let mut pending: Vec<_> = (0..5_u8).map(|n| queue(&store, &[n], &[n; 100])).collect();
    pending.push(queue(&store, b"large", &[7; 1000]));
    pending.push(queue(&store, b"small", b""));
    for pending in pending {
        pending.wait().unwrap();
    }
    assert_eq!(mind.groups()[3..], [2, 2, 1, 1, 1]);
}

#[test]
fn an_engine_error_is_met_by_halves() {
    let (_writer, store, mind) = fussy();
    let pending: Vec<_> = (0..8_u8).map(|n| queue(&store, &[n], b"")).collect();
    let refused = queue(&store, REFUSED, b"");
    let commits: Vec<_> = pending.into_iter().map(|pending| pending.wait().unwrap().commit.0).collect();
    fails(refused.wait(), ErrorKind::Full, &["refused"]);
    assert_eq!(commits, [1, 2, 3, 4, 5, 6, 7, 8], "in order and without gaps");
    assert_eq!(mind.attempts(), [9, 4, 5, 2, 3, 1, 2, 1, 1]);
    assert_eq!(mind.groups(), [4, 2, 1, 1]);
    assert_eq!(content(&store.view().unwrap()).len(), 8);
}

#[test]
fn every_place_of_a_bad_commit_is_met_by_halves() {
    for count in 1..=9_usize {
        for bad in 0..count {
            let (_writer, store, _mind) = fussy();
            let key = |n: usize| if n == bad { REFUSED.to_vec() } else { vec![n as u8] };
            let pending: Vec<_> = (0..count).map(|n| queue(&store, &key(n), b"")).collect();
            let mut commit = 0;
            for (n, pending) in pending.into_iter().enumerate() {
                if n == bad {
                    fails(pending.wait(), ErrorKind::Full, &[]);
                } else {
                    commit += 1;
                    assert_eq!(pending.wait().unwrap().commit.0, commit);
                }
            }
            let keys: BTreeSet<_> = content(&store.view().unwrap()).into_keys().collect();
            assert_eq!(keys, (0..count).filter(|n| *n != bad).map(key).collect());
        }
    }
}

/// Nothing of the beat can be there before the engine is asked to commit it.
#[test]
fn a_commit_that_meets_damage_while_it_is_staged_fails_alone() {
    for (bad, kind) in [(DAMAGED, ErrorKind::Corrupt), (UNREADABLE, ErrorKind::Io)] {
        let (mut writer, store, mind) = fussy();
        let before: Vec<_> = (0..3_u8).map(|n| queue(&store, &[n], b"")).collect();
        let failed = queue(&store, bad, b"");
        let after: Vec<_> = (3..6_u8).map(|n| queue(&store, &[n], b"")).collect();
        let commits = before.into_iter().chain(after).map(|pending| pending.wait().unwrap().commit.0);
        assert_eq!(commits.collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6], "in order and without gaps");
        fails(failed.wait(), kind, &["the page"]);
        assert_eq!(mind.attempts(), [7, 3, 4, 2, 1, 1, 2]);
        fails(writer.commit(&log(&[(bad, b"")]), Durability::Durable), kind, &["the page"]);
        assert_eq!(writer.commit(&log(&[]), Durability::Durable).unwrap().commit.0, 7);
        assert_eq!(content(&store.view().unwrap()).len(), 6);
    }
}

/// Every one is told why it was not made, and nobody tries for ever.
#[test]
fn a_group_that_meets_nothing_but_damage_ends() {
    let (_writer, store, mind) = fussy();
    let pending: Vec<_> = (0..5_u8).map(|n| queue(&store, &[DAMAGED, &[n]].concat(), b"")).collect();
    for pending in pending {
        fails(pending.wait(), ErrorKind::Corrupt, &["the page is damaged"]);
    }
    assert_eq!(mind.attempts(), [5, 2, 1, 1, 3, 1, 2, 1, 1]);
}

/// Whether the beat is there after a commit that failed, only a reopening can say.
#[test]
fn damage_that_the_commit_itself_meets_is_everybodys_and_nothing_is_tried_again() {
    let (_writer, store, mind) = fussy();
    let pending: Vec<_> = (0..4_u8).map(|n| queue(&store, &[n], b"")).collect();
    mind.set_fate(Fate::Damaged);
    for pending in pending {
        fails(pending.wait(), ErrorKind::Corrupt, &["the root is damaged"]);
    }
    assert_eq!(mind.attempts(), [4]);
}

#[test]
fn what_poisons_the_engine_after_damage_was_met_ends_the_halves() {
    let (_writer, store, mind) = fussy();
    let keys: [&[u8]; 4] = [b"good", DAMAGED, DEADLY, b"unlucky"];
    let pending = keys.map(|key| queue(&store, key, b""));
    let kinds = pending.map(|pending| pending.wait().map_err(|error| error.kind()).map(|it| it.commit.0));
    let damage = Err(ErrorKind::Corrupt);
    assert_eq!(kinds, [Ok(1), damage, damage, damage], "the first cause is what they hear");
    assert_eq!(mind.attempts(), [4, 2, 1, 1, 2]);
}

#[test]
fn an_error_that_poisons_the_engine_is_everybodys_and_nothing_is_tried_again() {
    let (mut writer, store, mind) = fussy();
    let pending: Vec<_> = (0..4_u8).map(|n| queue(&store, &[n], b"")).collect();
    mind.set_fate(Fate::Poisoned);
    for pending in pending {
        let error = fails(pending.wait(), ErrorKind::Io, &["the disk is gone"]);
        assert_eq!((error.op(), error.engine()), ("commit_beat", Some("fussy")));
    }
    assert_eq!(mind.attempts(), [4]);
    fails(queue(&store, b"k", b"").wait(), ErrorKind::Poisoned, &[]);
    fails(writer.commit(&log(&[]), Durability::Durable), ErrorKind::Poisoned, &[]);
    assert!(content(&store.view().unwrap()).is_empty());
}

/// As a disk that is full does.
#[test]
fn a_refusal_that_poisons_the_engine_is_what_everybody_hears() {
    for (beats, attempts) in [(1, vec![4]), (2, vec![4, 2]), (3, vec![4, 2, 1]), (4, vec![4, 2, 1, 1])] {
        let (_writer, store, mind) = fussy();
        let pending: Vec<_> = (0..4_u8).map(|n| queue(&store, &[n], b"")).collect();
        mind.set_fate(Fate::Full(beats));
        for pending in pending {
            let error = fails(pending.wait(), ErrorKind::Full, &["no space is left"]);
            assert_eq!((error.op(), error.path()), ("commit_beat", Some(Path::new("disk"))));
        }
        assert_eq!(mind.attempts(), attempts);
        fails(queue(&store, b"k", b"").wait(), ErrorKind::Poisoned, &[]);
    }
}

/// What was refused before a beat that was made has nothing to do with it.
#[test]
fn an_engine_that_is_poisoned_later_is_not_full() {
    let (_writer, store, mind) = fussy();
    let keys: [&[u8]; 4] = [REFUSED, b"good", b"unlucky", DEADLY];
    let pending = keys.map(|key| queue(&store, key, b""));
    let kinds =
        pending.map(|pending| pending.wait().map_err(|error| error.kind()).map(|receipt| receipt.commit.0));
    assert_eq!(kinds, [Err(ErrorKind::Full), Ok(1), Err(ErrorKind::Poisoned), Err(ErrorKind::Poisoned)]);
    assert_eq!(mind.attempts(), [4, 2, 1, 1, 2]);
}

#[test]
fn a_full_disk_is_told_to_all_whose_commits_wait() {
    let disk = SimDisk::new(7);
    let toy = Toy::new(Arc::new(disk.clone()));
    let (_writer, store) = open(&toy, Path::new("/home"), &default_request()).unwrap();
    queue(&store, b"before", b"").wait().unwrap();
    let pending = [queue(&store, b"a", &[1; 5000]), queue(&store, b"b", &[2; 5000])];
    disk.limit_space(Some(disk.files().iter().map(|(_, bytes)| bytes).sum()));
    for pending in pending {
        let error = fails(pending.wait(), ErrorKind::Full, &[]);
        assert!(error.path().is_some(), "it says where: {error}");
    }
    disk.limit_space(None);
    fails(queue(&store, b"k", b"").wait(), ErrorKind::Poisoned, &[]);
}

#[test]
fn an_engine_that_panics_harms_its_group_and_leaves_the_lane_free() {
    let (mut writer, store, mind) = fussy();
    let (first, second) = (queue(&store, b"a", b""), queue(&store, b"b", b""));
    mind.set_fate(Fate::Panics);
    assert!(thread::spawn(move || first.wait()).join().is_err());
    fails(second.wait(), ErrorKind::Poisoned, &["panicked"]);
    mind.set_fate(Fate::Committed);
    assert_eq!(numbers(&queue(&store, b"c", b"").wait().unwrap()), (1, 1));
    mind.set_fate(Fate::Panics);
    assert!(thread::scope(|scope| scope
        .spawn(|| writer.commit(&log(&[]), Durability::Durable))
        .join()
        .is_err()));
    mind.set_fate(Fate::Committed);
    assert_eq!(numbers(&queue(&store, b"d", b"").wait().unwrap()), (2, 2));
}

const THREADS: u8 = 6;
const ROUNDS: u16 = 150;

/// Threads commit in all ways at once; every acknowledgement and every record is checked against what was asked.
#[test]
fn many_threads_are_each_told_once_and_right() {
    let (mut writer, store, mind) = fussy();
    let receipts: Vec<Receipt> = thread::scope(|scope| {
        let store = &store;
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    let mut receipts = Vec::new();
                    for round in 0..ROUNDS {
                        let key = [thread, (round >> 8) as u8, round as u8];
                        let twin = [[b'~'].as_slice(), &key].concat();
                        let batch = log(&[(&key, &key), (&twin, b"")]);
                        let pending = store.commit(batch, Durability::Durable).unwrap();
                        match (thread + round as u8) % 4 {
                            0 | 1 => receipts.push(pending.wait().unwrap()),
                            2 => receipts.push(block_on(pending).unwrap()),
                            _ => drop(pending),
                        }
                        if round % 16 == 0 {
                            let view = store.view().unwrap();
                            let content = content(&view);
                            let of = |twins| {
                                content
                                    .keys()
                                    .filter(|key| key[0] != b'=' && (key[0] == b'~') == twins)
                                    .count()
                            };
                            assert_eq!(of(false), of(true), "a commit is there whole or not at all");
                        }
                    }
                    receipts
                })
            })
            .collect();
        let explicit: Vec<_> = (0..ROUNDS)
            .map(|round| put(&mut writer, &[(&[b'=', (round >> 8) as u8, round as u8], b"")]))
            .collect();
        assert!(explicit.windows(2).all(|pair| pair[0].commit < pair[1].commit));
        let receipts = threads.into_iter().flat_map(|thread| {
            let receipts = thread.join().unwrap();
            assert!(receipts.windows(2).all(|pair| pair[0].commit < pair[1].commit), "a thread's own order");
            receipts
        });
        receipts.chain(explicit).collect()
    });
    let commits: BTreeSet<_> = receipts.iter().map(|receipt| receipt.commit).collect();
    assert_eq!(commits.len(), receipts.len(), "no number was given twice");
    drop(writer);
    store.close().unwrap();
    let total = u64::from(THREADS) * u64::from(ROUNDS) + u64::from(ROUNDS);
    assert_eq!(mind.groups().iter().sum::<u64>(), total);
    assert_eq!(mind.attempts().len(), mind.groups().len());
}
