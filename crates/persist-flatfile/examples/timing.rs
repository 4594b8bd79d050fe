//! Quick figures of this engine alone, for whoever works on it; the benchmarks that compare are elsewhere.
//!
//! `cargo run --release -p persist-flatfile --example timing -- [rows] [dir]`
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, clippy::cast_precision_loss)]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use persist_api::{BeatHeader, CompactScope, Driver, Durability, Engine, OpenOptions, Quiet, Scan, View};
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

/// Time that this thread spent on a processor, in seconds: what counts where others want the processors, too.
fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

struct Timer(Instant, f64);

impl Timer {
    fn start() -> Self {
        Self(Instant::now(), cpu())
    }

    /// Wall and processor time in seconds.
    fn read(&self) -> (f64, f64) {
        (self.0.elapsed().as_secs_f64(), cpu() - self.1)
    }

    fn each(&self, what: &str, count: u64) {
        let (wall, cpu) = self.read();
        let count = count as f64;
        println!(
            "{what}: {:.0} ns each, {:.0} ns of processor, {:.1} M/s",
            wall * 1e9 / count,
            cpu * 1e9 / count,
            count / cpu / 1e6
        );
    }
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
            let timer = Timer::start();
            for _ in 0..rounds {
                let begun = Instant::now();
                beat(engine, last, durability, next..next + rows);
                times.push(begun.elapsed().as_secs_f64() * 1e6);
                next += rows;
            }
            let cpu = timer.read().1 * 1e6 / f64::from(rounds);
            println!("commit {durability} x{rows}: median {:.1} us, {cpu:.1} us of processor", median(times));
        }
    }
}

fn reads(view: &dyn View, rows: u64) {
    for pass in 0..3 {
        let gets = 300_000;
        println!("pass {pass}");
        let timer = Timer::start();
        for n in 0..gets {
            assert!(view.get_record(&key(mix(n + 77) % rows)).unwrap().is_some());
        }
        timer.each("get", gets);
        let timer = Timer::start();
        for n in 0..gets {
            assert!(view.get_record(&key(mix(n) | 1 << 63)).unwrap().is_none());
        }
        timer.each("miss", gets);
        let timer = Timer::start();
        let mut seen = 0;
        view.scan(Scan::all(), &mut |_, _| {
            seen += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
        timer.each("scan", seen);
        assert_eq!(seen, rows);
        let timer = Timer::start();
        let mut cursor = view.cursor(Scan::all()).unwrap();
        let mut seen = 0;
        while cursor.advance().unwrap() {
            seen += cursor.key().len() as u64;
        }
        timer.each("cursor", seen / 16);
        let timer = Timer::start();
        for n in 0..10_000_u64 {
            let start = key(mix(n) % rows);
            let scan = Scan::range(persist_api::KeyRange::of(start.as_slice()..)).limit(100);
            view.scan(scan, &mut |_, _| ControlFlow::Continue(())).unwrap();
        }
        timer.each("100 rows", 10_000);
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    println!("processor times are of the calling thread");
    let rows: u64 = args.next().map_or(1_000_000, |rows| rows.parse().unwrap());
    let guard = tempfile::tempdir().unwrap();
    let dir = args.next().map_or_else(|| guard.path().to_path_buf(), PathBuf::from);
    let engine = open(&dir);
    let mut last = BeatHeader::default();

    let timer = Timer::start();
    let mut most = 0;
    for from in (0..rows).step_by(10_000) {
        beat(&*engine, &mut last, Durability::Buffered, from..(from + 10_000).min(rows));
        if from % 200_000 == 0 {
            most = most.max(anonymous_kib());
        }
    }
    timer.each("load", rows);
    println!("most anonymous memory: {} MiB", most >> 10);
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
    reads(&*view, rows);
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
