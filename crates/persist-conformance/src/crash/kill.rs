//! The kill class: SIGKILL at random moments, reopen, compare, go on (contract D-1, D-2, B-1, O-2).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use persist_api::Durability;
use persist_io::{Disk as _, RealDisk};

use super::check::Question;
use super::child::Subject;
use super::parent::{Broken, Examiner, Order, Reentry, Running, Verdict, unfinished};
use super::plan::Profile;
use super::report::{CrashError, KillReport, Violation};
use super::rng::Rng;
use super::words::Word;

/// How much the kill class does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KillOptions {
    /// Decides the content of the beats and where the kills fall (up to the scheduler).
    pub seed: u64,
    /// How many children are killed.
    pub rounds: u64,
    /// After so many violations the run ends.
    pub violations_max: usize,
}

impl Default for KillOptions {
    fn default() -> Self {
        Self { seed: 1, rounds: 12, violations_max: 5 }
    }
}

impl KillOptions {
    /// The defaults, changed by `PERSIST_SEED` and `PERSIST_KILL_ROUNDS`.
    #[must_use]
    pub fn from_env() -> Self {
        let default = Self::default();
        Self {
            seed: super::number_from_env("PERSIST_SEED").unwrap_or(default.seed),
            rounds: super::number_from_env("PERSIST_KILL_ROUNDS").unwrap_or(default.rounds),
            ..default
        }
    }
}

/// One store that is killed again and again, and what is known about it.
struct Victim<'r> {
    home: PathBuf,
    profile: Profile,
    examiner: Examiner<'r>,
    /// The store was open at least once.
    created: bool,
    /// The newest beat that must be there.
    floor: u64,
    /// The newest beat that may be there.
    ceiling: u64,
}

/// Runs the kill class on an engine.
///
/// Each round starts a child on a store that earlier rounds left, kills it after a random number of acknowledgements
/// and a random further delay, and examines what is left: it must open at a complete beat, no older than the newest one
/// acknowledged at any level and no newer than the last one begun. Every fourth time the next child opens the store
/// unexamined, and reports what it sees.
///
/// # Errors
/// When the class could not be run. What the engine breaks is in the report.
pub fn kill(
    subject: &Subject<'_>,
    reentry: &Reentry,
    options: &KillOptions,
) -> Result<KillReport, CrashError> {
    let work = tempfile::tempdir().map_err(|source| CrashError::io("a temporary directory", source))?;
    let mut report = KillReport {
        engine: subject.driver.scheme().to_owned(),
        seed: options.seed,
        ..KillReport::default()
    };
    if subject.driver.offer(&subject.options).durability_max() == Durability::Volatile {
        return Ok(report);
    }
    let mut victims: Vec<_> = Profile::ALL
        .into_iter()
        .map(|profile| Victim::new(work.path(), reentry, options.seed, profile))
        .collect();
    let mut rng = Rng::new(&[options.seed, 0x6b69_6c6c]);
    for round in 0..options.rounds {
        let index = usize::try_from(round).unwrap_or(0) % victims.len();
        let Some(victim) = victims.get_mut(index) else { break };
        let broken = victim.round(reentry, options.seed, round, &mut rng, &mut report)?;
        if let Some((clause, what)) = broken {
            report.violations.push(Violation {
                clause,
                what,
                place: format!("kill {round}, profile {}", victim.profile.name()),
                replay: format!("PERSIST_SEED={} PERSIST_KILL_ROUNDS={}", options.seed, options.rounds),
            });
            if report.violations.len() >= options.violations_max {
                break;
            }
            let fresh = work.path().join(round.to_string());
            RealDisk.create_dir(&fresh)?;
            *victim = Victim::new(&fresh, reentry, options.seed, victim.profile);
        }
    }
    Ok(report)
}

impl<'r> Victim<'r> {
    fn new(work: &Path, reentry: &'r Reentry, seed: u64, profile: Profile) -> Self {
        Self {
            home: work.join(profile.name()),
            profile,
            examiner: Examiner::new(reentry, seed, profile),
            created: false,
            floor: 0,
            ceiling: 0,
        }
    }

    fn round(
        &mut self,
        reentry: &Reentry,
        seed: u64,
        round: u64,
        rng: &mut Rng,
        report: &mut KillReport,
    ) -> Result<Broken, CrashError> {
        let home = self.home.clone();
        let order = Order { mode: "work", home: &home, seed, profile: self.profile, beats: 100_000 };
        let mut broken = None;
        let mut running = Running::start(reentry.command(&[])?, order)?;
        let acks = if rng.one_in(5) { 0 } else { 1 + rng.below(12) };
        let delay = Duration::from_micros(rng.below(if acks == 0 { 20_000 } else { 4_000 }));
        let mut seen = 0;
        while seen < acks {
            let Some(word) = running.hear()? else { break };
            seen += u64::from(matches!(word, Word::Ack(..)));
            self.note(word, report, &mut broken);
        }
        let ended =
            running.hear_until(Instant::now() + delay, &mut |word| self.note(word, report, &mut broken));
        if ended && broken.is_none() {
            let (status, said) = running.finish()?;
            return Err(CrashError::Lost { status: status.to_string(), said });
        }
        running.kill(&mut |word| self.note(word, report, &mut broken))?;
        report.kills += 1;
        if broken.is_some() || round % 4 == 3 {
            return Ok(broken);
        }
        self.examine(report)
    }

    /// Takes in what a child says. Whatever it saw or got acknowledged is in the page cache and survives its death.
    fn note(&mut self, word: Word, report: &mut KillReport, broken: &mut Broken) {
        match word {
            Word::Open(beat, _) if beat < self.floor || beat > self.ceiling => {
                let what =
                    format!("the next child found beat {beat}, not within {}..={}", self.floor, self.ceiling);
                broken.get_or_insert(("D-2".to_owned(), what));
            }
            Word::Open(beat, _) => {
                report.beats_beyond += beat - self.floor;
                self.created = true;
                (self.floor, self.ceiling) = (beat, beat);
            }
            Word::Try(beat) => self.ceiling = beat,
            Word::Ack(beat, level) => {
                report.beats_acknowledged += 1;
                if level >= Durability::Buffered {
                    self.floor = beat;
                }
            }
            Word::Fail(why) if !self.created => {
                broken.get_or_insert(unfinished(&why));
            }
            Word::Fail(why) => {
                broken.get_or_insert(("D-1".to_owned(), format!("the workload failed: {why}")));
            }
            _ => {}
        }
    }

    fn examine(&mut self, report: &mut KillReport) -> Result<Broken, CrashError> {
        let question = Question {
            home: self.home.clone(),
            floor: self.floor,
            found: 0,
            ceiling: self.ceiling,
            extend: false,
        };
        report.homes_examined += 1;
        let verdict = self.examiner.ask(&question)?;
        if let Verdict::Fine(beat) = verdict {
            report.beats_beyond += beat - self.floor.min(beat);
            self.created = true;
            (self.floor, self.ceiling) = (beat, beat);
        }
        Ok(verdict.broken(self.created))
    }
}
