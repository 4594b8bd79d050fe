//! Transactions.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use persist_api::{Caps, Direction, Durability, Error, ErrorKind, KeyRange, Result, Scan};
use persist_store::{BeatLog, Cause, CommitOptions, Store, Transacted, Transaction};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::fussy::{Fate, REFUSED, fussy};
use crate::group::log;
use crate::kit::{Content, content, fails, memory, only, open_memory, put};

const LEVEL: Durability = Durability::Durable;
const THREADS: u8 = 6;
const ROUNDS: u64 = 50;
const ACCOUNTS: u8 = 6;

type Work = fn(&mut Transaction) -> Result<()>;

/// Somebody else's commit.
fn meanwhile(store: &Store, records: &[(&[u8], &[u8])]) {
    store.commit(log(records), LEVEL).unwrap().wait().unwrap();
}

#[track_caller]
fn committed<T>(outcome: Transacted<T>) -> (T, u64) {
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
fn no_update_is_lost() {
    let (_writer, store) = memory();
    store.set_commit_options(CommitOptions { redos_max: u32::MAX, ..CommitOptions::default() });
    let runs = AtomicU64::new(0);
    let mut seen: Vec<u64> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let add = |tx: &mut Transaction| {
                        runs.fetch_add(1, Ordering::Relaxed);
                        let count = tx.get(b"n")?.map_or(0, |n| u64::from_le_bytes((*n).try_into().unwrap()));
                        tx.put(b"n", &(count + 1).to_le_bytes())?;
                        Ok(count + 1)
                    };
                    (0..ROUNDS).map(|_| committed(store.transact(LEVEL, add).unwrap()).0).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    seen.sort_unstable();
    assert_eq!(seen, (1..=u64::from(THREADS) * ROUNDS).collect::<Vec<_>>(), "each saw the one before it");
    assert!(runs.load(Ordering::Relaxed) >= u64::from(THREADS) * ROUNDS);
}

/// Two doctors are on call, and each may leave only while the other is there.
#[test]
fn no_write_is_skewed() {
    for first in [b"x", b"y"] {
        let (mut writer, store) = memory();
        put(&mut writer, &[(b"x", b"on call"), (b"y", b"on call")]);
        let leave = |who: &'static [u8], tx: &mut Transaction| -> Result<bool> {
            let mut there = 0;
            for doctor in [b"x", b"y"] {
                there += u32::from(tx.get(doctor)?.is_some());
            }
            if there > 1 {
                tx.delete(who)?;
            }
            Ok(there > 1)
        };
        let second: &[u8] = if first == b"x" { b"y" } else { b"x" };
        let runs = Cell::new(0);
        let outcome = store.transact(LEVEL, |tx| {
            let leaves = leave(first, tx)?;
            runs.set(runs.get() + 1);
            if runs.get() == 1 {
                assert!(committed(store.transact(LEVEL, |tx| leave(second, tx)).unwrap()).0);
            }
            Ok(leaves)
        });
        assert!(matches!(outcome.unwrap(), Transacted::Unchanged(false, _)));
        assert_eq!((content(&store.view().unwrap()).len(), runs.get()), (1, 2));
    }
}

/// Each counts the rows of a range and adds one: what it counted must still be all when it commits.
#[test]
fn no_phantom_slips_in() {
    let (_writer, store) = memory();
    store.set_commit_options(CommitOptions { redos_max: u32::MAX, ..CommitOptions::default() });
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = &store;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let outcome = store.transact(LEVEL, |tx| {
                        let mut count = 0_u64;
                        tx.scan_prefix(b"row", |_, _| {
                            count += 1;
                            ControlFlow::Continue(())
                        })?;
                        tx.put(
                            &[b"row".as_slice(), &[thread], &round.to_be_bytes()].concat(),
                            &count.to_be_bytes(),
                        )
                    });
                    committed(outcome.unwrap());
                }
            });
        }
    });
    let mut counts: Vec<_> = content(&store.view().unwrap()).into_values().collect();
    counts.sort_unstable();
    let expected: Vec<_> = (0..u64::from(THREADS) * ROUNDS).map(|n| n.to_be_bytes().to_vec()).collect();
    assert_eq!(counts, expected);
}

