//! Swaps between every pair of engines of this build, under load; and killed at any moment.

use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use persist::{
    BeatLog, Caps, Durability, Quiet, RealDisk, Scan, Stamp, StampState, Store, SwapOptions, SwapReport,
    SwapState, SwapTarget, Transacted,
};

use crate::kit::{Place, places};

const LEVEL: Durability = Durability::Durable;

fn options() -> SwapOptions {
    SwapOptions { may_lose: Caps::all(), chunk_bytes: 64 << 10, ..SwapOptions::default() }
}

fn number(bytes: Option<&[u8]>) -> u64 {
    bytes.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()))
}

/// One more: a counter that expects what it was, and an event.
fn count(store: &Store, who: &str, at: u64) {
    let done = store.transact(LEVEL, |tx| {
        assert_eq!(number(tx.get(who.as_bytes())?.as_deref()), at, "a commit was lost or made twice");
        tx.put(format!("{who}/{at:08}").as_bytes(), &[7; 100])?;
        tx.put(who.as_bytes(), &(at + 1).to_be_bytes())
    });
    assert!(matches!(done.unwrap(), Transacted::Committed((), _)));
}

fn rows(store: &Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    let view = store.view().unwrap();
    view.scan(Scan::all(), |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    })
    .unwrap();
    rows
}

fn swap_under_load(place: &Place, to: &str) -> SwapReport {
    let (mut writer, store) = place.open().unwrap();
    for start in (0..2000_u32).step_by(500) {
        let mut log = BeatLog::new();
        for n in start..start + 500 {
            log.put(format!("record{n:06}").as_bytes(), &n.to_be_bytes().repeat(20)).unwrap();
        }
        writer.commit(&log, LEVEL).unwrap();
    }
    let (stop, counted) = (AtomicBool::new(false), AtomicU64::new(0));
    let home = place.path();
    let target = if place.scheme == "memory" { SwapTarget::at(to, &home) } else { SwapTarget::here(to) };
    let report = thread::scope(|scope| {
        let (store, stop, counted) = (&store, &stop, &counted);
        let writers = ["one", "two"].map(|who| {
            scope.spawn(move || {
                let mut at = 0;
                while !stop.load(Ordering::SeqCst) {
                    count(store, who, at);
                    at += 1;
                    counted.fetch_add(1, Ordering::SeqCst);
                }
            })
        });
        while counted.load(Ordering::SeqCst) < 3 && !writers.iter().any(thread::ScopedJoinHandle::is_finished)
        {
            thread::yield_now();
        }
        let report = store.swap(&target, &options(), &Quiet);
        stop.store(true, Ordering::SeqCst);
        for writer in writers {
            writer.join().unwrap();
        }
        report.unwrap()
    });
    assert_eq!(store.engine_name(), to);
    let before = rows(&store);
    assert!(before.len() >= 2000 + 2);
    store.close().unwrap();
    drop((writer, store));
    let opened = persist::open_with(&format!("{to}:{home}"), &place.options).unwrap();
    let (_writer, store) = opened.negotiate(&place.request()).unwrap();
    assert!(rows(&store) == before, "{} -> {to}", place.scheme);
    if place.scheme != "memory" {
        store.finish_swap().unwrap();
    }
    store.close().unwrap();
    report
}

#[test]
fn swp_04_every_pair_of_engines() {
    let schemes: Vec<_> =
        places().iter().map(|place| place.scheme).filter(|scheme| *scheme != "memory").collect();
    for to in &schemes {
        for place in places() {
            let report = swap_under_load(&place, to);
            assert_eq!((report.from.engine.as_str(), report.to.engine.as_str()), (place.scheme, *to));
            assert!(report.figures.records >= 2000, "{report:?}");
        }
    }
}

const CHILD_HOME: &str = "PERSIST_SWAP_CHILD_HOME";
/// The two engines between which it swaps.
const CHILD_ENGINES: &str = "PERSIST_SWAP_CHILD_ENGINES";
/// The home between which and the first it swaps; without it, it stays where it is.
const CHILD_OTHER: &str = "PERSIST_SWAP_CHILD_OTHER";

const RECORDS: u32 = 3000;

