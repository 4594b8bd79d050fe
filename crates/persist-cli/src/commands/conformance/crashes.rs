//! The classes that crash an engine. This very program, started again, is the child that is killed or recorded.

use std::ops::ControlFlow;

use persist::{Durability, OpenOptions};
use persist_api::{Observer, Progress};
use persist_conformance::Fixture as _;
use persist_conformance::crash::{
    self, BlockOptions, BlockReport, CrashError, KillOptions, PowerOptions, Reentry, Subject,
};

use super::{Args, CHILD, CaseJson, Subjected};
use crate::fail::Result;
use crate::watch::Watch;

/// What the kill class does per round, in images of the power-cut class.
const IMAGES_PER_ROUND: u64 = 10;
/// Disks that are enough to notice that no sync is done.
const DISKS_WITHOUT_SYNCS: u64 = 12;

/// Is told of each case when it has ended; fails when the user asked to stop.
type Seen<'s> = &'s mut dyn FnMut(CaseJson) -> Result<()>;

/// An engine under test, and how to start this program as a child that works on it.
struct Patient<'s> {
    subject: Subject<'s>,
    reentry: Reentry,
    /// Something that it acknowledges survives the process.
    keeps: bool,
}

impl<'s> Patient<'s> {
    fn new(fixture: &'s Subjected) -> Self {
        let subject = Subject { driver: fixture.driver(), options: OpenOptions::default() };
        let offer = subject.driver.offer(&subject.options);
        Self {
            subject,
            reentry: Reentry::args([CHILD, offer.engine]),
            keeps: offer.durability_max() > Durability::Volatile,
        }
    }

    /// The counts of a run that passed are worth as much as the violations of one that failed.
    fn case(
        &self,
        name: &str,
        clauses: &[&'static str],
        result: Result<(bool, String), CrashError>,
    ) -> CaseJson {
        CaseJson {
            name: format!("crash::{name}"),
            clauses: clauses.to_vec(),
            outcome: match &result {
                Ok((true, _)) if self.keeps => "passed",
                // An engine that promises nothing has nothing to lose; the class saw that it says so.
                Ok((true, _)) => "twin",
                Err(CrashError::Absent { .. }) => "absent",
                Ok((false, _)) | Err(_) => "failed",
            },
            message: Some(result.map_or_else(|error| error.to_string(), |(_, told)| told)),
        }
    }
}

/// Without any sync a class must fail; that it does is the point.
fn noticed(lost: bool, report: &str) -> (bool, String) {
    if lost {
        (true, "dropped syncs were noticed, as they must be".to_owned())
    } else {
        (false, format!("dropped syncs went unnoticed: {report}"))
    }
}

/// Processes killed, and power cuts over recorded system calls.
pub(super) fn crash(args: &Args, fixture: &Subjected, seen: Seen<'_>) -> Result<()> {
    let patient = Patient::new(fixture);
    let Patient { subject, reentry, keeps } = &patient;
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
    let killed = crash::kill(subject, reentry, &kill);
    let killed = killed.map(|report| (report.is_clean(), report.to_string()));
    seen(patient.case("kill", &["B-1", "D-1", "D-2"], killed))?;
    if !keeps {
        return Ok(());
    }
    let cut = crash::power_cut(subject, reentry, &power);
    let cut = cut.map(|report| (report.is_clean(), report.to_string()));
    seen(patient.case("power_cut", &["D-1", "D-2", "D-3", "D-6", "D-7"], cut))?;
    // A few images are enough to fail.
    let unsynced = PowerOptions { lose_syncs: true, images: 90, ..PowerOptions::default() };
    let cut = crash::power_cut(subject, reentry, &unsynced);
    let cut = cut.map(|report| noticed(!report.is_clean(), &report.to_string()));
    seen(patient.case("power_cut_notices_lost_syncs", &["D-2"], cut))
}

/// Power cuts of a real ext4 on a disk that logs every write.
pub(super) fn block(args: &Args, fixture: &Subjected, seen: Seen<'_>) -> Result<()> {
    let patient = Patient::new(fixture);
    let cut = |options: &BlockOptions| crash::block_cut(&patient.subject, &patient.reentry, options, &Stop);
    let options = BlockOptions::from_env();
    let options = BlockOptions {
        seed: args.seed.unwrap_or(options.seed),
        moments: args.rounds.unwrap_or(options.moments),
        ..options
    };
    let done = cut(&options).map(|report| (report.is_clean(), report.to_string()));
    let absent = matches!(done, Err(CrashError::Absent { .. }));
    seen(patient.case("block_cut", &["D-1", "D-2", "D-3"], done))?;
    if !patient.keeps || absent {
        return Ok(());
    }
    let unsynced = BlockOptions {
        lose_syncs: true,
        moments: DISKS_WITHOUT_SYNCS,
        violations_max: 1,
        ..BlockOptions::default()
    };
    let done =
        cut(&unsynced).map(|report: BlockReport| noticed(report.lost_a_promised_beat(), &report.to_string()));
    seen(patient.case("block_cut_notices_lost_syncs", &["D-2"], done))
}

/// Ctrl-C ends a run between two disks, with everything unmounted.
struct Stop;

impl Observer for Stop {
    fn progress(&self, _: Progress) -> ControlFlow<()> {
        if Watch::check("conformance").is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
