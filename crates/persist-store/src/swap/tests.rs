//! What only the inside can show: a seat that was kept over a swap, and the router under a scheduler that tries many
//! interleavings. Memory is swapped for memory here; the protocol is the same.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use persist_api::{Driver, Durability, Error, ErrorKind, OpenOptions, Quiet, Scan};
use persist_memory::MemoryDriver;
use shuttle::{Config, thread};

use crate::group::tests::explore_some;
use crate::seat::Seat;
use crate::{
    BeatLog, CommitOptions, HoldOptions, Store, SwapOptions, SwapTarget, Writer, open_with, volatile_request,
};

const LEVEL: Durability = Durability::Durable;
/// Interleavings per test and kind of scheduler.
const SCHEDULES: usize = 2_000;

fn explore(test: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    config.stack_size = 1 << 19;
    config.max_steps = shuttle::MaxSteps::None;
    explore_some(SCHEDULES, &config, test);
}

struct Stopped;

impl crate::Clock for Stopped {
    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

fn open() -> (Writer, Store) {
    let drivers: [Arc<dyn Driver>; 1] = [Arc::new(MemoryDriver::new())];
    let plain = OpenOptions { close_wait: Duration::ZERO, ..OpenOptions::default() };
    let disk = Arc::new(persist_io::RealDisk);
    let opened = open_with(disk, &drivers, Path::new("one"), Some("memory"), &plain);
    let (writer, store) =
        opened.unwrap().with_clock(Arc::new(Stopped)).negotiate(&volatile_request()).unwrap();
    let wait = Duration::from_secs(1 << 20);
    store.set_commit_options(CommitOptions { wait, gather: Duration::ZERO, ..CommitOptions::default() });
    (writer, store)
}

fn log(key: u8) -> BeatLog {
    let mut log = BeatLog::new();
    log.put(&[key], &[key]).unwrap();
    log
}

fn keys(store: &Store) -> BTreeSet<u8> {
    let mut keys = BTreeSet::new();
    let visit = |key: &[u8], _: &[u8]| {
        keys.insert(key[0]);
        ControlFlow::Continue(())
    };
    store.view().unwrap().scan(Scan::all(), visit).unwrap();
    keys
}

/// Time does not pass here, so that no fence takes too long.
fn swap(store: &Store, to: &str) -> persist_api::Result<crate::SwapReport> {
    let options = SwapOptions { fence_budget: Duration::from_secs(1 << 20), ..SwapOptions::default() };
    store.swap(&SwapTarget::at("memory", to), &options, &Quiet)
}

#[test]
fn swp_12_a_stale_handle_is_fenced_and_writes_nothing() {
    shuttle::check_random(
        || {
            let (mut writer, store) = open();
            writer.commit(&log(1), LEVEL).unwrap();
            let old = store.0.active();
            let mut stale = Seat::new(store.0.group.last(), Arc::clone(&old));
            let view = store.view().unwrap();
            swap(&store, "two").unwrap();
            let error =
                stale.write(&store.0, [&log(9)].into_iter(), &[], LEVEL).map_err(Error::from).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Closed);
            assert!(error.to_string().contains("fenced"), "{error}");
            assert_eq!(old.engine("stats").map(drop).unwrap_err().kind(), ErrorKind::Closed);
            // What goes through the router is renewed.
            writer.commit(&log(2), LEVEL).unwrap();
            assert_eq!(keys(&store), BTreeSet::from([1, 2]));
            assert_eq!(view.get(&[1]).unwrap().as_deref(), Some(&[1_u8][..]), "a view stays where it is");
            assert!(view.get(&[2]).unwrap().is_none());
        },
        1,
    );
}

#[test]
fn swp_25_reads_never_go_back_with_writers_and_the_feed_over_a_swap() {
    explore(|| {
        let (mut writer, store) = open();
        writer.commit(&log(0), LEVEL).unwrap();
        let hold = store.hold("follower", HoldOptions::default()).unwrap();
        let writers: Vec<_> = (0..2)
            .map(|thread| {
                let store = store.clone();
                thread::spawn(move || {
                    let first = store.commit(log(1 + 2 * thread), LEVEL).unwrap().wait().unwrap();
                    let second = store.commit(log(2 + 2 * thread), LEVEL).unwrap().wait().unwrap();
                    assert!(first.commit < second.commit);
                    [first.commit.0, second.commit.0]
                })
            })
            .collect();
        let reading = store.clone();
        let reading = thread::spawn(move || {
            let mut before = (0, BTreeSet::new());
            for _ in 0..3 {
                let commit = reading.view().unwrap().header().last_commit().0;
                let seen = keys(&reading);
                assert!(commit >= before.0 && seen.is_superset(&before.1), "a read went back");
                before = (commit, seen);
                thread::yield_now();
            }
        });
        let explicit = thread::spawn(move || {
            let mut beat = writer.begin(LEVEL).unwrap();
            beat.put(&[9], b"").unwrap();
            thread::yield_now();
            let commit = beat.commit().unwrap().commit.0;
            (writer, commit)
        });
        swap(&store, "two").unwrap();
        let mut commits: BTreeSet<u64> =
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect();
        reading.join().unwrap();
        let (_writer, commit) = explicit.join().unwrap();
        commits.insert(commit);
        assert_eq!(commits.len(), 5, "each commit has a number of its own");
        assert_eq!(keys(&store), BTreeSet::from([0, 1, 2, 3, 4, 9]));
        // Every commit since the hold, once, in order.
        let mut feed = hold.feed().unwrap();
        let mut at = hold.position().unwrap().0;
        let mut followed = BTreeSet::new();
        while let Some(read) = feed.pull().unwrap() {
            assert_eq!(read.commit.0, at + 1);
            at = read.commit.0;
            followed.extend(read.log.ops().map(|op| match op {
                crate::Op::Put { key, .. } => key[0],
                _ => unreachable!(),
            }));
        }
        assert_eq!(at, store.stats().unwrap().commit.0);
        assert_eq!(followed, BTreeSet::from([1, 2, 3, 4, 9]));
    });
}

