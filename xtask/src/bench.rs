//! Benchmarks: engines side by side, our interface beside the raw libraries, and the gates that count.

use crate::shell::{Outcome, cargo, run};

/// Workloads side by side. `--peers` lets the rivals take part; all other arguments go to the program.
pub(crate) fn workloads(arguments: &[&str]) -> Outcome {
    let peers = arguments.contains(&"--peers");
    let package = if peers { "persist-bench-peers" } else { "persist-bench" };
    let rest = arguments.iter().filter(|argument| **argument != "--peers");
    run(cargo(&["run", "--release", "--package", package, "--", "run"]).args(rest))
}

/// One flipped bit in a closed store, for everybody: who notices.
pub(crate) fn flips(arguments: &[&str]) -> Outcome {
    run(cargo(&["run", "--package", "persist-bench-peers", "--", "flips"]).args(arguments))
}

/// Tables and plots again, from the samples that are there.
pub(crate) fn render() -> Outcome {
    run(&mut cargo(&["run", "--release", "--package", "persist-bench", "--", "render", "docs/bench"]))
}

/// Counts that must not grow: syncs, writes, bytes, allocations, instructions.
pub(crate) fn gates() -> Outcome {
    run(&mut cargo(&["run", "--release", "--package", "persist-bench", "--all-features", "--", "gates"]))
}

/// `--gate` counts instructions and fails beyond the limits; without it, times are measured and printed with spread.
pub(crate) fn overhead(arguments: &[&str]) -> Outcome {
    run(cargo(&["run", "--release", "--package", "persist-bench", "--all-features", "--"])
        .arg("overhead")
        .args(arguments))
}
