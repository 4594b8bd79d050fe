//! The handle of a commit that waits.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use persist_api::{Durability, Error, ErrorKind, Result};

use super::entry::{Care, Entry, Failure, Outcome};
use super::{CommitOptions, WhenFull, Work};
use crate::Store;
use crate::log::BeatLog;
use crate::observe::{tell, told};
use crate::shared::Shared;
use crate::transact::Conflict;
use crate::writer::Receipt;

/// A commit that is queued. Block on it with [`wait`](Self::wait), or await it: it is a future that needs no runtime.
/// Dropping it changes nothing about the commit, but nobody will know how it ended.
///
/// While it is only held, its commit goes with the next beat that anybody makes; if nobody makes one, a helper thread does, in about two seconds.
/// To have it sooner, wait for it, await it, ask [`is_done`](Self::is_done), or [`start`](Self::start) it.
pub struct Pending {
    shared: Arc<Shared>,
    entry: Arc<Entry>,
}

/// A commit that found no room, and why. The log is still there.
pub struct NotQueued(Box<(BeatLog, Error)>);

impl Pending {
    pub(crate) fn new(shared: Arc<Shared>, entry: Arc<Entry>) -> Self {
        Self { shared, entry }
    }

    /// Blocks until the commit is visible and as durable as asked. If nobody is making a beat, this thread does, for all
    /// that wait.
    ///
    /// # Errors
    /// `Busy` when an explicit beat of the writer took longer than [`CommitOptions::wait`], or what the engine said:
    /// nothing is changed then. After `Io` or `Poisoned`, reopen to see whether the commit is there.
    pub fn wait(self) -> Result<Receipt> {
        told(plain(self.outcome()))
    }

    pub(crate) fn outcome(&self) -> Outcome {
        self.shared.await_outcome(&self.entry)
    }

    /// Lets the helper thread make the commit while this one does something else.
    pub fn start(&self) {
        self.hand_over(Care::Polled, None);
    }

    /// True when the commit is decided: waiting for it takes no time. Asking [starts](Self::start) a commit that was only
    /// held, so that it is done soon.
    #[must_use]
    pub fn is_done(&self) -> bool {
        if !self.entry.is_open() {
            return true;
        }
        if self.entry.care() == Care::Held {
            self.start();
        }
        false
    }

    /// Leaves the commit to the helper.
    fn hand_over(&self, care: Care, waker: Option<&Waker>) {
        let waker = waker.cloned();
        let queue = self.shared.group.lock();
        let change = self.entry.set_care(care, waker);
        if change.is_new && self.entry.is_open() {
            drop(self.shared.0.wake_helper(queue));
        } else {
            drop(queue);
        }
        drop(change);
    }
}

/// The outcome of a commit that read nothing.
fn plain(outcome: Outcome) -> Result<Receipt> {
    outcome.map_err(|failure| match failure {
        Failure::Error(error) => error,
        Failure::Conflict(conflict) => Conflict::into(conflict),
    })
}

impl Future for Pending {
    type Output = Result<Receipt>;

    /// After `Ready` it gives `Invalid`.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // The waker first: a decision that comes in between calls it.
        self.hand_over(Care::Polled, Some(context.waker()));
        match self.entry.take_outcome() {
            Some(outcome) => Poll::Ready(told(plain(outcome))),
            None if self.entry.is_told() => {
                let context = "this commit was asked for again after it had been told";
                Poll::Ready(told(Err(Error::new(ErrorKind::Invalid, "commit", context))))
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.entry.is_open() {
            self.hand_over(Care::Alone, None);
        }
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("done", &!self.entry.is_open()).finish_non_exhaustive()
    }
}

impl NotQueued {
    /// Why.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.0.1
    }

    /// The log and the error.
    #[must_use]
    pub fn into_parts(self) -> (BeatLog, Error) {
        *self.0
    }
}

impl fmt::Debug for NotQueued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NotQueued").field(self.error()).finish()
    }
}

impl fmt::Display for NotQueued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error().fmt(f)
    }
}

impl std::error::Error for NotQueued {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(self.error())
    }
}

impl From<NotQueued> for Error {
    fn from(failed: NotQueued) -> Self {
        failed.into_parts().1
    }
}

impl Store {
    /// Queues a commit. It is checked first, by itself; what waits goes into one beat, each commit atomic by itself and
    /// acknowledged when that beat is as durable as this one asked. May be called from any thread. Blocks only while the
    /// queue is full.
    ///
    /// Who only holds what is returned presses nobody: the commit goes with the next beat that anybody makes, or is made by a helper
    /// thread, in about two seconds. It is made without delay when somebody waits for it, awaits it, asks whether it is done,
    /// starts it or drops it.
    ///
    /// ```
    /// # use persist_api::{Durability, OpenOptions};
    /// # let drivers: [std::sync::Arc<dyn persist_api::Driver>; 1] = [std::sync::Arc::new(persist_memory::MemoryDriver::new())];
    /// # let disk = std::sync::Arc::new(persist_io::RealDisk);
    /// # let opened = persist_store::open_with(disk, &drivers, "".as_ref(), Some("memory"), &OpenOptions::default())?;
    /// # let (_writer, store) = opened.negotiate(&persist_store::volatile_request())?;
    /// let mut log = persist_store::BeatLog::new();
    /// log.put(b"key", b"value")?;
    /// let receipt = store.commit(log, Durability::Durable)?.wait()?;
    /// assert_eq!(receipt.commit.0, 1);
    /// # Ok::<(), persist_api::Error>(())
    /// ```
    ///
    /// # Errors
    /// `TooLarge`, and `Unsupported` for a verb or a durability that was not granted: this commit is refused and no
    /// other. `Busy` when the queue stays full for [`CommitOptions::wait`]. `Closed`.
    pub fn commit(&self, batch: BeatLog, durability: Durability) -> Result<Pending> {
        Ok(self.queue(batch, durability, WhenFull::Wait)?)
    }

    /// As [`commit`](Self::commit), but gives the log back at once when the queue is full.
    ///
    /// # Errors
    /// As [`commit`](Self::commit), `Busy` at once.
    pub fn try_commit(&self, batch: BeatLog, durability: Durability) -> Result<Pending, NotQueued> {
        self.queue(batch, durability, WhenFull::Refuse)
    }

    fn queue(&self, log: BeatLog, asked: Durability, when_full: WhenFull) -> Result<Pending, NotQueued> {
        let back = |log, error| {
            tell(&error);
            NotQueued(Box::new((log, error)))
        };
        let active = self.0.active();
        let terms = &active.terms;
        if let Err(error) = self.0.check(terms, &log).and_then(|()| terms.durability(asked)) {
            return Err(back(log, error));
        }
        let work = Work { staged: terms.staged_bytes(&log), ..Work::new(log, asked, active.epoch) };
        match self.0.0.enqueue(work, when_full) {
            Ok(entry) => Ok(Pending::new(Arc::clone(&self.0), entry)),
            Err(refused) => {
                let (work, error) = *refused;
                Err(back(work.log, error))
            }
        }
    }

    /// The bounds of the committer.
    #[must_use]
    pub fn commit_options(&self) -> CommitOptions {
        self.0.group.options()
    }

    /// Changes the bounds of the committer, for all handles and from now on.
    pub fn set_commit_options(&self, options: CommitOptions) {
        self.0.group.set_options(options);
    }
}
