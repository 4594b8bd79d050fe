//! How long durable commits take one after another, without a pause: the quantiles show what runs and merges cost them.
//!
//! `cargo run --release -p persist-flatfile --example stalls -- [rows a commit] [commits] [dir]`
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, clippy::cast_precision_loss)]

use std::path::{Path, PathBuf};
use std::time::Instant;

use persist_api::{BeatHeader, Driver, Durability, OpenOptions, Quiet};
use persist_flatfile::FlatfileDriver;

/// A key that looks random, the same in every run.
fn key(n: u64) -> [u8; 16] {
    let mixed = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mut key = [0; 16];
    key[..8].copy_from_slice(&mixed.to_be_bytes());
    key[8..].copy_from_slice(&n.to_be_bytes());
    key
}

/// Microseconds of each commit, and how often one was slowed down or stopped.
fn commits(home: &Path, rows: u64, commits: u64) -> (Vec<f64>, Vec<(&'static str, u64)>) {
    let engine = FlatfileDriver::default().open(home, &OpenOptions::default(), &Quiet).unwrap();
    let mut last = BeatHeader::default();
    let mut times = Vec::new();
    for at in 0..commits {
        let clock = Instant::now();
        last = last.next(1, Durability::Durable, None).unwrap();
        let mut beat = engine.begin_beat(last).unwrap();
        for n in 0..rows {
            beat.put_record(&key(at * rows + n), &[0x5a; 100]).unwrap();
        }
        beat.commit_beat().unwrap();
        times.push(clock.elapsed().as_secs_f64() * 1e6);
    }
    let mut stats = engine.stats().unwrap().engine;
    stats.retain(|(name, _)| name.starts_with("commits_") || *name == "timeline_segments_reused");
    engine.close().map_err(|(_, error)| error).unwrap();
    (times, stats)
}

fn main() {
    let mut words = std::env::args().skip(1);
    let mut number = |usual: u64| words.next().map_or(usual, |word| word.parse().unwrap());
    let (rows, count) = (number(1000), number(3000));
    let dir = words.next().map_or_else(|| PathBuf::from("."), PathBuf::from);
    let dir = tempfile::tempdir_in(dir).unwrap();
    let (mut times, stats) = commits(&dir.path().join("store"), rows, count);
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    times.sort_by(f64::total_cmp);
    let at = |per_mille: usize| times[(times.len() - 1) * per_mille / 1000];
    print!("{count} commits of {rows} rows, in microseconds: mean {mean:.0}");
    for (name, per_mille) in [("p50", 500), ("p90", 900), ("p99", 990), ("p99.9", 999), ("most", 1000)] {
        print!(", {name} {:.0}", at(per_mille));
    }
    for (name, times) in stats {
        print!(", {name} {times}");
    }
    println!();
}