fn record(n: u32) -> (Vec<u8>, Vec<u8>) {
    (format!("record{n:06}").into_bytes(), n.to_be_bytes().repeat(20))
}

/// In which of two homes the store is: what is no store while it arrives says where that is, and so does what is none any more.
fn where_it_is<'h>(home: &'h str, other: Option<&'h str>) -> &'h str {
    let state = |home: &str| Stamp::read(&RealDisk, home.as_ref()).unwrap().map(|stamp| stamp.state);
    let Some(other) = other else { return home };
    let states = (state(home), state(other));
    assert_ne!(states, (Some(StampState::Ready), Some(StampState::Ready)), "two stores");
    if states.1 == Some(StampState::Ready) || states.0 == Some(StampState::Moved) { other } else { home }
}

/// What the killed process does: it swaps from one engine to the other and back, for ever. Nothing unless it was started as one.
#[test]
fn child_of_the_killing() {
    let (Ok(home), Ok(engines)) = (std::env::var(CHILD_HOME), std::env::var(CHILD_ENGINES)) else { return };
    let other = std::env::var(CHILD_OTHER).ok();
    let (one, two) = engines.split_once(' ').unwrap();
    let options = persist::Options::default();
    let opened = persist::open_with(where_it_is(&home, other.as_deref()), &options).unwrap();
    let (_writer, store) = opened.negotiate(&persist::default_request()).unwrap();
    let mut at = number(store.view().unwrap().get(b"n").unwrap().as_deref());
    let counting = store.clone();
    thread::spawn(move || {
        loop {
            count(&counting, "n", at);
            at += 1;
            println!("counted {at}");
        }
    });
    if store.swap_status().is_some_and(|status| status.state == SwapState::Copying) {
        let resumed = store.resume_swap(&persist::OpenOptions::default(), &self::options(), &Quiet);
        resumed.unwrap().run(&Quiet).unwrap();
    }
    loop {
        if store.swap_status().is_some() {
            store.finish_swap().unwrap();
            println!("swapped");
        }
        let to = if store.engine_name() == one { two } else { one };
        let target = match &other {
            Some(other) if store.home().unwrap() == Path::new(&home) => SwapTarget::at(to, other),
            Some(_) => SwapTarget::at(to, &home),
            None => SwapTarget::here(to),
        };
        store.swap(&target, &self::options(), &Quiet).unwrap();
    }
}

/// The count that a line tells. The harness may have begun the line.
fn told(line: &str) -> Option<u64> {
    line.split_once("counted ")?.1.parse().ok()
}

/// Kills a process that swaps, so long after a line that is enough; gives the last count that it told, or the one before.
fn kill_after(child: &mut Child, enough: impl FnMut(&str) -> bool, pause: Duration, before: u64) -> u64 {
    use std::os::unix::process::ExitStatusExt;
    let mut count = before;
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut look = |line: &String| count = told(line).unwrap_or(count);
    let mut enough = enough;
    assert!(lines.by_ref().inspect(&mut look).any(|line| enough(&line)), "it ended by itself");
    thread::sleep(pause);
    child.kill().unwrap();
    // What was still told counts too.
    lines.for_each(|line| look(&line));
    assert_eq!(child.wait().unwrap().signal(), Some(9), "it ended by itself");
    count
}

/// All that must be there once so much was counted.
fn counted(count: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows: Vec<_> = (0..RECORDS).map(record).collect();
    rows.extend((0..count).map(|at| (format!("n/{at:08}").into_bytes(), vec![7; 100])));
    rows.extend((count > 0).then(|| (b"n".to_vec(), count.to_be_bytes().to_vec())));
    rows.sort();
    rows
}

/// A number below `limit` for each kill of each pair (splitmix64).
fn by_chance(pair: u64, kill: u64, limit: u64) -> u64 {
    let mut mixed = (pair << 32 | kill).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    (mixed ^ mixed >> 31) % limit.max(1)
}

/// A store that is killed while it is swapped, again and again.
struct Victim {
    place: Place,
    to: &'static str,
    /// Another home, to and fro which it is swapped.
    other: Option<String>,
    /// What was counted.
    there: u64,
}

