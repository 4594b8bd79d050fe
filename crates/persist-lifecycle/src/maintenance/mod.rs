//! Background maintenance: checkpoints and compactions when they are due, by size and time, for several stores.
//!
//! [`Plan`] decides; it is arithmetic over figures and time. [`Maintenance`] looks, runs and tells. One thread serves all
//! stores, one task after the other; without the thread, [`Maintenance::step`] does the same on the caller's, so that a
//! test with a clock of its own decides what happens when.
//!
//! A run that finds the store busy is put off. One that fails is told, counted, and tried again later, each time twice as
//! long as before; one that panics has failed. Stopping asks a running compaction to end; the store is then as if it had not begun.

mod guard;
mod keeper;
mod plan;
mod report;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use persist_api::{Error, ErrorKind, Observer, Progress, Result};
use persist_store::Store;

pub use plan::{Ended, Figures, Plan, Reason, Task};
pub use report::{TaskStats, UpkeepRun, UpkeepStats};

use crate::clock::Clock;
use crate::config::MaintenanceConfig;
use keeper::Keeper;

/// Is told of every run, on the thread that did it and after it: it may use the maintenance. One that panics keeps nothing from
/// being done.
pub type OnRun = dyn Fn(&UpkeepRun) + Send + Sync;

/// Keeps stores in shape.
pub struct Maintenance {
    inner: Arc<Inner>,
    thread: Option<JoinHandle<()>>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    look_every: Duration,
    on_run: Box<OnRun>,
    /// Held while a task runs, so there is one at a time.
    keepers: Mutex<Vec<Keeper>>,
    /// What is told; never held while a task runs.
    stats: Mutex<BTreeMap<String, UpkeepStats>>,
    stop: AtomicBool,
    /// Set when the thread shall look at once.
    bell: Mutex<bool>,
    ring: Condvar,
}

impl Maintenance {
    /// Nothing to keep yet, and no thread. `on_run` is told of every run.
    pub fn new(
        clock: Arc<dyn Clock>,
        look_every: Duration,
        on_run: impl Fn(&UpkeepRun) + Send + Sync + 'static,
    ) -> Self {
        let inner = Inner {
            clock,
            look_every,
            on_run: Box::new(on_run),
            keepers: Mutex::default(),
            stats: Mutex::default(),
            stop: AtomicBool::new(false),
            bell: Mutex::new(false),
            ring: Condvar::new(),
        };
        Self { inner: Arc::new(inner), thread: None }
    }

    /// Keeps a store from now on.
    ///
    /// # Errors
    /// Those of [`Store::stats`].
    pub fn add(&self, name: &str, store: &Store, config: &MaintenanceConfig) -> Result<()> {
        let keeper = Keeper::new(name, store, config, self.inner.clock.now())?;
        let mut stats = UpkeepStats::default();
        keeper.publish(&mut stats);
        self.inner.stats.lock().insert(name.to_owned(), stats);
        self.inner.keepers.lock().push(keeper);
        Ok(())
    }

    /// Looks at every store once and does what is due, each task at most once, on this thread.
    pub fn step(&self) -> Vec<UpkeepRun> {
        self.inner.step()
    }

    /// Does a task now, whether it is due or not.
    ///
    /// # Errors
    /// `Invalid` for a store that is not kept here. What comes of the task is in the answer.
    pub fn run(&self, name: &str, task: Task, seen: &dyn Observer) -> Result<UpkeepRun> {
        let mut keepers = self.inner.keepers.lock();
        let unknown = || Error::new(ErrorKind::Invalid, "maintain", format!("there is no store {name} here"));
        let keeper = keepers.iter_mut().find(|keeper| keeper.name == name).ok_or_else(unknown)?;
        let run = self.inner.run(keeper, task, Reason::Asked, seen);
        drop(keepers);
        self.inner.tell_of(&run);
        Ok(run)
    }

