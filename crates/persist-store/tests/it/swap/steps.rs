//! What is given up, what is resumed, and what stays.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use persist_api::{Driver, Durability, ErrorKind, KeyRange, Quiet};
use persist_store::{BeatLog, Clock, CommitOptions, Store, SwapOptions, SwapState, SwapTarget};

use super::plain::target;
use super::stand::{
    HOME, Stand, all, bytes_of_stamp, delete, is_clean, names, no_trace, plain, put, request, swap_options,
};
use crate::kit::fails;
use crate::toy::Toy;

/// A clock on which every look takes a second.
#[derive(Default)]
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now(&self) -> Duration {
        Duration::from_secs(self.0.fetch_add(1, Ordering::SeqCst))
    }
}

#[test]
fn swp_13_fence_over_budget() {
    let stand = Stand::new();
    let opened = stand.look(Some("flatfile"), HOME).unwrap().with_clock(Arc::new(Ticking::default()));
    let (mut writer, store) = opened.negotiate(&request()).unwrap();
    (0..41).for_each(|n| {
        put(&store, &n.to_string(), "v");
    });
    // Every look at the clock takes a second.
    let slow = SwapOptions { fence_budget: Duration::from_millis(1500), ..swap_options() };
    let mut swap = store.begin_swap(&target("flatfile", "toy"), &slow, &Quiet).unwrap();
    swap.copy(&Quiet).unwrap();
    swap.verify(&Quiet).unwrap();
    for round in 0..3 {
        put(&store, "meanwhile", &round.to_string());
        fails(swap.flip(&Quiet), ErrorKind::Busy, &["fence", "longer"]);
        assert_eq!(store.engine_name(), "flatfile");
        put(&store, "after", &round.to_string());
    }
    assert_eq!(swap.figures().fences_down, 3);
    fails(swap.run(&Quiet), ErrorKind::Busy, &["fence"]);
    let before = all(&store);
    drop(swap);
    let mut swap = store.resume_swap(&plain(), &swap_options(), &Quiet).unwrap();
    swap.copy(&Quiet).unwrap();
    swap.verify(&Quiet).unwrap();
    // A beat of the writer that takes for ever.
    let impatient = SwapOptions { fence_budget: Duration::ZERO, ..swap_options() };
    drop(swap);
    let mut swap = store.resume_swap(&plain(), &impatient, &Quiet).unwrap();
    swap.verify(&Quiet).unwrap();
    let beat = writer.begin(Durability::Durable).unwrap();
    fails(swap.flip(&Quiet), ErrorKind::Busy, &["explicit beat"]);
    beat.commit().unwrap();
    drop(swap);
    let patient = SwapOptions { fence_budget: Duration::from_secs(10_000), ..swap_options() };
    let report = store.resume_swap(&plain(), &patient, &Quiet).unwrap().run(&Quiet).unwrap();
    assert_eq!((report.figures.records_now, store.engine_name()), (0, "toy"));
    assert_eq!(all(&store), before);
}

/// The compiler lets nobody swap with the writer while a beat of it is staged. With the store it waits for its own beat, in vain: for the hold
/// as long as a commit waits, and at each fence as long as that may take.
#[test]
fn swp_13_the_thread_that_has_a_beat_staged_waits_for_itself_in_vain() {
    let stand = Stand::new();
    let (mut writer, store) = stand.store("flatfile");
    let before = all(&store);
    let (wait, fence_budget) = (Duration::from_millis(50), Duration::from_millis(20));
    store.set_commit_options(CommitOptions { wait, ..store.commit_options() });
    let options = SwapOptions { fence_budget, fence_tries: 3, ..swap_options() };
    let beat = writer.begin(Durability::Durable).unwrap();
    let begun = Instant::now();
    fails(store.swap(&target("flatfile", "toy"), &options, &Quiet), ErrorKind::Busy, &["explicit beat"]);
    assert!(begun.elapsed() >= wait);
    assert_eq!(store.swap_status().unwrap().state, SwapState::Copying);
    beat.abort();
    drop(store.resume_swap(&plain(), &options, &Quiet).unwrap());
    let beat = writer.begin(Durability::Durable).unwrap();
    // Its hold is there now.
    let mut swap = store.resume_swap(&plain(), &options, &Quiet).unwrap();
    let begun = Instant::now();
    fails(swap.run(&Quiet), ErrorKind::Busy, &["explicit beat", "fence"]);
    assert!(begun.elapsed() >= 3 * fence_budget);
    assert_eq!((store.engine_name(), all(&store)), ("flatfile", before.clone()));
    beat.abort();
    swap.run(&Quiet).unwrap();
    assert_eq!((store.engine_name(), all(&store)), ("toy", before));
}