#[test]
fn transactions_of_one_group_are_judged_in_order() {
    let (_writer, store, mind) = fussy();
    mind.stop_after(0);
    let runs = AtomicU64::new(0);
    let add = |tx: &mut Transaction| {
        runs.fetch_add(1, Ordering::SeqCst);
        let count = tx.get(b"n")?.map_or(0, |n| n[0]);
        tx.put(b"n", &[count + 1])
    };
    thread::scope(|scope| {
        let leading = scope.spawn(|| meanwhile(&store, &[(b"other", b"")]));
        mind.wait_until_stopped();
        let threads = [(); 3].map(|()| scope.spawn(|| committed(store.transact(LEVEL, add).unwrap())));
        // All three have read the same beat; let them queue.
        while runs.load(Ordering::SeqCst) < 3 {
            thread::yield_now();
        }
        mind.go();
        leading.join().unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
    });
    assert_eq!(content(&store.view().unwrap())[b"n".as_slice()], [3]);
    assert!(runs.load(Ordering::SeqCst) > 3);
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

/// One step of a transaction, over few short keys.
#[derive(Debug, Clone)]
enum Step {
    Put(Vec<u8>, u8),
    Delete(Vec<u8>),
    DeleteRange(KeyRange<'static>),
    Get(Vec<u8>),
    Scan(Scan<'static>, usize),
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    vec(0_u8..3, 0..3)
}

fn range() -> impl Strategy<Value = KeyRange<'static>> {
    let bound = || {
        (key(), 0..3).prop_map(|(key, kind)| match kind {
            0 => Bound::Included(key),
            1 => Bound::Excluded(key),
            _ => Bound::Unbounded,
        })
    };
    (bound(), bound()).prop_map(|(start, end)| KeyRange::owned(start, end))
}

fn step() -> impl Strategy<Value = Step> {
    let scan = (range(), any::<bool>(), 0_u64..8, any::<bool>(), 1_usize..9).prop_map(
        |(range, reverse, limit, keys_only, stop)| {
            let direction = if reverse { Direction::Reverse } else { Direction::Forward };
            let limit = if limit == 7 { u64::MAX } else { limit };
            Step::Scan(Scan { range, direction, limit, keys_only }, stop)
        },
    );
    prop_oneof![
        (key(), any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        key().prop_map(Step::Delete),
        range().prop_map(Step::DeleteRange),
        key().prop_map(Step::Get),
        scan,
    ]
}

/// What a scan shows of a model, and the part of the range that it has looked at.
fn scan_model(model: &Content, scan: &Scan<'_>, stop: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let inside = model.iter().filter(|(key, _)| scan.range.contains(key));
    let mut rows: Vec<_> = inside.map(|(key, value)| (key.clone(), value.clone())).collect();
    if scan.direction == Direction::Reverse {
        rows.reverse();
    }
    rows.truncate(stop.min(usize::try_from(scan.limit).unwrap_or(usize::MAX)));
    if scan.keys_only {
        for (_, value) in &mut rows {
            value.clear();
        }
    }
    rows
}

/// Applies a step to a model; what it reads.
fn apply(model: &mut Content, step: &Step) -> Vec<(Vec<u8>, Vec<u8>)> {
    match step {
        Step::Put(key, value) => drop(model.insert(key.clone(), vec![*value])),
        Step::Delete(key) => drop(model.remove(key)),
        Step::DeleteRange(range) => model.retain(|key, _| !range.contains(key)),
        Step::Get(key) => {
            return model.get_key_value(key).map(|(k, v)| (k.clone(), v.clone())).into_iter().collect();
        }
        Step::Scan(scan, stop) => return scan_model(model, scan, *stop),
    }
    Vec::new()
}

fn run(tx: &mut Transaction, step: &Step) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut read = Vec::new();
    match step {
        Step::Put(key, value) => tx.put(key, &[*value])?,
        Step::Delete(key) => tx.delete(key)?,
        Step::DeleteRange(range) => tx.delete_range(range)?,
        Step::Get(key) => read.extend(tx.get(key)?.map(|value| (key.clone(), value.into_vec()))),
        Step::Scan(scan, stop) => tx.scan(scan, |key, value| {
            read.push((key.to_vec(), value.to_vec()));
            if read.len() == *stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?,
    }
    Ok(read)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// A transaction shows what a copy of the store would show, and commits the same.
    #[test]
    fn it_sees_what_a_model_sees(
        base in proptest::collection::btree_map(key(), vec(any::<u8>(), 0..3), 0..10),
        steps in vec(step(), 0..20),
    ) {
        let (mut writer, store) = memory();
        let records: Vec<(&[u8], &[u8])> = base.iter().map(|(key, value)| (&**key, &**value)).collect();
        put(&mut writer, &records);
        let mut model = base.clone();
        store.transact(LEVEL, |tx| {
            for step in &steps {
                assert_eq!(run(tx, step)?, apply(&mut model, step), "{step:?}");
            }
            Ok(())
        })?.into_value()?;
        prop_assert_eq!(content(&store.view()?), model);
    }

    /// Whatever others do to it: it runs again unless running it now would show it the same.
    #[test]
    fn what_it_has_read_still_holds_when_it_commits(
        base in proptest::collection::btree_map(key(), vec(any::<u8>(), 0..2), 0..8),
        steps in vec(step(), 1..8),
        others in vec(vec(step(), 1..4), 1..4),
    ) {
        let (mut writer, store) = memory();
        let records: Vec<(&[u8], &[u8])> = base.iter().map(|(key, value)| (&**key, &**value)).collect();
        put(&mut writer, &records);
        let mut model = base.clone();
        let mut reads = Vec::new();
        let mut runs = 0;
        store.transact(LEVEL, |tx| {
            reads = steps.iter().map(|step| run(tx, step)).collect::<Result<Vec<_>>>()?;
            runs += 1;
            for other in others.iter().filter(|_| runs == 1) {
                store.transact(LEVEL, |tx| other.iter().try_for_each(|step| run(tx, step).map(drop)))?.into_value()?;
                for step in other {
                    apply(&mut model, step);
                }
            }
            tx.put(b"end", b"")
        })?.into_value()?;
        let now: Vec<_> = steps.iter().map(|step| apply(&mut model, step)).collect();
        model.insert(b"end".to_vec(), Vec::new());
        prop_assert_eq!(reads, now);
        prop_assert_eq!(content(&store.view()?), model);
    }
}

/// Money is moved about by many threads and watched by others: the sum is always the same.
#[test]
fn sums_are_kept_under_many_threads() {
    let (mut writer, store) = memory();
    store.set_commit_options(CommitOptions { redos_max: u32::MAX, ..CommitOptions::default() });
    let accounts: Vec<[u8; 1]> = (0..ACCOUNTS).map(|n| [n]).collect();
    put(&mut writer, &accounts.iter().map(|key| (key.as_slice(), [100].as_slice())).collect::<Vec<_>>());
    let sum = |tx: &mut Transaction| -> Result<u64> {
        let mut sum = 0;
        tx.scan(&Scan::all(), |_, value| {
            sum += u64::from(value[0]);
            ControlFlow::Continue(())
        })?;
        Ok(sum)
    };
    let moved: BTreeMap<u8, u64> = thread::scope(|scope| {
        let movers: Vec<_> = (0..4_u8)
            .map(|thread| {
                let store = &store;
                scope.spawn(move || {
                    let mut moved = 0;
                    for round in 0..80_u8 {
                        let (from, to) =
                            ([(thread + round) % ACCOUNTS], [(thread * 2 + round / 3) % ACCOUNTS]);
                        let outcome = store.transact(LEVEL, |tx| {
                            let (left, right) = (tx.get(&from)?.unwrap()[0], tx.get(&to)?.unwrap()[0]);
                            if left == 0 || right == u8::MAX || from == to {
                                return Ok(0);
                            }
                            tx.put(&from, &[left - 1])?;
                            tx.put(&to, &[right + 1])?;
                            Ok(1)
                        });
                        moved += outcome.unwrap().into_value().unwrap();
                    }
                    (thread, moved)
                })
            })
            .collect();
        for _ in 0..50 {
            assert_eq!(store.transact(LEVEL, sum).unwrap().into_value().unwrap(), 600);
        }
        movers.into_iter().map(|mover| mover.join().unwrap()).collect()
    });
    assert!(moved.values().sum::<u64>() > 0);
    assert_eq!(store.transact(LEVEL, sum).unwrap().into_value().unwrap(), 600);
}
