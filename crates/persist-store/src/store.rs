//! The shared handle of an open store.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{MappedRwLockReadGuard, RwLock, RwLockReadGuard};
use persist_api::{
    BeatNo, Caps, CheckpointStat, CommitNo, CompactScope, CompactStat, Engine, Error, ErrorKind, Finding,
    Grant, Observer, Quiet, Result, Stats,
};
use persist_io::{DirLock, Disk};

use crate::layers::Codec;
use crate::view::StoreView;
use crate::{BackupReport, Stamp, StoreDigest, VerifyReport};

/// The engine, and the right to its home. The lock goes last.
pub(crate) struct Running {
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) lock: Option<Arc<DirLock>>,
}

/// Who and where a store is. No stamp and no home for an engine that keeps nothing on disk.
pub(crate) struct Identity {
    /// The engine's scheme.
    pub(crate) engine: &'static str,
    pub(crate) stamp: Option<Stamp>,
    pub(crate) home: Option<PathBuf>,
    pub(crate) disk: Arc<dyn Disk>,
}

/// What was agreed on, and what it does to keys and values.
pub(crate) struct Terms {
    pub(crate) grant: Grant,
    pub(crate) codec: Codec,
}

pub(crate) struct Shared {
    running: RwLock<Option<Running>>,
    /// Set while the store is being closed, and for good once it is.
    closing: AtomicBool,
    pub(crate) terms: Arc<Terms>,
    pub(crate) identity: Identity,
    /// Number of the newest commit.
    last_commit: AtomicU64,
    close_wait: Duration,
}

impl Terms {
    /// Checks that a capability was granted (contract N-5).
    ///
    /// # Errors
    /// `Unsupported` naming it.
    #[inline]
    pub(crate) fn need(&self, op: &'static str, cap: Caps) -> Result<()> {
        if self.grant.session.caps.contains(cap) {
            return Ok(());
        }
        let context = format!("capability {} is not granted to this session", cap.names());
        Err(Error::new(ErrorKind::Unsupported, op, context))
    }
}

impl Shared {
    pub(crate) fn new(
        running: Running,
        grant: Grant,
        codec: Codec,
        identity: Identity,
        last_commit: CommitNo,
        close_wait: Duration,
    ) -> Self {
        Self {
            running: RwLock::new(Some(running)),
            closing: AtomicBool::new(false),
            terms: Arc::new(Terms { grant, codec }),
            identity,
            last_commit: AtomicU64::new(last_commit.0),
            close_wait,
        }
    }

    fn running(&self, op: &'static str) -> Result<MappedRwLockReadGuard<'_, Running>> {
        let closed = || Error::new(ErrorKind::Closed, op, "the store is closed or being closed");
        if self.closing.load(Ordering::Acquire) {
            return Err(closed());
        }
        // Recursive: a closer that waits for a long verb must not make readers wait behind it.
        RwLockReadGuard::try_map(self.running.read_recursive(), Option::as_ref).map_err(|_| closed())
    }

    /// The engine, for one call.
    ///
    /// # Errors
    /// `Closed`.
    pub(crate) fn engine(&self, op: &'static str) -> Result<MappedRwLockReadGuard<'_, dyn Engine>> {
        Ok(MappedRwLockReadGuard::map(self.running(op)?, |running| &*running.engine))
    }

    /// Notes that a beat was committed.
    pub(crate) fn note_commit(&self, last: CommitNo) {
        self.last_commit.store(last.0, Ordering::Release);
    }

    fn close(&self) -> Result<()> {
        if self.closing.swap(true, Ordering::AcqRel) {
            return Err(Error::new(ErrorKind::Closed, "close", "the store is closed or being closed"));
        }
        let reopen = |error| {
            self.closing.store(false, Ordering::Release);
            Err(error)
        };
        let Some(mut slot) = self.running.try_write_for(self.close_wait) else {
            return reopen(Error::new(ErrorKind::Busy, "close", "a verb is still at work"));
        };
        let Some(Running { engine, lock }) = slot.take() else { return Ok(()) };
        match engine.close() {
            Ok(()) => Ok(()),
            Err((engine, error)) => {
                *slot = Some(Running { engine, lock });
                drop(slot);
                reopen(error)
            }
        }
    }
}

/// Figures of an open store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreStats {
    /// The newest commit.
    pub commit: CommitNo,
    /// The engine's figures. `records` counts users' records only, where the engine knows.
    pub engine: Stats,
}

/// An open store, to be cloned and shared between threads. Every verb checks the grant first: what was not granted is
/// `Unsupported` even where the engine could do it (contract N-5).
#[derive(Clone)]
pub struct Store(pub(crate) Arc<Shared>);

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("home", &self.0.identity.home).finish_non_exhaustive()
    }
}

impl Store {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// What was agreed on.
    #[must_use]
    pub fn grant(&self) -> &Grant {
        &self.0.terms.grant
    }

