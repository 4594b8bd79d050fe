//! The engine on a simulated disk: power cut, process killed, faults at every operation, damage of every bit, and recovery
//! interrupted in the same ways.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::sync::Arc;

use persist_api::{
    BeatNo, CompactScope, Driver, Durability, Engine, ErrorKind, FeedItem, KeyRange, OpenOptions, Quiet,
    Result, Scan, Severity,
};
use persist_flatfile::FlatfileDriver;
use persist_io::sim::explore::{Explorer, Recovered, Report, Workload, sequences};
use persist_io::sim::{Mark, SimDisk};

const HOME: &str = "/home";
/// Values of more bytes lie in payload segments.
const LARGE: usize = 64;

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// A durable beat with three small records.
    Small,
    /// A buffered one.
    Buffered,
    /// A durable beat with a large value.
    Large,
    /// A durable beat that deletes a record and a range.
    Delete,
    Sync,
    Checkpoint,
    Compact,
    Reopen,
}

impl Act {
    fn is_beat(self) -> bool {
        matches!(self, Self::Small | Self::Buffered | Self::Large | Self::Delete)
    }
}

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Debug, Clone)]
struct Beats {
    acts: Vec<Act>,
    /// Everything is kept for the feed, and read there.
    feed: bool,
}

fn key(n: u64) -> Vec<u8> {
    vec![b'k', u8::try_from(n % 7).unwrap()]
}

fn value(n: u64, len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from((n * 31 + at as u64) % 251).unwrap()).collect()
}

/// What a beat does, to an engine or to a model.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    Range(Vec<u8>, Vec<u8>),
}

fn changes(act: Act, n: u64) -> Vec<Change> {
    match act {
        Act::Large => vec![Change::Put(key(n), value(n, LARGE + 20)), Change::Put(key(n + 3), value(n, 9))],
        Act::Delete => {
            vec![Change::Delete(key(n)), Change::Range(key(2), key(4)), Change::Put(key(n + 2), value(n, 5))]
        }
        _ => (0..3).map(|at| Change::Put(key(n + at), value(n + at, 12))).collect(),
    }
}

fn options(keep_feed: bool) -> OpenOptions {
    let knobs = [
        ("maintenance", "inline"),
        ("memtable_bytes", "4096"),
        ("large_value_bytes", "64"),
        ("segment_step_bytes", "4096"),
        ("history_beats", "2"),
    ];
    let knobs = knobs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    OpenOptions { knobs: knobs.into(), keep_feed, ..OpenOptions::default() }
}

fn commit(engine: &dyn Engine, act: Act) -> Result<u64> {
    let durability = if act == Act::Buffered { Durability::Buffered } else { Durability::Durable };
    let header = engine.view()?.header().next(1, durability, None)?;
    let mut beat = engine.begin_beat(header)?;
    for change in changes(act, header.beat.0) {
        match change {
            Change::Put(key, value) => beat.put_record(&key, &value)?,
            Change::Delete(key) => beat.delete_record(&key)?,
            Change::Range(from, upto) => {
                beat.delete_range(KeyRange::of(from.as_slice()..upto.as_slice()))?;
            }
        }
    }
    beat.commit_beat()?;
    Ok(header.beat.0)
}

fn close(engine: Box<dyn Engine>) -> Result<()> {
    engine.close().map_err(|(_, error)| error)
}

fn newest(engine: &dyn Engine) -> Result<u64> {
    Ok(engine.view()?.header().beat.0)
}

/// What the feed shows from the beginning, beat by beat.
fn fed(engine: &dyn Engine) -> (Vec<(u64, Vec<Change>)>, Result<()>) {
    let mut beats: Vec<(u64, Vec<Change>)> = Vec::new();
    let done = engine.feed(BeatNo(0), &mut |item| {
        let change = match item {
            FeedItem::Beat(header) => {
                beats.push((header.beat.0, Vec::new()));
                return ControlFlow::Continue(());
            }
            FeedItem::Put { key, value } => Change::Put(key.to_vec(), value.to_vec()),
            FeedItem::Delete { key } => Change::Delete(key.to_vec()),
            FeedItem::DeleteRange { range } => match (range.start(), range.end()) {
                (Bound::Included(from), Bound::Excluded(upto)) => Change::Range(from.to_vec(), upto.to_vec()),
                bounds => panic!("{bounds:?}"),
            },
        };
        beats.last_mut().unwrap().1.push(change);
        ControlFlow::Continue(())
    });
    (beats, done)
}

impl Beats {
    fn new(acts: &[Act]) -> Self {
        Self { acts: acts.to_vec(), feed: false }
    }

    fn fed(acts: &[Act]) -> Self {
        Self { feed: true, ..Self::new(acts) }
    }

    fn open(&self, disk: &SimDisk) -> Result<Box<dyn Engine>> {
        FlatfileDriver::new(Arc::new(disk.clone())).open(Path::new(HOME), &options(self.feed), &Quiet)
    }

