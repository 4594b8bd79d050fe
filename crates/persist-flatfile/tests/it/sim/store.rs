//! The engine on a simulated disk, as a workload of the explorer.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use persist_api::{
    BeatHeader, BeatNo, CompactScope, Driver, Durability, Engine, OpenOptions, Quiet, Result, Scan, Severity,
    View,
};
use persist_flatfile::FlatfileDriver;
use persist_io::Disk;
use persist_io::sim::explore::{Recovered, Workload};
use persist_io::sim::{Mark, SimDisk};

use super::acts::{Act, Rows, abort, states};

/// Beats of history that the stores of these tests keep.
pub(super) const HISTORY: u64 = 3;
pub(super) const HOME: &str = "/store";
const COPY: &str = "/copy";

pub(super) fn options() -> OpenOptions {
    let knobs = [
        ("maintenance", "inline".to_owned()),
        ("memtable_bytes", "4096".to_owned()),
        ("large_value_bytes", "256".to_owned()),
        ("segment_step_bytes", "4096".to_owned()),
        ("history_beats", HISTORY.to_string()),
    ];
    let knobs = knobs.map(|(name, value)| (name.to_owned(), value));
    OpenOptions { knobs: knobs.into(), ..OpenOptions::default() }
}

pub(super) fn open_at(disk: impl Disk + 'static, home: &str) -> Result<Box<dyn Engine>> {
    open_with(disk, home, &options())
}

pub(super) fn open_with(
    disk: impl Disk + 'static,
    home: &str,
    options: &OpenOptions,
) -> Result<Box<dyn Engine>> {
    FlatfileDriver::new(Arc::new(disk)).open(Path::new(home), options, &Quiet)
}

pub(super) fn close(engine: Box<dyn Engine>) -> Result<()> {
    engine.close().map_err(|(_, error)| error)
}

/// What a reader of a store sees.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct State {
    pub(super) rows: Arc<Rows>,
    /// Only where not all could be read: the keys that could, with or without a value.
    pub(super) known: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Not all could be read.
    pub(super) broken: bool,
}

/// What is done, one after the other.
#[derive(Clone)]
pub(super) struct Store {
    /// Done before anything goes wrong.
    before: Vec<Act>,
    acts: Vec<Act>,
    /// The records after each beat, those of `before` included, and after the one that goes on.
    pub(super) states: Arc<Vec<Arc<Rows>>>,
    /// Beats of `before`.
    base: u64,
    /// After damage only the newest state is right, as the store was closed.
    pub(super) closed: bool,
    /// Buffered beats must outlive the process. Not after a failed sync: what the disk forgot then is gone.
    pub(super) buffered_stay: bool,
    /// Holds a [`Disk`] between the engine and the simulated one.
    pub(super) wrap: fn(SimDisk) -> Arc<dyn Disk>,
}

impl Store {
    pub(super) fn new(before: &[Act], acts: &[Act]) -> Self {
        let all: Vec<Act> = before.iter().chain(acts).chain([&Act::Put(9)]).copied().collect();
        Self {
            before: before.to_vec(),
            acts: acts.to_vec(),
            states: Arc::new(states(&all)),
            base: before.iter().filter(|act| act.is_beat()).count() as u64,
            closed: false,
            buffered_stay: true,
            wrap: |disk| Arc::new(disk),
        }
    }

    fn open(&self, disk: &SimDisk) -> Result<Box<dyn Engine>> {
        FlatfileDriver::new((self.wrap)(disk.clone())).open(Path::new(HOME), &options(), &Quiet)
    }

    fn rows_after(&self, beat: BeatNo) -> Option<&Arc<Rows>> {
        self.states.get(usize::try_from(beat.0).ok()?)
    }

    /// The place of the act that makes beat `beat`.
    fn act_of(&self, beat: u64) -> Option<usize> {
        let nth = usize::try_from(beat.checked_sub(self.base + 1)?).ok()?;
        (0..self.acts.len()).filter(|at| self.acts[*at].is_beat()).nth(nth)
    }

