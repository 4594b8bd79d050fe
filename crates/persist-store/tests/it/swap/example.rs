//! SWP-26, the worked example: an audit log and a store of grants run on memory, and move to the disk under load.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use persist_api::{CommitNo, Durability, Quiet};
use persist_io::sim::Crash;
use persist_store::{HoldOptions, Op, Receipt, Store, StoreView, SwapTarget, Transacted};

use super::load::{LEVEL, append_event, check_streams, number};
use super::stand::{HOME, Stand, all, options_of, put, swap_options};

const USERS: usize = 3;

/// Everything that is at work, and what it did.
#[derive(Default)]
struct Office {
    stop: AtomicBool,
    /// Nobody writes any more.
    written: AtomicBool,
    /// Changes that each user made and was told to be done.
    made: [AtomicU64; USERS],
    looks: AtomicU64,
    /// Every receipt there was.
    receipts: Mutex<Vec<Receipt>>,
}

/// Sends everybody home, also when the test fails.
struct Closes<'o>(&'o Office);

impl Drop for Closes<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::SeqCst);
        self.0.written.store(true, Ordering::SeqCst);
    }
}

/// A change of a grant, as the audit log tells it.
fn event(who: usize, grant: u64) -> Vec<u8> {
    format!("{who} {grant}").into_bytes()
}

/// What the audit log says that the grants are: each change once, one after the other.
fn audited(view: &StoreView) -> BTreeMap<usize, u64> {
    assert!(check_streams(view).keys().all(|stream| stream == "audit"));
    let mut grants = BTreeMap::new();
    view.scan_prefix(b"s/audit/", |_, value| {
        let text = std::str::from_utf8(value).unwrap();
        let (who, grant) = text.split_once(' ').unwrap();
        let (who, grant): (usize, u64) = (who.parse().unwrap(), grant.parse().unwrap());
        let before = grants.insert(who, grant).unwrap_or(0);
        assert_eq!(grant, before + 1, "a change of the grants of {who} is not in the log, or twice");
        ControlFlow::Continue(())
    })
    .unwrap();
    grants
}

/// What the store of grants says.
fn granted(view: &StoreView) -> BTreeMap<usize, u64> {
    let mut grants = BTreeMap::new();
    view.scan_prefix(b"g/", |key, value| {
        grants.insert(std::str::from_utf8(&key[2..]).unwrap().parse().unwrap(), number(Some(value)));
        ControlFlow::Continue(())
    })
    .unwrap();
    grants
}

impl Office {
    /// Changes a grant and writes it into the log, both or neither.
    fn change(&self, store: &Store, who: usize, grant: u64) {
        let done = store.transact(LEVEL, |tx| {
            let at = number(tx.get(b"h/audit")?.as_deref());
            append_event(tx, "audit", at, &event(who, grant))?;
            let key = format!("g/{who}");
            assert_eq!(number(tx.get(key.as_bytes())?.as_deref()) + 1, grant, "lost, or made twice");
            tx.put(key.as_bytes(), &grant.to_be_bytes())
        });
        let Transacted::Committed((), receipt) = done.unwrap() else { panic!("a conflict with nobody") };
        self.receipts.lock().push(receipt);
        self.made[who].store(grant, Ordering::SeqCst);
    }

    fn use_it(&self, store: &Store, who: usize) {
        for grant in 1.. {
            self.change(store, who, grant);
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
        }
    }

