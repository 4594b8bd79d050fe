//! What all handles know of the feed, and who waits for the next commit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use persist_api::{BeatHeader, BeatNo, CommitNo, Result, View};

use super::lost::{Lost, is_lost};
use super::record::read_head;
use super::table::{TABLE_KEY, Table};
use crate::group::wake_all;
use crate::layers::{Codec, LayeredView};
use crate::shared::closed;
use crate::swap::HOLD_NAME;
use crate::sync::{Budget, Condvar, Mutex, MutexGuard, lock, wait_for};

/// The feed of a store.
pub(crate) struct FeedState {
    state: Mutex<State>,
    /// There is a newer commit, or there will be none.
    changed: Condvar,
    /// Bytes that the next beat has to keep for the table; 0 while nobody holds.
    reserve: AtomicU64,
}

pub(super) struct State {
    /// Changed by the holder of the lane only.
    pub(super) table: Table,
    /// Why the stored table is not `table`, which is empty then.
    pub(super) lost: Option<Lost>,
    /// The stored table has a hold that `table` has not, or is sealed with an older key than the one that seals: it is
    /// written anew.
    pub(super) outdated: bool,
    /// How far readers came since the table was written.
    pub(super) advances: BTreeMap<Arc<str>, Advance>,
    /// The newest commit that can be read.
    pub(super) last: CommitNo,
    /// Its beat.
    pub(super) beat: BeatNo,
    /// How many engines this was the feed of, before the one whose sums the table has.
    pub(super) engines: u64,
    closed: bool,
    /// Threads that wait.
    threads: usize,
    tasks: Vec<(u64, Waker)>,
    next_task: u64,
}

/// How far the reader of a hold came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Advance {
    /// The commit that made the hold.
    pub(super) born: u64,
    pub(super) position: u64,
    pub(super) bytes_at: u64,
}

impl FeedState {
    fn new(table: Table, lost: Option<Lost>, outdated: bool, newest: &BeatHeader) -> Self {
        let state = State {
            table,
            lost,
            outdated,
            advances: BTreeMap::new(),
            last: newest.last_commit(),
            beat: newest.beat,
            engines: 0,
            closed: false,
            threads: 0,
            tasks: Vec::new(),
            next_task: 0,
        };
        let feed = Self { state: Mutex::new(state), changed: Condvar::new(), reserve: AtomicU64::new(0) };
        feed.note_reserve(&feed.lock().table);
        feed
    }

    /// Reads the state back from an engine. Damage in the feed costs the holds, never the store: they are stale then, or
    /// lost with their table, and `verify` says why. So does a key of encryption that nobody gave.
    ///
    /// A hold of a swap goes unless `swapping`, that is, unless the stamp names a swap: nobody could go on with it or end it.
    /// A backup has one whose source was being swapped.
    ///
    /// # Errors
    /// `Io`, `Stale`.
    pub(crate) fn load(view: &LayeredView, codec: &Codec, swapping: bool) -> Result<Self> {
        let newest = view.header();
        let Loaded { mut table, damaged } = match load_table(view, newest) {
            Err(error) if is_lost(&error) => {
                let lost = Lost::of(&error, view)?;
                return Ok(Self::new(Table::default(), Some(lost), false, newest));
            }
            loaded => loaded?,
        };
        if damaged {
            table.rows.iter_mut().for_each(|row| row.stale = true);
        }
        let stored = view.below().get_record(TABLE_KEY)?;
        let outdated = stored.is_some_and(|stored| !codec.seals_like(&stored));
        let ended = !swapping && table.row(HOLD_NAME).is_some();
        if ended {
            table.rows.retain(|row| *row.name != *HOLD_NAME);
        }
        Ok(Self::new(table, None, outdated || ended, newest))
    }

