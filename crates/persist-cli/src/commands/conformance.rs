//! `persist conformance`: the suite on engines of this build.

mod crashes;

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::ValueEnum;
use persist::{Driver, ErrorKind, OpenOptions};
use persist_conformance::crash::{self, Subject, child_main_if_asked};
use persist_conformance::{CaseReport, Class, Filter, Fixture, Outcome, run_with};
use serde::Serialize;

use crate::args::Global;
use crate::fail::{Failure, Result};
use crate::out::Out;
use crate::watch::Watch;

/// Outcomes that fail the run. A class that this machine cannot run has shown nothing, and is no pass.
const BROKEN: [&str; 2] = ["failed", "absent"];
/// First argument of a child; the second is the engine.
const CHILD: &str = "crash-child";

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The engines [default: all of this build]
    #[arg(value_name = "ENGINE")]
    engines: Vec<String>,
    /// Which classes [default: quick and model]
    #[arg(long, value_enum)]
    class: Option<ClassArg>,
    /// Only cases whose names contain this (not in classes crash and block)
    #[arg(long, value_name = "PATTERN")]
    case: Option<String>,
    /// Kills of the class crash, and ten times as many disk images; disks mounted by the class block
    #[arg(long, value_name = "COUNT")]
    rounds: Option<u64>,
    /// The seed of everything random
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ClassArg {
    /// Every case that takes no time
    Quick,
    /// Random histories against a model
    Model,
    /// Killed processes and power cuts (needs strace and eatmydata)
    Crash,
    /// Power cuts of a real ext4, at any write (needs Linux, root, qemu-storage-daemon and eatmydata)
    Block,
}

#[derive(Serialize)]
struct EngineJson {
    engine: &'static str,
    library: String,
    caps: Vec<&'static str>,
    limits: BTreeMap<&'static str, u64>,
    cases: Vec<CaseJson>,
    passed: usize,
    twins: usize,
    failed: usize,
}

#[derive(Serialize)]
struct CaseJson {
    name: String,
    clauses: Vec<&'static str>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

/// An engine of this build under test.
struct Subjected {
    driver: Arc<dyn Driver>,
    seed: Option<u64>,
}

impl Fixture for Subjected {
    fn driver(&self) -> &dyn Driver {
        self.driver.as_ref()
    }

    fn seed(&self) -> u64 {
        let from_env = || std::env::var("PERSIST_SEED").ok().and_then(|text| text.parse().ok());
        self.seed.or_else(from_env).unwrap_or(1)
    }
}

/// Does the work of a child of the crash classes, if this process is one, and ends there.
pub(crate) fn child_if_asked() {
    if std::env::var_os(crash::CHILD_ENV).is_none() {
        return;
    }
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() != Some(CHILD) {
        return;
    }
    let scheme = args.next().unwrap_or_default();
    if let Some(driver) = persist::drivers().into_iter().find(|driver| driver.scheme() == scheme) {
        child_main_if_asked(&Subject { driver: driver.as_ref(), options: OpenOptions::default() });
    }
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    let mut drivers = persist::drivers();
    if let Some(absent) = args.engines.iter().find(|name| !drivers.iter().any(|it| it.scheme() == **name)) {
        // The facade knows how to say it, and names the feature.
        persist::open(&format!("{absent}:"))?;
    }
    if !args.engines.is_empty() {
        drivers.retain(|driver| args.engines.iter().any(|name| name == driver.scheme()));
    }
    // Ctrl-C ends the run between two cases.
    let _watch = Watch::new(true);
    let mut failed = 0;
    for driver in drivers {
        let report = engine(args, global, driver, out)?;
        failed += report.failed;
        if out.is_json() {
            out.object(&report)?;
        } else {
            out.line(format_args!(
                "{:<8} {} passed, {} by their negative twin, {} failed",
                report.engine, report.passed, report.twins, report.failed
            ))?;
        }
        out.flush()?;
    }
    if failed > 0 { Err(Failure::Told(ErrorKind::Corrupt)) } else { Ok(()) }
}

fn engine(args: &Args, global: &Global, driver: Arc<dyn Driver>, out: &mut Out) -> Result<EngineJson> {
    let offer = driver.offer(&OpenOptions::default());
    let subject = Subjected { driver, seed: args.seed };
    let mut cases = Vec::new();
    let mut seen = |case: CaseJson| {
        let failed = BROKEN.contains(&case.outcome);
        if !out.is_json() && (failed || !global.quiet) {
            let message = case.message.as_deref().map_or_else(String::new, |text| format!(": {text}"));
            out.line(format_args!("{:<8} {:<7} {}{message}", offer.engine, case.outcome, case.name))?;
            out.flush()?;
        }
        cases.push(case);
        Watch::check("conformance").map_err(Failure::from)
    };
    if args.class == Some(ClassArg::Crash) {
        crashes::crash(args, &subject, &mut seen)?;
    } else if args.class == Some(ClassArg::Block) {
        crashes::block(args, &subject, &mut seen)?;
    } else {
        let class = match args.class {
            Some(ClassArg::Quick) => Some(Class::Quick),
            Some(ClassArg::Model) => Some(Class::Model),
            _ => None,
        };
        let filter = Filter { pattern: args.case.clone(), class, ..Filter::default() };
        let mut stopped = Ok(());
        let report = run_with(&subject, &filter, &mut |case| {
            if stopped.is_ok() {
                stopped = seen(case_json(case));
            }
        });
        stopped?;
        if report.cases.is_empty() {
            return Err(Failure::Usage("no case has this class and name".to_owned()));
        }
    }
    let count = |outcomes: &[&str]| cases.iter().filter(|case| outcomes.contains(&case.outcome)).count();
    Ok(EngineJson {
        engine: offer.engine,
        library: offer.library.clone(),
        caps: offer.caps.rows().map(|cap| cap.name).collect(),
        limits: offer.limits.named().into_iter().collect(),
        passed: count(&["passed"]),
        twins: count(&["twin"]),
        failed: count(&BROKEN),
        cases,
    })
}

fn case_json(case: &CaseReport) -> CaseJson {
    CaseJson {
        name: case.case.name.to_owned(),
        clauses: case.case.each_clause().collect(),
        outcome: match case.outcome {
            Outcome::Passed => "passed",
            Outcome::TwinPassed => "twin",
            Outcome::Failed(_) => "failed",
        },
        message: case.message(),
    }
}
