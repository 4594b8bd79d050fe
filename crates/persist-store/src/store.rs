//! The shared handle of an open store.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use persist_api::{
    BeatNo, Caps, CheckpointStat, CommitNo, CompactScope, CompactStat, Durability, Engine, Finding, Grant,
    Observer, Quiet, Result, Stats, View,
};

use crate::observe::{told, verb};
use crate::shared::{Active, Running, Shared};
use crate::view::StoreView;
use crate::views::{Engaged, ViewOptions, ViewStats};
use crate::{BackupReport, BundleBase, BundleReport, Stamp, StoreDigest, VerifyReport};

/// How often figures are taken again because others commit meanwhile.
const STATS_TRIES: usize = 64;

/// Figures of an open store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreStats {
    /// The newest commit.
    pub commit: CommitNo,
    /// Bytes of keys and values that were committed since the store was opened, without prefixes and layers.
    pub committed_bytes: u64,
    /// Backups and compactions that are at work.
    pub long_verbs: u64,
    /// The views of the store's handles, and those of exports, imports and swaps that are at work. The engine's own count has
    /// those of every running verb.
    pub views: ViewStats,
    /// The engine's figures. `records` counts users' records only, where the engine knows.
    pub engine: Stats,
}

/// An open store, to be cloned and shared between threads. Every verb checks the grant first: what was not granted is
/// `Unsupported` even where the engine could do it (contract N-5).
#[derive(Clone)]
pub struct Store(pub(crate) Arc<Shared>);

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("home", &self.home()).finish_non_exhaustive()
    }
}

impl Store {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// What was agreed on. A swap of the engine changes it.
    #[must_use]
    pub fn grant(&self) -> Grant {
        self.0.active().terms.grant.clone()
    }

    /// The stamp of its home; `None` for an engine that keeps nothing on disk.
    #[must_use]
    pub fn stamp(&self) -> Option<Stamp> {
        self.0.active().stamp()
    }

    /// Its directory; `None` for an engine that keeps nothing on disk.
    #[must_use]
    pub fn home(&self) -> Option<PathBuf> {
        self.0.active().home.clone()
    }

