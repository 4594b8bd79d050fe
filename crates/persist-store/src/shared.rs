//! What all handles of one open store share.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use persist_api::{
    BeatHeader, BeatNo, Caps, CommitNo, Driver, Durability, Engine, Error, ErrorKind, Request, Result,
};
use persist_io::Disk;

pub(crate) use crate::active::{Active, Room, Running, Terms, closed, too_large};
use crate::activity::Activity;
use crate::clock::Clock;
use crate::feed::{Carry, FeedState, Plan};
use crate::group::Group;
use crate::layers::KeyProvider;
use crate::log::BeatLog;
use crate::observe::verb;
use crate::swap::Pinned;
use crate::sync::{AtomicBool, Budget, Condvar, Mutex, RwLock, lock, wait_for};
use crate::transact::Recent;
use crate::views::Views;

/// With what a store was opened.
pub(crate) struct Setup {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) drivers: Vec<Arc<dyn Driver>>,
    pub(crate) request: Request,
    pub(crate) keys: Option<Arc<dyn KeyProvider>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) close_wait: Duration,
}

/// What the handles and the helper thread of the committer share.
pub(crate) struct Core {
    /// The way to the engine, for every handle. A swap replaces what is in here and nothing else.
    route: RwLock<Arc<Active>>,
    /// Engines that a swap has retired and that views or verbs still use.
    retired: Mutex<Vec<Arc<Active>>>,
    /// Notified when another engine takes the place.
    flipped: (Mutex<()>, Condvar),
    /// Set while a swap is at work.
    pub(crate) swapping: Arc<AtomicBool>,
    pub(crate) setup: Setup,
    /// Number of the newest commit.
    last_commit: AtomicU64,
    pub(crate) group: Group,
    pub(crate) recent: Recent,
    pub(crate) feed: FeedState,
    pub(crate) activity: Activity,
    pub(crate) views: Arc<Views>,
}

/// What the handles hold: stores, the writer, and commits that somebody waits for. With the last of them, what is queued
/// is committed and the helper thread ends, before the engine goes.
pub(crate) struct Shared(pub(crate) Arc<Core>);

impl Deref for Shared {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.0
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.0.finish_commits();
        self.0.feed.end();
    }
}

impl Shared {
    pub(crate) fn new(active: Active, setup: Setup, last: BeatHeader, feed: FeedState) -> Self {
        let active = Arc::new(active);
        let views = Arc::new(Views::new(Arc::clone(&setup.clock)));
        Self(Arc::new(Core {
            group: Group::new(last, Arc::clone(&active)),
            route: RwLock::new(active),
            retired: Mutex::new(Vec::new()),
            flipped: (Mutex::new(()), Condvar::new()),
            swapping: Arc::new(AtomicBool::new(false)),
            setup,
            last_commit: AtomicU64::new(last.last_commit().0),
            recent: Recent::new(last.beat),
            feed,
            activity: Activity::default(),
            views,
        }))
    }
}

impl Core {
    /// What the store runs on just now. Only the holder of the lane knows that it stays so.
    pub(crate) fn active(&self) -> Arc<Active> {
        Arc::clone(&self.route.read())
    }

    /// Does something with the running engine; once more if a swap came in between.
    ///
    /// # Errors
    /// `Closed`; those of `work`.
    pub(crate) fn with_running<T>(
        &self,
        op: &'static str,
        work: impl FnOnce(&Arc<Active>, &Running) -> Result<T>,
    ) -> Result<T> {
        loop {
            let active = self.active();
            let refused: Error = match active.running(op) {
                Ok(running) => return work(&active, &running),
                Err(error) => error,
            };
            if !active.is_retired() || Arc::ptr_eq(&active, &self.active()) {
                return Err(refused);
            }
        }
    }

    /// A view for a swap, whatever was granted to the session. It counts among the store's views.
    ///
    /// # Errors
    /// `Busy` beyond `limits.views_max`; `Closed`.
    pub(crate) fn pinned(&self, op: &'static str) -> Result<Pinned> {
        self.with_running(op, |_, running| Ok(Pinned::counted(running.engine.view()?, &self.views)))
    }

    /// The same, and a power cut takes nothing of what it shows: a target must know no commit that its source may lose.
    ///
    /// # Errors
    /// As [`pinned`](Self::pinned); those of a sync.
    pub(crate) fn pinned_durably(&self, op: &'static str) -> Result<Pinned> {
        self.with_running(op, |_, running| {
            let view = running.engine.view()?;
            let can_sync = running.engine.offer().caps.contains(Caps::DURABLE);
            if can_sync && view.header().durability != Durability::Durable {
                running.engine.sync()?;
            }
            Ok(Pinned::counted(view, &self.views))
        })
    }

    /// Puts another engine in the place of the one that the store runs on. Call it with the lane taken.
    pub(crate) fn exchange(&self, new: Arc<Active>, feed: Carry) {
        self.feed.exchange(feed, || {
            let old = std::mem::replace(&mut *self.route.write(), new);
            old.retire();
        });
        // Nobody may look at the grant before and begin to wait after.
        drop(lock(&self.flipped.0));
        self.flipped.1.notify_all();
    }

