//! What the tests of swaps share: stores on the simulated disk, under flatfile, a small durable engine, and memory.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use persist_api::{Durability, Finding, FindingCode, OpenOptions, Quiet, Request, Scan, Severity};
use persist_flatfile::FlatfileDriver;
use persist_io::Disk;
use persist_io::sim::SimDisk;
use persist_memory::MemoryDriver;
use persist_store::{
    BeatLog, Opened, Stamp, StampState, Store, SwapOptions, SwapPlace, SwapTarget, Writer, open_with,
    volatile_request,
};

use crate::kit::{Content, Drivers, content};
use crate::toy::Toy;

pub const HOME: &str = "/store";
pub const OTHER: &str = "/other";

/// A disk and the drivers over it. Memory lives as long as this.
#[derive(Clone)]
pub struct Stand {
    pub disk: SimDisk,
    pub drivers: Drivers,
}

pub fn options() -> OpenOptions {
    let knobs = [("maintenance", "inline"), ("memtable_bytes", "4096"), ("segment_step_bytes", "4096")];
    let knobs = knobs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    OpenOptions { knobs: knobs.into(), ..plain() }
}

/// For engines without knobs.
pub fn plain() -> OpenOptions {
    OpenOptions { close_wait: Duration::ZERO, ..OpenOptions::default() }
}

/// The options that an engine takes.
pub fn options_of(engine: &str) -> OpenOptions {
    if engine == "flatfile" { options() } else { plain() }
}

/// An engine in another home.
pub fn elsewhere(to: &str) -> SwapTarget {
    SwapTarget::at(to, OTHER).options(options_of(to))
}

pub fn swap_options() -> SwapOptions {
    SwapOptions { lag_max: 0, chunk_bytes: 256, ..SwapOptions::default() }
}

impl Stand {
    pub fn new() -> Self {
        Self::on(SimDisk::new(1))
    }

    pub fn on(disk: SimDisk) -> Self {
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let mut other = Toy::new(Arc::clone(&shared));
        other.scheme = "toy2";
        let drivers: Drivers = vec![
            Arc::new(MemoryDriver::new()),
            Arc::new(FlatfileDriver::new(Arc::clone(&shared))),
            Arc::new(Toy::new(shared)),
            Arc::new(other),
        ];
        Self { disk, drivers }
    }

    /// One with a further engine, a toy that is changed.
    pub fn and(scheme: &'static str, change: impl FnOnce(&mut Toy)) -> Self {
        let mut stand = Self::new();
        let mut further = Toy::new(Arc::new(stand.disk.clone()));
        further.scheme = scheme;
        change(&mut further);
        stand.drivers.push(Arc::new(further));
        stand
    }

    pub fn look(&self, engine: Option<&str>, home: &str) -> persist_api::Result<Opened> {
        let known = engine.map(str::to_owned).or_else(|| self.engine_of(home));
        let options = options_of(known.as_deref().unwrap_or("toy"));
        open_with(Arc::new(self.disk.clone()), &self.drivers, Path::new(home), engine, &options)
    }

    fn engine_of(&self, home: &str) -> Option<String> {
        let stamp = persist_store::Stamp::read(&self.disk, Path::new(home)).ok()??;
        Some(stamp.engine)
    }

    pub fn open(&self, engine: Option<&str>, home: &str) -> persist_api::Result<(Writer, Store)> {
        Ok(self.look(engine, home)?.negotiate(&request())?)
    }

    /// A store of an engine, with something in it.
    pub fn store(&self, engine: &str) -> (Writer, Store) {
        let home = if engine == "memory" { "" } else { HOME };
        let (writer, store) = self.open(Some(engine), home).unwrap();
        for n in 0..40 {
            put(&store, &format!("key{n:03}"), &format!("value of {n}"));
        }
        put(&store, "", "the empty key");
        (writer, store)
    }
}

pub fn request() -> Request {
    volatile_request()
}

pub fn log(key: &str, value: &str) -> BeatLog {
    let mut log = BeatLog::new();
    log.put(key.as_bytes(), value.as_bytes()).unwrap();
    log
}

pub fn put(store: &Store, key: &str, value: &str) -> persist_store::Receipt {
    store.commit(log(key, value), Durability::Durable).unwrap().wait().unwrap()
}

pub fn all(store: &Store) -> Content {
    content(&store.view().unwrap())
}

pub fn names(disk: &SimDisk) -> Vec<PathBuf> {
    disk.files().into_iter().map(|(path, _)| path).collect()
}

pub fn bytes_of_stamp(stand: &Stand) -> Vec<u8> {
    stand.disk.bytes(format!("{HOME}/persist.stamp")).unwrap()
}

/// True when nothing of a target lies in the home, and nothing of a swap is in the store.
#[track_caller]
pub fn no_trace(stand: &Stand, store: &persist_store::Store, stamp: &[u8]) {
    assert_eq!(bytes_of_stamp(stand), stamp, "the stamp is as before");
    assert!(names(&stand.disk).iter().all(|name| !name.starts_with(format!("{HOME}/engine-2"))));
    assert!(store.holds().unwrap().is_empty() && store.swap_status().is_none());
    is_clean(store);
}

/// Asserts that a home says where the store is, and that nothing else lies there but our lock.
#[track_caller]
pub fn is_signpost(stand: &Stand, home: &str, store_home: &str) {
    let stamp = Stamp::read(&stand.disk, home.as_ref()).unwrap().unwrap();
    assert_eq!(stamp.state, StampState::Moved);
    assert_eq!(stamp.swap.unwrap().place, SwapPlace::Home(store_home.into()));
    let names = names(&stand.disk);
    let there: Vec<_> = names.iter().filter_map(|name| name.strip_prefix(home).ok()).collect();
    assert_eq!(there, [Path::new("lock"), Path::new("persist.stamp")]);
}

/// Asserts that nothing is damaged and that everything has a reason to be there.
#[track_caller]
pub fn is_clean(store: &Store) {
    let mut findings = Vec::new();
    store.verify(&mut |finding| findings.push(finding), &Quiet).unwrap();
    let strange =
        |finding: &Finding| finding.severity == Severity::Damage || finding.code == FindingCode::Unknown;
    assert!(!findings.iter().any(strange), "{findings:?}");
}

/// What an engine holds under the layers, ours and the user's. It may be open: a copy of the disk is looked at.
pub fn raw_rows(stand: &Stand, home: &str, engine: &str, epoch: u64) -> Content {
    let copy = Stand::on(stand.disk.killed());
    let driver = copy.drivers.iter().find(|driver| driver.scheme() == engine).unwrap();
    let dir = format!("{home}/engine-{epoch}");
    let engine = driver.open(dir.as_ref(), &options_of(engine), &Quiet).unwrap();
    let (mut rows, view) = (Content::new(), engine.view().unwrap());
    let mut take = |key: &[u8], value: &[u8]| {
        rows.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    };
    view.scan(Scan::all(), &mut take).unwrap();
    rows
}

pub fn delete(key: &str) -> BeatLog {
    let mut log = BeatLog::new();
    log.delete(key.as_bytes()).unwrap();
    log
}