#[test]
fn swp_14_writers_faster_than_the_copy() {
    let stand = Stand::new();
    let (_writer, store) = stand.store("flatfile");
    let stamp = bytes_of_stamp(&stand);
    let mut swap = store.begin_swap(&target("flatfile", "toy"), &swap_options(), &Quiet).unwrap();
    swap.copy(&Quiet).unwrap();
    let writes = AtomicU64::new(0);
    // Less in every other round, so that some rounds come nearer than the one before, and none nearer than the nearest.
    let busy = |_| {
        let written = writes.load(Ordering::SeqCst);
        assert!(written < 1000, "followed without end");
        for _ in 0..if written.is_multiple_of(9) { 5 } else { 4 } {
            put(&store, "busy", &writes.fetch_add(1, Ordering::SeqCst).to_string());
        }
        std::ops::ControlFlow::Continue(())
    };
    let error = fails(swap.follow(&busy), ErrorKind::Busy, &["writers are faster", "nothing was changed"]);
    assert_eq!(error.advice(), persist_api::Advice::Retry);
    assert_eq!(store.engine_name(), "flatfile");
    let before = all(&store);
    swap.abort().unwrap();
    assert_eq!(all(&store), before);
    no_trace(&stand, &store, &stamp);
    // More than is kept for it.
    let little = SwapOptions { feed_bytes_max: 2000, ..swap_options() };
    let mut swap = store.begin_swap(&target("flatfile", "toy"), &little, &Quiet).unwrap();
    swap.copy(&Quiet).unwrap();
    for n in 0..20 {
        put(&store, &format!("much{n}"), &"v".repeat(100));
    }
    fails(swap.follow(&Quiet), ErrorKind::Stale, &["feed_bytes_max"]);
    drop(swap);
    // Resumed, it copies anew.
    let mut swap = store.resume_swap(&plain(), &swap_options(), &Quiet).unwrap();
    let report = swap.run(&Quiet).unwrap();
    assert_eq!(report.figures.records_now, 41 + 1 + 20);
}

#[test]
fn swp_17_what_the_target_got_wrong_is_found() {
    // A bit of the target turns over between copying and comparing.
    let stand = Stand::new();
    let (writer, store) = stand.store("flatfile");
    let mut swap = store.begin_swap(&target("flatfile", "toy"), &swap_options(), &Quiet).unwrap();
    swap.copy(&Quiet).unwrap();
    drop(swap);
    let file = format!("{HOME}/engine-2/toy.data");
    let bytes = stand.disk.bytes(&file).unwrap();
    let at = bytes.windows(11).position(|bytes| bytes == b"value of 17").unwrap();
    assert!(stand.disk.flip(&file, at as u64 * 8));
    let mut swap = store.resume_swap(&plain(), &swap_options(), &Quiet).unwrap();
    fails(swap.run(&Quiet), ErrorKind::Corrupt, &["key017"]);
    assert_eq!((store.engine_name(), all(&store).len()), ("flatfile", 41));
    swap.abort().unwrap();
    store.close().unwrap();
    drop((writer, store));
    // The target loses a record in silence: one that is copied, or one that is followed after everything was compared.
    for (key, lost) in [("key017", b"\x01key017".as_slice()), ("late", b"\x01late")] {
        let mut stand = Stand::on(stand.disk.killed());
        let mut liar = Toy::new(Arc::new(stand.disk.clone()));
        (liar.scheme, liar.loses) = ("liar", Some(lost));
        stand.drivers.push(Arc::new(liar) as Arc<dyn Driver>);
        let (_writer, store) = stand.open(None, HOME).unwrap();
        let mut swap = store.begin_swap(&SwapTarget::here("liar"), &swap_options(), &Quiet).unwrap();
        swap.copy(&Quiet).unwrap();
        let verified = swap.verify(&Quiet);
        if key == "late" {
            verified.unwrap();
            put(&store, "late", "1");
            fails(swap.flip(&Quiet), ErrorKind::Corrupt, &["differ at \"late\"", "source stays"]);
        } else {
            fails(verified, ErrorKind::Corrupt, &["differ at \"key017\"", "source stays"]);
            fails(swap.flip(&Quiet), ErrorKind::Invalid, &["not verified"]);
        }
        assert_eq!(store.engine_name(), "flatfile");
        put(&store, "goes on", "1");
        swap.abort().unwrap();
    }
}

