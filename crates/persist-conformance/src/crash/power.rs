//! The power-cut class: records what is really asked of the kernel, cuts the power at many places of the record, and
//! opens what may then be on the disk (contract D-1, D-2, D-3, D-6).

use std::path::{Path, PathBuf};

use persist_api::Durability;
use persist_io::{Disk as _, RealDisk};

use super::check::Question;
use super::child::Subject;
use super::disk::{Disk, NameRules};
use super::event::{Act, Event, Tree};
use super::image::{Fate, Kind, write};
use super::kernel::Recording;
use super::parent::{Examiner, Order, Reentry, Verdict};
use super::plan::Profile;
use super::record::{read, record};
use super::report::{CrashError, PowerReport, Violation};
use super::rng::Rng;
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
            images: 120,
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
    /// The defaults, changed by `PERSIST_CRASH_SEED`, `PERSIST_POWER_IMAGES`, `PERSIST_POWER_BEATS` and
    /// `PERSIST_POWER_REPLAY`; what fails is kept.
    #[must_use]
    pub fn from_env() -> Self {
        let default = Self::default();
        Self {
            seed: super::number_from_env("PERSIST_CRASH_SEED").unwrap_or(default.seed),
            images: super::number_from_env("PERSIST_POWER_IMAGES").unwrap_or(default.images),
            beats: super::number_from_env("PERSIST_POWER_BEATS").unwrap_or(default.beats),
            replay: std::env::var_os("PERSIST_POWER_REPLAY").map(PathBuf::from),
            keep: true,
            ..default
        }
    }
}

/// The recorded sessions: profile, and whether it starts from an image of the first session, so that recovery itself is
/// recorded and cut.
const SESSIONS: [(Profile, bool); 4] =
    [(Profile::Mixed, false), (Profile::Durable, false), (Profile::Buffered, false), (Profile::Mixed, true)];

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
    if subject.driver.offer(&subject.options).durability_max() == Durability::Volatile {
        return Ok(report);
    }
    let own = tempfile::tempdir().map_err(|source| CrashError::io("a temporary directory", source))?;
    let work = options.replay.clone().unwrap_or_else(|| own.path().to_owned());
    let work = work.canonicalize().map_err(|source| CrashError::io(work.display().to_string(), source))?;
    let mut found: Option<(Tree, u64)> = None;
    for (number, (profile, recovers)) in SESSIONS.into_iter().enumerate() {
        let start = if recovers { found.take() } else { None };
        if (recovers && start.is_none()) || report.violations.len() >= options.violations_max {
            continue;
        }
        let session = Session { number, profile, start, dir: work.join(format!("session-{number}")) };
        let fine = session.run(reentry, options, own.path(), &mut report)?;
        if number == 0 {
            found = fine;
        }
    }
    if options.keep && options.replay.is_none() && !report.is_clean() {
        report.kept = Some(own.keep());
    }
    Ok(report)
}

struct Session {
    number: usize,
    profile: Profile,
    /// What lies on the disk at the beginning, and the beat that it shows; nothing at all otherwise.
    start: Option<(Tree, u64)>,
    dir: PathBuf,
}

/// What must and may be on the disk at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bounds {
    /// The store was open: from now on it must open again.
    created: bool,
    floor: u64,
    ceiling: u64,
}

impl Bounds {
    fn note(&mut self, act: &Act) {
        match act {
            Act::Say(Word::Open(beat)) => {
                self.created = true;
                self.ceiling = self.ceiling.max(*beat);
            }
            Act::Say(Word::Try(beat)) => self.ceiling = *beat,
            Act::Say(Word::Ack(beat, Durability::Durable) | Word::Sync(beat)) => {
                self.floor = self.floor.max(*beat);
            }
            _ => {}
        }
    }
}

/// One image to build: after how many events the power fails, and how.
struct Job {
    cut: usize,
    kind: Kind,
    seed: u64,
}

