//! Transactions: what one sees, what disturbs it, and how it ends.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use persist_api::{Caps, Durability, Error, ErrorKind, KeyRange, Result, Scan};
use persist_store::{BeatLog, Cause, CommitOptions, Store, Transacted, Transaction};

use crate::fussy::{Fate, REFUSED, fussy};
use crate::group::log;
use crate::kit::{content, fails, memory, only, open_memory, put};

pub const LEVEL: Durability = Durability::Durable;

type Work = fn(&mut Transaction) -> Result<()>;

/// Somebody else's commit.
pub fn meanwhile(store: &Store, records: &[(&[u8], &[u8])]) {
    store.commit(log(records), LEVEL).unwrap().wait().unwrap();
}

#[track_caller]
pub fn committed<T>(outcome: Transacted<T>) -> (T, u64) {
    match outcome {
        Transacted::Committed(value, receipt) => (value, receipt.commit.0),
        Transacted::Unchanged(..) => panic!("nothing was staged"),
        Transacted::Conflict(conflict) => panic!("{conflict}"),
    }
}

/// Runs a transaction whose first run is disturbed. Gives how often it ran.
fn disturbed(store: &Store, disturb: impl Fn(), mut work: impl FnMut(&mut Transaction) -> Result<()>) -> u32 {
    let runs = Cell::new(0);
    let outcome = store.transact(LEVEL, |tx| {
        work(tx)?;
        runs.set(runs.get() + 1);
        if runs.get() == 1 {
            disturb();
        }
        tx.put(b"result", b"")
    });
    committed(outcome.unwrap());
    runs.get()
}