#[test]
fn swp_19_resume_does_not_copy_again() {
    let stand = Stand::new();
    let (writer, store) = stand.store("flatfile");
    let mut swap = store.begin_swap(&target("flatfile", "toy"), &swap_options(), &Quiet).unwrap();
    // Stops in the middle.
    let stop = |progress: persist_api::Progress| {
        if progress.done > 20 {
            std::ops::ControlFlow::Break(())
        } else {
            std::ops::ControlFlow::Continue(())
        }
    };
    fails(swap.copy(&stop), ErrorKind::Cancelled, &[]);
    let copied = swap.figures().records_now;
    assert!((20..35).contains(&copied), "{copied}");
    drop(swap);
    // What is behind and before the point where it stopped changes.
    put(&store, "key001", "changed");
    put(&store, "key038", "changed");
    store.commit(delete("key002"), Durability::Durable).unwrap().wait().unwrap();
    let mut range = BeatLog::new();
    range.delete_range(&KeyRange::prefix(b"key00")).unwrap();
    store.commit(range, Durability::Durable).unwrap().wait().unwrap();
    put(&store, "key005", "again");
    let before = all(&store);
    store.close().unwrap();
    drop((writer, store));

    let (_writer, store) = stand.open(None, HOME).unwrap();
    let status = store.swap_status().unwrap();
    assert_eq!((status.state, status.engine.as_str(), status.running), (SwapState::Copying, "toy", false));
    fails(
        store.begin_swap(&target("flatfile", "toy"), &swap_options(), &Quiet),
        ErrorKind::Conflict,
        &["resume or abort"],
    );
    fails(store.finish_swap(), ErrorKind::Invalid, &[]);
    let mut swap = store.resume_swap(&plain(), &swap_options(), &Quiet).unwrap();
    let report = swap.run(&Quiet).unwrap();
    // The rest of 41, of which some are gone; those at the border may come once more.
    assert!(report.figures.records_now <= 41 - copied + 5, "{report:?}");
    assert_eq!(all(&store), before);
    fails(store.resume_swap(&plain(), &swap_options(), &Quiet), ErrorKind::Invalid, &["no swap"]);
}

#[test]
fn swp_21_rollback() {
    for follow_back in [true, false] {
        for reopened in [false, true] {
            let stand = Stand::new();
            let (mut writer, mut store) = stand.store("flatfile");
            let options = SwapOptions { follow_back, ..swap_options() };
            let there = store.swap(&target("flatfile", "toy"), &options, &Quiet).unwrap();
            assert_eq!(store.holds().unwrap().len(), usize::from(follow_back));
            put(&store, "later", "1");
            store.commit(delete("key001"), Durability::Durable).unwrap().wait().unwrap();
            let before = all(&store);
            if reopened {
                store.close().unwrap();
                drop((writer, store));
                (writer, store) = stand.open(None, HOME).unwrap();
            }
            let back = store.rollback_swap(&super::stand::options(), &swap_options(), &Quiet).unwrap();
            assert_eq!((store.engine_name(), store.stamp().unwrap().epoch), ("flatfile", 3));
            assert_eq!(back.figures.records_now > 0, !follow_back, "{back:?}");
            assert!(back.commit > there.commit);
            assert_eq!(all(&store), before);
            put(&store, "at last", "1");
            let before = all(&store);
            is_clean(&store);
            store.finish_swap().unwrap();
            assert!(store.holds().unwrap().is_empty());
            is_clean(&store);
            fails(store.rollback_swap(&plain(), &swap_options(), &Quiet), ErrorKind::Invalid, &["no swap"]);
            store.close().unwrap();
            drop((writer, store));
            let (_writer, store) = stand.open(None, HOME).unwrap();
            assert_eq!(all(&store), before);
            let engines =
                names(&stand.disk).into_iter().filter(|name| name.to_string_lossy().contains("engine-"));
            assert!(engines.into_iter().all(|name| name.starts_with(format!("{HOME}/engine-3"))));
        }
    }
}