impl Session {
    /// Gives an image that was found right, and its beat, for a session that starts from it.
    fn run(
        &self,
        reentry: &Reentry,
        options: &PowerOptions,
        scratch: &Path,
        report: &mut PowerReport,
    ) -> Result<Option<(Tree, u64)>, CrashError> {
        let (root, trace) = (self.dir.join("root"), self.dir.join("trace"));
        if options.replay.is_none() {
            RealDisk.create_dir(&self.dir)?;
            RealDisk.create_dir(&root)?;
            if let Some((tree, _)) = &self.start {
                write(tree, &root)?;
            }
            let (home, beats) = (root.join("home"), options.beats);
            let order = Order { mode: "work", home: &home, seed: options.seed, profile: self.profile, beats };
            record(reentry, order, options.lose_syncs, &trace)?;
        }
        let base = self.start.as_ref().map_or_else(Tree::default, |(tree, _)| tree.clone());
        let recording = read(base, &root, &trace)?;
        self.count(&recording, options, report);
        let mut runner = Runner {
            session: self,
            recording: &recording,
            options,
            examiner: Examiner::new(reentry, options.seed, self.profile),
            scratch: scratch.join(format!("image-{}", self.number)),
            fine: None,
        };
        runner.run(report)?;
        Ok(runner.fine)
    }

    fn count(&self, recording: &Recording, options: &PowerOptions, report: &mut PowerReport) {
        report.sessions += 1;
        report.calls += recording.calls;
        let mut promised = Bounds { created: false, floor: 0, ceiling: 0 };
        let mut acknowledged = Vec::new();
        for event in &recording.events {
            report.syncs += u64::from(event.act.is_sync());
            if let Act::Say(Word::Ack(beat, _)) = event.act {
                acknowledged.push(beat);
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
                replay: format!("PERSIST_CRASH_SEED={}", options.seed),
            });
        }
    }
}

struct Runner<'s> {
    session: &'s Session,
    recording: &'s Recording,
    options: &'s PowerOptions,
    examiner: Examiner<'s>,
    scratch: PathBuf,
    fine: Option<(Tree, u64)>,
}

