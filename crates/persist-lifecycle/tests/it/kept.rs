//! A store with its upkeep, and a clock that stands still.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use persist_api::{Driver, Durability, ErrorKind};
use persist_lifecycle::Maintenance;
use persist_lifecycle::config::Config;
use persist_lifecycle::maintenance::{Reason, Task, UpkeepRun};
use persist_store::{Store, Writer};

use crate::kit::{HandClock, Told, ToldDriver, commit, config, drivers, open};

/// What was done, why, and how it ended.
pub type Did = (Task, Reason, Result<(), ErrorKind>);

pub const NONE: [Did; 0] = [];

/// A store with its upkeep.
pub struct Kept {
    pub clock: Arc<HandClock>,
    pub maintenance: Maintenance,
    pub store: Store,
    pub runs: Arc<Mutex<Vec<UpkeepRun>>>,
    _writer: Writer,
}

impl Kept {
    pub fn over(config: &Config, drivers: &[Arc<dyn Driver>]) -> Self {
        let clock = Arc::new(HandClock::default());
        let runs: Arc<Mutex<Vec<UpkeepRun>>> = Arc::default();
        let told = Arc::clone(&runs);
        let every = config.maintenance.look_every;
        let maintenance =
            Maintenance::new(clock.clone(), every, move |run: &UpkeepRun| told.lock().push(run.clone()));
        let (writer, store) = open(config, drivers);
        maintenance.add("a", &store, &config.stores.values().next().unwrap().maintenance).unwrap();
        Self { clock, maintenance, store, runs, _writer: writer }
    }

    pub fn at(dir: &Path, engine: &str, keys: &str) -> Self {
        let text = format!("[stores.a]\nengine = '{engine}'\n[stores.a.maintenance]\n{keys}");
        Self::over(&config(dir, &text), &drivers())
    }

    pub fn told(keys: &str) -> (Self, Arc<Told>) {
        let (driver, told) = ToldDriver::pair();
        let text = format!(
            "[stores.a]\nengine = 'told'\nrequest.durability_may_pend = true\n[stores.a.maintenance]\n{keys}"
        );
        (Self::over(&config(Path::new("/nowhere"), &text), &[driver]), told)
    }

    pub fn put(&self, key: &str, bytes: usize) {
        commit(&self.store, key, bytes, Durability::Durable);
    }

    /// One look; what was done and why.
    pub fn step(&self) -> Vec<Did> {
        let runs = self.maintenance.step();
        runs.iter()
            .map(|run| (run.task, run.why, run.outcome.as_ref().map(drop).map_err(|e| e.kind())))
            .collect()
    }

    /// One look after so long.
    pub fn after(&self, seconds: u64) -> Vec<Did> {
        self.clock.advance(seconds);
        self.step()
    }

    pub fn now(&self) -> Duration {
        persist_store::Clock::now(self.clock.as_ref())
    }

    /// A figure of the engine.
    pub fn figure(&self, name: &str) -> u64 {
        let figures = self.store.stats().unwrap().engine.engine;
        figures.into_iter().find(|(known, _)| *known == name).unwrap().1
    }
}
