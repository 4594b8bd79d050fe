//! What becomes of the feed when its table of holds cannot be read, and how it follows a change of keys.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use persist_api::{CommitNo, Durability, Engine, ErrorKind, Quiet};
use persist_store::{HoldOptions, KeyRing, Store, default_request, encrypted};

use crate::encryption::{open, ring, with_one};
use crate::feed::{drain, numbers, own_keys};
use crate::feed_edges::{findings, held, key};
use crate::group::log;
use crate::kit::{
    change_raw, drivers, fails, look_at, open_default, options, place, put, raw, raw_value, toy,
};
use crate::toy::Toy;

const TABLE: &[u8] = b"\x00holds";
const ALL: HoldOptions = HoldOptions { bytes_max: u64::MAX, commits_max: u64::MAX };

fn sealed_with(home: &Path, key: &[u8]) -> u32 {
    u32::from_le_bytes(*raw_value(&toy(), home, key).first_chunk().unwrap())
}

/// How many commits of the feed are stored, of a store that is closed.
fn kept(home: &Path) -> usize {
    own_keys(&toy(), home).iter().filter(|key| key.starts_with(b"\x00feed")).count()
}

#[test]
fn an_idle_hold_does_not_need_the_key_that_was_changed() {
    let place = with_one();
    let (mut writer, store) = open(&place.home, &[(1, 1)]).unwrap();
    store.hold("h", ALL).unwrap();
    put(&mut writer, &[(b"a", b"old")]);
    drop((writer, store));
    assert_eq!(sealed_with(&place.home, TABLE), 1);
    let (mut writer, store) = open(&place.home, &[(1, 1), (2, 2)]).unwrap();
    put(&mut writer, &[(b"a", b"new")]);
    drop((writer, store));
    assert_eq!(sealed_with(&place.home, TABLE), 2, "with the first beat that the new key seals");

    let (mut writer, store) = open(&place.home, &[(2, 2)]).unwrap();
    assert_eq!(store.view().unwrap().get(b"a").unwrap().as_deref(), Some(b"new".as_slice()));
    let hold = store.find_hold("h").unwrap().unwrap();
    assert!(!hold.stat().unwrap().stale);
    // What was kept under the older key is out of reach, as a user's record would be; what came later is not.
    fails(hold.feed(), ErrorKind::Refused, &["key 1", "missing"]);
    let report = store.verify(&mut |_| (), &Quiet).unwrap();
    assert_eq!((report.damaged, report.unchecked > 0), (0, true));
    hold.advance(CommitNo(4)).unwrap();
    put(&mut writer, &[(b"a", b"newer")]);
    assert_eq!(numbers(&drain(&mut hold.feed().unwrap())), [5]);
}

/// Also where one value takes no whole commit, so that its copy has to be looked for.
#[test]
fn what_a_missing_key_sealed_is_freed_unread() {
    let place = place();
    let mut small = toy();
    small.limits.value_bytes_max = 400;
    let open = |keys: &[(u32, u8)]| {
        let opened = look_at(&drivers(std::slice::from_ref(&small)), &place.home, Some("toy"), &options());
        opened.unwrap().keys(Arc::new(ring(keys))).negotiate(&encrypted(default_request())).unwrap()
    };
    let (mut writer, store) = open(&[(1, 1)]);
    store.hold("h", ALL).unwrap();
    put(&mut writer, &[(b"a", &[1; 300]), (b"b", &[2; 300])]);
    drop((writer, store));
    assert!(kept(&place.home) > 1, "in pieces");
    let (mut writer, store) = open(&[(1, 1), (2, 2)]);
    put(&mut writer, &[(b"a", b"new"), (b"b", b"new")]);
    drop((writer, store));

    let (mut writer, store) = open(&[(2, 2)]);
    let users = store.stats().unwrap().engine.records;
    assert!(users.is_none(), "what is missing cannot be counted, and is no error");
    store.find_hold("h").unwrap().unwrap().advance(CommitNo(3)).unwrap();
    put(&mut writer, &[(b"c", b"new")]);
    assert_eq!(store.stats().unwrap().engine.records, Some(3));
    drop((writer, store));
    assert_eq!(kept(&place.home), 1, "nothing is left over");
}

