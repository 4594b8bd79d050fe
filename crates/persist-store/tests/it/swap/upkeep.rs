//! SWP-23: snapshots and compactions that are asked for while a swap is at work. A snapshot is a view here, and what a compaction must
//! not take is what a hold keeps: it is held as long as the swap needs it, and goes afterwards.

use std::cell::Cell;
use std::ops::ControlFlow;

use persist_api::{CompactScope, Durability, ErrorKind, KeyRange, Progress, Quiet};
use persist_store::{BeatLog, HoldOptions, Store, StoreView, SwapFigures, SwapTarget};

use super::plain::target;
use super::stand::{HOME, OTHER, Stand, all, elsewhere, is_clean, options_of, put, raw_rows, swap_options};
use crate::kit::{Content, content, fails};

/// Commits in one go, and so much in each that a compaction is worth its while.
const COMMITS: u64 = 12;
const LONG: usize = 400;

/// Snapshots, and what each showed when it was taken.
#[derive(Default)]
struct Snapshots(Vec<(StoreView, Content)>);

impl Snapshots {
    fn take(&mut self, store: &Store) {
        let view = store.view().unwrap();
        let shown = content(&view);
        self.0.push((view, shown));
    }

    /// Whatever came since, on whatever engine.
    #[track_caller]
    fn are_as_they_were(&self) {
        for (number, (view, shown)) in self.0.iter().enumerate() {
            assert!(content(view) == *shown, "snapshot {number}");
        }
    }
}

/// The oldest possible state is given up, with everything that nobody holds.
fn compact(store: &Store) {
    store.checkpoint().unwrap();
    store.compact(CompactScope::default(), &Quiet).unwrap();
}

/// Commits as a log that is compacted makes them: what happened, and then its sum in the place of it.
fn write(store: &Store, round: u64) {
    for n in 0..COMMITS {
        put(store, &format!("log/{round:02}/{n:03}"), &"x".repeat(LONG));
    }
    let mut sum = BeatLog::new();
    sum.put(b"sum", round.to_string().as_bytes()).unwrap();
    sum.delete_range(&KeyRange::prefix(format!("log/{round:02}/").as_bytes())).unwrap();
    store.commit(sum, Durability::Durable).unwrap().wait().unwrap();
}

/// Commits that are stored for the feed.
fn kept(stand: &Stand, home: &str, engine: &str, epoch: u64) -> usize {
    let rows = raw_rows(stand, home, engine, epoch);
    rows.keys().filter(|key| key.starts_with(b"\x00feed")).count()
}

fn bytes_of(stand: &Stand, dir: &str) -> u64 {
    stand.disk.files().into_iter().filter(|(path, _)| path.starts_with(dir)).map(|(_, len)| len).sum()
}

/// Writes, looks and compacts at every step of a swap, until just before it is decided.
fn upkeep_until_the_flip(
    stand: &Stand,
    from: &str,
    to: &SwapTarget,
) -> (persist_store::Writer, Store, persist_store::Swap, Snapshots) {
    let (writer, store) = stand.store(from);
    // Somebody else's, without whom nothing would be kept but for the swap.
    let other = store.hold("mirror", HoldOptions::default()).unwrap();
    let mut snapshots = Snapshots::default();
    snapshots.take(&store);
    let mut swap = store.begin_swap(to, &swap_options(), &Quiet).unwrap();
    let base = store.find_hold("persist.swap").unwrap().unwrap().position().unwrap();
    write(&store, 0);
    other.release().unwrap();
    compact(&store);
    // What was committed since is kept whole: the target has none of it.
    let needed = store.stats().unwrap().commit.0 - base.0;
    assert!(kept(stand, HOME, from, 1) as u64 >= needed, "{needed} commits are needed");

    // In the middle of the copy, and by the same thread.
    let copied = Cell::new(0);
    let meanwhile = |progress: Progress| {
        if progress.phase == "copy" {
            let round = copied.replace(copied.get() + 1);
            if round < 3 {
                write(&store, 1 + round);
                compact(&store);
            }
        }
        ControlFlow::Continue(())
    };
    swap.copy(&meanwhile).unwrap();
    assert!(copied.get() >= 3, "{}", copied.get());
    snapshots.take(&store);
    write(&store, 10);
    compact(&store);
    swap.follow(&Quiet).unwrap();
    snapshots.take(&store);
    compact(&store);
    swap.verify(&Quiet).unwrap();
    write(&store, 11);
    compact(&store);
    snapshots.take(&store);
    snapshots.are_as_they_were();
    (writer, store, swap, snapshots)
}

