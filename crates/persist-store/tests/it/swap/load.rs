//! Swaps under writers, readers and a reader of the feed. Streams are prefixes of keys: `s/<stream>/<number>`, with the head
//! of each at `h/<stream>`.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use persist_api::{Durability, ErrorKind, Quiet, Result};
use persist_store::{
    Cause, Conflict, HoldOptions, Op, Store, StoreView, SwapOptions, Transacted, Transaction,
};

use super::plain::target;
use super::stand::{Stand, all, put, swap_options};

pub const LEVEL: Durability = Durability::Durable;

pub fn number(bytes: Option<&[u8]>) -> u64 {
    bytes.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()))
}

fn append(tx: &mut Transaction, stream: &str, expected: u64) -> Result<()> {
    append_event(tx, stream, expected, b"event")
}

/// Appends one event to a stream that must have `expected` of them.
pub fn append_event(tx: &mut Transaction, stream: &str, expected: u64, event: &[u8]) -> Result<()> {
    let head = format!("h/{stream}");
    let value = expected.to_be_bytes();
    tx.expect(head.as_bytes(), (expected > 0).then_some(&value))?;
    tx.put(format!("s/{stream}/{expected:08}").as_bytes(), event)?;
    tx.put(head.as_bytes(), &(expected + 1).to_be_bytes())
}