impl Runner<'_> {
    fn run(&mut self, report: &mut PowerReport) -> Result<(), CrashError> {
        let start = self.session.start.as_ref().map_or(0, |(_, beat)| *beat);
        let mut bounds = Bounds { created: self.session.start.is_some(), floor: start, ceiling: start };
        let mut disk = Disk::new(self.recording.base.clone(), self.options.rules);
        let mut done = 0;
        let mut last_cut = None;
        for job in self.jobs() {
            for event in self.recording.events.get(done..job.cut).unwrap_or_default() {
                disk.step(event);
                bounds.note(&event.act);
            }
            done = done.max(job.cut);
            if disk.pending() == 0 && job.kind != Kind::Nothing {
                continue;
            }
            report.cuts += u64::from(last_cut.replace(job.cut) != Some(job.cut));
            self.image(&disk, bounds, &job, report)?;
            if report.violations.len() >= self.options.violations_max {
                break;
            }
        }
        Ok(())
    }

    /// Half of the images hold nothing unsynced, each cut right before a sync, when most is promised of what least is
    /// durable; if there are images enough, that is every such image there is. The others are cut around syncs, after
    /// promises, and anywhere.
    fn jobs(&self) -> Vec<Job> {
        let events = &self.recording.events;
        let mut rng = Rng::new(&[self.options.seed, self.session.number as u64, 0x6375_7473]);
        let (mut bare, mut telling) = (vec![events.len()], Vec::new());
        for (at, event) in events.iter().enumerate() {
            if event.act.is_sync() {
                bare.push(at);
                telling.extend([at, at + 1]);
            }
            if matches!(event.act, Act::Say(Word::Ack(..) | Word::Sync(_))) {
                telling.push(at + 1);
            }
        }
        let budget = usize::try_from(self.options.images).unwrap_or(usize::MAX) / SESSIONS.len();
        while bare.len() > (budget / 2).max(1) {
            bare.swap_remove(rng.index(bare.len()));
        }
        let mut jobs: Vec<_> =
            bare.into_iter().map(|cut| Job { cut, kind: Kind::Nothing, seed: 0 }).collect();
        let mut kinds = Kind::OTHERS.into_iter().cycle();
        while jobs.len() < budget.max(2) {
            let cut = match telling.get(rng.index(telling.len())) {
                Some(cut) if !rng.one_in(3) => *cut,
                _ => rng.index(events.len() + 1),
            };
            let more = kinds.by_ref().take(3);
            jobs.extend(more.map(|kind| Job { cut, kind, seed: rng.next() }));
        }
        jobs.sort_by_key(|job| job.cut);
        jobs
    }

    fn image(
        &mut self,
        disk: &Disk,
        bounds: Bounds,
        job: &Job,
        report: &mut PowerReport,
    ) -> Result<(), CrashError> {
        let pending = disk.pending_places();
        let chosen = pending.get(Rng::new(&[job.seed]).index(pending.len())).copied().unwrap_or(0);
        let tree = disk.image(&Fate { kind: job.kind, seed: job.seed, chosen });
        RealDisk.create_dir(&self.scratch)?;
        write(&tree, &self.scratch)?;
        let question = Question {
            home: self.scratch.join("home"),
            floor: bounds.floor,
            ceiling: bounds.ceiling,
            extend: report.images.is_multiple_of(3),
        };
        report.images += 1;
        let broken = match self.examiner.ask(&question)? {
            Verdict::Fine(beat) => {
                report.beyond_promise += u64::from(beat > bounds.floor);
                let late = job.cut > self.recording.events.len() / 3;
                if self.fine.is_none() && late && matches!(job.kind, Kind::Percent(_)) {
                    self.fine = Some((tree, beat));
                }
                None
            }
            Verdict::Refused(_) if !bounds.created => {
                report.refused_in_creation += 1;
                None
            }
            Verdict::Refused(why) => Some(("D-1".to_owned(), format!("does not open: {why}"))),
            Verdict::Bad { clause, what } => Some((clause, what)),
        };
        persist_io::remove_tree(&RealDisk, &self.scratch)?;
        if let Some((clause, what)) = broken {
            let place = self.place(job);
            if self.options.keep {
                let kept = self.scratch.with_extension(format!("failed-{}", report.images));
                RealDisk.create_dir(&kept)?;
                write(&disk.image(&Fate { kind: job.kind, seed: job.seed, chosen }), &kept)?;
            }
            report.violations.push(Violation { clause, what, place, replay: self.replay() });
        }
        Ok(())
    }

    fn place(&self, job: &Job) -> String {
        let (session, events) = (self.session, &self.recording.events);
        let around = |at: Option<usize>| {
            at.and_then(|at| events.get(at)).map_or_else(|| "nothing".to_owned(), |event| self.show(event))
        };
        format!(
            "session {} ({}), cut {} of {}: after {}, before {}; survives: {}",
            session.number,
            session.profile.name(),
            job.cut,
            events.len(),
            around(job.cut.checked_sub(1)),
            around(Some(job.cut)),
            job.kind
        )
    }

    fn show(&self, event: &Event) -> String {
        let path = |ino| {
            let path = self.recording.last.path_of(ino);
            if path.is_empty() { format!("file {ino}") } else { path }
        };
        let what = match &event.act {
            Act::Change(ino, _) => format!("a change of {}", path(*ino)),
            Act::Names(changes) => {
                let names: Vec<_> =
                    changes.iter().map(|change| String::from_utf8_lossy(&change.name)).collect();
                format!("a change of the name {}", names.join(" and "))
            }
            Act::Sync(ino) => format!("the sync of {}", path(*ino)),
            Act::SyncRange(ino, ..) => format!("the synced write of {}", path(*ino)),
            other => format!("{other:?}"),
        };
        format!("{what} (line {})", event.end)
    }

    fn replay(&self) -> String {
        let (seed, images) = (self.options.seed, self.options.images);
        format!("PERSIST_POWER_REPLAY=<kept> PERSIST_CRASH_SEED={seed} PERSIST_POWER_IMAGES={images}")
    }
}