fn pairs() -> [(&'static str, SwapTarget); 3] {
    [
        ("flatfile", target("flatfile", "toy")),
        ("toy", target("toy", "flatfile")),
        ("flatfile", elsewhere("toy")),
    ]
}

#[test]
fn swp_23_upkeep_during_a_swap() {
    for (from, to) in pairs() {
        let stand = Stand::new();
        let (_writer, store, mut swap, mut snapshots) = upkeep_until_the_flip(&stand, from, &to);
        let SwapFigures { records_now, followed, .. } = swap.figures();
        assert!(records_now <= 41 + COMMITS + 1 && followed >= 5 * (COMMITS + 1), "nothing came twice");
        let report = swap.flip(&Quiet).unwrap();
        // Compared, and without a second copy: nothing was taken that it needed.
        assert_eq!((report.figures.records_now, report.figures.fences_down), (records_now, 0));
        assert_eq!(
            snapshots.0.last().unwrap().1,
            all(&store),
            "from the last snapshot on nothing was written"
        );
        snapshots.take(&store);
        drop(swap);

        // What was asked for runs now, on the engine that is the store's; it is held no more.
        write(&store, 12);
        compact(&store);
        let home = if to.home.is_some() { OTHER } else { HOME };
        assert_eq!(kept(&stand, home, &to.engine, 2), 0);
        assert!(store.holds().unwrap().is_empty());
        snapshots.are_as_they_were();

        // The old engine goes when the last snapshot of it does, and not before.
        let (mut left, mut refused) = (snapshots.0.len() - 1, 0);
        while left > 0 {
            fails(store.finish_swap(), ErrorKind::Busy, &["view"]);
            drop(snapshots.0.remove(0));
            snapshots.are_as_they_were();
            (left, refused) = (left - 1, refused + 1);
        }
        assert_eq!(refused, 4);
        store.finish_swap().unwrap();
        // That of the new one is in nobody's way.
        snapshots.are_as_they_were();
        assert_eq!(bytes_of(&stand, &format!("{HOME}/engine-1")), 0);
        drop(snapshots);
        compact(&store);
        is_clean(&store);
    }
}

/// The same where the swap is given up: what was kept for it goes from the source, and its room with it.
#[test]
fn swp_23_upkeep_after_a_swap_that_was_given_up() {
    for (from, to) in pairs() {
        let stand = Stand::new();
        let (_writer, store, swap, snapshots) = upkeep_until_the_flip(&stand, from, &to);
        let before = all(&store);
        compact(&store);
        let held = bytes_of(&stand, &format!("{HOME}/engine-1"));
        swap.abort().unwrap();
        snapshots.are_as_they_were();
        drop(snapshots);
        // Each beat frees a part.
        (0..3).for_each(|_| {
            put(&store, "sum", "freed");
        });
        assert_eq!(kept(&stand, HOME, from, 1), 0);
        compact(&store);
        let free = bytes_of(&stand, &format!("{HOME}/engine-1"));
        assert!(free + 10 * (LONG as u64) < held, "{from}: {free} bytes, and {held} while they were held");
        assert_eq!(all(&store).len(), before.len());
        is_clean(&store);
        // As much as without a swap, but for what the last one rounds up to.
        let plain = Stand::new();
        let (_writer, store) = plain.store(from);
        (0..4).chain(10..12).for_each(|round| write(&store, round));
        put(&store, "sum", "freed");
        compact(&store);
        let expected = bytes_of(&plain, &format!("{HOME}/engine-1"));
        assert!(free <= expected + expected / 4, "{from}: {free} bytes, and {expected} without a swap");
    }
}

/// A swap that stops is not forgotten by what tidies up: it goes on from where it was.
#[test]
fn swp_23_upkeep_between_two_tries() {
    for (from, to) in pairs() {
        let stand = Stand::new();
        let (writer, store, swap, snapshots) = upkeep_until_the_flip(&stand, from, &to);
        drop((swap, snapshots));
        write(&store, 20);
        compact(&store);
        let before = all(&store);
        store.close().unwrap();
        drop((writer, store));
        let (_writer, store) = stand.open(None, HOME).unwrap();
        write(&store, 20);
        compact(&store);
        let mut swap = store.resume_swap(&options_of(&to.engine), &swap_options(), &Quiet).unwrap();
        compact(&store);
        let report = swap.run(&Quiet).unwrap();
        assert_eq!((report.figures.records_now, all(&store)), (0, before));
    }
}
