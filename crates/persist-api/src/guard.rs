//! Small guards that every engine needs: one beat at a time, counted views, and a memory of fatal failures.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::{BeatNo, Error, ErrorKind, Result, Stats};

/// Lets one beat in at a time and answers `Busy` to a second one instead of blocking (contract B-5).
#[derive(Debug, Default)]
pub struct BeatGate(AtomicBool);

/// Leaves the gate when dropped.
#[derive(Debug)]
pub struct BeatTicket<'g>(&'g BeatGate);

impl BeatGate {
    /// Enters the gate.
    ///
    /// # Errors
    /// `Busy` while another ticket exists.
    pub fn enter(&self) -> Result<BeatTicket<'_>> {
        if self.0.swap(true, Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Busy, "begin_beat", "another beat is open"));
        }
        Ok(BeatTicket(self))
    }
}

impl Drop for BeatTicket<'_> {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}

/// Remembers that a write or a sync failed: from then on the engine refuses to go on until it is reopened (contract D-5).
#[derive(Debug, Default)]
pub struct Health {
    poisoned: AtomicBool,
    cause: OnceLock<String>,
}

impl Health {
    /// Marks the engine as poisoned.
    pub fn poison(&self) {
        self.poisoned.store(true, Ordering::Release);
    }

    /// Marks the engine as poisoned by this error. The first one is named to everybody who comes later.
    pub fn poison_by(&self, cause: &Error) {
        if !self.is_poisoned() {
            self.cause.get_or_init(|| {
                let place = cause.path().map_or_else(String::new, |path| format!(" [{}]", path.display()));
                format!("{}: {}{place}", cause.op(), cause.context())
            });
        }
        self.poison();
    }

    /// True after [`poison`](Self::poison) or [`poison_by`](Self::poison_by).
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }

    /// Checks that nothing fatal has happened.
    ///
    /// # Errors
    /// `Poisoned`, naming the cause where it is known.
    pub fn check(&self, op: &'static str) -> Result<()> {
        if !self.is_poisoned() {
            return Ok(());
        }
        let cause = self.cause.get().map_or_else(String::new, |cause| format!(": {cause}"));
        Err(Error::new(ErrorKind::Poisoned, op, format!("an earlier write or sync failed{cause}")))
    }
}

/// Counts the open views of an engine, knows the oldest, and lets `close` wait for them.
#[derive(Debug, Clone)]
pub struct ViewLedger(Arc<LedgerShared>);

#[derive(Debug)]
struct LedgerShared {
    views_max: u64,
    state: Mutex<LedgerState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct LedgerState {
    next: u64,
    open: BTreeMap<u64, (BeatNo, Instant)>,
    /// Threads that wait for views to go: nobody else needs to be told, and telling is a system call.
    waiting: u32,
}

/// One open view. Dropping it takes the view off the ledger.
#[derive(Debug)]
pub struct ViewLease {
    ledger: ViewLedger,
    id: u64,
}

impl ViewLedger {
    /// A ledger that admits `views_max` views at once.
    #[must_use]
    pub fn new(views_max: u64) -> Self {
        Self(Arc::new(LedgerShared { views_max, state: Mutex::default(), changed: Condvar::new() }))
    }

    fn state(&self) -> MutexGuard<'_, LedgerState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a view. Take the lease before the engine's own transaction, so that a refused view costs nothing.
    ///
    /// # Errors
    /// `Busy` when `views_max` views are open.
    pub fn open(&self, beat: BeatNo) -> Result<ViewLease> {
        let mut state = self.state();
        if state.open.len() as u64 >= self.0.views_max {
            let context = format!("{} views are open, as many as are allowed", self.0.views_max);
            return Err(Error::new(ErrorKind::Busy, "view", context));
        }
        let id = state.next;
        state.next = id.wrapping_add(1);
        state.open.insert(id, (beat, Instant::now()));
        Ok(ViewLease { ledger: self.clone(), id })
    }

    /// How many views are open.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.state().open.len() as u64
    }

    /// Fills the view figures of `stats`.
    pub fn fill(&self, stats: &mut Stats) {
        let state = self.state();
        stats.views_open = state.open.len() as u64;
        let oldest = state.open.first_key_value().map(|(_, oldest)| oldest);
        stats.oldest_view_beat = oldest.map(|(beat, _)| *beat);
        stats.oldest_view_age = oldest.map(|(_, since)| since.elapsed());
    }

    /// Waits until no view is open, at most `wait`.
    ///
    /// # Errors
    /// `Busy` naming how many are left and the beat of the oldest.
    pub fn wait_until_closed(&self, wait: Duration) -> Result<()> {
        let mut state = self.state();
        state.waiting = state.waiting.saturating_add(1);
        let (mut state, _) = self
            .0
            .changed
            .wait_timeout_while(state, wait, |state| !state.open.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        state.waiting = state.waiting.saturating_sub(1);
        match state.open.first_key_value() {
            None => Ok(()),
            Some((_, (beat, _))) => {
                let context = format!("{} views are still open, the oldest at beat {beat}", state.open.len());
                Err(Error::new(ErrorKind::Busy, "close", context))
            }
        }
    }
}

impl ViewLease {
    /// Notes the beat that the view turned out to show.
    pub fn pin(&self, beat: BeatNo) {
        if let Some(entry) = self.ledger.state().open.get_mut(&self.id) {
            entry.0 = beat;
        }
    }
}

impl Drop for ViewLease {
    fn drop(&mut self) {
        let mut state = self.ledger.state();
        state.open.remove(&self.id);
        let is_awaited = state.waiting > 0;
        drop(state);
        if is_awaited {
            self.ledger.0.changed.notify_all();
        }
    }
}