#[test]
fn swp_24_durable_from_the_flip_on() {
    let stand = Stand::new();
    let (_writer, store) = stand.store("memory");
    let durability = || store.grant().session.durability;
    let mut swap = store.begin_swap(&target("memory", "flatfile"), &swap_options(), &Quiet).unwrap();
    let waiting = {
        let store = store.clone();
        std::thread::spawn(move || store.wait_durable(Durability::Durable, Duration::from_secs(60)))
    };
    swap.copy(&Quiet).unwrap();
    assert_eq!(put(&store, "a", "1").reached, Durability::Volatile);
    swap.follow(&Quiet).unwrap();
    swap.verify(&Quiet).unwrap();
    assert_eq!((durability(), put(&store, "b", "1").reached), (Durability::Volatile, Durability::Volatile));
    fails(store.wait_durable(Durability::Durable, Duration::ZERO), ErrorKind::Busy, &["volatile at best"]);
    // Queued before and made after: as durable as it asked to be.
    let late = store.commit(super::stand::log("late", "1"), Durability::Durable).unwrap();
    let report = swap.flip(&Quiet).unwrap();
    assert_eq!((report.durability_before, report.durability), (Durability::Volatile, Durability::Durable));
    assert_eq!(late.wait().unwrap().reached, Durability::Durable);
    assert_eq!(durability(), Durability::Durable);
    assert_eq!(store.grant().session.durability_pending, None);
    waiting.join().unwrap().unwrap();
    let image = Stand::on(stand.disk.crash_image(&persist_io::sim::Crash::Nothing));
    let (_writer, there) = image.open(None, HOME).unwrap();
    assert_eq!(all(&there), all(&store), "what was acknowledged by memory is durable too");
}

/// A clock that commits as soon as the engine is another, before anybody is told of that.
#[derive(Default)]
struct Hasty {
    store: OnceLock<Store>,
    done: AtomicBool,
}

impl Clock for Hasty {
    fn now(&self) -> Duration {
        if let Some(store) = self.store.get()
            && store.engine_name() == "toy"
            && !self.done.swap(true, Ordering::SeqCst)
        {
            put(store, "hasty", "1");
        }
        Duration::ZERO
    }
}

#[test]
fn a_report_names_the_last_commit_before_the_flip() {
    let stand = Stand::new();
    let clock = Arc::new(Hasty::default());
    let opened = stand.look(Some("flatfile"), HOME).unwrap().with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
    let (_writer, store) = opened.negotiate(&request()).unwrap();
    let last = put(&store, "key", "value");
    assert!(clock.store.set(store.clone()).is_ok());
    let report = store.swap(&target("flatfile", "toy"), &swap_options(), &Quiet).unwrap();
    assert!(clock.done.load(Ordering::SeqCst) && all(&store).contains_key(b"hasty".as_slice()));
    // The swap's hold is a commit of its own.
    assert_eq!((report.beat.0, report.commit.0), (last.beat.0 + 1, last.commit.0 + 1));
}

/// What a view keeps of the engine before the swap is not kept by the handles of a closed store.
#[test]
fn after_a_close_the_last_view_of_the_old_engine_unlocks_the_home() {
    for (from, to) in [("flatfile", "toy"), ("toy", "flatfile")] {
        let stand = Stand::new();
        let (writer, store) = stand.store(from);
        let snapshot = store.view().unwrap();
        store.swap(&target(from, to), &swap_options(), &Quiet).unwrap();
        put(&store, "after", "1");
        store.close().unwrap();
        assert_eq!(snapshot.get(b"key001").unwrap().as_deref(), Some(b"value of 1".as_slice()));
        fails(stand.open(None, HOME).map(drop), ErrorKind::Locked, &[]);
        drop(snapshot);
        let (_writer, again) = stand.open(None, HOME).unwrap();
        assert_eq!(all(&again).len(), 42);
        again.finish_swap().unwrap();
        drop((writer, store));
    }
}