/// Where the keys of commits in pieces cannot be looked up, nothing is freed, and every beat is made.
#[test]
fn a_copy_whose_keys_are_damaged_is_freed_later_and_refuses_no_beat() {
    let place = place();
    let mut small = toy();
    small.limits.value_bytes_max = 300;
    let (mut writer, store) = crate::kit::open(&small, &place.home, &default_request()).unwrap();
    let hold = store.hold("h", ALL).unwrap();
    let large = log(&[(b"k", &[1; 200]), (b"l", &[2; 200])]);
    for _ in 0..3 {
        writer.commit(&large, Durability::Durable).unwrap();
    }
    hold.advance(store.stats().unwrap().commit).unwrap();
    small.torn.store(true, Ordering::Relaxed);
    for _ in 0..3 {
        put(&mut writer, &[(b"k", b"on")]);
    }
    assert_eq!(store.stats().unwrap().commit, CommitNo(7));
    assert_eq!(drain(&mut hold.feed().unwrap()).len(), 3, "what is needed is there");
    small.torn.store(false, Ordering::Relaxed);
    put(&mut writer, &[(b"k", b"on")]);
    assert_eq!(findings(&store), Vec::<String>::new());
    drop((hold, writer, store));
    assert_eq!(kept(&place.home), 4, "what nobody needs is gone");
}

/// A table that a store before this one left under the older key.
#[test]
fn a_table_under_a_missing_key_costs_the_holds_never_the_store() {
    let place = with_one();
    let (mut writer, store) = open(&place.home, &[(1, 1)]).unwrap();
    store.hold("h", ALL).unwrap();
    put(&mut writer, &[(b"a", b"old")]);
    drop((writer, store));
    let table = raw_value(&toy(), &place.home, TABLE);
    let (mut writer, store) = open(&place.home, &[(1, 1), (2, 2)]).unwrap();
    put(&mut writer, &[(b"a", b"new")]);
    drop((writer, store));
    change_raw(&toy(), &place.home, &[(TABLE, &table)]);

    let (mut writer, store) = open(&place.home, &[(2, 2)]).unwrap();
    put(&mut writer, &[(b"b", b"goes on")]);
    assert_eq!(content_of(&store, b"a"), b"new");
    fails(store.holds(), ErrorKind::Refused, &["key 1", "that key", "--forget-holds"]);
    fails(store.hold("h", ALL), ErrorKind::Refused, &["key 1"]);
    let mut found = Vec::new();
    let report = store.verify(&mut |finding| found.push(finding), &Quiet).unwrap();
    assert_eq!(report.damaged, 0);
    assert!(found.iter().any(|found| found.code.name() == "not_read" && found.place.contains("holds")));
    drop((writer, store));
    // With the key it is there again, but stale: nothing was kept for it meanwhile. It follows the newest key now.
    let (mut writer, store) = open(&place.home, &[(1, 1), (2, 2)]).unwrap();
    assert!(store.holds().unwrap()[0].stale);
    put(&mut writer, &[(b"b", b"goes on")]);
    drop((writer, store));
    assert_eq!(sealed_with(&place.home, TABLE), 2);
    let (_writer, store) = open(&place.home, &[(2, 2)]).unwrap();
    fails(store.hold("h", ALL), ErrorKind::Stale, &["start over"]);
}

/// A hold that is stale keeps no room for its table: a beat that is full leaves it to the next.
#[test]
fn a_full_beat_leaves_the_table_to_the_next() {
    let place = place();
    let mut small = toy();
    small.limits.beat_bytes_max = 1000;
    let open = |keys: KeyRing| {
        let opened = look_at(&drivers(std::slice::from_ref(&small)), &place.home, Some("toy"), &options());
        opened.unwrap().keys(Arc::new(keys)).negotiate(&encrypted(default_request())).unwrap()
    };
    let (mut writer, store) = open(ring(&[(1, 1)]));
    store.hold("h", HoldOptions { commits_max: 0, ..ALL }).unwrap();
    put(&mut writer, &[(b"a", b"old")]);
    assert!(store.holds().unwrap()[0].stale);
    drop((writer, store));
    let (mut writer, store) = open(ring(&[(1, 1), (2, 2)]));
    // Its proof takes 9 + 44, the record 2 + n + 44.
    put(&mut writer, &[(b"a", &[2; 1000 - 53 - 46])]);
    put(&mut writer, &[(b"a", b"new")]);
    drop((writer, store));
    assert_eq!(sealed_with(&place.home, TABLE), 2);
}

fn content_of(store: &Store, key: &[u8]) -> Vec<u8> {
    store.view().unwrap().get(key).unwrap().unwrap().to_vec()
}