    pub(super) fn compacts(&self) -> bool {
        self.before.iter().chain(&self.acts).any(|act| *act == Act::Compact)
    }

    /// Reads through a view. What cannot be read is an error; what can must be right.
    pub(super) fn check_view(&self, view: &dyn View) -> Result<()> {
        let rows = read_all(view)?;
        let beat = view.header().beat;
        let right = self.rows_after(beat).expect("a beat that was asked for");
        assert_eq!(&rows, &**right, "through a view of beat {beat}");
        Ok(())
    }
}

/// All records of a view.
pub(super) fn read_all(view: &dyn View) -> Result<Rows> {
    let mut rows = Rows::default();
    view.scan(Scan::all(), &mut |key, value| {
        let twice = rows.0.insert(key.to_vec(), value.to_vec());
        assert!(twice.is_none(), "the same key twice");
        ControlFlow::Continue(())
    })?;
    Ok(rows)
}

/// A run of a workload.
struct Session<'s> {
    store: &'s Store,
    disk: &'s SimDisk,
    engine: Option<Box<dyn Engine>>,
    /// An old view, which must show the same as long as it lives.
    view: Option<Box<dyn View>>,
    /// The newest beat that was acknowledged as durable.
    acknowledged: Cell<u64>,
}

impl Session<'_> {
    fn engine(&self) -> &dyn Engine {
        self.engine.as_deref().expect("an open engine")
    }

    fn header(&self) -> Result<BeatHeader> {
        Ok(*self.engine().view()?.header())
    }

    fn step(&self, header: &BeatHeader) -> u64 {
        header.beat.0.saturating_sub(self.store.base)
    }

    /// The disk has broken its word.
    fn broken(&self) -> bool {
        self.disk.met().iter().any(|(_, _, fault)| fault.breaks_the_disk())
    }

    fn acknowledge(&self, header: &BeatHeader) {
        let step = self.step(header);
        self.acknowledged.set(self.acknowledged.get().max(header.beat.0));
        if step > 0 {
            self.disk.mark(Mark::Acknowledged(step));
        }
    }

    fn act(&mut self, act: Act) -> Result<()> {
        let last = self.header()?;
        match act {
            Act::Abort(_) => abort(self.engine(), &last),
            Act::Sync => self.engine().sync().map(|beat| {
                assert_eq!(beat, last.beat);
                self.acknowledge(&last);
            }),
            Act::Checkpoint => self.engine().checkpoint().map(|_| self.acknowledge(&last)),
            Act::Compact => {
                let stat = self.engine().compact(CompactScope { keep_beats: 0 }, &Quiet)?;
                assert!(stat.bytes_after <= stat.bytes_before.max(64 << 10), "{stat:?}");
                self.acknowledge(&last);
                Ok(())
            }
            Act::Reopen => {
                self.view = None;
                if let Some(engine) = self.engine.take() {
                    // A poisoned engine closes without a promise.
                    let poisoned = engine.stats()?.engine.contains(&("poisoned", 1));
                    let closed = engine.close();
                    let failed = closed.map_err(|(engine, error)| {
                        self.engine = Some(engine);
                        error
                    });
                    failed?;
                    if !poisoned {
                        self.acknowledge(&last);
                    }
                }
                self.engine = Some(self.store.open(self.disk)?);
                self.disk.mark(Mark::Reopened);
                let now = self.header()?.beat;
                assert!(self.broken() || now == last.beat, "closed at beat {}, opened at {now}", last.beat);
                Ok(())
            }
            Act::Backup => {
                let done = self.backup(&last);
                if done.is_err() {
                    // What fails in the copy is no failure of the store.
                    self.disk.mark(Mark::Reopened);
                }
                done
            }
            Act::Verify => {
                let mut found = Vec::new();
                let stat = self.engine().verify(&mut |finding| found.push(finding), &Quiet)?;
                assert!(stat.damaged == 0 || !self.disk.met().is_empty(), "{found:?}");
                Ok(())
            }
            beat => {
                let durability = beat.durability();
                let step = self.step(&last) + 1;
                self.disk.mark(Mark::Submitted(step));
                let done = beat.commit(self.engine(), &last, durability);
                let now = self.header()?;
                if done.is_err() {
                    assert_eq!(now.beat, last.beat, "a beat that failed is not shown");
                    return done;
                }
                assert_eq!(now.beat.0, last.beat.0 + 1, "a beat that was committed is shown");
                match durability {
                    Durability::Durable => self.acknowledge(&now),
                    _ if self.store.buffered_stay => self.disk.mark(Mark::Buffered(step)),
                    _ => {}
                }
                Ok(())
            }
        }
    }

    fn backup(&self, last: &BeatHeader) -> Result<()> {
        for (path, _) in self.disk.files() {
            if path.starts_with(COPY) {
                self.disk.remove_file(&path)?;
            }
        }
        assert_eq!(self.engine().backup(COPY.as_ref(), &Quiet)?.beat, last.beat);
        let copy = open_at(self.disk.clone(), COPY)?;
        self.store.check_view(&*copy.view()?)?;
        close(copy)
    }

    /// After a failure reads go on, and show what was shown before.
    fn still_readable(&self) {
        let read = |view: Result<Box<dyn View>>| view.and_then(|view| self.store.check_view(&*view));
        let (now, old) = (
            read(self.engine().view()),
            self.view.as_ref().map_or(Ok(()), |view| self.store.check_view(&**view)),
        );
        let reads_fail = self.disk.met().iter().any(|(_, op, _)| !op.changes());
        for done in [now, old] {
            assert!(done.is_ok() || reads_fail, "reading after a failed write: {done:?}");
        }
    }

    /// Opens again after a failure. Answers where to go on.
    fn open_again(&mut self) -> Result<usize> {
        (self.view, self.engine) = (None, None);
        self.engine = Some(self.store.open(self.disk)?);
        self.disk.mark(Mark::Reopened);
        let beat = self.header()?.beat.0;
        assert!(self.broken() || beat >= self.acknowledged.get(), "beat {beat} was acknowledged and is gone");
        Ok(self.store.act_of(beat + 1).unwrap_or(self.store.acts.len()))
    }

    fn run(&mut self) -> Result<()> {
        let mut failures = 0;
        let mut at = 0;
        if self.engine.is_none() {
            let opened = self.store.open(self.disk);
            self.engine = match opened {
                Err(_) if !self.disk.met().is_empty() => {
                    self.disk.mark(Mark::Reopened);
                    Some(self.store.open(self.disk)?)
                }
                opened => Some(opened?),
            };
        }
        while let Some(act) = self.store.acts.get(at) {
            let done = self.act(*act);
            if done.is_ok() {
                at += 1;
                // Every now and then a view stays open.
                if at % 3 == 1 {
                    self.view = self.engine().view().ok();
                }
                if self.disk.met().is_empty() {
                    self.store.check_view(&*self.engine().view()?)?;
                }
                if let Some(view) = self.view.as_ref().filter(|_| self.disk.met().is_empty()) {
                    self.store.check_view(&**view)?;
                }
                continue;
            }
            if self.engine.is_some() {
                self.still_readable();
                if self.act(*act).is_ok() {
                    at += 1;
                    continue;
                }
            }
            failures += 1;
            if failures > 2 {
                return done;
            }
            let next = self.open_again()?;
            // What is no beat is tried again, but only once for each opening.
            at = if act.is_beat() || next < at { next } else { at };
        }
        self.view = None;
        let last = self.header()?;
        if let Some(engine) = self.engine.take() {
            close(engine)?;
            self.acknowledge(&last);
        }
        Ok(())
    }
}

