//! Crashes at every operation of a swap, and of what comes after the crash.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use persist_api::{Durability, ErrorKind, OpenMode, Quiet};
use persist_io::Disk as _;
use persist_io::sim::{Crash, CutPoint, Lengths, Op, Rest, Rng, SimDisk, Tear, Unit, UnitKind};
use persist_store::{StampState, Store, Swap, SwapOptions, SwapPlace, SwapState, SwapTarget, Writer};

use super::plain::target;
use super::stand::{
    HOME, OTHER, Stand, all, elsewhere, is_signpost, log, names, options_of, put, swap_options,
};
use crate::kit::Content;

/// What was committed, and when each state was acknowledged.
#[derive(Default)]
struct Told {
    /// Operations of the disk when it was acknowledged, and the records then.
    states: Vec<(u64, Content)>,
}

impl Told {
    fn note(&mut self, disk: &SimDisk, store: &Store) {
        self.states.push((disk.operations(), all(store)));
    }

    /// The states that may be there after a crash at `after`: the last that was acknowledged, or one begun since.
    fn may_be(&self, after: u64) -> &[(u64, Content)] {
        let acknowledged = self.states.iter().rposition(|(at, _)| *at <= after).unwrap_or(0);
        &self.states[acknowledged..self.states.len().min(acknowledged + 2)]
    }

    /// The same where commits before the flip were buffered: any state that there was until then.
    fn may_be_buffered(&self, after: u64, flipped: u64) -> &[(u64, Content)] {
        if after >= flipped {
            return self.may_be(after);
        }
        let begun = self.states.iter().filter(|(at, _)| *at <= after).count() + 1;
        &self.states[..self.states.len().min(begun)]
    }
}

/// A store with something in it, which the disk has. What is done from here on is crashed.
fn begin(stand: &Stand, from: &str, told: &RefCell<Told>) -> (Writer, Store) {
    let home = if from == "memory" { "" } else { HOME };
    let (writer, store): (Writer, Store) = stand.open(Some(from), home).unwrap();
    for n in 0..12 {
        put(&store, &format!("key{n:02}"), &format!("value of {n}"));
    }
    told.borrow_mut().note(&stand.disk, &store);
    stand.disk.keep_cut_points();
    (writer, store)
}

/// A commit.
fn step(stand: &Stand, store: &Store, told: &RefCell<Told>, key: &str, durability: Durability) {
    let mut change = log(key, "changed");
    change.delete(b"key03").unwrap();
    change.put(b"key05", key.as_bytes()).unwrap();
    store.commit(change, durability).unwrap().wait().unwrap();
    told.borrow_mut().note(&stand.disk, store);
}

/// Swaps with commits between all steps; those before the flip are as durable as asked. Gives the operations at which the flip
/// had returned.
fn workload(stand: &Stand, from: &str, to: &SwapTarget, durability: Durability, told: &RefCell<Told>) -> u64 {
    let (_writer, store) = begin(stand, from, told);
    let step = |key, durability| step(stand, &store, told, key, durability);
    let options = SwapOptions { chunk_bytes: 100, ..swap_options() };
    let mut swap: Swap = store.begin_swap(to, &options, &Quiet).unwrap();
    step("key00", durability);
    swap.copy(&Quiet).unwrap();
    step("new1", durability);
    swap.follow(&Quiet).unwrap();
    step("key01", durability);
    swap.verify(&Quiet).unwrap();
    step("new2", durability);
    swap.flip(&Quiet).unwrap();
    let flipped = stand.disk.operations();
    drop(swap);
    step("new3", Durability::Durable);
    if from != "memory" {
        store.finish_swap().unwrap();
    }
    step("new4", Durability::Durable);
    store.close().unwrap();
    flipped
}

