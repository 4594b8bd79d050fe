//! Swaps between every pair of engines of this build, under load; and killed at any moment.

use std::ops::ControlFlow;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use persist::{
    BeatLog, Caps, Durability, Quiet, Scan, Store, SwapOptions, SwapReport, SwapState, SwapTarget, Transacted,
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

const RECORDS: u32 = 3000;

fn record(n: u32) -> (Vec<u8>, Vec<u8>) {
    (format!("record{n:06}").into_bytes(), n.to_be_bytes().repeat(20))
}

/// What the killed process does: it swaps from one engine to the other and back, for ever. Nothing unless it was started as one.
#[test]
fn child_of_the_killing() {
    let (Ok(home), Ok(engines)) = (std::env::var(CHILD_HOME), std::env::var(CHILD_ENGINES)) else { return };
    let (one, two) = engines.split_once(' ').unwrap();
    let options = persist::Options::default();
    let (_writer, store) =
        persist::open_with(&home, &options).unwrap().negotiate(&persist::default_request()).unwrap();
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
        store.swap(&SwapTarget::here(to), &self::options(), &Quiet).unwrap();
    }
}

/// Kills a process that swaps, after so many lines; gives the last count that it told, or the one before.
fn kill_after(child: &mut Child, lines: usize, before: u64) -> u64 {
    use std::io::{BufRead, BufReader};
    use std::os::unix::process::ExitStatusExt;
    let mut told = before;
    let mut read = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in read.by_ref().take(lines) {
        let line = line.unwrap();
        told = line.strip_prefix("counted ").map_or(told, |count| count.parse().unwrap());
    }
    child.kill().unwrap();
    // What was still told counts too.
    for line in read.map_while(Result::ok) {
        told = line.strip_prefix("counted ").and_then(|count| count.parse().ok()).unwrap_or(told);
    }
    assert_eq!(child.wait().unwrap().signal(), Some(9), "it ended by itself");
    told
}

/// All that must be there once so much was counted.
fn counted(count: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows: Vec<_> = (0..RECORDS).map(record).collect();
    rows.extend((0..count).map(|at| (format!("n/{at:08}").into_bytes(), vec![7; 100])));
    rows.extend((count > 0).then(|| (b"n".to_vec(), count.to_be_bytes().to_vec())));
    rows.sort();
    rows
}

/// `PERSIST_SWAP_KILLS` makes it longer; by default each pair of engines is killed twice.
#[test]
fn swp_05_killed_at_any_moment() {
    let kills: usize =
        std::env::var("PERSIST_SWAP_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(2);
    let schemes: Vec<_> =
        places().iter().map(|place| place.scheme).filter(|scheme| *scheme != "memory").collect();
    // Kills that found no swap, a copy under way, and one that was decided and not finished.
    let mut found = [0_u64; 3];
    for from in crate::kit::durable_places() {
        for to in schemes.iter().filter(|to| **to != from.scheme) {
            let dir = tempfile::tempdir().unwrap();
            let place = Place { dir, scheme: from.scheme, options: from.options.clone() };
            let (mut writer, store) = place.open().unwrap();
            let mut log = BeatLog::new();
            for (key, value) in (0..RECORDS).map(record) {
                log.put(&key, &value).unwrap();
            }
            writer.commit(&log, LEVEL).unwrap();
            store.close().unwrap();
            drop((writer, store));
            let mut there = 0;
            for kill in 0..kills {
                let mut child = Command::new(std::env::current_exe().unwrap())
                    .args(["swap::child_of_the_killing", "--exact", "--nocapture"])
                    .env(CHILD_HOME, place.path())
                    .env(CHILD_ENGINES, format!("{} {to}", from.scheme))
                    .stdout(Stdio::piped())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap();
                let told = kill_after(&mut child, 4 + kill * 7 % 40, there);
                let opened = persist::open_with(&place.path(), &place.options).unwrap();
                let (_writer, store) = opened.negotiate(&place.request()).unwrap();
                there = number(store.view().unwrap().get(b"n").unwrap().as_deref());
                let pair = format!("{} and {to}, kill {kill}", from.scheme);
                assert!(there == told || there == told + 1, "{pair}: {there}, {told} was told");
                assert!(rows(&store) == counted(there), "{pair}: not the records of {there}");
                found[store.swap_status().map_or(0, |status| match status.state {
                    SwapState::Copying => 1,
                    SwapState::Flipped => 2,
                })] += 1;
                store.close().unwrap();
            }
        }
    }
    let [none, copying, flipped] = found;
    eprintln!("{copying} kills while a swap copied, {flipped} after one was decided, {none} between two");
    assert!(copying + flipped > none, "{found:?}");
    assert!(kills < 20 || flipped > 0, "{found:?}");
}