    /// The stamp of its home; `None` for an engine that keeps nothing on disk.
    #[must_use]
    pub fn stamp(&self) -> Option<&Stamp> {
        self.0.identity.stamp.as_ref()
    }

    /// Its directory; `None` for an engine that keeps nothing on disk.
    #[must_use]
    pub fn home(&self) -> Option<&Path> {
        self.0.identity.home.as_deref()
    }

    /// The scheme of its engine.
    #[must_use]
    pub fn engine_name(&self) -> &'static str {
        self.0.identity.engine
    }

    /// Opens a view at the newest beat (SNAPSHOT).
    ///
    /// # Errors
    /// `Unsupported` unless granted, `Busy` beyond `limits.views_max`, `Closed`.
    pub fn view(&self) -> Result<StoreView> {
        self.0.terms.need("view", Caps::SNAPSHOT)?;
        let running = self.0.running("view")?;
        Ok(StoreView::new(running.engine.view()?, Arc::clone(&self.0.terms), running.lock.clone()))
    }

    /// Opens a view at an earlier beat (HISTORY).
    ///
    /// # Errors
    /// `Unsupported` unless granted, `Stale` for a beat that is no longer kept, `Busy`, `Closed`.
    pub fn view_at(&self, beat: BeatNo) -> Result<StoreView> {
        self.0.terms.need("view_at", Caps::HISTORY)?;
        let running = self.0.running("view_at")?;
        Ok(StoreView::new(running.engine.view_at(beat)?, Arc::clone(&self.0.terms), running.lock.clone()))
    }

    /// Figures; cheap.
    ///
    /// # Errors
    /// `Closed`, `Io`.
    pub fn stats(&self) -> Result<StoreStats> {
        let mut stats = self.0.engine("stats")?.stats()?;
        // Every store that has a beat holds one record of the runtime's own: the copy of the format grant.
        let own = u64::from(stats.beat.0 > 0);
        stats.records = stats.records.map(|records| records.saturating_sub(own));
        let commit = CommitNo(self.0.last_commit.load(Ordering::Acquire));
        Ok(StoreStats { commit, engine: stats })
    }

    /// Makes every earlier beat durable and says which is the newest (DURABLE).
    ///
    /// # Errors
    /// `Unsupported` unless granted; after a failed sync the engine is `Poisoned`.
    pub fn sync(&self) -> Result<BeatNo> {
        self.0.terms.need("sync", Caps::DURABLE)?;
        self.0.engine("sync")?.sync()
    }

    /// Bounds the work of the next open (CHECKPOINT). Never a copy.
    ///
    /// # Errors
    /// `Unsupported` unless granted, `Io`.
    pub fn checkpoint(&self) -> Result<CheckpointStat> {
        self.0.terms.need("checkpoint", Caps::CHECKPOINT)?;
        self.0.engine("checkpoint")?.checkpoint()
    }

    /// Gives unused space back (COMPACTION).
    ///
    /// # Errors
    /// `Unsupported` unless granted, `Busy` when open views prevent it, `Cancelled`.
    pub fn compact(&self, scope: CompactScope, seen: &dyn Observer) -> Result<CompactStat> {
        self.0.terms.need("compact", Caps::COMPACTION)?;
        self.0.engine("compact")?.compact(scope, seen)
    }

    /// Writes a copy of the whole home at one beat into the empty or missing directory `into` (BACKUP). It opens by
    /// itself, has a name of its own and remembers this store as its origin; its stamp is written last, so that a copy
    /// that was not finished is never taken for a store. Durable when the call returns.
    ///
    /// # Errors
    /// `Unsupported` unless granted, `Mismatch` when `into` holds anything but a lock of ours, `Invalid` when it lies inside
    /// this home, `Locked` while another backup is written there, `Full`, `Io`, `Cancelled`.
    pub fn backup(&self, into: &Path, seen: &dyn Observer) -> Result<BackupReport> {
        crate::backup::backup(&self.0, into, seen)
    }

    /// Runs the engine's checker, reads every record back through the layers, and compares what can be compared. What
    /// could not be checked is a finding too.
    ///
    /// # Errors
    /// Only when checking could not go on: `Io`, `Cancelled`, `Closed`.
    pub fn verify(&self, found: &mut dyn FnMut(Finding), seen: &dyn Observer) -> Result<VerifyReport> {
        crate::verify::verify(&self.0, found, seen)
    }

    /// The digest of what a view shows: equal content, equal digest, on every engine (`docs/format.md`).
    ///
    /// # Errors
    /// `Unsupported` without ORDERED, `Corrupt`, `Io`.
    pub fn digest(&self, view: &StoreView) -> Result<StoreDigest> {
        view.digest(&Quiet)
    }

    /// Closes for every clone and for the writer, waiting for views and running verbs as configured
    /// (`OpenOptions::close_wait`).
    ///
    /// # Errors
    /// `Busy` when views are still open: the store then stays usable. `Closed` when it is closed already.
    pub fn close(&self) -> Result<()> {
        self.0.close()
    }
}
