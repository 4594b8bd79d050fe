//! `cargo xtask test`: every kind of check, each class against its time budget.

use std::time::{Duration, Instant};

use crate::shell::{Outcome, cargo, run};
use crate::{bench, generate, outside, rocks, sabotage, sanitize, scoreboard, setup, tidy};

/// One feature mix for clippy, tests and docs, so that nothing is compiled twice.
const MIX: [&str; 2] = ["--workspace", "--all-features"];

/// A class of checks and how long it may take. Where a class has rounds, it has fewer of them when time is short; no
/// kind is ever left out.
struct Class {
    name: &'static str,
    budget_minutes: u64,
    run: fn(Pace) -> Outcome,
}

const CLASSES: [Class; 8] = [
    Class { name: "build", budget_minutes: 20, run: |_| build() },
    Class { name: "checks", budget_minutes: 3, run: |_| checks() },
    Class { name: "tests", budget_minutes: 7, run: |_| tests() },
    Class { name: "conformance", budget_minutes: 6, run: |_| conformance() },
    Class { name: "crash", budget_minutes: 1, run: crash_and_outside },
    Class { name: "fuzz", budget_minutes: 2, run: |pace| fuzz(pace.of(FUZZ_ROUNDS)) },
    Class { name: "sabotage", budget_minutes: 4, run: |_| sabotage::run(&[]) },
    Class { name: "sanitize", budget_minutes: 3, run: |_| sanitize::run(false) },
];

/// What is left of the time goes to the searches of the simulated disk: after all else, for they take whatever they get.
const SEARCH: Class = Class { name: "search", budget_minutes: 8, run: |pace| search(pace.of(SEARCH_PARTS)) };

/// How many rounds a class does with time enough, and the fewest that still run each of its kinds.
#[derive(Clone, Copy)]
pub(crate) struct Rounds {
    pub(crate) usual: u32,
    floor: u32,
}

/// The profiles of the kill class come round every four; the sessions of the power-cut class all run, whatever the rounds.
pub(crate) const CRASH_ROUNDS: Rounds = Rounds { usual: 25, floor: 4 };
/// Power cuts of an ext4 for each of four engines: 320 in all, in half a minute. The profiles come round every three.
pub(crate) const BLOCK_MOMENTS: Rounds = Rounds { usual: 80, floor: 12 };
/// Mutations of a parser; an engine sees a history for each 150 of them. At the floor, some thousands, and some dozens.
pub(crate) const FUZZ_ROUNDS: Rounds = Rounds { usual: 60_000, floor: 6_000 };

/// All that is asked of the searches, and the least that still searches everywhere.
const SEARCH_PARTS: Rounds = Rounds { usual: 24, floor: 2 };

/// How much of its usual rounds a class does, in percent: 10 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pace(u32);

impl Pace {
    /// The pace at which the classes that are left would end with the whole budget. Time that was saved makes nothing
    /// longer; however much was lost, a tenth is done.
    fn new(spent: Duration, whole: Duration, left: Duration) -> Self {
        let remains = whole.saturating_sub(spent).as_millis();
        let percent = (remains * 100).checked_div(left.as_millis()).unwrap_or(100);
        Self(u32::try_from(percent.clamp(10, 100)).unwrap_or(100))
    }

    fn of(self, rounds: Rounds) -> u32 {
        let scaled = u64::from(rounds.usual) * u64::from(self.0) / 100;
        u32::try_from(scaled).unwrap_or(rounds.usual).max(rounds.floor)
    }
}

fn minutes(classes: &[Class]) -> Duration {
    Duration::from_secs(classes.iter().map(|class| class.budget_minutes * 60).sum())
}