    /// Waits until beats can be made as durable as this.
    ///
    /// # Errors
    /// `Busy` when time is up.
    pub(crate) fn await_durability(&self, wanted: Durability, timeout: Duration) -> Result<()> {
        let mut budget = Budget::default();
        let mut waiting = lock(&self.flipped.0);
        loop {
            let has = self.active().terms.grant.session.durability;
            if has >= wanted {
                return Ok(());
            }
            let Some(left) = budget.left(timeout) else {
                let context = format!("beats of this store are {has} at best, {wanted} is waited for");
                return Err(Error::new(ErrorKind::Busy, "wait_durable", context));
            };
            waiting = wait_for(&self.flipped.1, waiting, left);
        }
    }

    /// Nobody may use the store any more: it has to be opened again.
    pub(crate) fn poison(&self) {
        self.active().poison();
    }

    /// Closes an engine that was retired, as soon as nobody uses it.
    pub(crate) fn retire(&self, old: Arc<Active>) {
        lock(&self.retired).push(old);
        // Whoever still uses it is asked again when the store is closed or the swap finished.
        let _ = self.close_retired();
    }

    /// Closes the engines that were retired.
    ///
    /// # Errors
    /// `Busy` while views or verbs use one.
    pub(crate) fn close_retired(&self) -> Result<()> {
        let mut busy = None;
        lock(&self.retired).retain(|old| match old.close(Duration::ZERO) {
            Ok(()) => false,
            Err(error) => {
                busy = Some(error);
                true
            }
        });
        busy.map_or(Ok(()), Err)
    }

    pub(crate) fn is_swapping(&self) -> bool {
        self.swapping.load(Ordering::Acquire)
    }

    /// Notes a beat that was committed, before its seat is free again. Gives the tasks that are to be woken after that.
    #[must_use]
    pub(crate) fn note_beat<'l>(
        &self,
        header: &BeatHeader,
        plan: Option<Plan>,
        logs: impl Iterator<Item = &'l BeatLog> + Clone,
    ) -> Vec<Waker> {
        self.activity.committed(logs.clone());
        self.last_commit.store(header.last_commit().0, Ordering::Release);
        self.recent.record(header.beat, logs);
        self.feed.publish(header, plan)
    }

    /// The newest commit.
    pub(crate) fn last_commit(&self) -> CommitNo {
        CommitNo(self.last_commit.load(Ordering::Acquire))
    }

    /// What the runtime itself adds to the next beat.
    pub(crate) fn own_bytes(&self, terms: &Terms) -> u64 {
        let own = terms.own_bytes(self.last_commit().0 == 0);
        let table = self.feed.reserve().map_or(0, |bytes| bytes.saturating_add(terms.codec.value_overhead()));
        table.saturating_add(own)
    }

    /// Bytes that commits may stage in the next beat.
    pub(crate) fn beat_room(&self, terms: &Terms) -> Room {
        let bytes = terms.limits().beat_bytes_max.saturating_sub(self.own_bytes(terms));
        Room { bytes, feeding: self.feed.reserve().is_some() }
    }

    /// Checks one commit by itself: verbs against the grant, sizes against the limits.
    ///
    /// # Errors
    /// `Unsupported`, `TooLarge`.
    pub(crate) fn check(&self, terms: &Terms, log: &BeatLog) -> Result<()> {
        terms.check(log, self.own_bytes(terms), self.feed.reserve().is_some())
    }

    /// Recalls the views that are past their limit.
    pub(crate) fn recall_views(&self) -> u64 {
        let recalled = self.views.recall();
        if recalled > 0 {
            self.active().meters.recalled(recalled);
            tracing::warn!(name: "persist.recall", views = recalled, "views past their limit of age were recalled");
        }
        recalled
    }

    /// Makes every earlier beat durable.
    ///
    /// # Errors
    /// `Unsupported` unless granted; after a failed sync the engine is `Poisoned`.
    pub(crate) fn sync(&self) -> Result<BeatNo> {
        verb(self, "sync", tracing::debug_span!("persist.sync"), || {
            self.with_running("sync", |active, running| {
                active.terms.need("sync", Caps::DURABLE)?;
                running.engine.sync()
            })
        })
    }

    /// Commits what is queued, then closes the engine.
    ///
    /// # Errors
    /// `Busy` when that takes longer than the configured wait: the store then stays usable; and while somebody else closes
    /// it. `Closed`.
    pub(crate) fn close(&self) -> Result<()> {
        let shut = self.group.shut()?;
        self.drain(Some(self.setup.close_wait))?;
        self.recall_views();
        self.active().close(self.setup.close_wait)?;
        if self.close_retired().is_err() {
            for old in lock(&self.retired).drain(..) {
                old.let_go(self.setup.close_wait);
            }
        }
        shut.for_good();
        self.feed.end();
        self.dismiss_helper();
        Ok(())
    }
}