#[test]
fn it_reads_one_beat_and_its_own_writes() {
    let (mut writer, store) = memory();
    put(&mut writer, &[(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]);
    let mut base = 0;
    let outcome = store.transact(LEVEL, |tx| {
        base += 1;
        assert_eq!(tx.base().beat.0, base);
        if base == 2 {
            return Ok(());
        }
        meanwhile(&store, &[(b"x", b"later")]);
        assert!(tx.get(b"x")?.is_none());
        tx.put(b"a", b"mine")?;
        tx.delete(b"b")?;
        tx.put(b"new", b"")?;
        assert_eq!(tx.get(b"a")?.as_deref(), Some(b"mine".as_slice()));
        assert!(tx.get(b"b")?.is_none());
        assert_eq!(tx.get(b"c")?.as_deref(), Some(b"3".as_slice()));
        tx.delete_range(&KeyRange::prefix(b"c"))?;
        assert!(tx.get(b"c")?.is_none());
        tx.put(b"c", b"again")?;
        assert_eq!(tx.get(b"c")?.as_deref(), Some(b"again".as_slice()));
        assert_eq!(tx.log().len(), 5);
        Ok(())
    });
    // It has read that x is absent, and x is there now.
    assert!(matches!(outcome.unwrap(), Transacted::Unchanged((), beat) if beat.0 == 2));
}

#[test]
fn without_writes_there_is_no_commit_and_no_conflict() {
    let (mut writer, store) = memory();
    put(&mut writer, &[(b"a", b"1")]);
    let outcome = store.transact(LEVEL, |tx| {
        let value = tx.get(b"a")?.map(persist_api::Value::into_vec);
        meanwhile(&store, &[(b"a", b"2")]);
        tx.put(b"a", b"never")?;
        tx.unstage();
        Ok(value)
    });
    let Transacted::Unchanged(value, beat) = outcome.unwrap() else { panic!("unchanged") };
    assert_eq!((value.as_deref(), beat.0), (Some(b"1".as_slice()), 1));
    assert_eq!(store.stats().unwrap().commit.0, 2);
}

#[test]
fn what_it_has_read_and_others_change_makes_it_run_again() {
    let cases: [(&str, Work, u32); 10] = [
        ("a key", |tx| tx.get(b"b").map(drop), 2),
        ("an absent key", |tx| tx.get(b"e").map(drop), 2),
        ("another key", |tx| tx.get(b"c").map(drop), 1),
        ("its own write", |tx| tx.put(b"b", b"mine").and_then(|()| tx.get(b"b").map(drop)), 1),
        ("its own delete", |tx| tx.delete(b"b").and_then(|()| tx.get(b"b").map(drop)), 1),
        ("a range", |tx| tx.scan_prefix(b"b", |_, _| ControlFlow::Continue(())), 2),
        ("a range beside", |tx| tx.scan_prefix(b"c", |_, _| ControlFlow::Continue(())), 1),
        ("up to it", |tx| tx.scan(&Scan::all().limit(2), |_, _| ControlFlow::Continue(())), 2),
        ("not up to it", |tx| tx.scan(&Scan::all().limit(1), |_, _| ControlFlow::Break(())), 1),
        (
            "backwards, not up to it",
            |tx| {
                tx.scan(&Scan::all().reverse(), |key, _| {
                    if key == b"f" { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                })
            },
            1,
        ),
    ];
    for (what, work, runs) in cases {
        let (mut writer, store) = memory();
        put(&mut writer, &[(b"a", b"1"), (b"b", b"2"), (b"c", b"3"), (b"f", b""), (b"g", b"")]);
        let disturb = || meanwhile(&store, &[(b"b", b"changed"), (b"e", b"new")]);
        assert_eq!(disturbed(&store, disturb, work), runs, "{what}");
    }
}

#[test]
fn every_way_of_changing_counts() {
    let (mut writer, store) = memory();
    let writer = std::cell::RefCell::new(&mut writer);
    let through = |change: fn(&mut BeatLog)| {
        let mut log = BeatLog::new();
        change(&mut log);
        log
    };
    let changes: [fn(&mut BeatLog); 4] = [
        |log| log.put(b"k", b"").unwrap(),
        |log| log.delete(b"k").unwrap(),
        |log| log.delete_range(&KeyRange::prefix(b"k")).unwrap(),
        |log| log.delete_range(&KeyRange::all()).unwrap(),
    ];
    for change in changes {
        let log = through(change);
        for read in [(|tx| tx.get(b"k").map(drop)) as Work, |tx| {
            tx.scan(&Scan::range(KeyRange::of::<[u8]>(b"j".as_slice()..)), |_, _| ControlFlow::Continue(()))
        }] {
            let queued = || {
                store.commit(log.clone(), LEVEL).unwrap().wait().unwrap();
            };
            let explicit = || {
                writer.borrow_mut().commit(&log, LEVEL).unwrap();
            };
            let transacted = || {
                let outcome = store.transact(LEVEL, |tx| {
                    for op in log.ops() {
                        match op {
                            persist_store::Op::Put { key, value } => tx.put(key, value)?,
                            persist_store::Op::Delete { key } => tx.delete(key)?,
                            persist_store::Op::DeleteRange { range } => tx.delete_range(&range)?,
                        }
                    }
                    Ok(())
                });
                committed(outcome.unwrap());
            };
            assert_eq!(disturbed(&store, queued, read), 2);
            assert_eq!(disturbed(&store, explicit, read), 2);
            assert_eq!(disturbed(&store, transacted, read), 2);
        }
    }
}

#[test]
fn after_its_redos_a_conflict_is_a_value() {
    let (_writer, store) = memory();
    for redos_max in [0, 3] {
        store.set_commit_options(CommitOptions { redos_max, ..CommitOptions::default() });
        let runs = Cell::new(0);
        let outcome = store.transact(LEVEL, |tx| {
            runs.set(runs.get() + 1);
            tx.get(b"k")?;
            meanwhile(&store, &[(b"k", b"")]);
            tx.put(b"mine", b"")
        });
        let Transacted::Conflict(conflict) = outcome.unwrap() else { panic!("a conflict") };
        assert_eq!((conflict.redos, runs.get()), (redos_max, redos_max + 1));
        assert_eq!(conflict.cause, Cause::Changed(b"k".to_vec()));
        assert!(content(&store.view().unwrap()).keys().all(|key| key != b"mine"));
        fails(Transacted::<()>::Conflict(conflict).into_value(), ErrorKind::Conflict, &["\"k\"", "redos"]);
    }
}

#[test]
fn what_is_forgotten_counts_as_changed() {
    let (_writer, store) = memory();
    store.set_commit_options(CommitOptions {
        reads_bytes_max: 1000,
        redos_max: 2,
        ..CommitOptions::default()
    });
    let flood = || {
        for n in 0..20_u8 {
            meanwhile(&store, &[(&[b'f', n], b"")]);
        }
    };
    assert_eq!(disturbed(&store, flood, |tx| tx.get(b"k").map(drop)), 2);
    let outcome = store.transact(LEVEL, |tx| {
        tx.get(b"k")?;
        flood();
        tx.put(b"mine", b"")
    });
    let Transacted::Conflict(conflict) = outcome.unwrap() else { panic!("a conflict") };
    assert_eq!((&conflict.cause, conflict.redos), (&Cause::Forgotten, 2));
    // Without reads there is nothing to compare.
    let outcome = store.transact(LEVEL, |tx| {
        flood();
        tx.put(b"blind", b"")
    });
    committed(outcome.unwrap());
}

#[test]
fn who_reads_more_than_is_remembered_has_read_everything() {
    let (_writer, store) = memory();
    store.set_commit_options(CommitOptions { reads_bytes_max: 1000, ..CommitOptions::default() });
    let many = |tx: &mut Transaction| (0..100_u8).try_for_each(|n| tx.get(&[b'r', n]).map(drop));
    assert_eq!(disturbed(&store, || meanwhile(&store, &[(b"unread", b"")]), many), 2);
    let few = |tx: &mut Transaction| (0..5_u8).try_for_each(|n| tx.get(&[b'r', n]).map(drop));
    assert_eq!(disturbed(&store, || meanwhile(&store, &[(b"unread", b"")]), few), 1);
}

#[test]
fn expectations_hold_inside_the_beat() {
    let (mut writer, store) = memory();
    put(&mut writer, &[(b"k", b"1")]);
    let runs = Cell::new(0);
    let outcome = store.transact(LEVEL, |tx| {
        runs.set(runs.get() + 1);
        tx.expect(b"k", Some(b"1"))?;
        tx.expect(b"absent", None)?;
        if runs.get() == 1 {
            meanwhile(&store, &[(b"absent", b"no more")]);
        }
        tx.put(b"k", b"2")
    });
    let Transacted::Conflict(conflict) = outcome.unwrap() else { panic!("a conflict") };
    assert_eq!((conflict.cause, conflict.redos, runs.get()), (Cause::Unexpected(b"absent".to_vec()), 1, 2));
    // Ignoring the error does not help.
    let outcome = store.transact(LEVEL, |tx| {
        fails(tx.expect(b"k", None), ErrorKind::Conflict, &["\"k\""]);
        tx.put(b"k", b"3")
    });
    assert!(matches!(outcome.unwrap(), Transacted::Conflict(_)));
    assert_eq!(content(&store.view().unwrap())[b"k".as_slice()], b"1");
    committed(
        store.transact(LEVEL, |tx| tx.expect(b"k", Some(b"1")).and_then(|()| tx.put(b"k", b"3"))).unwrap(),
    );
}

#[test]
fn a_closure_that_fails_takes_only_its_own_commit_with_it() {
    let (_writer, store) = memory();
    let waiting = store.commit(log(&[(b"other", b"")]), LEVEL).unwrap();
    let failed = store.transact(LEVEL, |tx| -> Result<()> {
        tx.put(b"mine", b"")?;
        Err(Error::new(ErrorKind::Invalid, "closure", "no"))
    });
    fails(failed, ErrorKind::Invalid, &["closure"]);
    assert_eq!(waiting.wait().unwrap().commit.0, 1);
    assert_eq!(content(&store.view().unwrap()).len(), 1);
}

#[test]
fn a_closure_that_panics_takes_only_its_own_commit_with_it() {
    let (_writer, store) = memory();
    let waiting = store.commit(log(&[(b"other", b"")]), LEVEL).unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        store.transact(LEVEL, |tx| -> Result<()> {
            tx.put(b"mine", b"")?;
            panic!("the closure panics, as told")
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(waiting.wait().unwrap().commit.0, 1);
    committed(store.transact(LEVEL, |tx| tx.put(b"next", b"")).unwrap());
    assert_eq!(content(&store.view().unwrap()).len(), 2);
    assert_eq!(store.stats().unwrap().engine.views_open, 0);
    store.close().unwrap();
}

#[test]
fn a_slow_closure_delays_nobody() {
    let (mut writer, store) = memory();
    let outcome = store.transact(LEVEL, |tx| {
        tx.put(b"slow", b"")?;
        // All of this would wait for ever if the closure held anything.
        meanwhile(&store, &[(b"a", b"")]);
        put(&mut writer, &[(b"b", b"")]);
        committed(store.transact(LEVEL, |tx| tx.put(b"c", b"")).unwrap());
        Ok(())
    });
    assert_eq!(committed(outcome.unwrap()).1, 4);
}

#[test]
fn a_failed_operation_poisons_its_transaction() {
    let (_writer, store) = memory();
    let long = vec![0; 2 << 20];
    let outcome = store.transact(LEVEL, |tx| {
        fails(tx.put(&long, b""), ErrorKind::TooLarge, &["key"]);
        fails(tx.put(b"k", b""), ErrorKind::Poisoned, &[]);
        fails(tx.delete(b"k"), ErrorKind::Poisoned, &[]);
        Ok(())
    });
    fails(outcome, ErrorKind::Poisoned, &["transaction"]);
    let outcome = store.transact(LEVEL, |tx| {
        fails(tx.put(&long, b""), ErrorKind::TooLarge, &["key"]);
        tx.unstage();
        tx.put(b"k", b"")
    });
    committed(outcome.unwrap());
}

#[test]
fn the_engines_errors_are_its_own() {
    let (_writer, store, mind) = fussy();
    let waiting = store.commit(log(&[(b"other", b"")]), LEVEL).unwrap();
    fails(store.transact(LEVEL, |tx| tx.put(REFUSED, b"")), ErrorKind::Full, &[]);
    assert_eq!(waiting.wait().unwrap().commit.0, 1);
    mind.set_fate(Fate::Poisoned);
    fails(store.transact(LEVEL, |tx| tx.put(b"k", b"")), ErrorKind::Io, &[]);
    fails(store.transact(LEVEL, |tx| tx.put(b"k", b"")), ErrorKind::Poisoned, &[]);
}

#[test]
fn what_was_not_granted_is_refused() {
    let (_writer, store) = open_memory(&only(Caps::BEAT_ATOMIC));
    fails(store.transact(Durability::Volatile, |_| Ok(())), ErrorKind::Unsupported, &["SNAPSHOT"]);
    let (_writer, store) = open_memory(&only(Caps::BEAT_ATOMIC | Caps::SNAPSHOT));
    fails(store.transact(Durability::Durable, |_| Ok(())), ErrorKind::Unsupported, &["durable"]);
    let outcome = store.transact(Durability::Volatile, |tx| {
        fails(tx.scan(&Scan::all(), |_, _| ControlFlow::Continue(())), ErrorKind::Unsupported, &["ORDERED"]);
        fails(tx.delete_range(&KeyRange::all()), ErrorKind::Unsupported, &["DELETE_RANGE"]);
        tx.unstage();
        tx.put(b"k", b"v")
    });
    committed(outcome.unwrap());
    store.close().unwrap();
    fails(store.transact(Durability::Volatile, |_| Ok(())), ErrorKind::Closed, &[]);
}
