//! The committer under a scheduler that tries many interleavings. Every test runs the whole store, over memory.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use persist_api::{Driver, Durability, Error, ErrorKind, OpenOptions, Scan};
use persist_memory::MemoryDriver;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, Runner, future, thread};

use super::queue::WriterAt;
use crate::{
    BeatLog, CommitOptions, Pending, Receipt, Store, Transacted, Writer, open_with, volatile_request,
};

pub(crate) const LEVEL: Durability = Durability::Durable;
/// Interleavings per test and kind of scheduler. `PERSIST_SCHEDULES` sets it for a longer search.
const SCHEDULES: usize = 1000;
/// Preemptions at the worst places, for the scheduler that looks for bugs of that depth.
const DEPTH: usize = 3;

pub(crate) fn explore(test: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    config.stack_size = 1 << 18;
    explore_some(SCHEDULES, &config, test);
}

/// The same, of tests that need more stack or fewer interleavings.
pub(crate) fn explore_some(count: usize, config: &Config, test: impl Fn() + Send + Sync + 'static) {
    let asked = std::env::var("PERSIST_SCHEDULES").ok().and_then(|count| count.parse().ok());
    let count = asked.unwrap_or(count);
    let test = Arc::new(test);
    let run = |scheduler: Box<dyn Scheduler + Send>| {
        let test = Arc::clone(&test);
        Runner::new(scheduler, config.clone()).run(move || test());
    };
    run(Box::new(RandomScheduler::new_from_seed(1, count)));
    run(Box::new(PctScheduler::new_from_seed(1, DEPTH, count)));
}

/// Time does not pass here: nothing may depend on it.
pub(crate) fn open(options: CommitOptions) -> (Writer, Store) {
    let drivers: [Arc<dyn Driver>; 1] = [Arc::new(MemoryDriver::new())];
    let plain = OpenOptions { close_wait: Duration::ZERO, ..OpenOptions::default() };
    let opened = open_with(Arc::new(persist_io::RealDisk), &drivers, Path::new(""), Some("memory"), &plain);
    let (writer, store) = opened.unwrap().negotiate(&volatile_request()).unwrap();
    let wait = Duration::from_secs(1 << 20);
    store.set_commit_options(CommitOptions { wait, gather: Duration::ZERO, ..options });
    (writer, store)
}

pub(crate) fn log(key: u8) -> BeatLog {
    let mut log = BeatLog::new();
    log.put(&[key], &[key]).unwrap();
    log.put(&[key, key], &[key]).unwrap();
    log
}

pub(crate) fn queue(store: &Store, key: u8) -> Pending {
    store.commit(log(key), LEVEL).unwrap()
}

/// A waker that uses the store when nobody needs it any more.
struct Parting(Store, u8);

