//! The memory engine with a mind of its own: it refuses keys, fails, panics, counts beats, and stops where it is told to.

use std::path::Path;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use persist_api::{
    Beat, BeatHeader, BeatNo, BeatReceipt, Driver, Engine, Error, ErrorKind, Finding, Health, KeyRange,
    Observer, Offer, OpenOptions, Probe, Result, Stats, VerifyStat, View,
};
use persist_memory::MemoryDriver;
use persist_store::{Store, Writer, open_with, volatile_request};

/// What the engine is to do, shared with the test.
#[derive(Default)]
pub struct Mind {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Commits of beats that get through before the engine stops at one; none: it never stops.
    passes: Option<u64>,
    /// Beats that stand before their commit.
    standing: u64,
    /// How beats end that get to their commit.
    fate: Fate,
    /// Every beat that was begun: its header and, after its commit, what it reached.
    begun: Vec<(BeatHeader, bool)>,
}

/// How a beat ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fate {
    #[default]
    Committed,
    /// Fails with `Io` and poisons the engine.
    Poisoned,
    /// Fails with `Full`, and the last of so many also poisons the engine.
    Full(u64),
    /// Fails with `Corrupt`; the engine is not poisoned.
    Damaged,
    /// Panics.
    Panics,
}

impl Mind {
    pub fn set_fate(&self, fate: Fate) {
        self.state.lock().fate = fate;
    }

    /// From now on, so many beats get through and the next one stops before its commit.
    pub fn stop_after(&self, beats: u64) {
        self.state.lock().passes = Some(beats);
    }

    /// Lets everything through.
    pub fn go(&self) {
        self.state.lock().passes = None;
        self.changed.notify_all();
    }

    /// Blocks until a beat stands before its commit.
    pub fn wait_until_stopped(&self) {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| state.standing == 0);
    }

    /// Commits per committed beat.
    pub fn groups(&self) -> Vec<u64> {
        let state = self.state.lock();
        state.begun.iter().filter(|(_, done)| *done).map(|(header, _)| header.commits).collect()
    }

    /// Commits per beat that was begun.
    pub fn attempts(&self) -> Vec<u64> {
        self.state.lock().begun.iter().map(|(header, _)| header.commits).collect()
    }

    fn begin(&self, header: BeatHeader) -> usize {
        let mut state = self.state.lock();
        state.begun.push((header, false));
        state.begun.len() - 1
    }

    fn arrive(&self) -> Fate {
        let mut state = self.state.lock();
        state.standing += 1;
        self.changed.notify_all();
        self.changed.wait_while(&mut state, |state| state.passes == Some(0));
        state.standing -= 1;
        if let Some(passes) = &mut state.passes {
            *passes -= 1;
        }
        let fate = state.fate;
        if let Fate::Full(beats) = &mut state.fate {
            *beats -= 1;
        }
        fate
    }
}

struct Fussy {
    inner: MemoryDriver,
    mind: Arc<Mind>,
}

/// Keys that begin with this are refused with `Full`.
pub const REFUSED: &[u8] = b"refused";
/// Keys that begin with this lie on a page that is damaged.
pub const DAMAGED: &[u8] = b"damaged";
/// Keys that begin with this lie where the disk cannot read.
pub const UNREADABLE: &[u8] = b"unreadable";
/// Keys that begin with this poison the engine.
pub const DEADLY: &[u8] = b"deadly";

/// A store over the engine, and its mind.
pub fn fussy() -> (Writer, Store, Arc<Mind>) {
    let mind = Arc::new(Mind::default());
    let driver = Fussy { inner: MemoryDriver::new(), mind: Arc::clone(&mind) };
    let options = crate::kit::options();
    let disk = Arc::new(persist_io::RealDisk);
    let opened = open_with(disk, &[Arc::new(driver)], Path::new(""), Some("memory"), &options).unwrap();
    let (writer, store) = opened.negotiate(&volatile_request()).unwrap();
    (writer, store, mind)
}