/// Swaps to another home, finishes, and swaps back into the home that was left. Gives 0: the store is on disk all the time.
fn there_and_home_again(stand: &Stand, from: &str, to: &SwapTarget, told: &RefCell<Told>) -> u64 {
    let (_writer, store) = begin(stand, from, told);
    let step = |key| step(stand, &store, told, key, Durability::Durable);
    store.swap(to, &swap_options(), &Quiet).unwrap();
    step("new1");
    store.finish_swap().unwrap();
    step("new2");
    let home = SwapTarget::at(from, HOME).options(options_of(from));
    store.swap(&home, &swap_options(), &Quiet).unwrap();
    step("new3");
    store.finish_swap().unwrap();
    step("new4");
    store.close().unwrap();
    0
}

/// Swaps and goes back, with what was committed since. Gives the operations at which the first flip had returned.
fn there_and_back(stand: &Stand, from: &str, to: &SwapTarget, told: &RefCell<Told>) -> u64 {
    let (_writer, store) = begin(stand, from, told);
    let step = |key| step(stand, &store, told, key, Durability::Durable);
    let options = SwapOptions { follow_back: true, ..swap_options() };
    store.swap(to, &options, &Quiet).unwrap();
    let flipped = stand.disk.operations();
    step("new1");
    step("key01");
    let back = store.rollback_swap(&options_of(from), &options, &Quiet).unwrap();
    assert_eq!((back.figures.records_now, back.figures.followed), (0, 2), "{back:?}");
    step("new2");
    store.finish_swap().unwrap();
    step("new3");
    store.close().unwrap();
    flipped
}

/// Ways to lose power: some that need no luck, and two whose luck is `way`.
fn crashes(units: &[Unit], way: u64) -> Vec<Crash> {
    let mut crashes = vec![Crash::Nothing, Crash::Everything, Crash::Random(way)];
    crashes.extend((0..units.len()).rev().take(3).map(Crash::LoseOne));
    crashes.extend(torn(units, way));
    crashes
}

/// What was written is there up to a sector that tore, where there is one.
fn torn(units: &[Unit], way: u64) -> Option<Crash> {
    let mut rng = Rng::new(way);
    let counted = units.iter().filter(|unit| !matches!(unit.what, UnitKind::Growth { .. }));
    let sectors = counted.enumerate().filter(|(_, unit)| matches!(unit.what, UnitKind::Sector { .. }));
    let places: Vec<usize> = sectors.map(|(place, _)| place).collect();
    let units = *places.get(usize::try_from(rng.below(places.len() as u64)).ok()?)?;
    let rest = [Rest::Old, Rest::Zeros, Rest::Garbage(way)][usize::try_from(rng.below(3)).ok()?];
    let tear = Tear { at: u16::try_from(rng.below(512)).ok()?, back: rng.one_in(4), rest };
    Some(Crash::Prefix { units, torn: Some(tear), lengths: Lengths::Kept })
}

/// True for a lock, which nobody syncs, in which a sector that tore has left garbage: nobody knows it as ours.
fn is_torn(stand: &Stand) -> bool {
    let lock = stand.disk.bytes(format!("{HOME}/lock")).unwrap_or_default();
    !lock.iter().zip(b"process ").all(|(byte, ours)| *byte == 0 || byte == ours)
}

