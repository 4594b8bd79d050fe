//! A commit in the queue, and what became of it.

use std::task::Waker;
use std::time::Duration;

use persist_api::{Durability, Error};

use crate::feed::Change;
use crate::log::BeatLog;
use crate::sync::{Budget, Condvar, Mutex, MutexGuard, lock};
use crate::transact::{Conflict, Reads};
use crate::writer::Receipt;

/// What a queued commit keeps in memory beside its log, about.
const ENTRY_BYTES: u64 = 256;

/// What is to be committed.
pub(crate) struct Work {
    pub(crate) log: BeatLog,
    /// The durability asked for, which was granted.
    pub(crate) durability: Durability,
    /// The epoch under whose terms it was checked.
    pub(crate) epoch: u64,
    /// Bytes that it stages in the engine.
    pub(crate) staged: u64,
    /// What it read, for a transaction.
    pub(crate) reads: Option<Reads>,
    /// What it changes about the holds of the feed.
    pub(crate) change: Option<Change>,
}

impl Work {
    pub(crate) const fn new(log: BeatLog, durability: Durability, epoch: u64) -> Self {
        Self { log, durability, epoch, staged: 0, reads: None, change: None }
    }

    /// What it keeps in memory while it waits, about.
    pub(crate) fn memory(&self) -> u64 {
        let reads = self.reads.as_ref().map_or(0, Reads::memory);
        ENTRY_BYTES.saturating_add(self.log.memory()).saturating_add(reads)
    }
}

/// Why a commit was not made.
#[derive(Debug)]
pub(crate) enum Failure {
    Error(Error),
    /// Something that a transaction had read was changed meanwhile.
    Conflict(Conflict),
}

/// What became of a commit.
pub(crate) type Outcome = Result<Receipt, Failure>;

/// Who looks after a commit that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    /// Its handle exists, and nobody has asked yet.
    Held,
    /// A thread blocks on it, and can lead.
    Blocked,
    /// A future: somebody asks now and then, and cannot lead.
    Polled,
    /// Its handle is gone.
    Alone,
}

/// What became of saying who looks after a commit.
#[must_use]
pub(crate) struct CareChange {
    /// It was somebody else, or in another way.
    pub(crate) is_new: bool,
    /// The waker that nobody needs any more: to be dropped without a lock.
    pub(crate) dropped: Option<Waker>,
}

/// A commit in the queue. Its state changes under the lock of the queue, but for the outcome: that may come earlier.
pub(crate) struct Entry {
    pub(crate) work: Work,
    /// Notified together with the lock of the queue.
    pub(crate) turn: Condvar,
    state: Mutex<State>,
}

struct State {
    care: Care,
    waker: Option<Waker>,
    /// Counts while it waits behind the writer.
    budget: Budget,
    fate: Fate,
}

enum Fate {
    Open,
    Decided(Outcome),
    Told,
}

/// Whom to tell that a commit is decided.
pub(crate) enum Listener {
    Nobody,
    Thread,
    Task(Waker),
}

impl Entry {
    pub(crate) fn new(work: Work) -> Self {
        let state =
            Mutex::new(State { care: Care::Held, waker: None, budget: Budget::default(), fate: Fate::Open });
        Self { work, turn: Condvar::new(), state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(crate) fn care(&self) -> Care {
        self.state().care
    }

    /// Says who looks after it from now on.
    pub(crate) fn set_care(&self, care: Care, waker: Option<Waker>) -> CareChange {
        let mut state = self.state();
        // Who was told to wake a task does that, also when it is started once more.
        let keeps = waker.is_none() && care == Care::Polled;
        let dropped = if keeps { None } else { std::mem::replace(&mut state.waker, waker) };
        CareChange { is_new: std::mem::replace(&mut state.care, care) != care, dropped }
    }

    /// How long it may still wait behind the writer; `None` when its time is up.
    pub(crate) fn patience(&self, wait: Duration) -> Option<Duration> {
        self.state().budget.left(wait)
    }

    /// Decides it, once; a later decision is not heard.
    pub(crate) fn decide(&self, outcome: Outcome) {
        let mut state = self.state();
        if matches!(state.fate, Fate::Open) {
            state.fate = Fate::Decided(outcome);
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state().fate, Fate::Open)
    }

    /// What became of it, told once.
    pub(crate) fn take_outcome(&self) -> Option<Outcome> {
        let mut state = self.state();
        match std::mem::replace(&mut state.fate, Fate::Told) {
            Fate::Decided(outcome) => Some(outcome),
            other => {
                state.fate = other;
                None
            }
        }
    }

    /// True when the outcome was taken.
    pub(crate) fn is_told(&self) -> bool {
        matches!(self.state().fate, Fate::Told)
    }

    /// Whom to tell that it is decided.
    pub(crate) fn listener(&self) -> Listener {
        let mut state = self.state();
        match state.care {
            Care::Held | Care::Alone => Listener::Nobody,
            Care::Blocked => Listener::Thread,
            Care::Polled => state.waker.take().map_or(Listener::Nobody, Listener::Task),
        }
    }
}
