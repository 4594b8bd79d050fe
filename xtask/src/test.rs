//! `cargo xtask test`: every kind of check, each class against its time budget.

use std::time::{Duration, Instant};

use crate::shell::{Outcome, cargo, run};
use crate::{bench, generate, rocks, scoreboard, setup, tidy};

/// One feature mix for clippy, tests and docs, so that nothing is compiled twice.
const MIX: [&str; 2] = ["--workspace", "--all-features"];

/// A class of checks and how long it may take. Rounds are fixed and small enough to keep to it; no kind is left out.
struct Class {
    name: &'static str,
    budget_minutes: u64,
    run: fn() -> Outcome,
}

const CLASSES: [Class; 6] = [
    Class { name: "build", budget_minutes: 25, run: build },
    Class { name: "checks", budget_minutes: 3, run: checks },
    Class { name: "tests", budget_minutes: 5, run: tests },
    Class { name: "conformance", budget_minutes: 5, run: conformance },
    Class { name: "crash", budget_minutes: 5, run: || crash(None) },
    Class { name: "fuzz", budget_minutes: 3, run: || fuzz(None) },
];

/// Installs what is missing, runs all classes, and prints spent against budget.
pub(crate) fn everything() -> Outcome {
    setup::run()?;
    let mut spent = Vec::new();
    let mut failed = Ok(());
    for class in &CLASSES {
        println!("\n== {} (budget {} min)", class.name, class.budget_minutes);
        let start = Instant::now();
        let done = (class.run)();
        spent.push((class, start.elapsed(), done.is_ok()));
        if let Err(message) = done {
            failed = Err(format!("{}: {message}", class.name));
            break;
        }
    }
    println!("\n{:<12} {:>9} {:>9}", "class", "spent", "budget");
    for (class, time, passed) in spent {
        let over = if time > Duration::from_secs(class.budget_minutes * 60) { "  over budget" } else { "" };
        let result = if passed { "" } else { "  FAILED" };
        println!(
            "{:<12} {:>7} s {:>7} s{over}{result}",
            class.name,
            time.as_secs(),
            class.budget_minutes * 60
        );
    }
    failed
}

fn build() -> Outcome {
    rocks::build_once()?;
    run(cargo(&["test", "--no-run"]).args(MIX))
}

fn checks() -> Outcome {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    tidy::run()?;
    generate::run(true)?;
    run(cargo(&["clippy", "--all-targets"]).args(MIX).args(["--", "-D", "warnings"]))?;
    run(cargo(&["doc", "--no-deps"]).args(MIX).env("RUSTDOCFLAGS", "-D warnings"))
}

fn tests() -> Outcome {
    run(cargo(&["test"]).args(MIX))
}

fn conformance() -> Outcome {
    // The liars have run among the tests.
    scoreboard::run(&["--check"])?;
    bench::overhead(&["--gate"])
}

/// The suite against its deliberately broken engines.
pub(crate) fn liars() -> Outcome {
    run(&mut cargo(&["run", "--package", "persist-conformance", "--example", "liars"]))
}

/// Kill and power-cut classes on every engine on disk.
pub(crate) fn crash(rounds: Option<u32>) -> Outcome {
    let rounds = rounds.unwrap_or(25).to_string();
    run(scoreboard::cli().args(["conformance", "--class", "crash", "--rounds", &rounds]))
}

/// Bounded fuzzing of everything that parses, then random histories on every engine against the model.
pub(crate) fn fuzz(rounds: Option<u32>) -> Outcome {
    let rounds = rounds.unwrap_or(60_000);
    let mut parsers = cargo(&["test"]);
    parsers.args(MIX).args(["--", "never_panic"]).env("PERSIST_FUZZ_ROUNDS", rounds.to_string());
    run(parsers.env("PROPTEST_CASES", (rounds / 20).to_string()))?;
    let mut histories = scoreboard::cli();
    histories
        .args(["conformance", "--class", "model"])
        .env("PERSIST_MODEL_ROUNDS", (rounds / 500).to_string());
    run(&mut histories)
}
