//! The child's side: commits beats and tells its parent about each, or examines homes.

use std::collections::BTreeMap;
use std::io::BufRead as _;
use std::path::{Path, PathBuf};

use persist_api::{CompactScope, Driver, Engine, Error, ErrorKind, OpenOptions, Quiet, View};

use super::check;
use super::plan::{BeatPlan, Model, Profile, Rules, Then};
use super::words::Word;
use crate::Fixture;

/// Which work the child is asked to do: `work`, `paced` or `check`. Absent in every ordinary process.
pub const CHILD_ENV: &str = "PERSIST_CRASH_CHILD";
pub(crate) const HOME_ENV: &str = "PERSIST_CRASH_CHILD_HOME";
pub(crate) const SEED_ENV: &str = "PERSIST_CRASH_CHILD_SEED";
pub(crate) const PROFILE_ENV: &str = "PERSIST_CRASH_CHILD_PROFILE";
pub(crate) const BEATS_ENV: &str = "PERSIST_CRASH_CHILD_BEATS";

/// What is crashed: a driver and how its store is opened. Parent and child build the same one.
#[derive(Clone)]
pub struct Subject<'d> {
    /// The driver under test.
    pub driver: &'d dyn Driver,
    /// How it opens the store.
    pub options: OpenOptions,
}

impl<'d> Subject<'d> {
    /// The engine of a fixture, opened as the fixture says.
    pub fn of(fixture: &'d dyn Fixture) -> Self {
        Self { driver: fixture.driver(), options: fixture.options() }
    }

    pub(crate) fn open(&self, home: &Path) -> Result<Box<dyn Engine>, Error> {
        self.driver.open(home, &self.options, &Quiet)
    }

    pub(crate) fn rules(&self, seed: u64, profile: Profile) -> Rules {
        Rules::new(seed, profile, &self.driver.offer(&self.options))
    }
}

/// What the parent put into the environment.
struct Task {
    home: PathBuf,
    rules: Rules,
    beats: u64,
}

impl Task {
    fn read(subject: &Subject<'_>) -> Option<Self> {
        let var = |name: &str| std::env::var(name).ok();
        let profile = Profile::from_name(&var(PROFILE_ENV)?)?;
        Some(Self {
            home: std::env::var_os(HOME_ENV)?.into(),
            rules: subject.rules(var(SEED_ENV)?.parse().ok()?, profile),
            beats: var(BEATS_ENV)?.parse().ok()?,
        })
    }
}

/// Does the child's work and ends the process, if a parent of this module started it; returns at once otherwise.
///
/// Call it first in `main`, or from a `#[test]` of its own in a test binary; [`crash_classes!`](crate::crash_classes)
/// writes that test.
pub fn child_main_if_asked(subject: &Subject<'_>) {
    let Ok(mode) = std::env::var(CHILD_ENV) else { return };
    let done = match (mode.as_str(), Task::read(subject)) {
        (mode @ ("work" | "paced"), Some(task)) => work(subject, &task, Mouth { paced: mode == "paced" }),
        ("check", Some(task)) => check::serve(subject, task.rules),
        _ => Err(Error::new(ErrorKind::Invalid, "child", "the environment of the child is not complete")),
    };
    if let Err(error) = done {
        // Nobody may be listening any more; then there is nobody to tell.
        let _ = Word::Fail(error.to_string()).say();
        std::process::exit(1);
    }
    std::process::exit(0);
}

/// A child whose parent is gone stops.
pub(crate) fn gone(source: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, "child", "the parent does not listen").with_source(source)
}

/// How the workload tells what it does.
#[derive(Clone, Copy)]
struct Mouth {
    /// It waits for a line after each word, and does nothing until then.
    paced: bool,
}

impl Mouth {
    fn say(self, word: &Word) -> Result<(), Error> {
        word.say().map_err(gone)?;
        if self.paced && std::io::stdin().lock().read_line(&mut String::new()).map_err(gone)? == 0 {
            return Err(gone(std::io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(())
    }
}

fn work(subject: &Subject<'_>, task: &Task, mouth: Mouth) -> Result<(), Error> {
    let engine = subject.open(&task.home)?;
    let mut model = Model::new(task.rules.clone());
    let (shown, level) = {
        let view = engine.view()?;
        (view.header().beat.0, view.header().durability)
    };
    model.go_to(shown)?;
    mouth.say(&Word::Open(shown, level))?;
    let mut held: BTreeMap<u64, Box<dyn View>> = BTreeMap::new();
    for beat in shown.saturating_add(1)..=shown.saturating_add(task.beats) {
        let plan = task.rules.plan(beat);
        one_beat(engine.as_ref(), &mut model, &plan, mouth)?;
        afterwards(engine.as_ref(), &plan, &mut held, mouth)?;
    }
    held.clear();
    engine.close().map_err(|(_, error)| error)?;
    mouth.say(&Word::Done)
}

fn one_beat(engine: &dyn Engine, model: &mut Model, plan: &BeatPlan, mouth: Mouth) -> Result<(), Error> {
    let header = model.header.next(plan.commits, plan.durability, plan.root)?;
    if let Some((ops, by_verb)) = &plan.aborted {
        let mut beat = engine.begin_beat(header)?;
        for op in ops {
            op.apply(beat.as_mut())?;
        }
        if *by_verb {
            beat.abort_beat();
        }
    }
    mouth.say(&Word::Try(header.beat.0))?;
    let mut beat = engine.begin_beat(header)?;
    for op in &plan.ops {
        op.apply(beat.as_mut())?;
    }
    let receipt = beat.commit_beat()?;
    if receipt.header != header || receipt.reached < header.durability {
        let context = format!("asked for {header:?}, the receipt says {receipt:?}");
        return Err(Error::new(ErrorKind::Conflict, "commit_beat", context));
    }
    mouth.say(&Word::Ack(header.beat.0, receipt.reached))?;
    model.go_to(header.beat.0)
}

fn afterwards(
    engine: &dyn Engine,
    plan: &BeatPlan,
    held: &mut BTreeMap<u64, Box<dyn View>>,
    mouth: Mouth,
) -> Result<(), Error> {
    for then in &plan.then {
        match then {
            Then::Sync => mouth.say(&Word::Sync(engine.sync()?.0))?,
            Then::Checkpoint => busy_is_fine(engine.checkpoint())?,
            Then::Compact => {
                held.clear();
                busy_is_fine(engine.compact(CompactScope::default(), &Quiet))?;
            }
            Then::View => {
                let view = engine.view()?;
                held.insert(view.header().beat.0 % 2, view);
            }
        }
    }
    Ok(())
}

fn busy_is_fine<T>(done: Result<T, Error>) -> Result<(), Error> {
    match done {
        Err(error) if error.kind() != ErrorKind::Busy => Err(error),
        _ => Ok(()),
    }
}
