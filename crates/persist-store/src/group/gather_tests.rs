//! A leader that waits for company, under a scheduler that tries many interleavings.

use std::time::Duration;

use persist_api::ErrorKind;
use shuttle::{future, thread};

use super::tests::{LEVEL, check, explore, log, open, queue};
use crate::{CommitOptions, Receipt, Store};

/// Lets the first leader believe that three had company, and that a beat takes so long that waiting never ends by itself.
fn gather_three(store: &Store) {
    let hour = Duration::from_secs(3600);
    store.set_commit_options(CommitOptions { gather: hour, ..store.commit_options() });
    store.0.group.lock().gather.note(3, 0, Some(2 * hour));
}

#[test]
fn a_leader_that_waits_for_company_gets_it() {
    explore(|| {
        let (_writer, store) = open(CommitOptions::default());
        gather_three(&store);
        let threads: Vec<_> = (0..3_u8)
            .map(|key| {
                let store = store.clone();
                thread::spawn(move || match key {
                    2 => future::block_on(queue(&store, key)).unwrap(),
                    _ => queue(&store, key).wait().unwrap(),
                })
            })
            .collect();
        let receipts: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        check(&store, &receipts, 3);
        assert!(receipts.iter().all(|receipt| receipt.beat == receipts[0].beat), "it left without them");
    });
}

#[test]
fn who_wants_the_lane_ends_the_waiting_for_company() {
    for close in [false, true] {
        explore(move || {
            let (mut writer, store) = open(CommitOptions::default());
            gather_three(&store);
            let alone = store.clone();
            let alone = thread::spawn(move || store_or_closed(&alone));
            if close {
                while store.close().is_err() {
                    thread::yield_now();
                }
                alone.join().unwrap();
            } else {
                let beat = writer.begin(LEVEL).unwrap();
                // Who leads behind it has no company to wait for.
                store.0.group.lock().gather.note(1, 0, None);
                let explicit = beat.commit().unwrap();
                let alone = alone.join().unwrap().unwrap();
                assert_ne!(explicit.beat, alone.beat);
            }
            drop(writer);
        });
    }
}

/// A commit of one, or nothing where the store was closed before it.
fn store_or_closed(store: &Store) -> Option<Receipt> {
    match store.commit(log(1), LEVEL) {
        Ok(pending) => Some(pending.wait().unwrap()),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Closed);
            None
        }
    }
}
