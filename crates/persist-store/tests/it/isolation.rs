//! Transactions beside each other: the anomalies that there are not.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use persist_api::{Result, Scan};
use persist_store::{CommitOptions, Transacted, Transaction};

use crate::fussy::fussy;
use crate::kit::{content, memory, put};
use crate::transact::{LEVEL, committed, meanwhile};

const THREADS: u8 = 6;
const ROUNDS: u64 = 50;
const ACCOUNTS: u8 = 6;

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