impl Workload for Store {
    type State = State;

    fn name(&self) -> String {
        format!("before: {:?}, acts: {:?}", self.before, self.acts)
    }

    fn prepare(&self, disk: &SimDisk) -> Result<()> {
        if self.before.is_empty() {
            return Ok(());
        }
        let first = Self { acts: self.before.clone(), before: Vec::new(), base: 0, ..self.clone() };
        first.run(disk)
    }

    fn run(&self, disk: &SimDisk) -> Result<()> {
        let mut session = Session { store: self, disk, engine: None, view: None, acknowledged: Cell::new(0) };
        session.run()
    }

    fn recover(&self, disk: &SimDisk) -> Result<Recovered<State>> {
        let engine = self.open(disk)?;
        let mut damage = Vec::new();
        let stats = engine.stats()?;
        let lost = stats.engine.iter().find(|(name, _)| *name == "recovered_damaged_spans");
        if let Some((name, 1..)) = lost {
            damage.push(format!("{name}: {lost:?}"));
        }
        engine.verify(
            &mut |finding| {
                if finding.severity == Severity::Damage {
                    assert!(finding.place.contains("branch."), "damage in no file: {finding:?}");
                    damage.push(format!("{finding:?}"));
                }
            },
            &Quiet,
        )?;
        let view = engine.view()?;
        let state = self.look(&*view, &mut damage)?;
        let newest = view.header().beat;
        drop(view);
        if damage.is_empty() {
            self.history(&*engine, newest)?;
        }
        Ok(Recovered { steps: newest.0.saturating_sub(self.base), state, damage })
    }