impl Wake for Parting {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Parting {
    fn drop(&mut self) {
        drop(queue(&self.0, self.1));
        self.0.holds().unwrap();
    }
}

/// True when a future is not ready. The waker that it gets uses the store when it drops it, and commits this key then.
pub(crate) fn waits(future: Pin<&mut impl Future>, store: &Store, key: u8) -> bool {
    let waker = Waker::from(Arc::new(Parting(store.clone(), key)));
    future.poll(&mut Context::from_waker(&waker)).is_pending()
}

/// The keys of the store; each has its twin.
fn keys(store: &Store) -> BTreeSet<u8> {
    let (mut single, mut double) = (BTreeSet::new(), BTreeSet::new());
    let visit = |key: &[u8], _: &[u8]| {
        if key.len() == 1 { &mut single } else { &mut double }.insert(key[0]);
        ControlFlow::Continue(())
    };
    store.view().unwrap().scan(Scan::all(), visit).unwrap();
    assert_eq!(single, double, "a commit is there whole or not at all");
    single
}

/// Checks that the commits 1 to `total` were made, and each of these told once.
pub(crate) fn check(store: &Store, receipts: &[Receipt], total: u64) {
    let commits: BTreeSet<_> = receipts.iter().map(|receipt| receipt.commit.0).collect();
    assert_eq!(commits.len(), receipts.len(), "no commit is told twice");
    assert!(commits.iter().all(|commit| (1..=total).contains(commit)));
    assert_eq!(store.stats().unwrap().commit.0, total);
}

#[test]
fn threads_that_wait_are_each_told_once() {
    explore(|| {
        let (_writer, store) = open(CommitOptions { beat_commits_max: 2, ..CommitOptions::default() });
        let threads: Vec<_> = (0..3)
            .map(|thread| {
                let store = store.clone();
                thread::spawn(move || {
                    let first = queue(&store, 2 * thread).wait().unwrap();
                    let second = queue(&store, 2 * thread + 1).wait().unwrap();
                    assert!(first.commit < second.commit && first.beat < second.beat);
                    [first, second]
                })
            })
            .collect();
        let receipts: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        check(&store, &receipts, 6);
        assert_eq!(keys(&store).len(), 6);
    });
}

#[test]
fn a_waker_that_uses_the_store_when_dropped_meets_no_lock() {
    explore(|| {
        let (mut writer, store) = open(CommitOptions::default());
        let beat = writer.begin(LEVEL).unwrap();
        let [mut replaced, mut left, mut blocked] = [1, 2, 3].map(|key| Box::pin(queue(&store, key)));
        assert!(waits(replaced.as_mut(), &store, 4) && waits(replaced.as_mut(), &store, 5));
        assert!(waits(left.as_mut(), &store, 6) && waits(blocked.as_mut(), &store, 7));
        drop(left);
        let blocked = thread::spawn(move || Pin::into_inner(blocked).wait().unwrap());
        beat.commit().unwrap();
        blocked.join().unwrap();
        future::block_on(replaced).unwrap();
        while store.0.last_commit().0 < 8 {
            thread::yield_now();
        }
        assert_eq!(keys(&store), (1..=7).collect());
    });
}

#[test]
fn futures_and_threads_share_beats_and_what_is_dropped_is_committed() {
    explore(|| {
        let (writer, store) = open(CommitOptions::default());
        let polling = store.clone();
        let polling = thread::spawn(move || future::block_on(queue(&polling, 1)).unwrap());
        let waiting = store.clone();
        let waiting = thread::spawn(move || queue(&waiting, 2).wait().unwrap());
        let leaving = store.clone();
        let leaving = thread::spawn(move || drop(queue(&leaving, 3)));
        let receipts = [polling.join().unwrap(), waiting.join().unwrap()];
        leaving.join().unwrap();
        // Nobody but the helper can do that.
        while store.0.last_commit().0 < 3 {
            thread::yield_now();
        }
        check(&store, &receipts, 3);
        assert_eq!(keys(&store).len(), 3);
        drop((writer, store));
    });
}

/// Nobody blocks, polls or drops: whoever asks again and again is told in the end.
#[test]
fn who_only_asks_whether_it_is_done_is_told() {
    explore(|| {
        let (writer, store) = open(CommitOptions::default());
        let until_done = |pending: &Pending| {
            while !pending.is_done() {
                thread::yield_now();
            }
        };
        let threads: Vec<_> = [1, 2]
            .map(|key| {
                let store = store.clone();
                thread::spawn(move || {
                    let pending = [queue(&store, key), queue(&store, 10 * key)];
                    pending.iter().for_each(until_done);
                    pending.map(|pending| pending.wait().unwrap())
                })
            })
            .into();
        let waiting = store.clone();
        let waiting = thread::spawn(move || queue(&waiting, 3).wait().unwrap());
        let mut receipts: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        receipts.push(waiting.join().unwrap());
        let again = queue(&store, 4);
        until_done(&again);
        receipts.push(again.wait().unwrap());
        check(&store, &receipts, 6);
        drop((writer, store));
    });
}

#[test]
fn a_future_that_is_dropped_half_way_is_committed() {
    explore(|| {
        let (writer, store) = open(CommitOptions::default());
        let polling = store.clone();
        let polling = thread::spawn(move || {
            let mut pending = queue(&polling, 1);
            let _ = Pin::new(&mut pending).poll(&mut Context::from_waker(Waker::noop()));
        });
        let other = store.clone();
        let other = thread::spawn(move || future::block_on(queue(&other, 2)).unwrap());
        other.join().unwrap();
        polling.join().unwrap();
        store.0.drain(None).unwrap();
        assert_eq!(store.0.last_commit().0, 2);
        drop((writer, store));
    });
}

#[test]
fn a_small_queue_lets_everybody_through() {
    explore(|| {
        let options = CommitOptions { queue_commits_max: 1, ..CommitOptions::default() };
        let (_writer, store) = open(options);
        let threads: Vec<_> = (0..3)
            .map(|thread| {
                let store = store.clone();
                thread::spawn(move || {
                    let pending = [queue(&store, 2 * thread), queue(&store, 2 * thread + 1)];
                    pending.map(|pending| pending.wait().unwrap())
                })
            })
            .collect();
        let receipts: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        check(&store, &receipts, 6);
    });
}

#[test]
fn a_refused_commit_finds_room_later() {
    explore(|| {
        let options = CommitOptions { queue_commits_max: 1, ..CommitOptions::default() };
        let (_writer, store) = open(options);
        let held = queue(&store, 1);
        let trying = store.clone();
        let trying = thread::spawn(move || {
            let mut log = log(2);
            loop {
                match trying.try_commit(log, LEVEL) {
                    Ok(pending) => return pending.wait().unwrap(),
                    Err(refused) => log = refused.into_parts().0,
                }
                thread::yield_now();
            }
        });
        let second = trying.join().unwrap();
        assert_eq!((held.wait().unwrap().commit.0, second.commit.0), (1, 2));
    });
}

#[test]
fn the_writer_and_the_queue_take_turns() {
    explore(|| {
        let (mut writer, store) = open(CommitOptions::default());
        let waiting = store.clone();
        let waiting = thread::spawn(move || {
            let (first, second) = (queue(&waiting, 1), queue(&waiting, 2));
            let (second, first) = (second.wait().unwrap(), first.wait().unwrap());
            assert!(first.commit < second.commit);
            [first, second]
        });
        let polling = store.clone();
        let polling = thread::spawn(move || [future::block_on(queue(&polling, 3)).unwrap()]);
        let before = queue(&store, 4);
        let mut beat = writer.begin(LEVEL).unwrap();
        assert!(before.is_done(), "what came before the explicit beat");
        let after = queue(&store, 5);
        let seen = keys(&store);
        beat.put(&[6], &[6]).unwrap();
        beat.put(&[6, 6], &[6]).unwrap();
        assert_eq!(keys(&store), seen, "nothing is committed while a beat is staged");
        let explicit = beat.commit().unwrap();
        let again = writer.commit(&log(7), LEVEL).unwrap();
        assert!(after.is_done());
        let mine = [before.wait().unwrap(), explicit, after.wait().unwrap(), again];
        assert!(mine.windows(2).all(|pair| pair[0].beat < pair[1].beat));
        let receipts = [waiting.join().unwrap().as_slice(), &polling.join().unwrap(), &mine].concat();
        check(&store, &receipts, 7);
    });
}

#[test]
fn who_comes_after_the_writer_goes_after_it() {
    explore(|| {
        let (mut writer, store) = open(CommitOptions::default());
        let before = store.clone();
        let before = thread::spawn(move || queue(&before, 1).wait().unwrap());
        let explicit = thread::spawn(move || writer.commit(&log(2), LEVEL).unwrap());
        let writer_waits = || matches!(store.0.group.lock().writer, WriterAt::Waiting { .. });
        let writer_came_first = writer_waits();
        let after = queue(&store, 3).wait().unwrap();
        let (before, explicit) = (before.join().unwrap(), explicit.join().unwrap());
        assert!(!writer_came_first || explicit.beat < after.beat);
        check(&store, &[before, explicit, after], 3);
    });
}

#[test]
fn a_budget_begins_when_the_writer_takes_the_lane() {
    explore(|| {
        let (mut writer, store) = open(CommitOptions::default());
        store.set_commit_options(CommitOptions { wait: Duration::ZERO, ..store.commit_options() });
        let ended = |outcome: persist_api::Result<Receipt>| match outcome {
            Ok(_) => 1,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Busy);
                0
            }
        };
        let threads: Vec<_> = (0..3)
            .map(|number| {
                let store = store.clone();
                thread::spawn(move || match number {
                    0 => ended(future::block_on(queue(&store, number))),
                    _ => ended(queue(&store, number).wait()),
                })
            })
            .collect();
        let beat = writer.begin(LEVEL).unwrap();
        // Were anybody to wait without end behind the staged beat, so would this.
        let made: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        drop(beat);
        assert_eq!(store.0.last_commit().0, made);
        assert!(store.0.group.lock().is_empty(), "who gave up has left the queue");
    });
}