/// Opens what a crash has left. `None` when there is no store, which a store that lay nowhere on disk may leave.
pub(super) fn reopen(stand: &Stand, from: &str) -> Option<(Writer, Store)> {
    let stamp_of = |home: &str| persist_store::Stamp::read(&stand.disk, home.as_ref()).unwrap();
    // Where it is, if it moved: what is no store while it arrives says where that is, and so does what is none any more.
    let ready = |home: &str| stamp_of(home).is_some_and(|stamp| stamp.state == StampState::Ready);
    let moved = |home: &str| stamp_of(home).is_some_and(|stamp| stamp.state == StampState::Moved);
    assert!(!(ready(HOME) && ready(OTHER)), "two stores");
    let home = if ready(OTHER) || moved(HOME) { OTHER } else { HOME };
    let stamp = stamp_of(home);
    let engine = stamp.map(|stamp| stamp.engine);
    let mut options = options_of(engine.as_deref().unwrap_or("toy"));
    options.mode = OpenMode::MustExist;
    let disk = std::sync::Arc::new(stand.disk.clone());
    let opened = persist_store::open_with(
        disk,
        &stand.drivers,
        home.as_ref(),
        engine.as_deref().or(Some("toy")),
        &options,
    );
    match opened {
        Ok(opened) => Some(opened.negotiate(&super::stand::request()).unwrap()),
        Err(error) => {
            let torn = error.kind() == ErrorKind::Mismatch && is_torn(stand);
            assert!(from == "memory" && (torn || error.kind() == ErrorKind::Invalid), "{error}");
            None
        }
    }
}

/// What must hold after a crash, and after going on in one of the ways there are.
fn judge(disk: SimDisk, from: &str, may_be: &[(u64, Content)], must_be_there: bool, way: u64) {
    let stand = Stand::on(disk);
    let Some((writer, store)) = reopen(&stand, from) else {
        assert!(!must_be_there, "the store was on disk and is not");
        // It may be made anew.
        let (_writer, store) = match stand.open(Some("toy"), HOME) {
            Err(error) if error.kind() == ErrorKind::Mismatch && is_torn(&stand) => {
                // Nothing was touched: whoever wants the place frees it.
                stand.disk.remove_file(format!("{HOME}/lock").as_ref()).unwrap();
                stand.open(Some("toy"), HOME).unwrap()
            }
            made => made.unwrap(),
        };
        assert!(all(&store).is_empty());
        return;
    };
    let found = all(&store);
    assert!(may_be.iter().any(|(_, content)| *content == found), "{found:?} is none of {may_be:?}");
    let engine = store.engine_name();
    put(&store, "after", "the crash");
    let expected = all(&store);
    match store.swap_status().map(|status| (status.state, status.engine)) {
        None => {}
        Some((SwapState::Copying, _)) if way.is_multiple_of(3) => store.abort_swap().unwrap(),
        Some((SwapState::Copying, to)) => {
            let resumed = store.resume_swap(&options_of(&to), &swap_options(), &Quiet);
            resumed.unwrap().run(&Quiet).unwrap();
            assert_ne!((store.engine_name(), store.stamp().unwrap().epoch), (engine, 1));
            if way.is_multiple_of(2) {
                finish(&stand, &store);
            }
        }
        Some((SwapState::Flipped, _)) if way.is_multiple_of(2) => finish(&stand, &store),
        Some((SwapState::Flipped, back)) => {
            store.rollback_swap(&options_of(&back), &swap_options(), &Quiet).unwrap();
        }
    }
    assert_eq!(all(&store), expected);
    if store.swap_status().is_none() {
        assert_eq!(engines(&stand.disk).len(), 1, "{:?}", engines(&stand.disk));
        let home = store.home().unwrap();
        let other = if home == Path::new(HOME) { OTHER } else { HOME };
        // Nothing but our lock, or what says where the store is.
        if names(&stand.disk).iter().any(|name| name.starts_with(other) && !name.ends_with("lock")) {
            is_signpost(&stand, other, home.to_str().unwrap());
        }
    }
    put(&store, "at last", "1");
    let expected = all(&store);
    store.close().unwrap();
    drop((writer, store));
    // Opening twice changes nothing the second time.
    let (_writer, store) = reopen(&stand, from).unwrap();
    assert_eq!(all(&store), expected);
}

/// Ends a swap that was decided. The home that the store has left says where it is.
fn finish(stand: &Stand, store: &Store) {
    let place = store.swap_status().unwrap().place;
    store.finish_swap().unwrap();
    if let SwapPlace::Home(left) = place {
        is_signpost(stand, left.to_str().unwrap(), store.home().unwrap().to_str().unwrap());
    }
}