#[test]
fn a_table_that_cannot_be_read_costs_the_holds_never_the_store() {
    let whole = place();
    held(&whole.home);
    let table = raw_value(&toy(), &whole.home, TABLE);
    for at in 0..table.len() {
        let place = place();
        held(&place.home);
        let mut changed = table.clone();
        changed[at] ^= 1 << (at % 8);
        change_raw(&toy(), &place.home, &[(TABLE, &changed)]);
        lost_and_forgotten(&place.home);
    }
}

/// Commits 1 to 7; what keeps commits 2 to 6 for a hold cannot be read.
fn lost_and_forgotten(home: &Path) {
    let (mut writer, store) = open_default(home);
    assert_eq!(content_of(&store, b"k"), [6]);
    for error in [
        fails(store.holds(), ErrorKind::Corrupt, &["holds", "--forget-holds"]),
        fails(store.find_hold("h"), ErrorKind::Corrupt, &["holds"]),
        fails(store.hold("h", ALL), ErrorKind::Corrupt, &["holds"]),
        fails(store.feed(CommitNo(1)), ErrorKind::Corrupt, &["holds"]),
    ] {
        assert!(!error.to_string().contains("that key"), "{error}");
    }
    put(&mut writer, &[(b"k", b"on")]);
    assert_eq!(store.stats().unwrap().engine.records, Some(1));
    let found = findings(&store);
    assert!(found.len() == 1 && found[0].contains("holds"), "{found:?}");
    drop((writer, store));
    assert_eq!(kept(home), 5, "nothing goes, and nothing is kept for nobody");

    let (mut writer, store) = open_default(home);
    store.forget_holds().unwrap();
    store.forget_holds().unwrap();
    assert_eq!((store.holds().unwrap(), store.stats().unwrap().commit), (vec![], CommitNo(9)), "made once");
    assert!(store.find_hold("h").unwrap().is_none());
    fails(store.feed(CommitNo(1)), ErrorKind::Stale, &["no hold kept it"]);
    let hold = store.hold("h", ALL).unwrap();
    put(&mut writer, &[(b"k", b"again")]);
    assert_eq!(drain(&mut hold.feed().unwrap())[0].log, log(&[(b"k", b"again")]));
    assert_eq!(findings(&store), Vec::<String>::new());
    assert_eq!(store.stats().unwrap().engine.records, Some(1));
    drop((hold, writer, store));
    assert_eq!(kept(home), 1);
    let (_writer, store) = open_default(home);
    assert_eq!(store.holds().unwrap()[0].position, CommitNo(10));
}

/// More than one beat frees, in pieces, with one that is damaged itself, and with gaps.
#[test]
fn everything_that_was_kept_is_freed_after_its_table_is_lost() {
    let place = place();
    let mut small = toy();
    small.limits.value_bytes_max = 300;
    let open = |toy: &Toy| crate::kit::open(toy, &place.home, &default_request()).unwrap();
    let (mut writer, store) = open(&small);
    // One beat keeps what the six that follow cannot free, and one of those makes a gap.
    store.hold("h", ALL).unwrap();
    let large = log(&[(b"k", &[1; 200]), (b"l", &[2; 200])]);
    assert!(
        writer
            .commit_group(&vec![large.clone(); 600], Durability::Durable)
            .unwrap()
            .iter()
            .all(Result::is_ok)
    );
    store.find_hold("h").unwrap().unwrap().release().unwrap();
    put(&mut writer, &[(b"k", b"not kept")]);
    store.hold("h", ALL).unwrap();
    for _ in 0..3 {
        writer.commit(&large, Durability::Durable).unwrap();
    }
    let last = store.stats().unwrap().commit.0;
    drop((writer, store));
    let pieces = kept(&place.home);
    assert!(pieces > 400, "{pieces}");
    change_raw(&small, &place.home, &[(TABLE, b"gone"), (&key(last - 1), b"gone too")]);

    let (mut writer, store) = open(&small);
    store.forget_holds().unwrap();
    for _ in 0..8 {
        put(&mut writer, &[(b"k", b"on")]);
    }
    assert_eq!(findings(&store), Vec::<String>::new());
    drop((writer, store));
    let engine: Box<dyn Engine> = raw(&small, &place.home);
    assert!(engine.view().unwrap().get_record(TABLE).unwrap().is_none());
    drop(engine);
    assert_eq!(kept(&place.home), 0);
}
