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
const CHILD_TO: &str = "PERSIST_SWAP_CHILD_TO";

/// What the killed process does; nothing unless it was started as one.
#[test]
fn child_of_the_killing() {
    let (Ok(home), Ok(to)) = (std::env::var(CHILD_HOME), std::env::var(CHILD_TO)) else { return };
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
    if let Some(status) = store.swap_status() {
        match status.state {
            SwapState::Copying => {
                store
                    .resume_swap(&persist::OpenOptions::default(), &self::options(), &Quiet)
                    .unwrap()
                    .run(&Quiet)
                    .unwrap();
            }
            SwapState::Flipped => {}
        }
        store.finish_swap().unwrap();
    } else {
        store.swap(&SwapTarget::here(&to), &self::options(), &Quiet).unwrap();
        store.finish_swap().unwrap();
    }
    println!("swapped");
    loop {
        thread::park();
    }
}

/// Kills a process that swaps, after so many lines; gives the last count that it told.
fn kill_after(child: &mut Child, lines: usize) -> u64 {
    use std::io::{BufRead, BufReader};
    let mut told = 0;
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
    child.wait().unwrap();
    told
}

/// `PERSIST_SWAP_KILLS` makes it longer; by default each pair of engines is killed twice.
#[test]
fn swp_05_killed_at_any_moment() {
    let kills: usize =
        std::env::var("PERSIST_SWAP_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(2);
    let schemes: Vec<_> =
        places().iter().map(|place| place.scheme).filter(|scheme| *scheme != "memory").collect();
    let mut swapped = 0;
    for from in crate::kit::durable_places() {
        for to in schemes.iter().filter(|to| **to != from.scheme) {
            let dir = tempfile::tempdir().unwrap();
            let place = Place { dir, scheme: from.scheme, options: from.options.clone() };
            let (mut writer, store) = place.open().unwrap();
            let mut log = BeatLog::new();
            for n in 0..3000_u32 {
                log.put(format!("record{n:06}").as_bytes(), &n.to_be_bytes().repeat(20)).unwrap();
            }
            writer.commit(&log, LEVEL).unwrap();
            store.close().unwrap();
            drop((writer, store));
            for kill in 0..kills {
                let mut child = Command::new(std::env::current_exe().unwrap())
                    .args(["swap::child_of_the_killing", "--exact", "--nocapture"])
                    .env(CHILD_HOME, place.path())
                    .env(CHILD_TO, to)
                    .stdout(Stdio::piped())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap();
                let told = kill_after(&mut child, 4 + kill * 7 % 40);
                let opened = persist::open_with(&place.path(), &place.options).unwrap();
                let (_writer, store) = opened.negotiate(&place.request()).unwrap();
                let there = number(store.view().unwrap().get(b"n").unwrap().as_deref());
                assert!(
                    there == told || there == told + 1,
                    "{} -> {to}: {there}, {told} was told",
                    from.scheme
                );
                let records = rows(&store).iter().filter(|(key, _)| key.starts_with(b"record")).count();
                assert_eq!(records, 3000, "{} -> {to}", from.scheme);
                swapped += u64::from(store.stamp().unwrap().epoch > 1);
                store.close().unwrap();
            }
        }
    }
    eprintln!("{swapped} kills came after a flip");
}