/// Installs what is missing, runs all classes and then the searches, and prints spent against budget.
pub(crate) fn everything() -> Outcome {
    setup::run()?;
    let mut spent = Vec::new();
    let mut failed = Ok(());
    let begun = Instant::now();
    for (at, class) in CLASSES.iter().chain([&SEARCH]).enumerate() {
        let left = CLASSES.get(at..).filter(|left| !left.is_empty()).unwrap_or(&[SEARCH]);
        let left = minutes(left);
        let pace = Pace::new(begun.elapsed(), minutes(&CLASSES), left);
        println!("\n== {} (budget {} min, pace {} %)", class.name, class.budget_minutes, pace.0);
        let start = Instant::now();
        let done = (class.run)(pace);
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
    bench::gates()?;
    bench::overhead(&["--gate"])
}

/// The suite against its deliberately broken engines.
pub(crate) fn liars() -> Outcome {
    run(&mut cargo(&["run", "--package", "persist-conformance", "--example", "liars"]))
}

/// Kill and power-cut classes on every engine on disk.
pub(crate) fn crash(rounds: u32) -> Outcome {
    let rounds = rounds.to_string();
    run(scoreboard::cli().args(["conformance", "--class", "crash", "--rounds", &rounds]))
}

fn crash_and_outside(pace: Pace) -> Outcome {
    crash(pace.of(CRASH_ROUNDS))?;
    outside::run(pace.of(BLOCK_MOMENTS))
}

/// Bounded fuzzing of what parses, then random histories on every engine against the model.
pub(crate) fn fuzz(rounds: u32) -> Outcome {
    let mut parsers = cargo(&["test"]);
    parsers.args(MIX).args(["--", "never_panic"]).env("PERSIST_FUZZ_ROUNDS", rounds.to_string());
    run(parsers.env("PROPTEST_CASES", (rounds / 20).to_string()))?;
    let mut histories = scoreboard::cli();
    histories
        .args(["conformance", "--class", "model"])
        .env("PERSIST_MODEL_ROUNDS", (rounds / 150).to_string());
    run(&mut histories)
}

/// Power cuts, damage and reordered work on the simulated disk, optimised: far more of it than among the tests.
fn search(parts: u32) -> Outcome {
    let mut searches = cargo(&["test", "--release", "--package", "persist-flatfile", "--test", "it", "--"]);
    searches.args([
        "sim::random",
        "sim::short",
        "sim::damage",
        "damage_of_what",
        "sim::several",
        "sim::same",
        "--nocapture",
    ]);
    run(searches.env("PERSIST_SIM_ROUNDS", parts.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn min(minutes: u64) -> Duration {
        Duration::from_secs(minutes * 60)
    }

    #[test]
    fn time_left_sets_the_pace() {
        // 46 minutes in all; classes with 8 of them are left.
        let at = |spent| Pace::new(spent, min(46), min(8)).0;
        assert_eq!(at(min(2)), 100, "time saved makes nothing longer");
        assert_eq!(at(min(38)), 100);
        assert_eq!(at(min(42)), 50, "half of the time is left, so half of the rounds");
        assert_eq!(at(min(44)), 25);
        assert_eq!(at(min(46)), 10, "no time left, but no kind is left out");
        assert_eq!(at(min(500)), 10);
        assert_eq!(Pace::new(min(1), min(1), min(0)).0, 100, "nothing left to slow down");
    }

    #[test]
    fn rounds_follow_the_pace_down_to_their_floor() {
        for rounds in [CRASH_ROUNDS, BLOCK_MOMENTS, FUZZ_ROUNDS, SEARCH_PARTS] {
            assert_eq!(Pace(100).of(rounds), rounds.usual);
            assert!(Pace(50).of(rounds) < rounds.usual);
            assert!(Pace(10).of(rounds) >= rounds.floor && rounds.floor > 0);
        }
        assert_eq!(Pace(50).of(Rounds { usual: 25, floor: 4 }), 12);
        assert_eq!(Pace(10).of(Rounds { usual: 25, floor: 4 }), 4);
    }

    #[test]
    fn budgets_are_those_that_were_promised() {
        assert_eq!(minutes(&CLASSES), min(20 + 3 + 7 + 6 + 1 + 2 + 4 + 3));
    }
}
