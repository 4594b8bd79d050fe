//! A clock that stands still, and an engine that does as it is told.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use persist_api::{
    Beat, BeatHeader, BeatNo, Caps, CheckpointStat, CompactScope, CompactStat, Driver, Durability, Engine,
    Error, ErrorKind, Finding, Observer, Offer, OpenOptions, Probe, Progress, Quiet, Result, Stats,
    VerifyStat, View,
};
use persist_io::RealDisk;
use persist_lifecycle::Clock;
use persist_lifecycle::config::{Config, Format};
use persist_memory::MemoryDriver;
use persist_store::{BeatLog, Store, Writer, open_with};

pub type Hook = Box<dyn FnMut() + Send>;

/// Time passes only when it is told to, or when somebody pauses.
#[derive(Default)]
pub struct HandClock {
    now: Mutex<Duration>,
    pauses: AtomicUsize,
    on_pause: Mutex<Option<Hook>>,
}

impl HandClock {
    pub fn advance(&self, seconds: u64) {
        *self.now.lock() += Duration::from_secs(seconds);
    }

    pub fn pauses(&self) -> usize {
        self.pauses.load(Ordering::SeqCst)
    }

    pub fn on_pause(&self, hook: impl FnMut() + Send + 'static) {
        *self.on_pause.lock() = Some(Box::new(hook));
    }
}

impl persist_store::Clock for HandClock {
    fn now(&self) -> Duration {
        *self.now.lock()
    }
}

impl Clock for HandClock {
    fn pause(&self, time: Duration) {
        *self.now.lock() += time;
        self.pauses.fetch_add(1, Ordering::SeqCst);
        if let Some(hook) = self.on_pause.lock().as_mut() {
            hook();
        }
    }
}

/// What the told engine does at its next checkpoints and compactions; when nothing is told, they succeed.
#[derive(Default)]
pub struct Told {
    pub next: Mutex<VecDeque<ErrorKind>>,
    /// A compaction reports progress until it is stopped, and says here that it has begun.
    pub endless: Mutex<Option<std::sync::mpsc::Sender<()>>>,
    /// Is called in the middle of the next of them.
    pub meanwhile: Mutex<Option<Hook>>,
    /// Is called when figures are asked for the next time.
    pub on_stats: Mutex<Option<Hook>>,
}

impl Told {
    fn obey(&self, op: &'static str) -> Result<()> {
        call(&self.meanwhile);
        match self.next.lock().pop_front() {
            Some(kind) => Err(Error::new(kind, op, "as told")),
            None => Ok(()),
        }
    }
}

/// Calls a hook, once.
fn call(hook: &Mutex<Option<Hook>>) {
    let hook = hook.lock().take();
    if let Some(mut hook) = hook {
        hook();
    }
}

/// Memory, with checkpoints and compactions that do as they are told.
pub struct ToldDriver {
    inner: MemoryDriver,
    told: Arc<Told>,
}

impl ToldDriver {
    pub fn pair() -> (Arc<dyn Driver>, Arc<Told>) {
        let told = Arc::new(Told::default());
        (Arc::new(Self { inner: MemoryDriver::new(), told: Arc::clone(&told) }), told)
    }
}

struct ToldEngine {
    inner: Box<dyn Engine>,
    offer: Offer,
    told: Arc<Told>,
}

fn more(offer: Offer) -> Offer {
    Offer { engine: "told", caps: offer.caps | Caps::CHECKPOINT | Caps::COMPACTION, ..offer }
}

impl Driver for ToldDriver {
    fn scheme(&self) -> &'static str {
        "told"
    }

    fn probe(&self, home: &Path) -> Result<Probe> {
        self.inner.probe(home)
    }

    fn offer(&self, options: &OpenOptions) -> Offer {
        more(self.inner.offer(options))
    }

    fn open(&self, home: &Path, options: &OpenOptions, seen: &dyn Observer) -> Result<Box<dyn Engine>> {
        let inner = self.inner.open(home, options, seen)?;
        let offer = more(inner.offer().clone());
        Ok(Box::new(ToldEngine { inner, offer, told: Arc::clone(&self.told) }))
    }
}

impl Engine for ToldEngine {
    fn offer(&self) -> &Offer {
        &self.offer
    }

    fn begin_beat(&self, header: BeatHeader) -> Result<Box<dyn Beat + '_>> {
        self.inner.begin_beat(header)
    }

    fn sync(&self) -> Result<BeatNo> {
        self.inner.sync()
    }

    fn view(&self) -> Result<Box<dyn View>> {
        self.inner.view()
    }

    fn checkpoint(&self) -> Result<CheckpointStat> {
        let beat = self.inner.stats()?.beat;
        self.told.obey("checkpoint").map(|()| CheckpointStat { beat, bytes: 7 })
    }

    fn compact(&self, _: CompactScope, seen: &dyn Observer) -> Result<CompactStat> {
        if let Some(begun) = self.told.endless.lock().take() {
            begun.send(()).unwrap();
            let progress = Progress { phase: "endless", done: 0, total: None, unit: "rounds" };
            loop {
                seen.step("compact", progress)?;
                std::thread::yield_now();
            }
        }
        self.told.obey("compact").map(|()| CompactStat { bytes_before: 10, bytes_after: 4 })
    }

    fn verify(&self, found: &mut dyn FnMut(Finding), seen: &dyn Observer) -> Result<VerifyStat> {
        self.inner.verify(found, seen)
    }

    fn stats(&self) -> Result<Stats> {
        call(&self.told.on_stats);
        self.inner.stats()
    }

    fn close(self: Box<Self>) -> Result<(), (Box<dyn Engine>, Error)> {
        let Self { inner, offer, told } = *self;
        inner
            .close()
            .map_err(|(inner, error)| (Box::new(Self { inner, offer, told }) as Box<dyn Engine>, error))
    }
}

/// The engines that tests open.
pub fn drivers() -> Vec<Arc<dyn Driver>> {
    vec![
        Arc::new(MemoryDriver::new()),
        Arc::new(persist_flatfile::FlatfileDriver::default()),
        Arc::new(persist_sqlite::SqliteDriver),
    ]
}

/// A configuration whose paths lie in a directory.
pub fn config(dir: &Path, text: &str) -> Config {
    let mut config = Config::parse(text, Format::Toml).unwrap();
    config.resolve(dir);
    config
}

/// Opens the only store of a configuration, by hand.
pub fn open(config: &Config, drivers: &[Arc<dyn Driver>]) -> (Writer, Store) {
    let store = config.stores.values().next().unwrap();
    let path = store.path.as_deref().unwrap();
    let opened =
        open_with(Arc::new(RealDisk), drivers, path, store.engine.as_deref(), &store.open_options()).unwrap();
    opened.negotiate_watched(&store.request(), &Quiet).unwrap()
}

/// Commits a record of so many bytes, or removes it.
pub fn commit(store: &Store, key: &str, bytes: usize, durability: Durability) {
    let mut log = BeatLog::new();
    if bytes == 0 {
        log.delete(key.as_bytes()).unwrap();
    } else {
        log.put(key.as_bytes(), &vec![b'x'; bytes]).unwrap();
    }
    store.commit(log, durability).unwrap().wait().unwrap();
}

/// Stops at the first report.
pub struct Stop;

impl Observer for Stop {
    fn progress(&self, _: Progress) -> ControlFlow<()> {
        ControlFlow::Break(())
    }
}
