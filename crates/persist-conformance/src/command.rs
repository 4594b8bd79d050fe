//! The suite as a program, for test binaries with `harness = false`.

use std::process::ExitCode;

use persist_api::Quiet;

use crate::crash::{self, BlockOptions, KillOptions, PowerOptions, Reentry, Subject, child_main_if_asked};
use crate::fixture::Seeded;
use crate::registry::{CASES, Class};
use crate::report::{CaseReport, Outcome, crash_json};
use crate::run::{Filter, run_with};
use crate::{Failure, Fixture, model};

const USAGE: &str = "usage: [--list] [--case PATTERN] [--class quick|model|kill|power|block] [--seed N] [--json] [--replay TRACE] [--exact] \
     [PATTERN]";

/// What the arguments ask for.
#[derive(Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
struct Asked {
    list: bool,
    json: bool,
    help: bool,
    exact: bool,
    pattern: Option<String>,
    class: Option<String>,
    replay: Option<String>,
    seed: Option<u64>,
}

/// Runs the suite as the arguments of this program say and prints in the style of `cargo test`. Without arguments: the
/// quick and the model class. `--class kill`, `power` and `block` run the crash classes of an engine on disk; this
/// program is then its own child, so call `main` before anything else.
pub fn main(fixture: &dyn Fixture) -> ExitCode {
    let subject = Subject { driver: fixture.driver(), options: fixture.options() };
    child_main_if_asked(&subject);
    match parse(std::env::args().skip(1)) {
        Ok(asked) if asked.help => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        Ok(asked) => perform(fixture, &subject, &asked),
        Err(what) => {
            eprintln!("{what}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn perform(fixture: &dyn Fixture, subject: &Subject<'_>, asked: &Asked) -> ExitCode {
    let seeded;
    let fixture = match asked.seed {
        None => fixture,
        Some(seed) => {
            seeded = Seeded { inner: fixture, seed };
            &seeded
        }
    };
    if let Some(path) = &asked.replay {
        return replayed(fixture, path);
    }
    let class = match asked.class.as_deref() {
        None => None,
        Some("quick") => Some(Class::Quick),
        Some("model") => Some(Class::Model),
        // These classes have no cases: each is one test.
        Some(crash @ ("kill" | "power" | "block")) if asked.list => {
            println!("{crash}: test");
            return ExitCode::SUCCESS;
        }
        Some("kill") => return killed(subject, fixture.seed(), asked.json),
        Some("power") => return cut(subject, fixture.seed(), asked.json),
        Some("block") => return block_cut(subject, fixture.seed(), asked.json),
        Some(other) => {
            eprintln!("there is no class {other}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let filter = Filter { pattern: asked.pattern.clone(), exact: asked.exact, class };
    if asked.list {
        for case in CASES.iter().filter(|case| filter.admits(case)) {
            println!("{}: test", case.name);
        }
        return ExitCode::SUCCESS;
    }
    cases(fixture, &filter, asked.json)
}

/// Runs one trace of the model test again.
fn replayed(fixture: &dyn Fixture, path: &str) -> ExitCode {
    let read = std::fs::read_to_string(path).map_err(Failure::from).and_then(|text| text.parse());
    match read.and_then(|trace| model::replay(fixture, &trace)) {
        Ok(()) => {
            println!("test replay {path} ... ok");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            println!("test replay {path} ... FAILED\n{failure}");
            ExitCode::FAILURE
        }
    }
}

fn cases(fixture: &dyn Fixture, filter: &Filter, json: bool) -> ExitCode {
    let count = CASES.iter().filter(|case| filter.admits(case)).count();
    if !json {
        println!("\nrunning {count} tests");
    }
    let report = run_with(fixture, filter, &mut |case| {
        if !json {
            println!("{}", line(case));
        }
    });
    if json {
        println!("{}", report.to_json());
    } else {
        if !report.is_ok() {
            println!("\nfailures:\n{}", report.failures());
        }
        let filtered = CASES.len() - count;
        closing(report.passed(), report.failed(), filtered, report.twins());
    }
    ExitCode::from(u8::from(!report.is_ok()))
}

fn line(case: &CaseReport) -> String {
    let verdict = match (&case.outcome, case.twin) {
        (Outcome::Failed(_), _) => "FAILED".to_owned(),
        (_, Some(need)) => format!("ok (twin: {} is not on offer)", need.name()),
        (_, None) => "ok".to_owned(),
    };
    format!("test {} ... {verdict}", case.case.name)
}

fn closing(passed: usize, failed: usize, filtered: usize, twins: usize) {
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {result}. {passed} passed; {failed} failed; 0 ignored; 0 measured; {filtered} filtered out; \
         {twins} by their negative twin"
    );
}

fn killed(subject: &Subject<'_>, seed: u64, json: bool) -> ExitCode {
    let options = KillOptions { seed, ..KillOptions::from_env() };
    let engine = subject.driver.scheme();
    concluded(
        Crash { class: "kill", engine, json },
        &crash::kill(subject, &Reentry::main(), &options),
        |report| (report.is_clean(), report.to_string()),
    )
}

fn cut(subject: &Subject<'_>, seed: u64, json: bool) -> ExitCode {
    let options = PowerOptions { seed, ..PowerOptions::from_env() };
    let engine = subject.driver.scheme();
    concluded(
        Crash { class: "power", engine, json },
        &crash::power_cut(subject, &Reentry::main(), &options),
        |report| (report.is_clean(), report.to_string()),
    )
}

fn block_cut(subject: &Subject<'_>, seed: u64, json: bool) -> ExitCode {
    let options = BlockOptions { seed, ..BlockOptions::from_env() };
    let engine = subject.driver.scheme();
    concluded(
        Crash { class: "block", engine, json },
        &crash::block_cut(subject, &Reentry::main(), &options, &Quiet),
        |report| (report.is_clean(), report.to_string()),
    )
}

/// A crash class that was run, and how it is to be told.
#[derive(Clone, Copy)]
struct Crash {
    class: &'static str,
    engine: &'static str,
    json: bool,
}

fn concluded<T>(
    crash: Crash,
    result: &Result<T, crash::CrashError>,
    read: impl FnOnce(&T) -> (bool, String),
) -> ExitCode {
    let (clean, text) = match result {
        Ok(report) => read(report),
        Err(error) => (false, error.to_string()),
    };
    let Crash { class, engine, json } = crash;
    if json {
        println!("{}", crash_json(engine, class, clean, &text));
    } else {
        println!("{text}\ntest {class} ... {}", if clean { "ok" } else { "FAILED" });
        closing(usize::from(clean), usize::from(!clean), 0, 0);
    }
    ExitCode::from(u8::from(!clean))
}

fn parse(args: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut asked = Asked::default();
    let mut args = args;
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--list" => asked.list = true,
            "--json" => asked.json = true,
            "--help" | "-h" => asked.help = true,
            "--case" => asked.pattern = Some(value()?),
            "--class" => asked.class = Some(value()?),
            "--replay" => asked.replay = Some(value()?),
            "--seed" => {
                asked.seed = Some(value()?.parse().map_err(|_| "--seed needs a number".to_owned())?);
            }
            // What `cargo test` may hand to any test binary.
            "--nocapture" | "--no-capture" | "--quiet" | "-q" | "--show-output" => {}
            "--exact" => asked.exact = true,
            plain if !plain.starts_with('-') => asked.pattern = Some(plain.to_owned()),
            other => return Err(format!("unknown argument {other}")),
        }
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Asked, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn arguments() {
        assert_eq!(parsed("").unwrap(), Asked::default());
        let asked = parsed("--seed 7 --class model --json beats").unwrap();
        assert_eq!((asked.seed, asked.class.as_deref(), asked.json), (Some(7), Some("model"), true));
        assert_eq!(asked.pattern.as_deref(), Some("beats"));
        assert!(parsed("--exact beats::empty_beat_is_ordinary").unwrap().exact);
        assert!(parsed("--seed").is_err() && parsed("--seed x").is_err() && parsed("--wat").is_err());
    }
}
