//! The power-cut class: records what is really asked of the kernel, cuts the power at many places of the record, and
//! opens what may then be on the disk (contract D-1, D-2, D-3, D-6, D-7).

use std::path::{Path, PathBuf};

use persist_api::Durability;
use persist_io::{Disk as _, RealDisk};

use super::child::Subject;
use super::cuts::{Bounds, Runner};
use super::disk::NameRules;
use super::event::Act;
use super::image::write;
use super::kernel::Recording;
use super::parent::{Examiner, Order, Reentry};
use super::plan::Profile;
use super::record::{read, record};
use super::report::{CrashError, PowerReport, Violation};
use super::start::{Left, Start};
use super::words::Word;

/// How much the power-cut class does, and under which rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PowerOptions {
    /// Decides the content of the beats, the cuts and the images (for a given record).
    pub seed: u64,
    /// How many images are built and opened, over all sessions.
    pub images: u64,
    /// How many beats each recorded session commits.
    pub beats: u64,
    /// What a sync makes durable beyond its file.
    pub rules: NameRules,
    /// Ends of the names of files that are written through shared memory and rebuilt by every first open. Their bytes
    /// cannot be recorded; images hold zeros or noise instead. Any other file of that kind is a violation.
    pub scratch: Vec<String>,
    /// Run the workload under `eatmydata`, which drops every sync: the class must then find lost beats.
    pub lose_syncs: bool,
    /// After so many violations the run ends.
    pub violations_max: usize,
    /// Keep traces and failing images when something was found.
    pub keep: bool,
    /// Use the traces that an earlier run kept instead of recording.
    pub replay: Option<PathBuf>,
}

impl Default for PowerOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            images: 210,
            beats: 24,
            rules: NameRules::Strict,
            scratch: vec!["-shm".to_owned(), "lock.mdb".to_owned()],
            lose_syncs: false,
            violations_max: 5,
            keep: false,
            replay: None,
        }
    }
}

impl PowerOptions {
    /// The defaults, changed by `PERSIST_SEED`, `PERSIST_POWER_IMAGES`, `PERSIST_POWER_BEATS` and
    /// `PERSIST_POWER_REPLAY`; what fails is kept.
    #[must_use]
    pub fn from_env() -> Self {
        let default = Self::default();
        Self {
            seed: super::number_from_env("PERSIST_SEED").unwrap_or(default.seed),
            images: super::number_from_env("PERSIST_POWER_IMAGES").unwrap_or(default.images),
            beats: super::number_from_env("PERSIST_POWER_BEATS").unwrap_or(default.beats),
            replay: std::env::var_os("PERSIST_POWER_REPLAY").map(PathBuf::from),
            keep: true,
            ..default
        }
    }
}

/// What a session begins with: nothing, or what the first one left, so that recovery itself is recorded and cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Nothing,
    /// A power cut.
    PowerCut,
    /// A kill with a durable beat written and not synced.
    KillInCommit,
    /// A kill before any sync.
    Kill,
}

/// The recorded sessions. Those that begin with what the first left are of its profile.
pub(crate) const SESSIONS: [(Profile, After); 7] = [
    (Profile::Mixed, After::Nothing),
    (Profile::Durable, After::Nothing),
    (Profile::Buffered, After::Nothing),
    (Profile::Mixed, After::PowerCut),
    (Profile::Mixed, After::KillInCommit),
    (Profile::Mixed, After::KillInCommit),
    (Profile::Mixed, After::Kill),
];

