//! Reading the feed.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use persist_api::{Caps, CommitNo, Engine, Error, ErrorKind, Result, View};

use super::FeedCommit;
use super::record::{corrupt, read_commit};
use super::state::load_table;
use crate::Store;
use crate::observe::told;
use crate::shared::{Core, Shared};

/// Commits and, about, bytes that are read at a time. One commit may be larger.
const PAGE_COMMITS: u64 = 256;
const PAGE_BYTES: usize = 256 << 10;

/// Every commit after a number, in order, each once. It reads a page at a time from a view that is closed again, so that
/// it may lag as far as a [`Hold`](super::Hold) allows, in bounded memory, and holds no old records in place. It keeps the
/// home locked until dropped.
pub struct Feed {
    core: Arc<Core>,
    /// The last commit that was given out.
    position: CommitNo,
    page: VecDeque<FeedCommit>,
    task: Option<u64>,
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("position", &self.position).finish_non_exhaustive()
    }
}

impl Feed {
    pub(super) fn open(shared: &Shared, after: CommitNo) -> Result<Self> {
        shared.active().terms.need("feed", Caps::SNAPSHOT)?;
        shared.feed.check_known("feed")?;
        let core = Arc::clone(&shared.0);
        let mut feed = Self { core, position: after, page: VecDeque::new(), task: None };
        // What cannot be read is said at once.
        feed.read_page()?;
        Ok(feed)
    }

    /// The commit that [`pull`](Self::pull) gave out last, or that the feed began after.
    #[must_use]
    pub const fn position(&self) -> CommitNo {
        self.position
    }

    /// The next commit; `None` when there is none yet. A commit that was made `Buffered` may be given out before it is
    /// durable, as it can be read before.
    ///
    /// # Errors
    /// `Stale` when the next commit is not kept any more, or never was: the reader has to start over from a view. `Corrupt`
    /// naming the commit; nothing is ever left out. `Busy` beyond `limits.views_max`, `Closed`, `Io`: the next call tries
    /// again.
    pub fn pull(&mut self) -> Result<Option<FeedCommit>> {
        if self.page.is_empty() {
            told(self.read_page())?;
        }
        let Some(commit) = self.page.pop_front() else { return Ok(None) };
        self.position = commit.commit;
        Ok(Some(commit))
    }

    /// Blocks until there is a commit to pull, at most so long. False when time is up.
    ///
    /// # Errors
    /// `Closed` when there will be none: the store is closed, or its last handle is gone.
    pub fn wait(&mut self, timeout: Duration) -> Result<bool> {
        if !self.page.is_empty() {
            return Ok(true);
        }
        told(self.core.feed.wait_after(self.position, timeout))
    }

    /// As [`wait`](Self::wait) without a limit, as a future that needs no runtime.
    pub fn ready(&mut self) -> Ready<'_> {
        Ready(self)
    }

    fn read_page(&mut self) -> Result<()> {
        // A view may show a beat that is not told yet; who reads that now would be ahead of everybody.
        let last = self.core.feed.last();
        if last <= self.position {
            return Ok(());
        }
        let view = self.core.with_running("feed", |_, running| running.engine.view())?;
        let first = self.position.0.saturating_add(1);
        let mut bytes = 0;
        for commit in first..=last.0.min(first.saturating_add(PAGE_COMMITS - 1)) {
            let read = match read_commit(view.as_ref(), commit) {
                Ok(Some(read)) => read,
                // What comes before it is right, and given out first.
                _ if !self.page.is_empty() => break,
                Ok(None) => return Err(missing(view.as_ref(), commit)),
                Err(error) => return Err(error),
            };
            bytes += read.log.canonical_bytes().len();
            self.page.push_back(read);
            if bytes >= PAGE_BYTES {
                break;
            }
        }
        Ok(())
    }
}

/// Why a commit that was made is not in the feed that a view shows.
fn missing(view: &dyn View, commit: u64) -> Error {
    match load_table(view, view.header()) {
        Err(error) => error,
        Ok(loaded) if loaded.table.has(commit) => corrupt(commit, "it is kept, and missing"),
        Ok(_) => {
            let context = format!(
                "commit {commit} is not in the feed: no hold kept it. Take a hold, copy what a view shows, and follow \
                 from there"
            );
            Error::new(ErrorKind::Stale, "feed", context)
        }
    }
}

/// Resolves when there is a commit to pull. See [`Feed::ready`].
#[derive(Debug)]
pub struct Ready<'f>(&'f mut Feed);

impl Future for Ready<'_> {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let feed = &mut *self.get_mut().0;
        if !feed.page.is_empty() {
            return Poll::Ready(Ok(()));
        }
        match feed.core.feed.poll_after(feed.position, &mut feed.task, context.waker()) {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => Poll::Pending,
            Err(error) => Poll::Ready(told(Err(error))),
        }
    }
}

impl Drop for Ready<'_> {
    fn drop(&mut self) {
        if let Some(task) = self.0.task.take() {
            self.0.core.feed.forget(task);
        }
    }
}

impl Store {
    /// Every commit after this one, as data (SNAPSHOT). What is there is what [holds](Self::hold) keep; a feed that begins
    /// beyond the newest commit waits for it to come.
    ///
    /// # Errors
    /// `Stale` when the next commit is not kept; `Unsupported` unless granted; as [`Feed::pull`].
    pub fn feed(&self, after: CommitNo) -> Result<Feed> {
        told(Feed::open(&self.0, after))
    }
}