/// The directories of engines that have files.
fn engines(disk: &SimDisk) -> BTreeSet<PathBuf> {
    let is_engine =
        |dir: &&Path| dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with("engine-"));
    names(disk).iter().filter_map(|name| Some(name.ancestors().find(is_engine)?.to_path_buf())).collect()
}

fn every_cut(from: &str, to: &str) {
    every_cut_of(from, &target(from, to));
}

fn every_cut_of(from: &str, to: &SwapTarget) {
    every_cut_in(from, &|stand, told| workload(stand, from, to, Durability::Durable, told));
}

/// What is done to a store, whose states are told; gives the operations from which on it is on disk.
type Run<'r> = &'r dyn Fn(&Stand, &RefCell<Told>) -> u64;

fn every_cut_in(from: &str, run: Run<'_>) {
    let stand = Stand::new();
    let told = RefCell::default();
    let flipped = run(&stand, &told);
    let told = told.into_inner();
    let cuts: Vec<CutPoint> = stand.disk.cut_points();
    assert!(cuts.len() > 60, "{}", cuts.len());
    for (way, cut) in (0_u64..).zip(&cuts) {
        let may_be = told.may_be(cut.after);
        let must = from != "memory" || cut.after >= flipped;
        let image = cut.cut(7);
        for crash in crashes(image.units(), way) {
            judge(image.image(&crash), from, may_be, must, way);
        }
        judge(cut.killed(7), from, may_be, must, way + 1);
        super::relied::upon(cut.killed(7), from);
    }
}

/// What the source has not made durable yet may be lost while the target has it: the target is no future of what is left.
#[test]
fn swp_05_power_cut_at_every_operation_of_a_swap_with_buffered_commits() {
    for (from, to) in [("flatfile", target("flatfile", "toy")), ("toy", elsewhere("flatfile"))] {
        let stand = Stand::new();
        let told = RefCell::default();
        let flipped = workload(&stand, from, &to, Durability::Buffered, &told);
        let told = told.into_inner();
        for cut in stand.disk.cut_points() {
            let may_be = told.may_be_buffered(cut.after, flipped);
            let image = cut.cut(7);
            let units = image.units().len();
            let some = (0..units).map(Crash::LoseOne).chain((0..units).map(Crash::KeepOne));
            for crash in [Crash::Nothing, Crash::Everything].into_iter().chain(some) {
                judge(image.image(&crash), from, may_be, true, 1);
            }
        }
    }
}

/// Crashes once, and again at every operation of what follows. The first crash is at one in `stride` operations, or at each with
/// `PERSIST_SWAP_EVERY`, and at every sync of names: power that takes all that was not synced, or some of it, or a kill.
fn every_second_cut(from: &str, to: &SwapTarget, stride: usize) {
    every_second_cut_in(from, stride, &|stand, told| workload(stand, from, to, Durability::Durable, told));
}

fn every_second_cut_in(from: &str, stride: usize, run: Run<'_>) {
    let stride = if std::env::var_os("PERSIST_SWAP_EVERY").is_some() { 1 } else { stride };
    let stand = Stand::new();
    let told = RefCell::default();
    let flipped = run(&stand, &told);
    let told = told.into_inner();
    let cuts: Vec<CutPoint> = stand.disk.cut_points();
    for (at, (way, cut)) in (0_u64..).zip(&cuts).enumerate() {
        // What a kill leaves there is renamed and not durable, and whoever opens it relies on it.
        let renamed = cut.next == Some(Op::SyncDir);
        if !renamed && !at.is_multiple_of(stride) {
            continue;
        }
        let may_be = told.may_be(cut.after);
        let must = from != "memory" || cut.after >= flipped;
        // By two ways each, as what follows is one thing or another by the way too.
        let first = match way / 2 % 3 {
            _ if renamed => cut.killed(7),
            0 => cut.cut(7).image(&Crash::Nothing),
            1 => cut.cut(7).image(&Crash::Random(way)),
            _ => cut.killed(7),
        };
        first.keep_cut_points();
        let found = go_on(&first, from, way);
        for (luck, second) in (way..).zip(first.cut_points()) {
            // Of the work after the first crash either the state before it, or one of those that it acknowledged.
            let after: Vec<_> =
                may_be.iter().cloned().chain(found.iter().map(|state| (0, state.clone()))).collect();
            let image = second.cut(7);
            judge(image.image(&Crash::Nothing), from, &after, must, way);
            if renamed && stride > 1 {
                continue;
            }
            judge(image.image(&Crash::Random(luck)), from, &after, must, way + 1);
            judge(second.killed(7), from, &after, must, way + 1);
        }
    }
}

