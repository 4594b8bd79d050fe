//! From which length on does a value lie better in a payload segment than in its frame? Durable beats of one value each, both ways in
//! turn, and the checkpoint after them, which copies what lies in frames.
//!
//! `cargo run --release -p persist-flatfile --example value_threshold [DIR]`
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "an example prints, and clears up after itself"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use persist_api::{Driver as _, Durability, Engine, OpenOptions, Quiet, Result};
use persist_flatfile::FlatfileDriver;

const SIZES: [usize; 7] = [4 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10, 1 << 20];
const ROUNDS: usize = 7;
/// So much is written in a round of each.
const ROUND_BYTES: usize = 16 << 20;

/// Medians of the commits of a round, and its checkpoint a value.
struct Round {
    commit: Duration,
    checkpoint: Duration,
}

fn round(dir: &Path, large_value_bytes: usize, size: usize, seed: u8) -> Result<Round> {
    let mut options = OpenOptions::default();
    options.knobs.insert("large_value_bytes".to_owned(), large_value_bytes.to_string());
    let engine: Box<dyn Engine> = FlatfileDriver::default().open(dir, &options, &Quiet)?;
    let value: Vec<u8> = (0..size).map(|at| (at.to_le_bytes()[0] ^ seed).wrapping_mul(151)).collect();
    let beats = (ROUND_BYTES / size).max(8);
    let mut times = Vec::with_capacity(beats);
    for n in 0..beats {
        let header = engine.view()?.header().next(1, Durability::Durable, None)?;
        let clock = Instant::now();
        let mut beat = engine.begin_beat(header)?;
        beat.put_record(&n.to_be_bytes(), &value)?;
        beat.commit_beat()?;
        times.push(clock.elapsed());
    }
    let clock = Instant::now();
    engine.checkpoint()?;
    let checkpoint = clock.elapsed() / u32::try_from(beats).unwrap_or(u32::MAX);
    engine.close().map_err(|(_, error)| error)?;
    times.sort_unstable();
    Ok(Round { commit: times.get(beats / 2).copied().unwrap_or_default(), checkpoint })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn main() -> Result<()> {
    let dir = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    println!(
        "| value | in its frame: commit, checkpoint | in a payload segment: commit, checkpoint |\n|--:|--:|--:|"
    );
    for size in SIZES {
        let (mut inline, mut apart) = (Vec::new(), Vec::new());
        for seed in 0..ROUNDS {
            let seed = u8::try_from(seed).unwrap_or_default();
            for (rounds, threshold) in [(&mut inline, 1 << 24), (&mut apart, 64)] {
                let home = dir.join(format!("value-threshold-{}", std::process::id()));
                rounds.push(round(&home, threshold, size, seed)?);
                std::fs::remove_dir_all(&home)
                    .map_err(|error| persist_api::Error::io("remove", &home, error))?;
            }
        }
        let micros = |rounds: &[Round], of: fn(&Round) -> Duration| {
            median(rounds.iter().map(of).collect()).as_secs_f64() * 1e6
        };
        println!(
            "| {} KiB | {:.0} µs, {:.0} µs | {:.0} µs, {:.0} µs |",
            size >> 10,
            micros(&inline, |round| round.commit),
            micros(&inline, |round| round.checkpoint),
            micros(&apart, |round| round.commit),
            micros(&apart, |round| round.checkpoint)
        );
    }
    Ok(())
}
