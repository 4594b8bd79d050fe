//! SWP-18: a swap that is given up, after each of its steps, leaves the store as one that was never swapped, and no target.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use persist_api::{Durability, ErrorKind, Progress, Quiet};
use persist_io::sim::Crash;
use persist_store::{Clock, Store, Swap, SwapOptions, SwapState, SwapTarget, Writer};

use super::plain::target;
use super::stand::{
    HOME, OTHER, Stand, all, bytes_of_stamp, elsewhere, names, no_trace, options_of, put, raw_rows, request,
    swap_options,
};
use crate::kit::{Content, fails};

/// A clock on which a look takes a second, once it is told to.
#[derive(Default)]
struct Ticking {
    seconds: AtomicU64,
    looks: AtomicU64,
}

impl Ticking {
    /// From now on.
    fn tick(&self) {
        self.looks.store(1, Ordering::SeqCst);
    }
}

impl Clock for Ticking {
    fn now(&self) -> Duration {
        let step = self.looks.load(Ordering::SeqCst);
        Duration::from_secs(self.seconds.fetch_add(step, Ordering::SeqCst))
    }
}

/// After which step it is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Announced,
    /// Some records are copied, and others not.
    CopyBegun,
    Copied,
    Followed,
    Verified,
    /// Commits came after everything was compared, and were followed.
    FollowedOn,
    /// The writer kept the lane for longer than the fence may take.
    FenceNotUp,
    /// The fence was up and came down again when its time was over, at this look at the clock.
    FenceDown(u64),
}

const STEPS: [Step; 7] = [
    Step::Announced,
    Step::CopyBegun,
    Step::Copied,
    Step::Followed,
    Step::Verified,
    Step::FollowedOn,
    Step::FenceNotUp,
];

/// Who gives it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// Whoever made it.
    Itself,
    /// Somebody else in the same process, after it was let go.
    Store,
    /// The next process.
    NextProcess,
    /// The next process, which had gone on with it first.
    Resumed,
}

const BY: [By; 4] = [By::Itself, By::Store, By::NextProcess, By::Resumed];

/// A swap that came so far.
struct Begun {
    stand: Stand,
    writer: Writer,
    store: Store,
    swap: Swap,
    stamp: Vec<u8>,
    /// Commits that were made meanwhile.
    commits: Vec<String>,
}