    fn go_on(&self, disk: &SimDisk, steps: u64) -> Result<bool> {
        let engine = self.open(disk)?;
        let last = *engine.view()?.header();
        let beat = last.beat.0 + 1;
        let act = self.act_of(beat).map_or(Act::Put(9), |at| self.acts[at]);
        disk.mark(Mark::Submitted(steps + 1));
        act.commit(&*engine, &last, Durability::Durable)?;
        disk.mark(Mark::Acknowledged(steps + 1));
        self.check_view(&*engine.view()?)?;
        close(engine)?;
        Ok(true)
    }

    fn state_after(&self, steps: u64) -> State {
        let rows = self.rows_after(BeatNo(steps + self.base)).cloned().unwrap_or_default();
        State { rows, ..State::default() }
    }

    fn right_but_damaged(&self, seen: &Recovered<State>, least: u64) -> bool {
        let state = &seen.state;
        let fits = |right: &Rows| {
            if !state.broken {
                return *state.rows == *right;
            }
            // What was read before the first damage are the first rows, and every key that could be read is right.
            state.rows.0.iter().zip(&right.0).all(|(one, two)| one == two)
                && state.rows.0.len() <= right.0.len()
                && state.known.iter().all(|(key, value)| right.0.get(key) == value.as_ref())
        };
        let newest = self.states.len() - 2;
        let least = if self.closed { usize::try_from(least + self.base).unwrap_or(usize::MAX) } else { 0 };
        self.states.get(least..=newest).unwrap_or_default().iter().any(|right| fits(right))
    }

    fn still_known(&self, whole: &SimDisk, damaged: &SimDisk, steps: u64) -> u64 {
        let known = super::known::still_known(whole, damaged, steps + self.base);
        known.saturating_sub(self.base)
    }

    fn smaller(&self) -> Vec<Self> {
        let without = |acts: &[Act], at: usize| {
            let mut acts = acts.to_vec();
            acts.remove(at);
            acts
        };
        let again = |before: &[Act], acts: &[Act]| Self {
            closed: self.closed,
            buffered_stay: self.buffered_stay,
            wrap: self.wrap,
            ..Self::new(before, acts)
        };
        let mut all = Vec::new();
        if !self.before.is_empty() {
            all.push(again(&[], &self.acts));
        }
        all.extend((0..self.acts.len()).map(|at| again(&self.before, &without(&self.acts, at))));
        all.extend((0..self.before.len()).map(|at| again(&without(&self.before, at), &self.acts)));
        all
    }
}
