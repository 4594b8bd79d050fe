//! The command line of a benchmark program.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::contender::{Entrant, Result, text};
use crate::entrants::find;
use crate::session::{Plan, Purpose, Session};
use crate::workloads::{self, SLOW_DISK, WORKLOADS, Workload};
use crate::{child, flips, gates, machine, overhead, report};

const HELP: &str = "\
[run] [--quick | --full] [--only A,B] [--engines A,B] [--slow-disk] [--ungated] [--rows N] [--rounds N]
      [--out DIR] [--dir DIR]
                   workloads side by side; samples, results.md and plots go to --out (docs/bench; with --quick or
                   --ungated target/bench), stores live below --dir (the current directory). --only takes names or
                   goals, as P7. --ungated counts samples from bad moments too, so that its figures say nothing
render DIR         tables and plots from the samples in DIR
flips [--trials N] [--rows N] [--seed N] [--engines A,B] [--out DIR] [--dir DIR]
                   one flipped bit in a closed store, N times for each engine: who notices; fails if flatfile does not
gates              what must not grow: syncs, writes, bytes, allocations, instructions; deterministic
overhead [--json] [--rounds N] [--gate]
                   our interface beside the raw libraries; --gate counts instructions
";

/// Does what the arguments say. `usual` picks who takes part when nobody is named.
#[must_use]
pub fn main(entrants: &[Entrant], usual: impl Fn(&Entrant) -> bool) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if words.iter().any(|word| ["help", "--help", "-h"].contains(word)) {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let done = match words.as_slice() {
        ["child", rest @ ..] => child::main(entrants, rest),
        ["overhead", "--gate"] => overhead::gate(entrants),
        ["overhead", rest @ ..] => overhead::run(entrants, rest),
        ["gates"] => gates::run(entrants),
        ["flips", rest @ ..] => flip_bits(entrants, rest),
        ["render", dir] => report::render(dir.as_ref()).and_then(|()| flips::render(dir.as_ref())),
        ["run", rest @ ..] | rest => Choice::read(entrants, usual, rest).and_then(Choice::run),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Reads what a run of flipped bits is asked for, and does it.
fn flip_bits(entrants: &[Entrant], words: &[&str]) -> Result<()> {
    let mut plan = flips::Plan {
        trials: 100,
        rows: 20_000,
        seed: 1,
        out: "docs/bench".into(),
        dir: std::env::temp_dir(),
    };
    let mut chosen: Vec<Entrant> = entrants.to_vec();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let value = rest.next().ok_or_else(|| format!("{word} needs a value"))?;
        match *word {
            "--trials" => plan.trials = value.parse().map_err(text)?,
            "--rows" => plan.rows = value.parse().map_err(text)?,
            "--seed" => plan.seed = value.parse().map_err(text)?,
            "--out" => plan.out = PathBuf::from(value),
            "--dir" => plan.dir = PathBuf::from(value),
            "--engines" => {
                let names = value.split(',').map(|name| find(entrants, name).copied());
                chosen = names.collect::<Result<_>>()?;
            }
            _ => return Err(format!("unknown argument: {word}\n\n{HELP}")),
        }
    }
    flips::run(&chosen, &plan)
}

/// What a run was asked for.
struct Choice {
    plan: Plan,
    workloads: Vec<&'static Workload>,
    entrants: Vec<Entrant>,
    out: PathBuf,
    dir: PathBuf,
}

impl Choice {
    fn read(entrants: &[Entrant], usual: impl Fn(&Entrant) -> bool, words: &[&str]) -> Result<Self> {
        let mut choice = Self {
            plan: Plan::DEFAULT,
            workloads: WORKLOADS.iter().collect(),
            entrants: entrants.iter().filter(|entrant| usual(entrant)).copied().collect(),
            out: PathBuf::from("docs/bench"),
            dir: PathBuf::from("."),
        };
        let (mut slow, mut out) = (false, None);
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let mut value = || rest.next().ok_or_else(|| format!("{word} needs a value"));
            match *word {
                "--quick" => choice.plan = Plan::QUICK,
                "--full" => choice.plan = Plan::FULL,
                "--slow-disk" => slow = true,
                "--rows" => choice.plan = choice.plan.with_rows(value()?.parse().map_err(text)?),
                "--rounds" => choice.plan.rounds = value()?.parse().map_err(text)?,
                "--ungated" => choice.plan.gated = false,
                "--only" => {
                    let chosen = value()?.split(',').map(named).collect::<Result<Vec<_>>>();
                    choice.workloads = chosen?.concat();
                }
                "--engines" => {
                    let names = value()?.split(',').map(|name| find(entrants, name).copied());
                    choice.entrants = names.collect::<Result<_>>()?;
                }
                "--out" => out = Some(PathBuf::from(value()?)),
                "--dir" => choice.dir = PathBuf::from(value()?),
                _ => return Err(format!("unknown argument: {word}\n\n{HELP}")),
            }
        }
        if slow {
            choice.workloads = vec![&SLOW_DISK];
        }
        if let Some(out) = out {
            choice.out = out;
        } else if choice.plan.name == Plan::QUICK.name || !choice.plan.gated {
            choice.out = PathBuf::from("target/bench");
        }
        Ok(choice)
    }

    fn run(self) -> Result<()> {
        let run = machine::run(&self.plan, &self.dir, &self.entrants);
        let mut session = Session::new(self.entrants, self.plan, &self.dir)?;
        for workload in self.workloads {
            println!("\n== {}: {}", workload.name, workload.title);
            if let Err(error) = (workload.run)(&mut session) {
                session.fail(format!("{}: {error}", workload.name));
            }
            // What is kept open has threads and memory that would weigh on what comes next.
            if workload.name != "read" {
                session.close(Purpose::Reading);
            }
            if !["commit", "values", "writers"].contains(&workload.name) {
                session.close(Purpose::Writing);
            }
            let records = std::mem::take(&mut session.records);
            let samples = crate::record::Samples { run: run.clone(), records };
            samples.write(&self.out, workload.name)?;
        }
        report::render(&self.out)?;
        println!("\nwrote {}", self.out.join("results.md").display());
        if session.failures.is_empty() {
            return Ok(());
        }
        Err(format!("{} failures:\n  {}", session.failures.len(), session.failures.join("\n  ")))
    }
}

fn named(word: &str) -> Result<Vec<&'static Workload>> {
    let found = workloads::find(word);
    if found.is_empty() {
        let names: Vec<&str> = WORKLOADS.iter().map(|workload| workload.name).collect();
        return Err(text(format!("no workload {word:?}; there are {}", names.join(", "))));
    }
    Ok(found)
}
