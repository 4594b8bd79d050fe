//! Quick figures of this engine alone, for whoever works on it; the benchmarks that compare are elsewhere.
//!
//! `cargo run --release -p persist-flatfile --example timing -- [rows] [dir]`
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss)]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use persist_api::{BeatHeader, CompactScope, Driver, Durability, Engine, OpenOptions, Quiet, Scan};
use persist_flatfile::FlatfileDriver;

const VALUE: [u8; 100] = [0x5a; 100];

/// Numbers that look random, the same in every run.
fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

fn key(n: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&mix(n).to_be_bytes());
    key[8..].copy_from_slice(&n.to_be_bytes());
    key
}

fn beat(engine: &dyn Engine, last: &mut BeatHeader, durability: Durability, rows: std::ops::Range<u64>) {
    let header = last.next(1, durability, None).unwrap();
    let mut beat = engine.begin_beat(header).unwrap();
    for n in rows {
        beat.put_record(&key(n), &VALUE).unwrap();
    }
    beat.commit_beat().unwrap();
    *last = header;
}

fn anonymous_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("RssAnon"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

fn disk_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let files = std::fs::read_dir(dir).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().blocks() * 512).sum()
}

fn open(dir: &Path) -> Box<dyn Engine> {
    FlatfileDriver::default().open(dir, &OpenOptions::default(), &Quiet).unwrap()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn commits(engine: &dyn Engine, last: &mut BeatHeader, from: u64) {
    let mut next = from;
    for rows in [1, 10, 100, 1000] {
        for durability in [Durability::Buffered, Durability::Durable] {
            let rounds = 300;
            let mut times = Vec::new();
            for _ in 0..rounds {
                let begun = Instant::now();
                beat(engine, last, durability, next..next + rows);
                times.push(begun.elapsed().as_secs_f64() * 1e6);
                next += rows;
            }
            println!("commit {durability} x{rows}: median {:.1} us", median(times));
        }
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let rows: u64 = args.next().map_or(1_000_000, |rows| rows.parse().unwrap());
    let guard = tempfile::tempdir().unwrap();
    let dir = args.next().map_or_else(|| guard.path().to_path_buf(), PathBuf::from);
    let engine = open(&dir);
    let mut last = BeatHeader::default();

    let begun = Instant::now();
    let mut most = 0;
    for from in (0..rows).step_by(10_000) {
        beat(&*engine, &mut last, Durability::Buffered, from..(from + 10_000).min(rows));
        if from % 200_000 == 0 {
            most = most.max(anonymous_kib());
        }
    }
    let took = begun.elapsed().as_secs_f64();
    println!("load {rows}: {:.2} s, {:.2} M rows/s, most anonymous {} MiB", took, rows as f64 / took / 1e6, most >> 10);
    println!("{:?}", engine.stats().unwrap().engine);

    let begun = Instant::now();
    engine.checkpoint().unwrap();
    println!("checkpoint: {:.2} s", begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    engine.compact(CompactScope::default(), &Quiet).unwrap();
    let payload = rows * 116;
    println!(
        "compact: {:.2} s; disk {:.3} of keys and values",
        begun.elapsed().as_secs_f64(),
        disk_bytes(&dir) as f64 / payload as f64
    );

    let view = engine.view().unwrap();
    for pass in 0..2 {
        let gets = 300_000;
        let begun = Instant::now();
        for n in 0..gets {
            assert!(view.get_record(&key(mix(n + 77) % rows)).unwrap().is_some());
        }
        println!("get, pass {pass}: {:.0} ns", begun.elapsed().as_secs_f64() * 1e9 / gets as f64);
        let begun = Instant::now();
        for n in 0..gets {
            assert!(view.get_record(&key(mix(n) | 1 << 63)).unwrap().is_none());
        }
        println!("miss, pass {pass}: {:.0} ns", begun.elapsed().as_secs_f64() * 1e9 / gets as f64);
        let begun = Instant::now();
        let mut seen = 0;
        view.scan(Scan::all(), &mut |_, _| {
            seen += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
        println!("scan, pass {pass}: {:.1} M rows/s", seen as f64 / begun.elapsed().as_secs_f64() / 1e6);
        assert_eq!(seen, rows);
        let begun = Instant::now();
        let mut cursor = view.cursor(Scan::all()).unwrap();
        let mut seen = 0;
        while cursor.advance().unwrap() {
            seen += cursor.key().len() as u64;
        }
        println!("cursor, pass {pass}: {:.1} M rows/s", seen as f64 / 16.0 / begun.elapsed().as_secs_f64() / 1e6);
        let begun = Instant::now();
        for n in 0..10_000_u64 {
            let start = key(mix(n) % rows);
            let scan = Scan::range(persist_api::KeyRange::of(start.as_slice()..)).limit(100);
            view.scan(scan, &mut |_, _| ControlFlow::Continue(())).unwrap();
        }
        println!("100 rows, pass {pass}: {:.2} us", begun.elapsed().as_secs_f64() * 1e6 / 1e4);
    }
    drop(view);

    commits(&*engine, &mut last, rows);
    engine.compact(CompactScope::default(), &Quiet).unwrap();
    for n in 0..1000 {
        beat(&*engine, &mut last, Durability::Buffered, 2 * rows + n..2 * rows + n + 1);
    }
    drop(engine);
    for how in ["after a drop", "again"] {
        let begun = Instant::now();
        let engine = open(&dir);
        println!("open {how}: {:.2} ms", begun.elapsed().as_secs_f64() * 1e3);
        assert_eq!(engine.view().unwrap().header().beat, last.beat);
    }
}