impl Driver for Fussy {
    fn scheme(&self) -> &'static str {
        self.inner.scheme()
    }

    fn probe(&self, home: &Path) -> Result<Probe> {
        self.inner.probe(home)
    }

    fn offer(&self, options: &OpenOptions) -> Offer {
        self.inner.offer(options)
    }

    fn open(&self, home: &Path, options: &OpenOptions, seen: &dyn Observer) -> Result<Box<dyn Engine>> {
        let inner = self.inner.open(home, options, seen)?;
        Ok(Box::new(FussyEngine { inner, mind: Arc::clone(&self.mind), health: Health::default() }))
    }
}

struct FussyEngine {
    inner: Box<dyn Engine>,
    mind: Arc<Mind>,
    health: Health,
}

impl Engine for FussyEngine {
    fn offer(&self) -> &Offer {
        self.inner.offer()
    }

    fn begin_beat(&self, header: BeatHeader) -> Result<Box<dyn Beat + '_>> {
        self.health.check("begin_beat")?;
        let inner = self.inner.begin_beat(header)?;
        let number = self.mind.begin(header);
        Ok(Box::new(FussyBeat { engine: self, inner, number }))
    }

    fn sync(&self) -> Result<BeatNo> {
        self.inner.sync()
    }

    fn view(&self) -> Result<Box<dyn View>> {
        self.inner.view()
    }

    fn verify(&self, found: &mut dyn FnMut(Finding), seen: &dyn Observer) -> Result<VerifyStat> {
        self.inner.verify(found, seen)
    }

    fn stats(&self) -> Result<Stats> {
        self.inner.stats()
    }

    fn close(self: Box<Self>) -> Result<(), (Box<dyn Engine>, Error)> {
        let this = *self;
        this.inner.close().map_err(|(inner, error)| -> (Box<dyn Engine>, Error) {
            (Box::new(Self { inner, ..this }), error)
        })
    }
}

struct FussyBeat<'e> {
    engine: &'e FussyEngine,
    inner: Box<dyn Beat + 'e>,
    number: usize,
}

impl Beat for FussyBeat<'_> {
    fn put_record(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let fails = [
            (REFUSED, ErrorKind::Full, "refused"),
            (DAMAGED, ErrorKind::Corrupt, "the page is damaged"),
            (UNREADABLE, ErrorKind::Io, "the page cannot be read"),
        ];
        for (begin, kind, context) in fails {
            if key.get(1..).is_some_and(|key| key.starts_with(begin)) {
                return Err(Error::new(kind, "put_record", context));
            }
        }
        if key.get(1..).is_some_and(|key| key.starts_with(DEADLY)) {
            self.engine.health.poison();
            return Err(Error::new(ErrorKind::Poisoned, "put_record", "deadly"));
        }
        self.inner.put_record(key, value)
    }

    fn delete_record(&mut self, key: &[u8]) -> Result<()> {
        self.inner.delete_record(key)
    }

    fn delete_range(&mut self, range: KeyRange<'_>) -> Result<()> {
        self.inner.delete_range(range)
    }

    fn commit_beat(self: Box<Self>) -> Result<BeatReceipt> {
        let Self { engine, inner, number } = *self;
        match engine.mind.arrive() {
            Fate::Committed => {
                let receipt = inner.commit_beat()?;
                engine.mind.state.lock().begun[number].1 = true;
                Ok(receipt)
            }
            Fate::Poisoned => {
                engine.health.poison();
                Err(Error::new(ErrorKind::Io, "commit_beat", "the disk is gone").with_engine("fussy"))
            }
            Fate::Full(beats) => {
                if beats == 1 {
                    engine.health.poison();
                }
                Err(Error::new(ErrorKind::Full, "commit_beat", "no space is left")
                    .with_path(Path::new("disk")))
            }
            Fate::Damaged => Err(Error::new(ErrorKind::Corrupt, "commit_beat", "the root is damaged")),
            Fate::Panics => panic!("the engine panics, as told"),
        }
    }

    fn abort_beat(self: Box<Self>) {}
}
