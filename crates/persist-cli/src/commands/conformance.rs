//! `persist conformance`: the suite on engines of this build.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::ValueEnum;
use persist::{Driver, ErrorKind, OpenOptions};
use persist_conformance::crash::{
    self, CrashError, KillOptions, PowerOptions, Reentry, Subject, child_main_if_asked,
};
use persist_conformance::{CaseReport, Class, Filter, Fixture, Outcome, run_with};
use serde::Serialize;

use crate::args::Global;
use crate::fail::{Failure, Result};
use crate::out::Out;
use crate::watch::Watch;

/// What the kill class does per round, in images of the power-cut class.
const IMAGES_PER_ROUND: u64 = 10;
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
    /// Only cases whose names contain this (not in class crash)
    #[arg(long, value_name = "PATTERN")]
    case: Option<String>,
    /// Kills of the class crash; ten times as many disk images
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
        let failed = case.outcome == "failed";
        if !out.is_json() && (failed || !global.quiet) {
            let message = case.message.as_deref().map_or_else(String::new, |text| format!(": {text}"));
            out.line(format_args!("{:<8} {:<7} {}{message}", offer.engine, case.outcome, case.name))?;
            out.flush()?;
        }
        cases.push(case);
        Watch::check("conformance").map_err(Failure::from)
    };
    if args.class == Some(ClassArg::Crash) {
        crash_cases(args, &subject, &mut seen)?;
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
    let count = |outcome| cases.iter().filter(|case| case.outcome == outcome).count();
    Ok(EngineJson {
        engine: offer.engine,
        library: offer.library.clone(),
        caps: offer.caps.rows().map(|cap| cap.name).collect(),
        limits: offer.limits.named().into_iter().collect(),
        passed: count("passed"),
        twins: count("twin"),
        failed: count("failed"),
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

/// The crash classes. This very program, started again, is the child that is killed or recorded.
fn crash_cases(args: &Args, fixture: &Subjected, seen: &mut dyn FnMut(CaseJson) -> Result<()>) -> Result<()> {
    let subject = Subject { driver: fixture.driver(), options: OpenOptions::default() };
    let offer = subject.driver.offer(&subject.options);
    let reentry = Reentry::args([CHILD, offer.engine]);
    let (kill, power) = (KillOptions::from_env(), PowerOptions::from_env());
    let kill = KillOptions {
        seed: args.seed.unwrap_or(kill.seed),
        rounds: args.rounds.unwrap_or(kill.rounds),
        ..kill
    };
    let images = args.rounds.map(|rounds| rounds.saturating_mul(IMAGES_PER_ROUND));
    let power = PowerOptions {
        seed: args.seed.unwrap_or(power.seed),
        images: images.unwrap_or(power.images),
        ..power
    };
    let keeps = offer.durability_max() > persist::Durability::Volatile;
    // The counts of a run that passed are worth as much as the violations of one that failed.
    let report =
        |name: &str, clauses: &[&'static str], result: Result<(bool, String), CrashError>| CaseJson {
            name: format!("crash::{name}"),
            clauses: clauses.to_vec(),
            outcome: match &result {
                Ok((true, _)) if keeps => "passed",
                // An engine that promises nothing has nothing to lose; the class saw that it says so.
                Ok((true, _)) => "twin",
                Ok((false, _)) | Err(_) => "failed",
            },
            message: Some(result.map_or_else(|error| error.to_string(), |(_, told)| told)),
        };
    let killed = crash::kill(&subject, &reentry, &kill);
    let killed = killed.map(|report| (report.is_clean(), report.to_string()));
    seen(report("kill", &["B-1", "D-1", "D-2"], killed))?;
    if !keeps {
        return Ok(());
    }
    let cut = crash::power_cut(&subject, &reentry, &power);
    let cut = cut.map(|report| (report.is_clean(), report.to_string()));
    seen(report("power_cut", &["D-1", "D-2", "D-3", "D-6"], cut))?;
    // Without any sync a few images are enough to fail; that they do is the point.
    let unsynced = PowerOptions { lose_syncs: true, images: 60, ..PowerOptions::default() };
    let noticed = crash::power_cut(&subject, &reentry, &unsynced);
    let noticed = noticed.map(|report| {
        if report.is_clean() {
            (false, format!("dropped syncs went unnoticed: {report}"))
        } else {
            (true, "dropped syncs were noticed, as they must be".to_owned())
        }
    });
    seen(report("power_cut_notices_lost_syncs", &["D-2"], noticed))
}
