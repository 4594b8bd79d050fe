//! Where the power is cut in a recorded session, what must be found there, and the images of each cut.

use std::path::PathBuf;

use persist_api::Durability;
use persist_io::{Disk as _, RealDisk};

use super::check::Question;
use super::disk::Disk;
use super::event::{Act, Event, Tree};
use super::image::{Fate, Kind, write};
use super::kernel::Recording;
use super::parent::{Examiner, Verdict};
use super::power::{PowerOptions, SESSIONS, Session};
use super::report::{CrashError, PowerReport, Violation};
use super::rng::Rng;
use super::words::Word;

/// What must and may be on the disk at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// The store was open: from now on it must open again.
    pub(crate) created: bool,
    /// The newest beat that was promised to survive.
    pub(crate) floor: u64,
    /// The newest one that an opening showed as durable.
    pub(crate) found: u64,
    /// The newest one that was begun.
    pub(crate) ceiling: u64,
}

impl Bounds {
    pub(crate) fn note(&mut self, act: &Act) {
        match act {
            Act::Say(Word::Open(beat, level)) => {
                self.created = true;
                if *level == Durability::Durable {
                    self.found = self.found.max(*beat);
                }
                self.ceiling = self.ceiling.max(*beat);
            }
            Act::Say(Word::Try(beat)) => self.ceiling = *beat,
            Act::Say(Word::Ack(beat, Durability::Durable) | Word::Sync(beat)) => {
                self.floor = self.floor.max(*beat);
            }
            _ => {}
        }
    }

    /// What a home is examined for after a power cut now.
    pub(crate) fn question(&self, home: PathBuf, extend: bool) -> Question {
        let Self { floor, found, ceiling, .. } = *self;
        Question { home, floor, found, ceiling, extend }
    }
}

/// One image to build: after how many events the power fails, and how.
struct Job {
    cut: usize,
    kind: Kind,
    seed: u64,
}

/// Cuts one session.
pub(crate) struct Runner<'s> {
    pub(crate) session: &'s Session,
    pub(crate) recording: &'s Recording,
    pub(crate) options: &'s PowerOptions,
    pub(crate) examiner: Examiner<'s>,
    pub(crate) scratch: PathBuf,
    /// An image that was found right and what it shows; a torn one from well within the session where there is one.
    pub(crate) fine: Option<(Tree, u64)>,
    pub(crate) fine_is_torn: bool,
}

impl Runner<'_> {
    pub(crate) fn run(&mut self, report: &mut PowerReport) -> Result<(), CrashError> {
        let mut bounds = self.session.start.bounds;
        let mut disk = self.session.start.disk.clone();
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
    /// durable; if there are images enough, that is every such image there is. One more is cut right behind the opening. The
    /// others are cut around syncs, after promises, and anywhere.
    fn jobs(&self) -> Vec<Job> {
        let events = &self.recording.events;
        let mut rng = Rng::new(&[self.options.seed, self.session.number as u64, 0x6375_7473]);
        let (mut bare, mut telling) = (vec![events.len()], Vec::new());
        for (at, event) in events.iter().enumerate() {
            if event.act.is_sync() {
                bare.push(at);
                telling.extend([at, at + 1]);
            }
            if matches!(event.act, Act::Say(Word::Open(..) | Word::Ack(..) | Word::Sync(_))) {
                telling.push(at + 1);
            }
        }
        let budget = usize::try_from(self.options.images).unwrap_or(usize::MAX) / SESSIONS.len();
        while bare.len() > (budget / 2).max(1) {
            bare.swap_remove(rng.index(bare.len()));
        }
        let open = events.iter().position(|event| matches!(event.act, Act::Say(Word::Open(..))));
        bare.extend(open.map(|at| at + 1));
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
        let question = bounds.question(self.scratch.join("home"), report.images.is_multiple_of(3));
        report.images += 1;
        let verdict = self.examine(&tree, &question)?;
        if let Verdict::Fine(beat) = verdict {
            report.beyond_promise += u64::from(beat > bounds.floor);
            let torn = matches!(job.kind, Kind::Percent(_)) && job.cut > self.recording.events.len() / 3;
            if self.fine.is_none() || (torn && !self.fine_is_torn) {
                self.fine = Some((tree, beat));
                self.fine_is_torn = torn;
            }
        }
        if let Some((clause, what)) = verdict.broken(bounds.created) {
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

    /// Writes a disk out and has the home on it examined.
    fn examine(&mut self, tree: &Tree, question: &Question) -> Result<Verdict, CrashError> {
        RealDisk.create_dir(&self.scratch)?;
        write(tree, &self.scratch)?;
        let verdict = self.examiner.ask(question)?;
        persist_io::remove_tree(&RealDisk, &self.scratch)?;
        Ok(verdict)
    }

    /// The beat that the home on a disk shows, if it is right in every respect.
    pub(crate) fn shows(&mut self, tree: &Tree) -> Result<Option<u64>, CrashError> {
        let anything = Bounds { ceiling: u64::MAX, ..Bounds::default() };
        let verdict = self.examine(tree, &anything.question(self.scratch.join("home"), false))?;
        Ok(if let Verdict::Fine(beat) = verdict { Some(beat) } else { None })
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
        format!("PERSIST_POWER_REPLAY=<kept> PERSIST_SEED={seed} PERSIST_POWER_IMAGES={images}")
    }
}
