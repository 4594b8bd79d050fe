//! Instructions, counted by callgrind: the same for the same binary, whatever else the machine does.

use std::process::Command;

use crate::rows::{Random, rows, shuffled_keys};
use crate::side::{ENGINES, Result, open, text};

const LOADED_ROWS: usize = 20_000;

/// What a step may cost over raw, in instructions, or as a ratio for libraries whose own step is long. 15 ns a get and
/// 4 ns a row are 90 and 24 instructions at 3 GHz and two instructions a cycle, which such straight code exceeds.
const LIMITS: [(&str, u64, f64); 2] = [("get", 90, 1.05), ("scan", 24, 1.05)];

/// Counts every engine and fails beyond the limits.
pub(crate) fn run() -> Result<()> {
    let mut beyond = Vec::new();
    for engine in ENGINES {
        for (what, over_max, ratio_max) in LIMITS {
            let ratio_max = if *engine == "sqlite" { 1.10 } else { ratio_max };
            let raw = per_step(engine, "raw", what)?;
            let ours = per_step(engine, "ours", what)?;
            let over = ours.saturating_sub(raw);
            #[allow(clippy::cast_precision_loss, reason = "a ratio for people")]
            let ratio = ours as f64 / raw as f64;
            let within = over <= over_max || ratio <= ratio_max;
            println!(
                "{engine:<8} {what:<5} raw {raw:>6}  ours {ours:>6} instructions  over {over:>4}  ratio {ratio:.3}  {}",
                if within { "ok" } else { "BEYOND THE LIMIT" }
            );
            if !within {
                beyond.push(format!("{engine} {what}"));
            }
        }
    }
    if beyond.is_empty() { Ok(()) } else { Err(format!("beyond the limit: {}", beyond.join(", "))) }
}

/// Instructions of one step: two runs that differ only in the number of steps.
fn per_step(engine: &str, side: &str, what: &str) -> Result<u64> {
    let (few, many): (u64, u64) = if what == "scan" { (1, 6) } else { (1_000, 21_000) };
    let steps = if what == "scan" { (many - few) * LOADED_ROWS as u64 } else { many - few };
    let count = |n: u64| counted(engine, side, what, n);
    Ok(count(many)?.saturating_sub(count(few)?) / steps)
}

fn counted(engine: &str, side: &str, what: &str, count: u64) -> Result<u64> {
    let me = std::env::current_exe().map_err(text)?;
    let done = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(me)
        .args(["probe", engine, side, what, &count.to_string()])
        .output()
        .map_err(|error| {
            format!("cannot run valgrind: {error}; install it with: apt-get install valgrind")
        })?;
    let log = String::from_utf8_lossy(&done.stderr);
    let collected = log.lines().find_map(|line| line.split_once("Collected :"));
    collected
        .and_then(|(_, number)| number.trim().parse().ok())
        .ok_or_else(|| format!("callgrind gave no count for {engine} {side} {what}: {log}"))
}

/// What runs under callgrind: load, then `count` steps.
pub(crate) fn probe(engine: &str, side: &str, what: &str, count: &str) -> Result<()> {
    let count: usize = count.parse().map_err(text)?;
    let dir = tempfile::tempdir().map_err(text)?;
    let mut random = Random(1);
    let loaded = rows(&mut random, LOADED_ROWS);
    let mut side = open(engine, side, dir.path())?;
    for chunk in loaded.chunks(5_000) {
        side.beat(chunk)?;
    }
    side.settle()?;
    if what == "scan" {
        side.scans(u32::try_from(count).map_err(text)?).map(drop)
    } else {
        // The list is equally long in both runs, so that making it cancels out.
        let keys = shuffled_keys(&mut random, &loaded, 21_000);
        side.gets(&keys[..count]).map(drop)
    }
}