#[test]
fn who_gives_up_makes_room() {
    explore(|| {
        let options = CommitOptions { queue_commits_max: 1, ..CommitOptions::default() };
        let (mut writer, store) = open(options);
        let beat = writer.begin(LEVEL).unwrap();
        let held = queue(&store, 1);
        let patient = store.clone();
        let patient = thread::spawn(move || drop(queue(&patient, 2)));
        while store.0.group.lock().want_room == 0 {
            thread::yield_now();
        }
        store.set_commit_options(CommitOptions { wait: Duration::ZERO, ..store.commit_options() });
        assert_eq!(held.wait().unwrap_err().kind(), ErrorKind::Busy);
        patient.join().unwrap();
        beat.commit().unwrap();
        assert_eq!(writer.commit(&log(3), LEVEL).unwrap().commit.0, 3);
    });
}

#[test]
fn closing_commits_all_that_it_took() {
    explore(|| {
        let (writer, store) = open(CommitOptions::default());
        let threads: Vec<_> = (0..3_u8)
            .map(|number| {
                let store = store.clone();
                thread::spawn(move || {
                    let pending = match store.commit(log(number), LEVEL) {
                        Ok(pending) => pending,
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Closed);
                            return 0;
                        }
                    };
                    match number {
                        0 => assert!(pending.wait().is_ok()),
                        1 => assert!(future::block_on(pending).is_ok()),
                        _ => drop(pending),
                    }
                    1
                })
            })
            .collect();
        while store.close().map_err(|error| assert_eq!(error.kind(), ErrorKind::Busy)).is_err() {
            thread::yield_now();
        }
        let closed: Result<Pending, Error> = store.commit(log(9), LEVEL);
        assert_eq!(closed.unwrap_err().kind(), ErrorKind::Closed);
        let made: u64 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert_eq!(store.0.last_commit().0, made);
        drop(writer);
    });
}