    /// The scheme of its engine.
    #[must_use]
    pub fn engine_name(&self) -> &'static str {
        self.0.active().engine
    }

    /// Opens a view at the newest beat (SNAPSHOT).
    ///
    /// # Errors
    /// `Unsupported` unless granted, `Busy` beyond `limits.views_max`, `Closed`.
    pub fn view(&self) -> Result<StoreView> {
        let _span = tracing::trace_span!("persist.view").entered();
        told(self.0.with_running("view", |active, running| {
            active.terms.need("view", Caps::SNAPSHOT)?;
            self.0.recall_views();
            Ok(self.hand_out(active, running, running.engine.view()?))
        }))
    }

    /// A view for a verb that reads everything, however long that takes, with the engine that it is of. It is open as long
    /// as the verb is at work, and is never recalled.
    ///
    /// # Errors
    /// As [`view`](Self::view).
    pub(crate) fn view_for(&self, verb: &'static str) -> Result<(Arc<Active>, StoreView)> {
        self.0.with_running(verb, |active, running| {
            active.terms.need(verb, Caps::SNAPSHOT)?;
            self.0.recall_views();
            let view = self.enter(active, running, running.engine.view()?, None);
            Ok((Arc::clone(active), view))
        })
    }

    /// Opens a view at an earlier beat (HISTORY).
    ///
    /// # Errors
    /// `Unsupported` unless granted, `Stale` for a beat that is no longer kept, `Busy`, `Closed`.
    pub fn view_at(&self, beat: BeatNo) -> Result<StoreView> {
        let _span = tracing::trace_span!("persist.view", beat = beat.0).entered();
        told(self.0.with_running("view_at", |active, running| {
            active.terms.need("view_at", Caps::HISTORY)?;
            self.0.recall_views();
            Ok(self.hand_out(active, running, running.engine.view_at(beat)?))
        }))
    }

    fn hand_out(&self, active: &Active, running: &Running, view: Box<dyn View>) -> StoreView {
        self.enter(active, running, view, self.0.views.options().age_max)
    }

    fn enter(
        &self,
        active: &Active,
        running: &Running,
        view: Box<dyn View>,
        age_max: Option<Duration>,
    ) -> StoreView {
        let header = *view.header();
        let engaged = Engaged { view, _lock: running.lock.clone() };
        StoreView::new(header, self.0.views.enter(engaged, age_max), Arc::clone(&active.terms))
    }

    /// The bounds of views.
    #[must_use]
    pub fn view_options(&self) -> ViewOptions {
        self.0.views.options()
    }

    /// Changes the bounds of views, for all handles and for views that are opened from now on.
    pub fn set_view_options(&self, options: ViewOptions) {
        self.0.views.set_options(options);
    }

    /// Recalls the views that are past their limit of age, and answers how many. Every beat, every new view and every verb of
    /// maintenance does this first; call it where a store is read only and what old views hold matters all the same.
    pub fn recall_views(&self) -> u64 {
        self.0.recall_views()
    }

    /// Figures; cheap.
    ///
    /// # Errors
    /// `Closed`, `Io`.
    pub fn stats(&self) -> Result<StoreStats> {
        let stats = told(self.figures())?;
        self.0.active().tell_figures(&stats.views, stats.engine.bytes_on_disk);
        Ok(stats)
    }

    fn figures(&self) -> Result<StoreStats> {
        self.0.recall_views();
        let views = self.0.views.stats();
        for _ in 0..STATS_TRIES {
            let (own, mut stats, left) = self.0.with_running("stats", |active, running| {
                let own = self.0.own_records(active, &*running.engine)?;
                // The sums may be of the engine that has taken its place.
                let left = active.is_retired();
                Ok((own, running.engine.stats()?, left))
            })?;
            if !left && own.is_none_or(|(beat, _)| beat == stats.beat) {
                let users = |records: u64| own.map(|(_, own)| records.saturating_sub(own));
                stats.records = stats.records.and_then(users);
                return Ok(self.store_stats(views, stats));
            }
        }
        // Others commit faster than it can be counted.
        let mut stats = self.0.with_running("stats", |_, running| running.engine.stats())?;
        stats.records = None;
        Ok(self.store_stats(views, stats))
    }

    fn store_stats(&self, views: ViewStats, engine: Stats) -> StoreStats {
        let activity = &self.0.activity;
        StoreStats {
            commit: self.0.last_commit(),
            committed_bytes: activity.committed_bytes(),
            long_verbs: activity.long_verbs(),
            views,
            engine,
        }
    }

    /// Waits until a swap has brought an engine that can make beats as durable as this. What was acknowledged before is as
    /// durable from that moment on: a subsystem that runs on memory at first may promise durability from here on.
    ///
    /// # Errors
    /// `Busy` when that takes longer than `timeout`.
    pub fn wait_durable(&self, wanted: Durability, timeout: Duration) -> Result<()> {
        self.0.await_durability(wanted, timeout)
    }

    /// Makes every earlier beat durable and says which is the newest (DURABLE).
    ///
    /// # Errors
    /// `Unsupported` unless granted; after a failed sync the engine is `Poisoned`.
    pub fn sync(&self) -> Result<BeatNo> {
        self.0.sync()
    }

    /// Bounds the work of the next open (CHECKPOINT). Never a copy.
    ///
    /// # Errors
    /// `Unsupported` unless granted, `Io`.
    pub fn checkpoint(&self) -> Result<CheckpointStat> {
        verb(&self.0, "checkpoint", tracing::info_span!("persist.checkpoint"), || {
            self.0.with_running("checkpoint", |active, running| {
                active.terms.need("checkpoint", Caps::CHECKPOINT)?;
                self.0.recall_views();
                running.engine.checkpoint()
            })
        })
    }

    /// Gives unused space back (COMPACTION).
    ///
    /// # Errors
    /// `Unsupported` unless granted, `Busy` when open views prevent it, `Cancelled`.
    pub fn compact(&self, scope: CompactScope, seen: &dyn Observer) -> Result<CompactStat> {
        let _at_work = self.0.activity.begin();
        verb(&self.0, "compact", tracing::info_span!("persist.compact"), || {
            self.0.with_running("compact", |active, running| {
                active.terms.need("compact", Caps::COMPACTION)?;
                self.0.recall_views();
                running.engine.compact(scope, seen)
            })
        })
    }

    /// Writes a copy of the whole home at one beat into the empty or missing directory `into` (BACKUP). It opens by
    /// itself, has a name of its own and remembers this store as its origin; its stamp is written last, so that a copy
    /// that was not finished is never taken for a store. Durable when the call returns.
    ///
    /// # Errors
    /// `Unsupported` unless granted, `Mismatch` when `into` holds anything but a lock of ours, `Invalid` when it lies inside
    /// this home or goes up (`..`) from a directory that is not there, `Locked` while another backup is written there,
    /// `Full`, `Io`, `Cancelled`.
    pub fn backup(&self, into: &Path, seen: &dyn Observer) -> Result<BackupReport> {
        let _at_work = self.0.activity.begin();
        let span = tracing::info_span!("persist.backup", into = %into.display());
        verb(&self.0, "backup", span, || crate::backup::backup(&self.0, into, seen))
    }

    /// Writes the store, as it is at the newest beat, into one file that every engine can import: records, the numbers and
    /// root of the beat, blobs (`docs/format-bundle.md`). Equal content gives equal bytes, whatever the engine. Writers go on
    /// meanwhile. The file appears whole, under its name, and is durable when the call returns; until then it is `FILE.new`,
    /// which is removed again when the call fails. Needs the memory of one record, and 40 bytes for each blob.
    ///
    /// # Errors
    /// `Unsupported` without SNAPSHOT and ORDERED, `Mismatch` when something has the name of the file already, `Invalid` when
    /// it would lie inside this home, names a directory or its directory is not there, `Corrupt` naming a record or blob that does not verify, `Full`, `Io`, `Cancelled`.
    pub fn export(&self, file: &Path, seen: &dyn Observer) -> Result<BundleReport> {
        told(crate::bundle::export(self, file, None, seen))
    }

    /// Writes what came after a base into one file, an *increment*: every commit after it up to the newest beat, by the
    /// [feed](Self::feed), which some [hold](Self::hold) must have kept; and all blobs. [`Writer::apply`](crate::Writer::apply)
    /// brings a store that stands at the base to that beat. Otherwise as [`export`](Self::export).
    ///
    /// The numbers of the base are checked against the feed. Its digest is not, for a store does not know what it was: it is
    /// checked where the increment is applied.
    ///
    /// # Errors
    /// `Conflict` when the base is no beat of this store; `Stale` when its commits are not kept any more; as
    /// [`export`](Self::export).
    pub fn export_since(&self, file: &Path, base: &BundleBase, seen: &dyn Observer) -> Result<BundleReport> {
        told(crate::bundle::export(self, file, Some(base), seen))
    }

    /// The state at the end of a beat, for [`export_since`](Self::export_since): its newest commit, and if
    /// it is the newest beat, the digest of its records. An increment whose base has no digest is checked by the digest of
    /// its result when it is applied.
    ///
    /// # Errors
    /// `Conflict` for a beat that is not there yet; `Stale` when no [hold](Self::hold) has kept the beats after it; `Io`,
    /// `Cancelled`.
    pub fn base_at(&self, beat: BeatNo, seen: &dyn Observer) -> Result<BundleBase> {
        told(crate::bundle::base_at(self, beat, seen))
    }

    /// Runs the engine's checker, reads every record back through the layers, and compares what can be compared. What
    /// could not be checked is a finding too.
    ///
    /// # Errors
    /// Only when checking could not go on: `Io`, `Cancelled`, `Closed`.
    pub fn verify(&self, found: &mut dyn FnMut(Finding), seen: &dyn Observer) -> Result<VerifyReport> {
        verb(&self.0, "verify", tracing::info_span!("persist.verify"), || {
            crate::verify::verify(&self.0, found, seen)
        })
    }

    /// The digest of what a view shows: equal content, equal digest, on every engine (`docs/format.md`).
    ///
    /// # Errors
    /// `Unsupported` without ORDERED, `Corrupt`, `Io`.
    pub fn digest(&self, view: &StoreView) -> Result<StoreDigest> {
        view.digest(&Quiet)
    }

    /// Commits what is queued, then closes for every clone and for the writer, waiting for commits, views and running verbs
    /// as configured (`OpenOptions::close_wait`).
    ///
    /// # Errors
    /// `Busy` when that takes longer, as while views are open: the store is usable again from then on. Commits that somebody
    /// makes while this waits get `Closed`, also then. `Busy` at once while another call of this is at work, which may yet fail.
    /// `Closed` when it is closed already.
    pub fn close(&self) -> Result<()> {
        verb(&self.0, "close", tracing::info_span!("persist.close"), || self.0.close())
    }
}
