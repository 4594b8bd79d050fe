//! Which views are open, how old they are, and the recall of those that are too old.
//!
//! An old view costs: SQLite's log and LMDB's map grow with every beat as long as it lives, the other engines keep what only
//! it can see. So a view has a limit of age. Nothing grows while nothing is written, so no thread has to watch the clock:
//! whoever begins a beat *recalls* the views that are past their limit first. A recalled view gives `Stale`, and the engine's
//! view behind it is gone, also if its holder never asks again. What its holder is reading at that moment (a value that it
//! has not dropped, a cursor, a scan) cannot be taken from under it: it is told at its next step, and the engine's view goes
//! when it is given back.

mod hold;
mod lent;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use persist_api::BeatNo;

use crate::clock::Clock;
pub(crate) use hold::{Engaged, Hold};
use lent::Slot;

/// No view is open that has a limit.
const NEVER: u64 = u64::MAX;

/// Bounds of the views of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewOptions {
    /// How long a view may stay open before it is recalled. `None`: as long as its holder likes, whatever the engine has to
    /// keep for it.
    pub age_max: Option<Duration>,
}

impl Default for ViewOptions {
    /// One hour: longer than a reader should need, short enough that a forgotten one fills no disk.
    fn default() -> Self {
        Self { age_max: Some(Duration::from_secs(3600)) }
    }
}

/// The views of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ViewStats {
    /// Those that are open and were not recalled.
    pub open: u64,
    /// The beat of the oldest of them, by the time of its opening.
    pub oldest_beat: Option<BeatNo>,
    /// How long that one has been open.
    pub oldest_age: Option<Duration>,
    /// Recalled, all told.
    pub recalled: u64,
    /// Recalled, but the engine's view is not back yet: the holder reads just now, or keeps a value or a cursor.
    pub overdue: u64,
}

/// All views that are open, in the order of their opening.
pub(crate) struct Views {
    clock: Arc<dyn Clock>,
    /// When the first view is due, in nanoseconds of the clock; changed under the lock.
    due: AtomicU64,
    /// Hands out values that only the view can keep; set once it is seen.
    pins: Arc<std::sync::atomic::AtomicBool>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    options: ViewOptions,
    next: u64,
    open: BTreeMap<u64, Entry>,
    recalled: u64,
    overdue: Vec<Arc<Slot>>,
}

struct Entry {
    beat: BeatNo,
    since: Duration,
    /// `None` without a limit.
    limit: Option<(u64, Arc<Slot>)>,
}

/// A place in the list of open views, until dropped.
pub(crate) struct Ticket {
    views: Arc<Views>,
    id: u64,
}

impl Views {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, due: AtomicU64::new(NEVER), pins: Arc::default(), state: Mutex::default() }
    }

    pub(crate) fn options(&self) -> ViewOptions {
        self.state.lock().options
    }

    pub(crate) fn set_options(&self, options: ViewOptions) {
        self.state.lock().options = options;
    }

    /// Enters a view that was just opened; `age_max` is its limit.
    pub(crate) fn enter(self: &Arc<Self>, engaged: Engaged, age_max: Option<Duration>) -> (Hold, Ticket) {
        let beat = engaged.view.header().beat;
        let Some(age_max) = age_max else {
            return (Hold::own(engaged), self.count(beat));
        };
        let since = self.clock.now();
        let slot = Arc::new(Slot::new(engaged, beat, age_max));
        let due = nanoseconds(since.saturating_add(age_max));
        let hold = Hold::lent(Arc::clone(&slot), Arc::clone(&self.pins));
        (hold, self.note(Entry { beat, since, limit: Some((due, slot)) }))
    }

    /// Counts a view without a limit that was just opened at this beat.
    pub(crate) fn count(self: &Arc<Self>, beat: BeatNo) -> Ticket {
        self.note(Entry { beat, since: self.clock.now(), limit: None })
    }

    fn note(self: &Arc<Self>, entry: Entry) -> Ticket {
        let mut state = self.state.lock();
        let id = state.next;
        state.next = id.wrapping_add(1);
        if let Some((due, _)) = &entry.limit {
            self.due.fetch_min(*due, Ordering::AcqRel);
        }
        state.open.insert(id, entry);
        Ticket { views: Arc::clone(self), id }
    }

    /// Recalls every view that is past its limit; answers how many. Reads the clock only while a view with a limit is open.
    pub(crate) fn recall(&self) -> u64 {
        let due = self.due.load(Ordering::Acquire);
        if due == NEVER {
            return 0;
        }
        let now = nanoseconds(self.clock.now());
        if now < due { 0 } else { self.recall_due(now) }
    }

    #[cold]
    fn recall_due(&self, now: u64) -> u64 {
        let mut due = Vec::new();
        let mut state = self.state.lock();
        let mut first = NEVER;
        state.open.retain(|_, entry| match &entry.limit {
            Some((at, slot)) if *at <= now => {
                due.push(Arc::clone(slot));
                false
            }
            Some((at, _)) => {
                first = first.min(*at);
                true
            }
            None => true,
        });
        self.due.store(first, Ordering::Release);
        let count = due.len() as u64;
        state.recalled = state.recalled.saturating_add(count);
        // Under the lock, so that the figures are right whoever looks; ending an engine's view waits for nobody.
        due.retain(|slot| !slot.recall());
        state.overdue.retain(|slot| !slot.is_back());
        state.overdue.append(&mut due);
        count
    }

    /// Figures as they are.
    pub(crate) fn stats(&self) -> ViewStats {
        let mut state = self.state.lock();
        state.overdue.retain(|slot| !slot.is_back());
        let oldest = state.open.first_key_value().map(|(_, entry)| (entry.beat, entry.since));
        ViewStats {
            open: state.open.len() as u64,
            oldest_beat: oldest.map(|(beat, _)| beat),
            oldest_age: oldest.map(|(_, since)| self.clock.now().saturating_sub(since)),
            recalled: state.recalled,
            overdue: state.overdue.len() as u64,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.views.state.lock().open.remove(&self.id);
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(NEVER - 1)
}