    /// Checks that it is known who holds the feed.
    ///
    /// # Errors
    /// `Corrupt` or `Refused` when the table of holds could not be read.
    pub(super) fn check_known(&self, op: &'static str) -> Result<()> {
        self.lock().lost.as_ref().map_or(Ok(()), |lost| Err(lost.error(op)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Bytes that the next beat has to keep for the table of holds; `None` while nobody holds.
    pub(crate) fn reserve(&self) -> Option<u64> {
        Some(self.reserve.load(Ordering::Acquire)).filter(|bytes| *bytes > 0)
    }

    pub(super) fn note_reserve(&self, table: &Table) {
        let bytes = if table.is_live() { table.bytes_soon() } else { 0 };
        self.reserve.store(bytes, Ordering::Release);
    }

    /// Notes that no more commits will come.
    pub(crate) fn end(&self) {
        wake_all(self.tell(|state| state.closed = true));
    }

    /// Changes the state and tells threads that wait. Gives the tasks that do, to be woken where nobody holds anything.
    #[must_use]
    pub(super) fn tell(&self, change: impl FnOnce(&mut State)) -> Vec<Waker> {
        let mut state = self.lock();
        change(&mut state);
        let tasks = std::mem::take(&mut state.tasks);
        let threads = state.threads > 0;
        drop(state);
        if threads {
            self.changed.notify_all();
        }
        tasks.into_iter().map(|(_, waker)| waker).collect()
    }

    /// The newest commit that can be read.
    pub(super) fn last(&self) -> CommitNo {
        self.lock().last
    }

    /// Blocks until there is a commit after `at`, at most so long. False when time is up.
    ///
    /// # Errors
    /// `Closed`.
    pub(super) fn wait_after(&self, at: CommitNo, timeout: Duration) -> Result<bool> {
        let mut budget = Budget::default();
        let mut state = self.lock();
        loop {
            if state.last > at {
                return Ok(true);
            }
            if state.closed {
                return Err(closed("feed"));
            }
            let Some(left) = budget.left(timeout) else { return Ok(false) };
            state.threads += 1;
            state = wait_for(&self.changed, state, left);
            state.threads -= 1;
        }
    }

    /// True when there is a commit after `at`; else `waker` is called when there may be one. `task` names the caller from
    /// one call to the next.
    ///
    /// # Errors
    /// `Closed`.
    pub(super) fn poll_after(&self, at: CommitNo, task: &mut Option<u64>, waker: &Waker) -> Result<bool> {
        // Before the lock, so that both this one and the one that it replaces are dropped after it.
        let mut waker = waker.clone();
        let mut state = self.lock();
        if state.last > at {
            return Ok(true);
        }
        if state.closed {
            return Err(closed("feed"));
        }
        let known = task.and_then(|task| state.tasks.iter_mut().find(|(other, _)| *other == task));
        if let Some((_, old)) = known {
            std::mem::swap(old, &mut waker);
            return Ok(false);
        }
        let new = state.next_task;
        state.next_task = new.wrapping_add(1);
        state.tasks.push((new, waker));
        *task = Some(new);
        Ok(false)
    }

    /// Forgets a task that does not wait any more.
    pub(super) fn forget(&self, task: u64) {
        let mut state = self.lock();
        let place = state.tasks.iter().position(|(other, _)| *other == task);
        let gone = place.map(|place| state.tasks.remove(place));
        drop(state);
        drop(gone);
    }
}

/// A table that was read back.
pub(super) struct Loaded {
    pub(super) table: Table,
    /// The newest commit should be stored, and cannot be read.
    pub(super) damaged: bool,
}

/// The table as it is at the newest beat: what was stored since it was written is added.
///
/// # Errors
/// `Corrupt`, `Refused` when it was sealed with a key that is missing, `Io`, `Stale`.
pub(super) fn load_table(view: &dyn View, newest: &BeatHeader) -> Result<Loaded> {
    let mut table = match view.get_record(TABLE_KEY)? {
        Some(stored) => Table::decode(&stored)?,
        None => Table::default(),
    };
    let newest = newest.last_commit().0;
    if table.floor().is_none_or(|floor| floor > newest) {
        return Ok(Loaded { table, damaged: false });
    }
    let head = match read_head(view, newest) {
        Err(error) if !is_lost(&error) => return Err(error),
        head => head.ok().flatten(),
    };
    if let Some(head) = head {
        table.totals = head.totals;
    }
    if let Some(run) = table.runs.last_mut() {
        run.until = newest.saturating_add(1);
    }
    Ok(Loaded { table, damaged: head.is_none() })
}