#[test]
fn handles_may_go_in_any_order() {
    explore(|| {
        let (writer, store) = open(CommitOptions::default());
        let waiting = queue(&store, 1);
        let waiting = thread::spawn(move || waiting.wait().unwrap());
        let leaving = queue(&store, 2);
        let leaving = thread::spawn(move || drop(leaving));
        let core = Arc::clone(&store.0.0);
        let writer = thread::spawn(move || drop(writer));
        drop(store);
        waiting.join().unwrap();
        leaving.join().unwrap();
        writer.join().unwrap();
        assert_eq!(core.last_commit().0, 2);
        assert_eq!(Arc::strong_count(&core), 1, "the helper has ended");
    });
}

#[test]
fn transactions_lose_no_update() {
    explore(|| {
        let (_writer, store) = open(CommitOptions { redos_max: u32::MAX, ..CommitOptions::default() });
        let add = |store: &Store| {
            let outcome = store.transact(LEVEL, |tx| {
                let count = tx.get(b"n")?.map_or(0, |count| count[0]) + 1;
                tx.put(b"n", &[count])?;
                Ok(count)
            });
            let Transacted::Committed(count, _) = outcome.unwrap() else { panic!("committed") };
            count
        };
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let store = store.clone();
                thread::spawn(move || [add(&store), add(&store)])
            })
            .collect();
        let other = store.clone();
        let other = thread::spawn(move || drop(queue(&other, 1)));
        let seen: BTreeSet<u8> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(seen, BTreeSet::from([1, 2, 3, 4]));
        other.join().unwrap();
    });
}