    /// Starts the thread. It looks at once, then as often as configured.
    ///
    /// # Errors
    /// `Io` when the system gives no thread.
    pub fn start(&mut self) -> Result<()> {
        if self.thread.is_some() {
            return Ok(());
        }
        let inner = Arc::clone(&self.inner);
        let thread = std::thread::Builder::new().name("persist-upkeep".to_owned());
        let spawned = thread.spawn(move || inner.serve());
        let failed = |error: std::io::Error| Error::new(ErrorKind::Io, "maintain", error.to_string());
        self.thread = Some(spawned.map_err(failed)?);
        Ok(())
    }

    /// True while the thread is there.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Lets the thread look at once.
    pub fn wake(&self) {
        *self.inner.bell.lock() = true;
        self.inner.ring.notify_one();
    }

    /// What was done and what comes next, by the names of the stores. Never waits for a run.
    #[must_use]
    pub fn stats(&self) -> BTreeMap<String, UpkeepStats> {
        self.inner.stats.lock().clone()
    }

    /// Stops: a running compaction is asked to end, and the thread is waited for. Nothing is started any more.
    ///
    /// # Errors
    /// `Poisoned` when the thread had panicked.
    pub fn stop(&mut self) -> Result<()> {
        self.inner.stop.store(true, Ordering::SeqCst);
        self.wake();
        let joined = self.thread.take().map_or(Ok(()), JoinHandle::join);
        // No handle of a store is left here that would keep it open.
        self.inner.keepers.lock().clear();
        joined.map_err(|_| Error::new(ErrorKind::Poisoned, "maintain", "the thread had panicked"))
    }
}

impl Inner {
    fn serve(&self) {
        while !self.stopped() {
            self.step();
            let mut rung = self.bell.lock();
            if !*rung {
                self.ring.wait_for(&mut rung, self.look_every);
            }
            *rung = false;
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn step(&self) -> Vec<UpkeepRun> {
        let mut runs = Vec::new();
        for at in 0.. {
            // Each task once: a checkpoint that fails, or is due again at once, keeps no compaction from its turn.
            for task in Task::ALL {
                if self.stopped() {
                    return runs;
                }
                let mut keepers = self.keepers.lock();
                let Some(keeper) = keepers.get_mut(at) else { return runs };
                let looked = guard::guarded(|| keeper.look(task, self.clock.now()));
                let due = looked.as_ref().ok().copied().flatten();
                self.tell(keeper, |stats| stats.blind = looked.err().map(Arc::new));
                let Some(why) = due else { continue };
                let run = self.run(keeper, task, why, &|_| self.unless_stopped());
                drop(keepers);
                self.tell_of(&run);
                runs.push(run);
            }
        }
        runs
    }

    fn unless_stopped(&self) -> ControlFlow<()> {
        if self.stopped() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn run(&self, keeper: &mut Keeper, task: Task, why: Reason, seen: &dyn Observer) -> UpkeepRun {
        self.tell(keeper, |stats| stats.running = Some((task, self.clock.now())));
        let seen = |progress: Progress| match seen.progress(progress) {
            ControlFlow::Continue(()) => self.unless_stopped(),
            ControlFlow::Break(()) => ControlFlow::Break(()),
        };
        let run = keeper.run(task, why, self.clock.as_ref(), &seen);
        self.tell(keeper, |stats| {
            stats.running = None;
            stats.note(&run);
        });
        run
    }

    fn tell_of(&self, run: &UpkeepRun) {
        guard::told(|| (self.on_run)(run));
    }

    fn tell(&self, keeper: &Keeper, change: impl FnOnce(&mut UpkeepStats)) {
        let mut all = self.stats.lock();
        let stats = all.entry(keeper.name.clone()).or_default();
        change(stats);
        keeper.publish(stats);
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        // A thread that panicked has nothing to say any more.
        let _ = self.stop();
    }
}

impl fmt::Debug for Maintenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Maintenance").field("running", &self.is_running()).finish_non_exhaustive()
    }
}