const COUNTER: &[u8] = b"\xffcounter";

/// Adds one to the counter.
fn count(store: &Store) {
    let add = |tx: &mut crate::Transaction| {
        let counted = tx.get(COUNTER)?.map_or(0, |value| value[0]);
        tx.put(COUNTER, &[counted + 1])
    };
    store.transact(LEVEL, add).unwrap().into_value().unwrap();
}

/// A verb that meets the flip is answered by the one engine or by the other, and nothing keeps the one that has left.
#[test]
fn swp_03_no_verb_is_refused_over_a_swap() {
    explore(|| {
        let (mut writer, store) = open();
        writer.commit(&log(0), LEVEL).unwrap();
        let left = Arc::downgrade(&store.0.active());
        let verbs: [fn(&Store); 3] = [
            |store| assert_eq!(keys(store).first(), Some(&0)),
            |store| assert!(store.stats().unwrap().engine.records.is_none_or(|rows| (1..=2).contains(&rows))),
            count,
        ];
        let threads = verbs.map(|verb| {
            let store = store.clone();
            thread::spawn(move || (0..2).for_each(|_| verb(&store)))
        });
        count(&store);
        swap(&store, "two").unwrap();
        count(&store);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(store.view().unwrap().get(COUNTER).unwrap().as_deref(), Some(&[4][..]));
        store.0.close_retired().unwrap();
        drop(writer);
        assert!(left.upgrade().is_none_or(|left| left.engine("stats").is_err()));
    });
}

/// The sums of our own records and the records that they are taken from are of one engine.
#[test]
fn stats_count_the_same_over_a_swap() {
    explore(|| {
        let (mut writer, store) = open();
        writer.commit(&log(0), LEVEL).unwrap();
        let counting = store.clone();
        let counting = thread::spawn(move || {
            for _ in 0..4 {
                // It may give up where commits come in between each time, as those of the swap do.
                assert!(matches!(counting.stats().unwrap().engine.records, Some(1) | None));
            }
        });
        swap(&store, "two").unwrap();
        counting.join().unwrap();
    });
}

#[test]
fn closing_and_swapping_at_once() {
    explore(|| {
        let (writer, store) = open();
        let closing = store.clone();
        let closing = thread::spawn(move || closing.close());
        let reading = store.clone();
        let reading = thread::spawn(move || {
            for _ in 0..2 {
                if let Err(error) = reading.view() {
                    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
                }
            }
        });
        let swapped = swap(&store, "two");
        let closed = closing.join().unwrap();
        reading.join().unwrap();
        if let Err(error) = &swapped {
            assert!(matches!(error.kind(), ErrorKind::Closed | ErrorKind::Busy), "{error}");
        }
        match closed {
            Ok(()) => assert_eq!(store.view().unwrap_err().kind(), ErrorKind::Closed),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
                store.commit(log(1), LEVEL).unwrap().wait().unwrap();
                assert_eq!(keys(&store), BTreeSet::from([1]));
            }
        }
        drop(writer);
    });
}

#[test]
fn one_of_two_swaps_at_once_is_refused_or_comes_after() {
    explore(|| {
        let (mut writer, store) = open();
        writer.commit(&log(0), LEVEL).unwrap();
        let other = store.clone();
        let other = thread::spawn(move || swap(&other, "three").map(|report| report.commit.0));
        let one = swap(&store, "two").map(|report| report.commit.0);
        let (one, other) = (one, other.join().unwrap());
        for refused in [&one, &other].into_iter().filter_map(|swapped| swapped.as_ref().err()) {
            assert_eq!(refused.kind(), ErrorKind::Busy, "{refused}");
        }
        assert!(one.is_ok() || other.is_ok());
        writer.commit(&log(1), LEVEL).unwrap();
        assert_eq!(keys(&store), BTreeSet::from([0, 1]));
        store.0.close_retired().unwrap();
    });
}
