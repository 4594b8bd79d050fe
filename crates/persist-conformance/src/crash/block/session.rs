//! One logged run of the workload, and the moments of it at which the power fails.

use std::ffi::OsString;
use std::path::Path;

use persist_api::{Durability, Observer, Progress};
use persist_io::{Disk as _, RealDisk};

use super::super::cuts::Bounds;
use super::super::event::Act;
use super::super::parent::{Examiner, Order, Reentry, Running, Verdict};
use super::super::plan::Profile;
use super::super::report::{CrashError, Violation};
use super::super::rng::Rng;
use super::super::words::Word;
use super::log::Log;
use super::medium::{self, DISK, Medium};
use super::moment::{Replay, Unflushed};
use super::tool::Mounted;
use super::{BlockOptions, BlockReport};

/// What one run of the workload is made of, and how often it is cut.
pub(super) struct Session {
    pub(super) number: u64,
    pub(super) seed: u64,
    pub(super) profile: Profile,
    pub(super) moments: u64,
}

/// What happened in it.
struct Recording {
    log: Log,
    /// Entries of the log before the child began.
    start: usize,
    /// Each word of the child, with the entries of the log when it was said. The child waited meanwhile: what it did before
    /// is among them, what it did after is not.
    words: Vec<(usize, Word)>,
}

/// A disk to examine: after how many entries the power fails, and how.
#[derive(Debug, Clone, Copy)]
struct Job {
    moment: usize,
    unflushed: Unflushed,
}

