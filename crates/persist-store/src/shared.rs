//! What all handles of one open store share.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use persist_api::{BeatHeader, BeatNo, Caps, CommitNo, Engine, Error, Result};
use persist_io::Disk;

pub(crate) use crate::active::{Active, Room, Running, Terms, closed, too_large};
use crate::activity::Activity;
use crate::clock::Clock;
use crate::feed::{FeedState, Plan};
use crate::group::Group;
use crate::log::BeatLog;
use crate::observe::verb;
use crate::transact::Recent;
use crate::views::Views;

/// What the handles and the helper thread of the committer share.
pub(crate) struct Core {
    /// The way to the engine, for every handle. A swap replaces what is in here and nothing else.
    route: RwLock<Arc<Active>>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Number of the newest commit.
    last_commit: AtomicU64,
    close_wait: Duration,
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
    pub(crate) fn new(
        active: Active,
        (disk, clock): (Arc<dyn Disk>, Arc<dyn Clock>),
        last: BeatHeader,
        feed: FeedState,
        close_wait: Duration,
    ) -> Self {
        let active = Arc::new(active);
        Self(Arc::new(Core {
            group: Group::new(last, Arc::clone(&active)),
            route: RwLock::new(active),
            disk,
            last_commit: AtomicU64::new(last.last_commit().0),
            close_wait,
            recent: Recent::new(last.beat),
            feed,
            activity: Activity::default(),
            views: Arc::new(Views::new(Arc::clone(&clock))),
            clock,
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

    /// Notes a beat that was committed, before its seat is free again.
    pub(crate) fn note_beat<'l>(
        &self,
        header: &BeatHeader,
        plan: Option<Plan>,
        logs: impl Iterator<Item = &'l BeatLog> + Clone,
    ) {
        self.activity.committed(logs.clone());
        self.last_commit.store(header.last_commit().0, Ordering::Release);
        self.recent.record(header.beat, logs);
        self.feed.publish(header, plan);
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
    /// `Busy` when that takes longer than the configured wait: the store then stays usable. `Closed`.
    pub(crate) fn close(&self) -> Result<()> {
        let shut = self.group.shut().ok_or_else(|| closed("close"))?;
        self.drain(Some(self.close_wait))?;
        self.recall_views();
        self.active().close(self.close_wait)?;
        shut.for_good();
        self.feed.end();
        self.dismiss_helper();
        Ok(())
    }
}
