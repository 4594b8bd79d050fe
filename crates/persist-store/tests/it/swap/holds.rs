//! Readers of the feed whose holds move while a swap is at work.

use persist_api::{CommitNo, Quiet};
use persist_store::{Hold, HoldOptions, Stamp, Store, SwapOptions};

use super::plain::target;
use super::stand::{HOME, Stand, all, is_clean, options, options_of, plain, put, raw_rows, swap_options};

/// Rounds, more than the stretches of a feed that may wait to be freed.
const ROUNDS: u64 = 20;
const COPY: &str = "/copy";

fn newest(store: &Store) -> CommitNo {
    store.stats().unwrap().commit
}

fn puts(store: &Store, key: &str, count: u64) {
    (0..count).for_each(|n| {
        put(store, key, &n.to_string());
    });
}

/// A commit, which the reader takes, and another that writes down how far it came.
fn read_on(store: &Store, hold: &Hold, round: u64) {
    put(store, "passed", &round.to_string());
    hold.advance(newest(store)).unwrap();
    put(store, "kept", &round.to_string());
}

#[test]
fn swp_11_a_hold_that_moves_while_following() {
    for (from, to) in [("flatfile", "toy"), ("toy", "flatfile")] {
        let stand = Stand::new();
        let (writer, store) = stand.store(from);
        let bounds = HoldOptions { bytes_max: 1500, ..HoldOptions::default() };
        let hold = store.hold("h", bounds).unwrap();
        let mut swap = store.begin_swap(&target(from, to), &swap_options(), &Quiet).unwrap();
        swap.copy(&Quiet).unwrap();
        for round in 0..ROUNDS {
            read_on(&store, &hold, round);
            swap.follow(&Quiet).unwrap();
        }
        swap.verify(&Quiet).unwrap();
        let before = hold.stat().unwrap();
        assert_eq!(before.commits, 1);
        swap.flip(&Quiet).unwrap();
        let after = hold.stat().unwrap();
        assert_eq!((after.position, after.commits, after.stale), (before.position, 1, false));
        // Checksums are a layer on one of the engines: four bytes a record.
        assert!(after.bytes.abs_diff(before.bytes) <= 4, "{after:?} beside {before:?}");
        is_clean(&store);
        puts(&store, "after", 5);
        let mut feed = hold.feed().unwrap();
        for commit in before.position.0 + 1..=newest(&store).0 {
            assert_eq!(feed.pull().unwrap().unwrap().commit.0, commit);
        }
        let before = all(&store);
        drop((feed, hold));
        store.close().unwrap();
        drop((writer, swap, store));
        let (_writer, store) = stand.open(None, HOME).unwrap();
        assert_eq!(all(&store), before);
        assert!(!store.find_hold("h").unwrap().unwrap().stat().unwrap().stale);
        is_clean(&store);
    }
}

#[test]
fn swp_11_a_hold_that_moves_between_tries_and_is_released_at_last() {
    let stand = Stand::new();
    let (writer, store) = stand.store("flatfile");
    let hold = store.hold("h", HoldOptions::default()).unwrap();
    let back = SwapOptions { follow_back: true, ..swap_options() };
    let mut swap = store.begin_swap(&target("flatfile", "toy"), &back, &Quiet).unwrap();
    swap.copy(&Quiet).unwrap();
    for round in 0..ROUNDS {
        read_on(&store, &hold, round);
        // More than one beat of the target takes.
        puts(&store, "many", 30);
        swap.follow(&Quiet).unwrap();
        drop(swap);
        swap = store.resume_swap(&plain(), &back, &Quiet).unwrap();
    }
    hold.release().unwrap();
    swap.run(&Quiet).unwrap();
    put(&store, "acknowledged", "1");
    let before = all(&store);
    store.close().unwrap();
    drop((writer, swap, store));
    let (_writer, store) = stand.open(None, HOME).unwrap();
    assert_eq!(all(&store), before);
    is_clean(&store);
}

/// A copy is of no swap, whatever its source was at; the source is at it still.
#[test]
fn a_backup_of_a_store_that_is_swapped_keeps_nothing_for_the_swap() {
    for (from, to) in [("flatfile", "toy"), ("toy", "flatfile")] {
        for (flipped, commits) in [(false, 0), (false, 100), (true, 0), (true, 100)] {
            let stand = Stand::new();
            let (writer, store) = stand.store(from);
            let back = SwapOptions { follow_back: true, ..swap_options() };
            let mut swap = store.begin_swap(&target(from, to), &back, &Quiet).unwrap();
            swap.copy(&Quiet).unwrap();
            if flipped {
                swap.run(&Quiet).unwrap();
            }
            puts(&store, "meanwhile", commits);
            store.backup(COPY.as_ref(), &Quiet).unwrap();
            drop(swap);
            let (copy_writer, copy) = stand.open(None, COPY).unwrap();
            assert_eq!((copy.swap_status(), copy.holds().unwrap()), (None, Vec::new()));
            assert!(counts_right(&copy));
            puts(&copy, "frees", 2);
            assert!(counts_right(&copy));
            is_clean(&copy);
            copy.close().unwrap();
            drop((copy_writer, copy));
            // Under its layers there is the copy of the format, and nothing of a feed.
            assert_eq!(instance_keys(&stand, COPY), [b"\x00format".to_vec()]);

            store.close().unwrap();
            drop((writer, store));
            let (_writer, store) = stand.open(None, HOME).unwrap();
            assert!(store.find_hold("persist.swap").unwrap().is_some());
            if flipped {
                store.rollback_swap(&options_of(from), &back, &Quiet).unwrap();
            } else {
                store.resume_swap(&options_of(to), &back, &Quiet).unwrap().run(&Quiet).unwrap();
            }
            assert_eq!(store.engine_name(), if flipped { from } else { to });
        }
    }
}

/// True where the engine does not count, or the store counts users' records and no others.
fn counts_right(store: &Store) -> bool {
    store.stats().unwrap().engine.records.is_none_or(|records| records == all(store).len() as u64)
}

/// Engine keys of the runtime's own records.
fn instance_keys(stand: &Stand, home: &str) -> Vec<Vec<u8>> {
    let stamp = Stamp::read(&stand.disk, home.as_ref()).unwrap().unwrap();
    let keys = raw_rows(stand, home, &stamp.engine, stamp.epoch).into_keys();
    keys.filter(|key| key.starts_with(b"\x00")).collect()
}

#[test]
fn swp_21_a_rollback_leaves_no_records_of_the_feed() {
    for held in [false, true] {
        let stand = Stand::new();
        let (_writer, store) = stand.store("flatfile");
        let back = SwapOptions { follow_back: true, ..swap_options() };
        let hold = held.then(|| store.hold("h", HoldOptions::default()).unwrap());
        let mut swap = store.begin_swap(&target("flatfile", "toy"), &back, &Quiet).unwrap();
        swap.copy(&Quiet).unwrap();
        // The old engine stores commits of which its table does not say anything yet.
        puts(&store, "before", 10);
        swap.run(&Quiet).unwrap();
        drop(swap);
        is_clean(&store);
        puts(&store, "after", 10);
        store.rollback_swap(&options(), &back, &Quiet).unwrap();
        is_clean(&store);
        if let Some(hold) = &hold {
            let mut feed = hold.feed().unwrap();
            for commit in hold.position().unwrap().0 + 1..=newest(&store).0 {
                assert_eq!(feed.pull().unwrap().unwrap().commit.0, commit);
            }
        }
        store.finish_swap().unwrap();
        hold.map(Hold::release).transpose().unwrap();
        put(&store, "frees", "what is left");
        is_clean(&store);
    }
}