impl Session {
    pub(super) fn run(
        &self,
        reentry: &Reentry,
        options: &BlockOptions,
        work: &Path,
        observer: &dyn Observer,
        report: &mut BlockReport,
    ) -> Result<(), CrashError> {
        let recording = self.record(reentry, options, work)?;
        recording.count(report);
        let mut examiner = Examiner::new(reentry, self.seed, self.profile);
        let mut replay = Replay::new(&recording.log, DISK);
        let mut bounds = Bounds::default();
        let mut words = recording.words.iter().peekable();
        for job in self.jobs(&recording) {
            let done = Progress {
                phase: "mount",
                done: report.moments,
                total: Some(options.moments),
                unit: "disks",
            };
            observer.step("block_cut", done)?;
            replay.go_to(job.moment);
            while let Some((_, word)) = words.next_if(|(at, _)| *at <= job.moment) {
                bounds.note(&Act::Say(word.clone()));
            }
            let image = work.join(format!("disk-{}", report.moments));
            medium::write(&replay.image(job.unflushed), &image)?;
            let extend = report.moments.is_multiple_of(3);
            let verdict = examine(&mut examiner, bounds, extend, &image, &work.join("root"))?;
            report.moments += 1;
            report.torn += u64::from(job.unflushed != Unflushed::Kept && replay.has_unflushed());
            report.beyond_promise += u64::from(matches!(verdict, Verdict::Fine(beat) if beat > bounds.floor));
            let broken = verdict.broken(bounds.created);
            RealDisk.remove_file(&image)?;
            if let Some((clause, what)) = broken {
                if options.keep {
                    // As it was before anything was recovered on it.
                    medium::write(&replay.image(job.unflushed), &image)?;
                }
                let place = self.place(&job, &recording);
                let replay =
                    format!("PERSIST_SEED={} PERSIST_BLOCK_MOMENTS={}", options.seed, options.moments);
                report.violations.push(Violation { clause, what, place, replay });
                if report.violations.len() >= options.violations_max {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Lets a child work on a fresh file system.
    fn record(
        &self,
        reentry: &Reentry,
        options: &BlockOptions,
        work: &Path,
    ) -> Result<Recording, CrashError> {
        let dir = work.join(format!("session-{}", self.number));
        let medium = Medium::start(&dir, &work.join("root"))?;
        let start = medium.position()?;
        let home = medium.root().join("home");
        let order = Order {
            mode: "paced",
            home: &home,
            seed: self.seed,
            profile: self.profile,
            beats: options.beats,
        };
        let wrapper: &[OsString] = if options.lose_syncs { &["eatmydata".into()] } else { &[] };
        let mut running = Running::start(reentry.command(wrapper)?, order)?;
        let mut words = Vec::new();
        while let Some(word) = running.hear()? {
            if let Word::Fail(said) = word {
                return Err(CrashError::Lost { status: "the workload failed".to_owned(), said });
            }
            words.push((medium.position()?, word));
            running.go_on();
        }
        let (status, said) = running.finish()?;
        if !matches!(words.last(), Some((_, Word::Done))) {
            return Err(CrashError::Lost { status: status.to_string(), said });
        }
        let log = medium.end()?;
        persist_io::remove_tree(&RealDisk, &dir)?;
        Ok(Recording { log, start, words })
    }

    /// Half of the moments are spread evenly over the log, and each of these disks holds all that was written before. The
    /// others do not hold all that was not flushed: right after a promise, right before a flush, and anywhere.
    fn jobs(&self, recording: &Recording) -> Vec<Job> {
        let mut rng = Rng::new(&[self.seed, 0x626c_6f63_6b73]);
        let (first, last) = (recording.start, recording.log.len());
        let width = last.saturating_sub(first);
        let even = self.moments.div_ceil(2);
        let steps = even.saturating_sub(1).max(1);
        let mut jobs: Vec<Job> = (0..even)
            .map(|number| usize::try_from(width as u64 * number / steps).unwrap_or(width))
            .map(|step| Job { moment: last - step, unflushed: Unflushed::Kept })
            .collect();
        let (promises, flushes) = (recording.promises(), recording.flushes());
        for number in even..self.moments {
            let (places, unflushed) = match number % 3 {
                0 => (&promises, Unflushed::Lost),
                1 => (&flushes, Unflushed::Torn(rng.next())),
                _ => (&Vec::new(), Unflushed::Torn(rng.next())),
            };
            let anywhere = first + rng.index(width + 1);
            let moment = places.get(rng.index(places.len())).copied().unwrap_or(anywhere);
            jobs.push(Job { moment, unflushed });
        }
        jobs.sort_by_key(|job| job.moment);
        jobs
    }

    fn place(&self, job: &Job, recording: &Recording) -> String {
        let said = recording.words.iter().take_while(|(at, _)| *at <= job.moment).last();
        format!(
            "session {} ({}), entry {} of {}, unflushed writes {}, after {:?}",
            self.number,
            self.profile.name(),
            job.moment,
            recording.log.len(),
            job.unflushed,
            said.map(|(_, word)| word)
        )
    }
}

impl Recording {
    /// When the child was told that something is durable.
    fn promises(&self) -> Vec<usize> {
        let promise = |word: &Word| matches!(word, Word::Ack(_, Durability::Durable) | Word::Sync(_));
        self.words.iter().filter(|(_, word)| promise(word)).map(|(at, _)| *at).collect()
    }

    /// The flushes since the child began.
    fn flushes(&self) -> Vec<usize> {
        let entries = self.log.entries().iter().enumerate().skip(self.start);
        entries.filter(|(_, entry)| entry.flushes()).map(|(at, _)| at).collect()
    }

    fn count(&self, report: &mut BlockReport) {
        report.sessions += 1;
        report.entries += self.log.len().saturating_sub(self.start) as u64;
        report.flushes += self.flushes().len() as u64;
        let mut promised = Bounds::default();
        for (_, word) in &self.words {
            promised.note(&Act::Say(word.clone()));
        }
        let acknowledged = self.words.iter().filter_map(|(_, word)| match word {
            Word::Ack(beat, _) => Some(*beat),
            _ => None,
        });
        report.beats_acknowledged += acknowledged.clone().count() as u64;
        report.beats_promised += acknowledged.filter(|beat| *beat <= promised.floor).count() as u64;
    }
}

/// Mounts a disk and has the store on it examined.
fn examine(
    examiner: &mut Examiner<'_>,
    bounds: Bounds,
    extend: bool,
    image: &Path,
    root: &Path,
) -> Result<Verdict, CrashError> {
    let mounted = Mounted::new(image, root)?;
    let question = bounds.question(root.join("home"), extend);
    let verdict = examiner.ask(&question)?;
    mounted.end()?;
    Ok(verdict)
}
