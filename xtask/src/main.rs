//! Automation of the workspace, in Rust instead of scripts. `cargo xtask help` lists the verbs.

#![allow(clippy::disallowed_methods, reason = "a developer's tool writes plain files")]
#![allow(clippy::indexing_slicing, reason = "indexing a JSON value never panics: what is missing is null")]

mod bench;
mod generate;
mod outside;
mod rocks;
mod sabotage;
mod sanitize;
mod scoreboard;
mod setup;
mod shell;
mod test;
mod tidy;

use std::process::ExitCode;

use shell::Outcome;

const HELP: &str = "\
cargo xtask VERB

  test                 everything that must hold: installs what the build lacks, then checks, tests on all engines,
                       conformance, crash classes, fuzz rounds, sabotage, sanitizers; prints time spent against each budget
  tidy                 rules of the workspace that no compiler checks
  generate [--check]   docs/capabilities.md and the tables of README.md, from code and scoreboard
  conformance [ENGINE] run the suite on every engine, or one; write docs/scoreboard.{json,md}; fewer cases than the
                       committed scoreboard is a failure. --check writes nothing
  liars                the suite against its deliberately broken engines
  crash [--rounds N]   kill -9 and power-cut classes on every engine; N kills and images each
  fuzz [--rounds N]    bounded fuzzing of parsers (tests named `never_panic`), and random histories against the model
  bench [--quick|--full] [--only P1,P7] [--peers]
                       workloads side by side, with --peers against the rivals; samples, tables and plots go to
                       docs/bench (with --quick to target/bench); docs/bench/README.md has all options
  bench gates          counts that must not grow: syncs, writes, bytes, allocations, instructions
  bench render         tables and plots of docs/bench again, from its samples
  bench overhead       our interface beside the raw libraries; [--gate] checks instruction counts only
  flips [--trials N]   one flipped bit in a closed store, for each engine and its rivals: who notices; writes docs/bench/flips.md
  sabotage [--any] [NAME...]
                       breaks the storage engine's own source, one patch at a time, in a copy of the tree: a test must see
                       each, the one that the table names, or any with --any; without a name, all patches; part of `test`
  outside [--block] [--moments N]
                       faults from outside of the program: says which tools are there, has strace fail and kill every
                       system call of the command that writes, and cuts the power of a real ext4 at N of its writes, with
                       each engine on it; --block: only that; part of `test`
  sanitize             the tests of storage engine and runtime under Miri, the thread and the address sanitizer, where nightly is
                       installed: adds its components where rustup can, says what is missing; a few are part of `test`
  setup                only the installing part of `test`
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if words.iter().any(|word| ["--help", "-h"].contains(word)) {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let done: Outcome = match words.as_slice() {
        ["test"] => test::everything(),
        ["tidy"] => tidy::run(),
        ["generate"] => generate::run(false),
        ["generate", "--check"] => generate::run(true),
        ["conformance", rest @ ..] => setup::run().and_then(|()| scoreboard::run(rest)),
        ["liars"] => test::liars(),
        ["crash", rest @ ..] => setup::run().and_then(|()| test::crash(rounds(rest, test::CRASH_ROUNDS)?)),
        ["fuzz", rest @ ..] => rounds(rest, test::FUZZ_ROUNDS).and_then(test::fuzz),
        ["bench", "gates"] => setup::run().and_then(|()| bench::gates()),
        ["bench", "render"] => bench::render(),
        ["bench", "overhead", rest @ ..] => setup::run().and_then(|()| bench::overhead(rest)),
        ["bench", rest @ ..] => setup::run().and_then(|()| bench::workloads(rest)),
        ["flips", rest @ ..] => setup::run().and_then(|()| bench::flips(rest)),
        ["outside", "--block", rest @ ..] => setup::run().and_then(|()| outside::cut(moments(rest)?)),
        ["outside", rest @ ..] => setup::run().and_then(|()| outside::run(moments(rest)?)),
        ["sabotage", rest @ ..] => sabotage::run(rest),
        ["sanitize"] => sanitize::run(true),
        ["setup"] => setup::run(),
        [] | ["help"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => Err(format!("unknown verb: {}\n\n{HELP}", words.join(" "))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Reads `--rounds N`.
fn rounds(words: &[&str], rounds: test::Rounds) -> Result<u32, String> {
    number_after("--rounds", words, rounds)
}

/// Reads `--moments N`.
fn moments(words: &[&str]) -> Result<u32, String> {
    number_after("--moments", words, test::BLOCK_MOMENTS)
}

fn number_after(option: &str, words: &[&str], usual: test::Rounds) -> Result<u32, String> {
    match words {
        [] => Ok(usual.usual),
        [word, number] if *word == option => {
            number.parse().map_err(|_| format!("{option} needs a number, not {number}"))
        }
        _ => Err(format!("unknown arguments: {}", words.join(" "))),
    }
}