/// Runs the power-cut class on an engine.
///
/// # Errors
/// When the class could not be run, for example without `strace`. What the engine breaks is in the report.
pub fn power_cut(
    subject: &Subject<'_>,
    reentry: &Reentry,
    options: &PowerOptions,
) -> Result<PowerReport, CrashError> {
    let mut report = PowerReport {
        engine: subject.driver.scheme().to_owned(),
        seed: options.seed,
        ..PowerReport::default()
    };
    let durability = subject.driver.offer(&subject.options).durability_max();
    if durability == Durability::Volatile {
        return Ok(report);
    }
    let own = tempfile::tempdir().map_err(|source| CrashError::io("a temporary directory", source))?;
    let work = options.replay.clone().unwrap_or_else(|| own.path().to_owned());
    let work = work.canonicalize().map_err(|source| CrashError::io(work.display().to_string(), source))?;
    let mut first = Left::default();
    for (number, (profile, after)) in SESSIONS.into_iter().enumerate() {
        let start = match after {
            After::Nothing => Some(Start::nothing(options.rules)),
            After::PowerCut => first.power_cut.take(),
            After::KillInCommit => first.in_commit.pop(),
            After::Kill => first.anywhere.take(),
        };
        let Some(start) = start.filter(|_| report.violations.len() < options.violations_max) else {
            continue;
        };
        let session = Session { number, profile, start, dir: work.join(format!("session-{number}")) };
        let left = session.run(reentry, options, own.path(), &mut report)?;
        let Some(left) = left else { continue };
        if durability == Durability::Durable && !options.lose_syncs && left.in_commit.is_empty() {
            report.violations.push(Violation {
                clause: "D-7".to_owned(),
                what: "cannot be judged: no durable beat was ever written before it was synced".to_owned(),
                place: format!("session {number} ({})", profile.name()),
                replay: format!("PERSIST_SEED={}", options.seed),
            });
        }
        first = left;
    }
    if options.keep && options.replay.is_none() && !report.is_clean() {
        report.kept = Some(own.keep());
    }
    Ok(report)
}

/// One recorded run of the workload.
pub(crate) struct Session {
    pub(crate) number: usize,
    pub(crate) profile: Profile,
    pub(crate) start: Start,
    dir: PathBuf,
}

impl Session {
    /// Records the session and cuts it. Answers what the first one leaves for others.
    fn run(
        &self,
        reentry: &Reentry,
        options: &PowerOptions,
        scratch: &Path,
        report: &mut PowerReport,
    ) -> Result<Option<Left>, CrashError> {
        let (root, trace) = (self.dir.join("root"), self.dir.join("trace"));
        if options.replay.is_none() {
            RealDisk.create_dir(&self.dir)?;
            RealDisk.create_dir(&root)?;
            write(&self.start.tree, &root)?;
            let (home, beats) = (root.join("home"), options.beats);
            let order = Order { mode: "work", home: &home, seed: options.seed, profile: self.profile, beats };
            record(reentry, order, options.lose_syncs, &trace)?;
        }
        let recording = read(self.start.tree.clone(), &root, &trace)?;
        self.count(&recording, options, report);
        let mut runner = Runner {
            session: self,
            recording: &recording,
            options,
            examiner: Examiner::new(reentry, options.seed, self.profile),
            scratch: scratch.join(format!("image-{}", self.number)),
            fine: None,
            fine_is_torn: false,
        };
        runner.run(report)?;
        if self.number == 0 { Left::of(&mut runner).map(Some) } else { Ok(None) }
    }

    fn count(&self, recording: &Recording, options: &PowerOptions, report: &mut PowerReport) {
        report.sessions += 1;
        report.calls += recording.calls;
        let mut promised = Bounds::default();
        let mut acknowledged = Vec::new();
        for event in &recording.events {
            report.syncs += u64::from(event.act.is_sync());
            if let Act::Say(Word::Ack(beat, _)) = event.act {
                acknowledged.push(beat);
            }
            if let Act::Say(Word::Open(beat, Durability::Durable)) = event.act {
                report.openings_ahead += u64::from(beat > self.start.bounds.floor);
            }
            promised.note(&event.act);
        }
        report.beats_acknowledged += acknowledged.len() as u64;
        report.beats_promised += acknowledged.iter().filter(|beat| **beat <= promised.floor).count() as u64;
        let mut unseen = recording.unseen.clone();
        for name in recording.scratch.values() {
            if options.scratch.iter().any(|end| name.ends_with(end)) {
                if !report.scratch.contains(name) {
                    report.scratch.push(name.clone());
                }
            } else {
                unseen.push(format!("{name} is written through shared memory"));
            }
        }
        for what in unseen {
            report.violations.push(Violation {
                clause: "D-2".to_owned(),
                what: format!("cannot be judged: {what}"),
                place: format!("session {} ({})", self.number, self.profile.name()),
                replay: format!("PERSIST_SEED={}", options.seed),
            });
        }
    }
}