/// Opens, resumes or aborts, and commits. Gives the states that it came through.
fn go_on(disk: &SimDisk, from: &str, way: u64) -> Vec<Content> {
    let stand = Stand::on(disk.clone());
    let Some((_writer, store)) = reopen(&stand, from) else { return Vec::new() };
    let mut states = vec![all(&store)];
    match store.swap_status().map(|status| (status.state, status.engine)) {
        Some((SwapState::Copying, _)) if way.is_multiple_of(2) => store.abort_swap().unwrap(),
        Some((SwapState::Copying, to)) => {
            let mut swap = store.resume_swap(&options_of(&to), &swap_options(), &Quiet).unwrap();
            swap.run(&Quiet).unwrap();
        }
        Some((SwapState::Flipped, back)) if way.is_multiple_of(2) => {
            store.rollback_swap(&options_of(&back), &swap_options(), &Quiet).unwrap();
        }
        Some((SwapState::Flipped, _)) => store.finish_swap().unwrap(),
        None => {}
    }
    put(&store, "between", "two crashes");
    states.push(all(&store));
    store.close().unwrap();
    states
}

#[test]
fn swp_06_crash_during_recovery() {
    every_second_cut("flatfile", &target("flatfile", "toy"), 11);
    every_second_cut("toy", &target("toy", "flatfile"), 13);
    every_second_cut("memory", &target("memory", "flatfile"), 17);
    every_second_cut("toy", &elsewhere("flatfile"), 13);
}

#[test]
fn swp_06_crash_during_recovery_of_a_way_back() {
    for (from, to) in BACK {
        for to in [target(from, to), elsewhere(to)] {
            every_second_cut_in(from, 17, &|stand, told| there_and_back(stand, from, &to, told));
        }
    }
}

#[test]
fn swp_05_crash_at_every_operation_from_home_to_home() {
    every_cut_of("flatfile", &elsewhere("toy"));
    every_cut_of("toy", &elsewhere("flatfile"));
}

#[test]
fn swp_05_crash_at_every_operation_durable_source() {
    every_cut("flatfile", "toy");
    every_cut("toy", "flatfile");
}

#[test]
fn swp_05_crash_at_every_operation_volatile_source() {
    every_cut("memory", "flatfile");
    every_cut("memory", "toy");
}

/// Ways there that are gone back.
const BACK: [(&str, &str); 2] = [("flatfile", "toy"), ("toy", "flatfile")];

#[test]
fn swp_05_crash_at_every_operation_of_a_way_back() {
    for (from, to) in BACK {
        every_cut_in(from, &|stand, told| there_and_back(stand, from, &target(from, to), told));
    }
}

#[test]
fn swp_05_crash_at_every_operation_of_a_way_back_from_home_to_home() {
    for (from, to) in BACK {
        every_cut_in(from, &|stand, told| there_and_back(stand, from, &elsewhere(to), told));
    }
}

#[test]
fn swp_05_crash_at_every_operation_of_a_swap_into_the_home_that_was_left() {
    for (from, to) in BACK {
        every_cut_in(from, &|stand, told| there_and_home_again(stand, from, &elsewhere(to), told));
    }
}