/// Checks that no stream has a gap or a head that is wrong. Gives the heads.
pub fn check_streams(view: &StoreView) -> BTreeMap<String, u64> {
    let mut heads = BTreeMap::new();
    view.scan_prefix(b"h/", |key, value| {
        heads.insert(String::from_utf8(key[2..].to_vec()).unwrap(), number(Some(value)));
        ControlFlow::Continue(())
    })
    .unwrap();
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    view.scan_prefix(b"s/", |key, _| {
        let key = std::str::from_utf8(&key[2..]).unwrap();
        let (stream, event) = key.rsplit_once('/').unwrap();
        let count = counts.entry(stream.to_owned()).or_default();
        assert_eq!(event.parse::<u64>().unwrap(), *count, "a gap in {stream}");
        *count += 1;
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(heads, counts);
    heads
}

/// What runs while engines are swapped.
#[derive(Default)]
struct Load {
    stop: AtomicBool,
    /// Nobody writes any more.
    written: AtomicBool,
    /// The follower has copied what its hold begins at.
    following: AtomicBool,
    appended: AtomicU64,
    viewed: AtomicU64,
}

impl Load {
    /// Waits until everybody has done a little more; ends the test when somebody has died.
    fn await_more(&self, died: impl Fn() -> bool) {
        let (appended, viewed) = (self.appended.load(Ordering::SeqCst), self.viewed.load(Ordering::SeqCst));
        while self.appended.load(Ordering::SeqCst) < appended + 5
            || self.viewed.load(Ordering::SeqCst) < viewed + 2
        {
            if died() {
                self.stop.store(true, Ordering::SeqCst);
                self.written.store(true, Ordering::SeqCst);
                panic!("a writer or reader has failed");
            }
            thread::yield_now();
        }
    }

    /// Appends to one stream, in a loop that expects what it did last.
    fn write(&self, store: &Store, stream: &str) -> u64 {
        let mut at = 0;
        while !self.stop.load(Ordering::SeqCst) {
            let done = store.transact(LEVEL, |tx| append(tx, stream, at)).unwrap();
            assert!(matches!(done, Transacted::Committed((), _)), "{done:?}");
            at += 1;
            self.appended.fetch_add(1, Ordering::SeqCst);
        }
        at
    }

    /// Reads: what a handle shows never goes back, and is always whole.
    fn read(&self, store: &Store) -> u64 {
        let mut last = (0, BTreeMap::new());
        while !self.stop.load(Ordering::SeqCst) {
            let view = store.view().unwrap();
            let commit = view.header().last_commit().0;
            let heads = check_streams(&view);
            assert!(commit >= last.0, "commit {commit} after {}", last.0);
            for (stream, head) in &last.1 {
                assert!(heads[stream] >= *head, "{stream} went back");
            }
            last = (commit, heads);
            self.viewed.fetch_add(1, Ordering::SeqCst);
        }
        last.0
    }

    /// Follows the feed: every commit once, in order, over all engines.
    fn follow(&self, store: &Store) -> (u64, BTreeMap<Vec<u8>, Vec<u8>>) {
        let hold = store.hold("follower", HoldOptions::default()).unwrap();
        let mut at = hold.position().unwrap().0;
        let mut feed = hold.feed().unwrap();
        let mut model = crate::kit::content(&store.view_at_or_now(at));
        self.following.store(true, Ordering::SeqCst);
        loop {
            let Some(read) = feed.pull().unwrap() else {
                if self.written.load(Ordering::SeqCst) && store.stats().unwrap().commit.0 == at {
                    return (at, model);
                }
                feed.wait(Duration::from_millis(1)).unwrap();
                continue;
            };
            assert_eq!(read.commit.0, at + 1, "a gap or a repetition");
            at = read.commit.0;
            for op in read.log.ops() {
                match op {
                    Op::Put { key, value } => model.insert(key.to_vec(), value.to_vec()),
                    Op::Delete { key } => model.remove(key),
                    Op::DeleteRange { .. } => unreachable!(),
                };
            }
            if at.is_multiple_of(16) {
                hold.advance(read.commit).unwrap();
            }
        }
    }
}

trait ViewAt {
    fn view_at_or_now(&self, at: u64) -> StoreView;
}

impl ViewAt for Store {
    /// Before anybody else writes, now is as good.
    fn view_at_or_now(&self, at: u64) -> StoreView {
        let view = self.view().unwrap();
        assert_eq!(view.header().last_commit().0, at);
        view
    }
}

fn under_load(engines: &[&str], options: &SwapOptions) {
    let stand = Stand::new();
    let (_writer, store) = stand.store(engines[0]);
    let load = Load::default();
    thread::scope(|scope| {
        let follower = scope.spawn(|| load.follow(&store));
        // It begins before the writers do.
        while !load.following.load(Ordering::SeqCst) && !follower.is_finished() {
            thread::yield_now();
        }
        let hold = store.stats().unwrap().commit.0;
        let writers: Vec<_> = ["one", "two", "three"]
            .map(|stream| {
                scope.spawn({
                    let (load, store) = (&load, &store);
                    move || load.write(store, stream)
                })
            })
            .into();
        let readers: Vec<ScopedJoinHandle<'_, u64>> =
            (0..2).map(|_| scope.spawn(|| load.read(&store))).collect();
        for pair in engines.windows(2) {
            // All of them are at work.
            load.await_more(|| writers.iter().chain(&readers).any(ScopedJoinHandle::is_finished));
            let report = store.swap(&target(pair[0], pair[1]), options, &Quiet).unwrap();
            assert_eq!(store.engine_name(), pair[1]);
            assert!(report.commit.0 > hold);
            if pair[0] != "memory" {
                while store.finish_swap().is_err_and(|error| error.kind() == ErrorKind::Busy) {
                    thread::yield_now();
                }
            }
        }
        load.await_more(|| writers.iter().chain(&readers).any(ScopedJoinHandle::is_finished));
        load.stop.store(true, Ordering::SeqCst);
        let counts: Vec<u64> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
        load.written.store(true, Ordering::SeqCst);
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
        let heads = check_streams(&store.view().unwrap());
        assert_eq!(counts, ["one", "two", "three"].map(|stream| heads[stream]));
        let (at, model) = follower.join().unwrap();
        assert_eq!(at, store.stats().unwrap().commit.0);
        assert!(model == all(&store), "what the feed gave is not what is there");
    });
    store.close().unwrap();
}

#[test]
fn swp_03_under_writers_readers_and_a_follower() {
    under_load(
        &["memory", "flatfile", "toy", "flatfile"],
        &SwapOptions { chunk_bytes: 2000, ..SwapOptions::default() },
    );
}

/// Also those of SWP-3; here the holds of others are followed back too.
#[test]
fn swp_11_subscription_across_the_flip() {
    under_load(&["flatfile", "toy", "toy2"], &SwapOptions { follow_back: true, ..SwapOptions::default() });
}

#[test]
fn swp_08_append_once_retried_across_the_flip() {
    let stand = Stand::new();
    let (_writer, store) = stand.store("memory");
    let once = |id: &str| {
        store.transact(LEVEL, |tx| {
            tx.expect(id.as_bytes(), None)?;
            tx.put(id.as_bytes(), b"done")
        })
    };
    assert!(matches!(once("id1").unwrap(), Transacted::Committed(..)));
    let mut swap = store.begin_swap(&target("memory", "flatfile"), &swap_options(), &Quiet).unwrap();
    swap.copy(&Quiet).unwrap();
    assert!(matches!(once("id2").unwrap(), Transacted::Committed(..)));
    swap.run(&Quiet).unwrap();
    for id in ["id1", "id2"] {
        let again = once(id).unwrap();
        assert!(
            matches!(&again, Transacted::Conflict(Conflict { cause: Cause::Unexpected(key), .. }) if key == id.as_bytes())
        );
    }
}

#[test]
fn swp_09_a_transaction_that_spans_the_flip_is_redone_or_holds() {
    for other_wrote in [false, true] {
        let stand = Stand::new();
        let (_writer, store) = stand.store("flatfile");
        store.transact(LEVEL, |tx| append(tx, "s", 0)).unwrap().into_value().unwrap();
        let mut runs = 0;
        let done = store.transact(LEVEL, |tx| {
            runs += 1;
            let at = number(tx.get(b"h/s")?.as_deref());
            if runs == 1 {
                store.swap(&target("flatfile", "toy"), &swap_options(), &Quiet).unwrap();
                if other_wrote {
                    store.transact(LEVEL, |tx| append(tx, "s", 1))?.into_value()?;
                }
            }
            tx.put(format!("s/s/{at:08}").as_bytes(), b"event")?;
            tx.put(b"h/s", &(at + 1).to_be_bytes())
        });
        assert!(matches!(done.unwrap(), Transacted::Committed(..)));
        assert_eq!(runs, if other_wrote { 2 } else { 1 });
        assert_eq!(check_streams(&store.view().unwrap())["s"], if other_wrote { 3 } else { 2 });
    }
}

#[test]
fn swp_10_a_revision_across_the_flip() {
    let stand = Stand::new();
    let (_writer, store) = stand.store("toy");
    put(&store, "k", "revision 1");
    store.swap(&target("toy", "flatfile"), &swap_options(), &Quiet).unwrap();
    let replace = |expected: &[u8], new: &[u8]| {
        store.transact(LEVEL, |tx| {
            tx.expect(b"k", Some(expected))?;
            tx.put(b"k", new)
        })
    };
    assert!(matches!(replace(b"revision 1", b"revision 2").unwrap(), Transacted::Committed(..)));
    assert!(matches!(replace(b"revision 1", b"revision 3").unwrap(), Transacted::Conflict(_)));
    assert_eq!(store.view().unwrap().get(b"k").unwrap().as_deref(), Some(b"revision 2".as_slice()));
}

#[test]
fn swp_07_what_was_cleared_stays_cleared() {
    let stand = Stand::new();
    let (_writer, store) = stand.store("flatfile");
    for n in 0..4 {
        store.transact(LEVEL, |tx| append(tx, "compacted", n)).unwrap().into_value().unwrap();
        store.transact(LEVEL, |tx| append(tx, "deleted", n)).unwrap().into_value().unwrap();
    }
    // A stream whose first events are gone, one that is gone, and one that is empty but has a head.
    let mut clear = persist_store::BeatLog::new();
    for n in 0..3 {
        clear.delete(format!("s/compacted/{n:08}").as_bytes()).unwrap();
    }
    clear.delete_range(&persist_api::KeyRange::prefix(b"s/deleted/")).unwrap();
    clear.delete(b"h/deleted").unwrap();
    clear.put(b"h/empty", &0_u64.to_be_bytes()).unwrap();
    store.commit(clear, LEVEL).unwrap().wait().unwrap();
    let before = all(&store);
    let mut swap = store.begin_swap(&target("flatfile", "toy"), &swap_options(), &Quiet).unwrap();
    swap.copy(&Quiet).unwrap();
    store.transact(LEVEL, |tx| append(tx, "deleted", 0)).unwrap().into_value().unwrap();
    let mut again = persist_store::BeatLog::new();
    again.delete_range(&persist_api::KeyRange::prefix(b"s/deleted/")).unwrap();
    again.delete(b"h/deleted").unwrap();
    store.commit(again, LEVEL).unwrap().wait().unwrap();
    swap.run(&Quiet).unwrap();
    assert_eq!(all(&store), before);
    store.transact(LEVEL, |tx| append(tx, "compacted", 4)).unwrap().into_value().unwrap();
    assert_eq!(
        store.view().unwrap().get(b"s/compacted/00000004").unwrap().as_deref(),
        Some(b"event".as_slice())
    );
}