    /// Every beat is in the feed, as it was committed, or an error says why not.
    fn check_feed(&self, engine: &dyn Engine, steps: u64, failed: &mut Vec<String>) -> Result<()> {
        let (beats, done) = fed(engine);
        let right = |n: u64| (n, changes(self.beat(n), n));
        assert!(
            beats.iter().zip(1..).all(|((n, changes), at)| {
                let whole = right(at);
                // Where an error ends it, the last beat may be cut short.
                (*n, &changes[..]) == (whole.0, &whole.1[..changes.len()])
            }),
            "{beats:?}"
        );
        match done {
            Ok(()) => assert_eq!(beats, (1..=steps).map(right).collect::<Vec<_>>()),
            Err(error) if error.kind() == ErrorKind::Corrupt => failed.push(error.to_string()),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The act of beat `n`; beats that are added to a recovered store are small.
    fn beat(&self, n: u64) -> Act {
        let at = usize::try_from(n - 1).unwrap();
        self.acts.iter().copied().filter(|act| act.is_beat()).nth(at).unwrap_or(Act::Small)
    }

    fn act(&self, disk: &SimDisk, engine: &mut Option<Box<dyn Engine>>, act: Act, wanted: u64) -> Result<()> {
        let store = if let Some(store) = engine.take() {
            store
        } else {
            let store = self.open(disk)?;
            disk.mark(Mark::Reopened);
            store
        };
        match act {
            Act::Reopen => {
                let beat = newest(&*store)?;
                close(store)?;
                disk.mark(Mark::Acknowledged(beat));
                return Ok(());
            }
            Act::Sync => {
                let beat = store.sync()?.0;
                disk.mark(Mark::Acknowledged(beat));
            }
            Act::Checkpoint => {
                let beat = store.checkpoint()?.beat.0;
                disk.mark(Mark::Acknowledged(beat));
            }
            Act::Compact => {
                store.compact(CompactScope::default(), &Quiet)?;
            }
            // An earlier attempt may have got through; buffered beats before it may be lost.
            _ => {
                for n in newest(&*store)? + 1..=wanted {
                    disk.mark(Mark::Submitted(n));
                    assert_eq!(commit(&*store, self.beat(n))?, n);
                }
                // A buffered beat promises nothing about a power cut, also one that follows a killed process.
                if act != Act::Buffered {
                    disk.mark(Mark::Acknowledged(wanted));
                }
            }
        }
        *engine = Some(store);
        Ok(())
    }
}

impl Workload for Beats {
    type State = Rows;

    fn name(&self) -> String {
        format!("{self:?}")
    }

    fn run(&self, disk: &SimDisk) -> Result<()> {
        let (mut wanted, mut engine) = (0, None);
        for act in &self.acts {
            wanted += u64::from(act.is_beat());
            if self.act(disk, &mut engine, *act, wanted).is_err() {
                // Once more, on a store that is opened again.
                engine = None;
                self.act(disk, &mut engine, *act, wanted)?;
            }
        }
        if let Some(engine) = engine {
            close(engine)?;
            disk.mark(Mark::Acknowledged(wanted));
        }
        Ok(())
    }

    fn recover(&self, disk: &SimDisk) -> Result<Recovered<Rows>> {
        let engine = self.open(disk)?;
        let mut found = Recovered { steps: newest(&*engine)?, state: Rows::new(), damage: Vec::new() };
        let view = engine.view()?;
        let mut failed = Vec::new();
        for n in 0..7 {
            match view.get_record(&key(n)) {
                Ok(Some(value)) => {
                    found.state.insert(key(n), value.to_vec());
                }
                Ok(None) => {}
                // A file that the disk did not map is not damaged: the next opening reads it.
                Err(error) if error.kind() == ErrorKind::Io => return Err(error),
                Err(error) => failed.push(error.to_string()),
            }
        }
        let mut rows = Rows::new();
        let scanned = view.scan(Scan::all(), &mut |key, value| {
            rows.insert(key.to_vec(), value.to_vec());
            ControlFlow::Continue(())
        });
        match scanned {
            Ok(()) => assert!(rows == found.state || !failed.is_empty(), "{rows:?} {:?}", found.state),
            Err(error) if error.kind() == ErrorKind::Io => return Err(error),
            Err(error) => {
                assert!(rows.iter().all(|(key, value)| found.state.get(key) == Some(value)));
                failed.push(error.to_string());
            }
        }
        drop(view);
        engine.verify(
            &mut |finding| {
                if finding.severity == Severity::Damage {
                    failed.push(format!("{} {}", finding.place, finding.what));
                }
            },
            &Quiet,
        )?;
        if self.feed {
            self.check_feed(&*engine, found.steps, &mut failed)?;
        }
        found.damage = failed;
        close(engine)?;
        Ok(found)
    }

    fn go_on(&self, disk: &SimDisk, steps: u64) -> Result<bool> {
        let engine = self.open(disk)?;
        assert_eq!(newest(&*engine)?, steps);
        disk.mark(Mark::Submitted(steps + 1));
        commit(&*engine, self.beat(steps + 1))?;
        disk.mark(Mark::Acknowledged(steps + 1));
        close(engine)?;
        Ok(true)
    }

    fn state_after(&self, steps: u64) -> Rows {
        let mut rows = Rows::new();
        for n in 1..=steps {
            for change in changes(self.beat(n), n) {
                match change {
                    Change::Put(key, value) => {
                        rows.insert(key, value);
                    }
                    Change::Delete(key) => {
                        rows.remove(&key);
                    }
                    Change::Range(from, upto) => rows.retain(|key, _| *key < from || *key >= upto),
                }
            }
        }
        rows
    }

    /// What can be read is right.
    fn right_but_damaged(&self, seen: &Recovered<Rows>, _: u64) -> bool {
        let right = self.state_after(seen.steps);
        seen.state.iter().all(|(key, value)| right.get(key) == Some(value))
    }

    fn smaller(&self) -> Vec<Self> {
        let without = |place: usize| {
            let mut acts = self.acts.clone();
            acts.remove(place);
            Self { acts, feed: self.feed }
        };
        (0..self.acts.len()).map(without).collect()
    }
}

/// Everything once, runs with history and large values among it.
const LONG: [Act; 14] = [
    Act::Small,
    Act::Buffered,
    Act::Large,
    Act::Checkpoint,
    Act::Delete,
    Act::Buffered,
    Act::Sync,
    Act::Large,
    Act::Reopen,
    Act::Buffered,
    Act::Compact,
    Act::Delete,
    Act::Large,
    Act::Small,
];

/// Everything that differs, once: what the tests of faults and damage take, which try very much at each operation.
const SHORT: [Act; 6] = [Act::Small, Act::Buffered, Act::Large, Act::Checkpoint, Act::Delete, Act::Compact];

/// `PERSIST_SIMULATE=long` searches further.
fn long() -> bool {
    std::env::var("PERSIST_SIMULATE").is_ok_and(|how| how == "long")
}

fn explorer() -> Explorer {
    let (randoms, damages_max) = if long() { (8, 100_000) } else { (1, 1500) };
    Explorer { randoms, deep_one_in: 40, damages_max, ..Explorer::default() }
}

fn acts() -> Vec<Act> {
    if long() { LONG.to_vec() } else { SHORT.to_vec() }
}

#[track_caller]
fn clean(report: std::result::Result<Report, Box<persist_io::sim::explore::Failure>>) -> Report {
    report.unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn power_cuts_and_kills_at_every_operation() {
    let report = clean(explorer().crashes(&Beats::new(&LONG)));
    assert!(report.images > 1000 && report.interrupted > 20, "{report:?}");
}

#[test]
fn the_feed_survives_power_cuts_and_kills_at_every_operation() {
    let report = clean(explorer().crashes(&Beats::fed(&LONG)));
    assert!(report.images > 1000 && report.interrupted > 20, "{report:?}");
}

#[test]
fn the_feed_survives_faults_at_every_operation() {
    let report = clean(explorer().faults(&Beats::fed(&acts())));
    assert!(report.runs > 300, "{report:?}");
}

#[test]
fn damage_of_what_the_feed_keeps_is_reported_or_harmless() {
    let explorer = Explorer { damages_max: crate::sim::rounds::rounds(1_500, 24_000), ..explorer() };
    let report = clean(explorer.damage(&Beats::fed(&LONG)));
    println!("{} damages of a store with kept segments: {report:?}", report.images);
    assert!(report.images > 1000 && report.reported > 100, "{report:?}");
}

#[test]
fn faults_at_every_operation() {
    let report = clean(explorer().faults(&Beats::new(&acts())));
    assert!(report.runs > 300, "{report:?}");
}

#[test]
fn damage_anywhere_is_reported_or_harmless() {
    let report = clean(explorer().damage(&Beats::new(&LONG)));
    assert!(report.images > 1000 && report.reported > 100, "{report:?}");
}

#[test]
fn every_short_sequence_survives_power_cuts() {
    let alphabet =
        [Act::Small, Act::Buffered, Act::Large, Act::Checkpoint, Act::Compact, Act::Delete, Act::Reopen];
    let alphabet = if long() { &alphabet[..] } else { &alphabet[..5] };
    let explorer = Explorer { randoms: 0, deep_one_in: 400, ..Explorer::default() };
    let mut total = Report::default();
    for acts in sequences(alphabet, if long() { 3 } else { 2 }) {
        total = total.and(clean(explorer.crashes(&Beats::new(&acts))));
    }
    assert!(total.images > 1000, "{total:?}");
}
