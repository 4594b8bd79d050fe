//! What all handles of one open store share.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{MappedRwLockReadGuard, RwLock, RwLockReadGuard};
use persist_api::{BeatHeader, Caps, CommitNo, Durability, Engine, Error, ErrorKind, Grant, Limits, Result};
use persist_io::{DirLock, Disk};

use crate::Stamp;
use crate::group::Group;
use crate::layers::{Codec, FORMAT_KEY, format_record};
use crate::log::{BeatLog, Op, check_op};
use crate::transact::Recent;

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

/// What the handles and the helper thread of the committer share.
pub(crate) struct Core {
    running: RwLock<Option<Running>>,
    /// Set while the engine is being closed, and for good once it is.
    closing: AtomicBool,
    pub(crate) terms: Arc<Terms>,
    pub(crate) identity: Identity,
    /// Number of the newest commit.
    last_commit: AtomicU64,
    close_wait: Duration,
    pub(crate) group: Group,
    pub(crate) recent: Recent,
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
    }
}

impl Shared {
    pub(crate) fn new(
        running: Running,
        grant: Grant,
        codec: Codec,
        identity: Identity,
        last: BeatHeader,
        close_wait: Duration,
    ) -> Self {
        Self(Arc::new(Core {
            running: RwLock::new(Some(running)),
            closing: AtomicBool::new(false),
            terms: Arc::new(Terms { grant, codec }),
            identity,
            last_commit: AtomicU64::new(last.last_commit().0),
            close_wait,
            group: Group::new(last),
            recent: Recent::new(last.beat),
        }))
    }
}

impl Core {
    pub(crate) fn running(&self, op: &'static str) -> Result<MappedRwLockReadGuard<'_, Running>> {
        if self.closing.load(Ordering::Acquire) {
            return Err(closed(op));
        }
        // Recursive: a closer that waits for a long verb must not make readers wait behind it.
        RwLockReadGuard::try_map(self.running.read_recursive(), Option::as_ref).map_err(|_| closed(op))
    }

    /// The engine, for one call.
    ///
    /// # Errors
    /// `Closed`.
    pub(crate) fn engine(&self, op: &'static str) -> Result<MappedRwLockReadGuard<'_, dyn Engine>> {
        Ok(MappedRwLockReadGuard::map(self.running(op)?, |running| &*running.engine))
    }

    /// Notes a beat that was committed, before its seat is free again.
    pub(crate) fn note_beat<'l>(&self, header: &BeatHeader, logs: impl Iterator<Item = &'l BeatLog>) {
        self.last_commit.store(header.last_commit().0, Ordering::Release);
        self.recent.record(header.beat, logs);
    }

    /// The newest commit.
    pub(crate) fn last_commit(&self) -> CommitNo {
        CommitNo(self.last_commit.load(Ordering::Acquire))
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.terms.grant.session.limits
    }

    /// The durability at which a beat runs that asks for `asked`. A pending durability runs at the active one, as the
    /// request allowed, and the receipt says so.
    ///
    /// # Errors
    /// `Unsupported` for a durability that was not granted.
    pub(crate) fn active(&self, asked: Durability) -> Result<Durability> {
        let session = &self.terms.grant.session;
        let agreed = session.durability_pending.unwrap_or(session.durability);
        if asked > agreed {
            let context = format!("durability {asked} is not granted to this session; {agreed} is");
            return Err(Error::new(ErrorKind::Unsupported, "begin", context));
        }
        let active = asked.min(session.durability);
        if active == Durability::Buffered && !session.caps.contains(Caps::BUFFERED) {
            return Ok(session.durability);
        }
        Ok(active)
    }

    /// Checks one commit by itself: verbs against the grant, sizes against the limits.
    ///
    /// # Errors
    /// `Unsupported`, `TooLarge`.
    pub(crate) fn check(&self, log: &BeatLog) -> Result<()> {
        if log.tally().ranges > 0 {
            self.terms.need("delete_range", Caps::DELETE_RANGE)?;
        }
        let limits = self.limits();
        log.check_limits(limits)?;
        let sum = self.own_bytes().saturating_add(self.staged_bytes(log));
        if sum > limits.beat_bytes_max {
            return Err(too_large(sum, limits.beat_bytes_max));
        }
        Ok(())
    }

    /// Checks an operation that is to be added to a commit, before it takes memory.
    ///
    /// # Errors
    /// `TooLarge`.
    pub(crate) fn check_next(&self, log: &BeatLog, op: &Op<'_>, room: u64) -> Result<()> {
        check_op(op, self.limits())?;
        let mut tally = *log.tally();
        tally.add(op);
        let staged = tally.staged_bytes(1, self.terms.codec.value_overhead());
        if staged > room { Err(too_large(staged, room)) } else { Ok(()) }
    }

    /// What a commit stages in the engine, prefixes and layers included.
    pub(crate) fn staged_bytes(&self, log: &BeatLog) -> u64 {
        log.tally().staged_bytes(1, self.terms.codec.value_overhead())
    }

    /// What the runtime itself adds to the next beat.
    pub(crate) fn own_bytes(&self) -> u64 {
        if self.last_commit().0 > 0 {
            return 0;
        }
        (FORMAT_KEY.len() + format_record(&self.terms.grant.format).len()) as u64
    }

    /// Bytes that commits may stage in the next beat.
    pub(crate) fn beat_room(&self) -> u64 {
        self.limits().beat_bytes_max.saturating_sub(self.own_bytes())
    }

    /// Commits what is queued, then closes the engine.
    ///
    /// # Errors
    /// `Busy` when that takes longer than the configured wait: the store then stays usable. `Closed`.
    pub(crate) fn close(&self) -> Result<()> {
        let shut = self.group.shut().ok_or_else(|| closed("close"))?;
        self.drain(Some(self.close_wait))?;
        self.close_engine()?;
        shut.for_good();
        self.dismiss_helper();
        Ok(())
    }

    fn close_engine(&self) -> Result<()> {
        if self.closing.swap(true, Ordering::AcqRel) {
            return Err(closed("close"));
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

pub(crate) fn closed(op: &'static str) -> Error {
    Error::new(ErrorKind::Closed, op, "the store is closed or being closed")
}

pub(crate) fn too_large(bytes: u64, max: u64) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        "commit",
        format!("the beat would stage {bytes} bytes; the limit here is {max}"),
    )
}