    /// An auditor: at every moment the log accounts for every grant, and nothing goes back.
    fn audit(&self, store: &Store) {
        let mut last = (CommitNo(0), BTreeMap::new());
        while !self.stop.load(Ordering::SeqCst) {
            let view = store.view().unwrap();
            let (now, grants) = (view.header().last_commit(), granted(&view));
            assert_eq!(audited(&view), grants, "at commit {now}");
            assert!(now >= last.0, "commit {now} after {}", last.0);
            assert!(last.1.iter().all(|(who, grant)| grants[who] >= *grant), "a grant went back");
            last = (now, grants);
            self.looks.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Somebody who subscribed to the log: every event once and in order, over both engines.
    fn subscribe(&self, store: &Store) -> Vec<Vec<u8>> {
        let hold = store.find_hold("subscriber").unwrap().unwrap();
        let (mut at, mut feed) = (hold.position().unwrap().0, hold.feed().unwrap());
        let mut events = Vec::new();
        loop {
            let Some(read) = feed.pull().unwrap() else {
                if self.written.load(Ordering::SeqCst) && store.stats().unwrap().commit.0 == at {
                    return events;
                }
                feed.wait(Duration::from_millis(1)).unwrap();
                continue;
            };
            assert_eq!(read.commit.0, at + 1, "a gap or a repetition");
            at = read.commit.0;
            for op in read.log.ops() {
                if let Op::Put { key, value } = op
                    && key.starts_with(b"s/audit/")
                {
                    events.push(value.to_vec());
                }
            }
            hold.advance(read.commit).unwrap();
        }
    }

    /// Waits until every user has changed some more, and the auditor has looked.
    fn await_more(&self, died: impl Fn() -> bool) {
        let made = self.made.each_ref().map(|made| made.load(Ordering::SeqCst));
        let looks = self.looks.load(Ordering::SeqCst);
        let is_less = |(now, before): (&AtomicU64, &u64)| now.load(Ordering::SeqCst) < before + 2;
        while self.made.iter().zip(&made).any(is_less) || self.looks.load(Ordering::SeqCst) < looks + 2 {
            assert!(!died(), "a user or the auditor has failed");
            thread::yield_now();
        }
    }
}

#[test]
fn swp_26_worked_example() {
    let stand = Stand::new();
    let (_writer, store) = stand.open(Some("memory"), "").unwrap();
    store.hold("subscriber", HoldOptions::default()).unwrap();
    let office = Office::default();
    let (report, cut) = thread::scope(|scope| {
        let closes = Closes(&office);
        let subscriber = scope.spawn(|| office.subscribe(&store));
        let users: Vec<_> = (0..USERS)
            .map(|who| {
                let (office, store) = (&office, &store);
                scope.spawn(move || office.use_it(store, who))
            })
            .collect();
        let auditor = scope.spawn(|| office.audit(&store));
        let await_more =
            || office.await_more(|| auditor.is_finished() || users.iter().any(ScopedJoinHandle::is_finished));
        // Between any two steps everybody goes on.
        await_more();
        let target = SwapTarget::at("flatfile", HOME).options(options_of("flatfile"));
        let options = persist_store::SwapOptions { lag_max: 256, ..swap_options() };
        let mut swap = store.begin_swap(&target, &options, &Quiet).unwrap();
        await_more();
        swap.copy(&Quiet).unwrap();
        await_more();
        swap.follow(&Quiet).unwrap();
        await_more();
        swap.verify(&Quiet).unwrap();
        await_more();
        assert_eq!(store.grant().session.durability, Durability::Volatile);
        let report = swap.flip(&Quiet).unwrap();
        assert_eq!(store.grant().session.durability, LEVEL);
        await_more();
        // The power fails while everybody is at work: what was acknowledged by now is there, by memory too.
        let acknowledged = office.made.each_ref().map(|made| made.load(Ordering::SeqCst));
        let cut = (acknowledged, stand.disk.crash_image(&Crash::Nothing));
        await_more();
        office.stop.store(true, Ordering::SeqCst);
        for user in users {
            user.join().unwrap();
        }
        auditor.join().unwrap();
        drop(closes);
        let view = store.view().unwrap();
        let mut events = Vec::new();
        view.scan_prefix(b"s/audit/", |_, value| {
            events.push(value.to_vec());
            ControlFlow::Continue(())
        })
        .unwrap();
        assert!(subscriber.join().unwrap() == events, "the subscriber was told something else");
        (report, cut)
    });
    assert!(report.figures.followed >= 2 * USERS as u64, "nobody was at work: {:?}", report.figures);
    assert_eq!((report.durability_before, report.durability), (Durability::Volatile, LEVEL));
    assert_eq!((report.from.engine.as_str(), report.from.home.as_deref()), ("memory", None));
    assert_eq!((store.engine_name(), store.home().as_deref()), ("flatfile", Some(HOME.as_ref())));

    // Every receipt said what was so: numbers without gaps, and durable from the flip on and not before.
    let mut receipts = std::mem::take(&mut *office.receipts.lock());
    receipts.sort_by_key(|receipt| receipt.commit);
    let made = office.made.each_ref().map(|made| made.load(Ordering::SeqCst));
    assert_eq!(receipts.len() as u64, made.iter().sum::<u64>());
    for pair in receipts.windows(2) {
        assert!(pair[0].commit < pair[1].commit, "{pair:?}");
    }
    for receipt in &receipts {
        let level = if receipt.commit <= report.commit { Durability::Volatile } else { LEVEL };
        assert_eq!(receipt.reached, level, "{receipt:?}, and the flip was at {}", report.commit);
    }

    let grants: BTreeMap<usize, u64> = made.into_iter().enumerate().collect();
    let view = store.view().unwrap();
    assert_eq!((audited(&view), granted(&view)), (grants.clone(), grants));
    let (acknowledged, early) = cut;
    for (image, least) in [(early, acknowledged), (stand.disk.crash_image(&Crash::Nothing), made)] {
        let image = Stand::on(image);
        let (_writer, there) = image.open(None, HOME).unwrap();
        let grants = granted(&there.view().unwrap());
        assert_eq!(audited(&there.view().unwrap()), grants);
        assert!(least.iter().enumerate().all(|(who, least)| grants[&who] >= *least), "{grants:?} {least:?}");
        assert_eq!(there.swap_status(), None);
        put(&there, "goes on", "1");
    }
    let last = Stand::on(stand.disk.crash_image(&Crash::Nothing));
    assert_eq!(all(&last.open(None, HOME).unwrap().1), all(&store));
}