impl Victim {
    fn new(place: Place, to: &'static str, moves: bool) -> Self {
        let (mut writer, store) = place.open().unwrap();
        let mut log = BeatLog::new();
        for (key, value) in (0..RECORDS).map(record) {
            log.put(&key, &value).unwrap();
        }
        writer.commit(&log, LEVEL).unwrap();
        store.close().unwrap();
        let other = moves.then(|| place.dir.path().join("other").to_str().unwrap().to_owned());
        Self { place, to, other, there: 0 }
    }

    fn start(&self) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["swap::child_of_the_killing", "--exact", "--nocapture"])
            .env(CHILD_HOME, self.place.path())
            .env(CHILD_ENGINES, format!("{} {}", self.place.scheme, self.to))
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if let Some(other) = &self.other {
            command.env(CHILD_OTHER, other);
        }
        command.spawn().unwrap()
    }

    /// How long a swap takes under the load that it is killed under.
    fn usual(&mut self) -> Duration {
        let mut swaps = Vec::new();
        let enough = |line: &str| {
            swaps.extend((line == "swapped").then(Instant::now));
            swaps.len() > 3
        };
        let told = kill_after(&mut self.start(), enough, Duration::ZERO, self.there);
        self.look(told);
        (swaps[3] - swaps[0]) / 3
    }

    /// What must be there after a kill: all that was told. Gives the swap that was under way.
    fn look(&mut self, told: u64) -> Option<SwapState> {
        let home = self.place.path();
        let home = where_it_is(&home, self.other.as_deref());
        let opened = persist::open_with(home, &self.place.options).unwrap();
        let (_writer, store) = opened.negotiate(&self.place.request()).unwrap();
        self.there = number(store.view().unwrap().get(b"n").unwrap().as_deref());
        let (there, pair) = (self.there, format!("{} and {}", self.place.scheme, self.to));
        assert!(there == told || there == told + 1, "{pair}: {there}, {told} was told");
        assert!(rows(&store) == counted(there), "{pair}: not the records of {there}");
        let state = store.swap_status().map(|status| status.state);
        store.close().unwrap();
        state
    }
}

/// After the first line that it tells and as long again as up to three swaps take: at any of their steps. `PERSIST_SWAP_KILLS` makes it
/// longer; by default each pair of engines is killed twice, and one that moves to and fro between two homes.
#[test]
fn swp_05_killed_at_any_moment() {
    let kills: u64 =
        std::env::var("PERSIST_SWAP_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(2);
    let schemes: Vec<_> = crate::kit::durable_places().iter().map(|place| place.scheme).collect();
    let (Some(first), Some(last)) = (schemes.first(), schemes.last()) else { return };
    let mut pairs = vec![(*first, *last, true)];
    for from in &schemes {
        pairs.extend(schemes.iter().map(|to| (*from, *to, false)));
    }
    // Kills that found no swap, a copy under way, and one that was decided and not finished.
    let mut found = [0_u64; 3];
    for (pair, (from, to, moves)) in (0..).zip(pairs) {
        let place = crate::kit::durable_places().into_iter().find(|place| place.scheme == from).unwrap();
        let mut victim = Victim::new(place, to, moves);
        let usual = victim.usual();
        let before = found;
        for kill in 0..kills {
            let micros = u64::try_from(3 * usual.as_micros()).unwrap();
            let pause = Duration::from_micros(by_chance(pair, kill, micros));
            let told = kill_after(&mut victim.start(), |line| told(line).is_some(), pause, victim.there);
            found[match victim.look(told) {
                None => 0,
                Some(SwapState::Copying) => 1,
                Some(SwapState::Flipped) => 2,
            }] += 1;
        }
        let homes = if moves { ", from home to home" } else { "" };
        let [none, copying, flipped] = [0, 1, 2].map(|at| found[at] - before[at]);
        eprintln!("{from} and {to}{homes}: a swap takes {usual:?}; {copying}, {flipped}, {none}");
    }
    let [none, copying, flipped] = found;
    eprintln!("{copying} kills while a swap copied, {flipped} after one was decided, {none} between two");
    assert!(copying + flipped > 0, "{found:?}");
    assert!(kills < 20 || copying + flipped > none && copying > 0 && flipped > 0, "{found:?}");
}