fn stops(progress: Progress) -> ControlFlow<()> {
    if progress.done > 20 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// Swaps up to a step, with commits before and after. `None` where the flip was in time.
fn begin(from: &str, to: &SwapTarget, step: Step) -> Option<Begun> {
    let stand = Stand::new();
    let (writer, store) = stand.store(from);
    store.close().unwrap();
    drop((writer, store));
    let clock = Arc::new(Ticking::default());
    let opened = stand.look(None, HOME).unwrap().with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
    let (mut writer, store) = opened.negotiate(&request()).unwrap();
    let stamp = bytes_of_stamp(&stand);
    let mut commits = Vec::new();
    let mut commit = |key: &str| {
        put(&store, key, "1");
        commits.push(key.to_owned());
    };
    let budget = if let Step::FenceDown(look) = step { Duration::from_secs(look) } else { Duration::ZERO };
    let options = SwapOptions { fence_budget: budget, ..swap_options() };
    let mut swap = store.begin_swap(to, &options, &Quiet).unwrap();
    assert_eq!(store.swap_status().unwrap().state, SwapState::Copying);
    commit("meanwhile");
    match step {
        Step::Announced => {}
        Step::CopyBegun => {
            fails(swap.copy(&stops), ErrorKind::Cancelled, &[]);
            assert!((1..41).contains(&swap.figures().records_now), "{:?}", swap.figures());
        }
        Step::Copied => swap.copy(&Quiet).unwrap(),
        Step::Followed => {
            swap.copy(&Quiet).unwrap();
            swap.follow(&Quiet).unwrap();
        }
        Step::Verified | Step::FollowedOn | Step::FenceNotUp | Step::FenceDown(_) => {
            swap.copy(&Quiet).unwrap();
            swap.verify(&Quiet).unwrap();
        }
    }
    match step {
        Step::FollowedOn => {
            commit("late");
            swap.follow(&Quiet).unwrap();
        }
        Step::FenceNotUp => {
            let beat = writer.begin(Durability::Durable).unwrap();
            fails(swap.flip(&Quiet), ErrorKind::Busy, &["explicit beat"]);
            beat.abort();
        }
        Step::FenceDown(_) => {
            commit("late");
            clock.tick();
            match swap.flip(&Quiet) {
                Ok(_) => return None,
                failed => fails(failed, ErrorKind::Busy, &["fence", "longer"]),
            };
            assert_eq!(swap.figures().fences_down, 1);
        }
        _ => {}
    }
    assert_eq!(store.engine_name(), from);
    // Whoever waited goes on.
    commit("goes on");
    Some(Begun { stand, writer, store, swap, stamp, commits })
}

/// What a store has under its layers that was never swapped and got the same commits.
fn never_swapped(from: &str, commits: &[String]) -> (Content, persist_store::StoreDigest, Content) {
    let stand = Stand::new();
    let (_writer, store) = stand.store(from);
    for key in commits {
        put(&store, key, "1");
    }
    let digest = store.digest(&store.view().unwrap()).unwrap();
    let content = all(&store);
    store.close().unwrap();
    (raw_rows(&stand, HOME, from, 1), digest, content)
}

fn give_up(begun: Begun, by: By, to: &str) -> (Stand, Writer, Store) {
    let Begun { stand, mut writer, mut store, swap, .. } = begun;
    match by {
        By::Itself => {
            swap.abort().unwrap();
            return (stand, writer, store);
        }
        By::Store => {
            fails(store.abort_swap(), ErrorKind::Busy, &["at work"]);
            drop(swap);
        }
        By::NextProcess | By::Resumed => {
            drop(swap);
            store.close().unwrap();
            drop((writer, store));
            (writer, store) = stand.open(None, HOME).unwrap();
        }
    }
    if by == By::Resumed {
        let mut swap = store.resume_swap(&options_of(to), &swap_options(), &Quiet).unwrap();
        swap.copy(&Quiet).unwrap();
        swap.verify(&Quiet).unwrap();
    }
    store.abort_swap().unwrap();
    (stand, writer, store)
}

/// Gives it up, and looks at everything that could be left. Whether the target had been sealed.
fn leaves_nothing(from: &str, to: &SwapTarget, step: Step, by: By) -> Option<bool> {
    let begun = begin(from, to, step)?;
    let case = format!("{from} to {to:?}, {step:?}, {by:?}");
    let (stamp, commits) = (begun.stamp.clone(), begun.commits.clone());
    let home = if to.home.is_some() { OTHER } else { HOME };
    let there = names(&begun.stand.disk).iter().any(|name| name.starts_with(format!("{home}/engine-2")));
    assert!(there, "{case}: there is a target to be removed");
    let filled = raw_rows(&begun.stand, home, &to.engine, 2);
    let sealed = filled.len() > 1 && !filled.contains_key(b"\x00swap".as_slice());
    let (rows, digest, content) = never_swapped(from, &commits);

    let (stand, writer, store) = give_up(begun, by, &to.engine);
    // What is said to be given up is, whatever comes now.
    let after_a_cut = Stand::on(stand.disk.crash_image(&Crash::Nothing));
    fails(store.abort_swap(), ErrorKind::Invalid, &["no swap"]);
    assert_eq!(all(&store), content, "{case}");
    assert_eq!(store.digest(&store.view().unwrap()).unwrap(), digest, "{case}");
    no_trace(&stand, &store, &stamp);
    store.close().unwrap();
    drop((writer, store));
    for stand in [stand, after_a_cut] {
        // Byte for byte, under the layers too: no cursor, no hold, no commit that was kept.
        assert!(raw_rows(&stand, HOME, from, 1) == rows, "{case}: more or less than without the swap");
        let (_writer, store) = stand.open(None, HOME).unwrap();
        no_trace(&stand, &store, &stamp);
        let left: Vec<_> = names(&stand.disk).into_iter().filter(|name| name.starts_with(OTHER)).collect();
        assert!(left.iter().all(|name| name == &Path::new(OTHER).join("lock")), "{case}: {left:?}");
        // And in nobody's way.
        store.swap(to, &swap_options(), &Quiet).unwrap();
        assert_eq!((store.engine_name(), all(&store)), (to.engine.as_str(), content.clone()), "{case}");
    }
    Some(sealed)
}

fn pairs() -> [(&'static str, SwapTarget); 4] {
    [
        ("flatfile", target("flatfile", "toy")),
        ("toy", target("toy", "flatfile")),
        ("flatfile", elsewhere("toy")),
        ("toy", elsewhere("flatfile")),
    ]
}

#[test]
fn swp_18_abort_at_each_step() {
    for (from, to) in pairs() {
        for step in STEPS {
            for by in BY {
                let sealed = leaves_nothing(from, &to, step, by);
                assert_eq!(sealed, Some(false), "{step:?}");
            }
        }
    }
}

/// The time of a fence may be over at any look at the clock: before the last commits are followed, between them, and when the
/// target is sealed already and lacks nothing but to be named.
#[test]
fn swp_18_abort_after_a_fence_that_came_down() {
    for (from, to) in pairs() {
        for by in BY {
            let looks = (0..).map_while(|look| leaves_nothing(from, &to, Step::FenceDown(look), by));
            let sealed: Vec<bool> = looks.collect();
            assert!(sealed.contains(&true) && sealed.contains(&false), "{from}, {by:?}: {sealed:?}");
        }
    }
}

/// The same fences, after which the swap goes on: what was sealed once is followed like any other.
#[test]
fn swp_13_a_swap_goes_on_after_a_fence_that_came_down() {
    for (from, to) in pairs() {
        for reopened in [false, true] {
            let mut tries = 0;
            for look in 0.. {
                let Some(begun) = begin(from, &to, Step::FenceDown(look)) else { break };
                tries += 1;
                let Begun { stand, mut writer, mut store, mut swap, .. } = begun;
                let before = all(&store);
                if reopened {
                    drop(swap);
                    store.close().unwrap();
                    drop((writer, store));
                    (writer, store) = stand.open(None, HOME).unwrap();
                    swap = store.resume_swap(&options_of(&to.engine), &swap_options(), &Quiet).unwrap();
                    assert_eq!(swap.run(&Quiet).unwrap().figures.records_now, 0, "look {look}");
                } else if let Err(error) = swap.run(&Quiet) {
                    // Its time is the same, and it is over again.
                    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
                    drop(swap);
                    let resumed = store.resume_swap(&options_of(&to.engine), &patient(), &Quiet);
                    resumed.unwrap().run(&Quiet).unwrap();
                }
                assert_eq!((store.engine_name(), all(&store)), (to.engine.as_str(), before));
                put(&store, "after", "1");
                drop(writer);
            }
            assert!(tries > 2, "{from}: {tries}");
        }
    }
}

fn patient() -> SwapOptions {
    SwapOptions { fence_budget: Duration::from_secs(100_000), ..swap_options() }
}

#[test]
fn swp_18_a_volatile_source_that_is_given_up_leaves_nothing() {
    let stand = Stand::new();
    let (_writer, store) = stand.store("memory");
    let before = all(&store);
    let mut swap = store.begin_swap(&target("memory", "toy"), &swap_options(), &Quiet).unwrap();
    swap.copy(&Quiet).unwrap();
    drop(swap);
    assert_eq!((all(&store), store.holds().unwrap()), (before, Vec::new()));
    assert_eq!(names(&stand.disk), [Path::new("/store/lock")]);
    store.swap(&target("memory", "toy"), &swap_options(), &Quiet).unwrap();
}
