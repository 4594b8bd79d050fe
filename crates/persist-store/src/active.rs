//! The engine that a store runs on, and all that depends on it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use persist_api::{Caps, Durability, Engine, Error, ErrorKind, Grant, Limits, Result};
use persist_io::{DirLock, Disk};

use crate::Stamp;
use crate::feed::cost;
use crate::group::Work;
use crate::layers::{Codec, FORMAT_KEY, Layered, format_record};
use crate::log::{BeatLog, Op, check_op};
use crate::log_code::op_bytes;
use crate::observe::Meters;
use crate::sync::{AtomicBool, MappedRwLockReadGuard, Mutex, RwLock, RwLockReadGuard, lock, read, write_for};
use crate::views::ViewStats;

/// The engine, and the right to its home. The lock goes last.
pub(crate) struct Running {
    pub(crate) engine: Box<Layered>,
    pub(crate) lock: Option<Arc<DirLock>>,
}

/// What was agreed on, and what it does to keys and values.
pub(crate) struct Terms {
    pub(crate) grant: Grant,
    pub(crate) codec: Arc<Codec>,
    /// The engine's copy of the format grant could not be read: the next beat writes it again.
    pub(crate) format_lost: bool,
}

/// What commits may stage in the next beat.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) bytes: u64,
    /// True while somebody holds the feed: each commit then takes room for its copy too.
    pub(crate) feeding: bool,
}

impl Room {
    /// What a commit that waits takes of it.
    pub(crate) fn cost(self, terms: &Terms, work: &Work) -> u64 {
        let copy = if self.feeding { terms.feed_bytes(work.log.canonical_bytes().len() as u64) } else { 0 };
        work.staged.saturating_add(copy)
    }
}

/// The engine that a store runs on, and all that depends on it. A swap puts another in its place and retires this one.
pub(crate) struct Active {
    /// Counts the engines of a store; 0 for one that keeps nothing on disk.
    pub(crate) epoch: u64,
    /// The engine's scheme.
    pub(crate) engine: &'static str,
    /// `None` for an engine that keeps nothing on disk.
    pub(crate) home: Option<PathBuf>,
    pub(crate) terms: Arc<Terms>,
    pub(crate) meters: Meters,
    stamp: Mutex<Option<Stamp>>,
    running: RwLock<Option<Running>>,
    /// Set while the engine is being closed, and for good once it is.
    closing: AtomicBool,
    /// Set when another engine has taken its place.
    retired: AtomicBool,
    /// Set when nobody can say whether another engine has taken its place.
    poisoned: AtomicBool,
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

    pub(crate) const fn limits(&self) -> &Limits {
        &self.grant.session.limits
    }

    /// The durability at which a beat runs that asks for `asked`. A pending durability runs at the active one, as the
    /// request allowed, and the receipt says so.
    ///
    /// # Errors
    /// `Unsupported` for a durability that was not granted.
    pub(crate) fn durability(&self, asked: Durability) -> Result<Durability> {
        let session = &self.grant.session;
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
    pub(crate) fn check(&self, log: &BeatLog, own_bytes: u64, feeding: bool) -> Result<()> {
        if log.tally().ranges > 0 {
            self.need("delete_range", Caps::DELETE_RANGE)?;
        }
        let limits = self.limits();
        log.check_limits(limits)?;
        let sum = own_bytes.saturating_add(self.beat_bytes(log, feeding));
        if sum > limits.beat_bytes_max {
            return Err(too_large(sum, limits.beat_bytes_max));
        }
        Ok(())
    }

    /// Checks an operation that is to be added to a commit, before it takes memory.
    ///
    /// # Errors
    /// `TooLarge`.
    pub(crate) fn check_next(&self, log: &BeatLog, op: &Op<'_>, room: Room) -> Result<()> {
        check_op(op, self.limits())?;
        let mut tally = *log.tally();
        tally.add(op);
        let mut staged = tally.staged_bytes(1, self.codec.value_overhead());
        if room.feeding {
            let log_bytes = (log.canonical_bytes().len() as u64).saturating_add(op_bytes(op));
            staged = staged.saturating_add(self.feed_bytes(log_bytes));
        }
        if staged > room.bytes { Err(too_large(staged, room.bytes)) } else { Ok(()) }
    }

    /// What a commit stages in the engine, prefixes and layers included.
    pub(crate) fn staged_bytes(&self, log: &BeatLog) -> u64 {
        log.tally().staged_bytes(1, self.codec.value_overhead())
    }

    /// What a commit adds to a beat: what it stages, and its copy while somebody holds the feed.
    pub(crate) fn beat_bytes(&self, log: &BeatLog, feeding: bool) -> u64 {
        let copy = if feeding { self.feed_bytes(log.canonical_bytes().len() as u64) } else { 0 };
        self.staged_bytes(log).saturating_add(copy)
    }

    fn feed_bytes(&self, log_bytes: u64) -> u64 {
        cost(log_bytes, self.limits().value_bytes_max, self.codec.value_overhead()).bytes
    }

    /// What the runtime itself adds to a beat, at most; the format only to a store's first and where it was lost.
    pub(crate) fn own_bytes(&self, is_first: bool) -> u64 {
        let check = self.codec.new_key_check().map_or(0, |(key, check)| key.len() + check.len());
        let format = if is_first || self.format_lost {
            FORMAT_KEY.len() + format_record(&self.grant.format).len()
        } else {
            0
        };
        (check + format) as u64
    }
}

impl Active {
    pub(crate) fn new(
        running: Running,
        engine: &'static str,
        home: Option<PathBuf>,
        stamp: Option<Stamp>,
        terms: Arc<Terms>,
    ) -> Self {
        Self {
            epoch: stamp.as_ref().map_or(0, |stamp| stamp.epoch),
            engine,
            home,
            terms,
            meters: Meters::new(
                &stamp.as_ref().map_or_else(|| "-".to_owned(), |stamp| stamp.store.to_string()),
                engine,
            ),
            stamp: Mutex::new(stamp),
            running: RwLock::new(Some(running)),
            closing: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            poisoned: AtomicBool::new(false),
        }
    }

    pub(crate) fn stamp(&self) -> Option<Stamp> {
        lock(&self.stamp).clone()
    }

    /// The running engine.
    ///
    /// # Errors
    /// `Closed` when it is closed, being closed or retired.
    pub(crate) fn running(&self, op: &'static str) -> Result<MappedRwLockReadGuard<'_, Running>> {
        if self.is_retired() {
            return Err(self.fenced(op));
        }
        if self.poisoned.load(Ordering::Acquire) {
            let context = "the stamp could not be replaced by a swap, and the disk may have either; open the store again";
            return Err(Error::new(ErrorKind::Poisoned, op, context));
        }
        if self.closing.load(Ordering::Acquire) {
            return Err(closed(op));
        }
        // Recursive: a closer that waits for a long verb must not make readers wait behind it.
        RwLockReadGuard::try_map(read(&self.running), Option::as_ref).map_err(|_| closed(op))
    }

    /// The engine, for one call.
    ///
    /// # Errors
    /// As [`running`](Self::running).
    pub(crate) fn engine(&self, op: &'static str) -> Result<MappedRwLockReadGuard<'_, dyn Engine>> {
        Ok(MappedRwLockReadGuard::map(self.running(op)?, |running| &*running.engine as &dyn Engine))
    }

    /// Tells the gauges how it is; those of an engine that a swap has left stay at nothing.
    pub(crate) fn tell_figures(&self, views: &ViewStats, disk_bytes: u64) {
        self.meters.figures(views, disk_bytes);
        // Looked at afterwards, so that who comes late does not leave its figures there for good.
        if self.is_retired() {
            self.meters.left();
        }
    }

    /// True when another engine has taken its place.
    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    fn fenced(&self, op: &'static str) -> Error {
        let context = format!(
            "this handle is fenced: it belongs to epoch {} of the store, and a swap has ended that",
            self.epoch
        );
        Error::new(ErrorKind::Closed, op, context)
    }

    /// Ends its time: from now on nobody gets at the engine through it.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    pub(crate) fn poison(&self) {
        self.poisoned.store(true, Ordering::Release);
    }

    /// The right to its home.
    ///
    /// # Errors
    /// As [`running`](Self::running).
    pub(crate) fn lock(&self, op: &'static str) -> Result<Option<Arc<DirLock>>> {
        Ok(self.running(op)?.lock.clone())
    }

    /// Replaces the stamp, on the disk and here.
    ///
    /// # Errors
    /// `Io`, `Full`.
    pub(crate) fn replace_stamp(&self, disk: &dyn Disk, stamp: Stamp) -> Result<()> {
        let Some(home) = &self.home else { return Ok(()) };
        let mut slot = lock(&self.stamp);
        stamp.write(disk, home)?;
        *slot = Some(stamp);
        Ok(())
    }

    /// Closes the engine.
    ///
    /// # Errors
    /// `Busy` when verbs or views take longer than `wait`: the engine then stays usable. `Closed`.
    pub(crate) fn close(&self, wait: Duration) -> Result<()> {
        if self.closing.swap(true, Ordering::AcqRel) {
            return Err(closed("close"));
        }
        let reopen = |error| {
            self.closing.store(false, Ordering::Release);
            Err(error)
        };
        let Some(mut slot) = write_for(&self.running, wait) else {
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

    /// Lets go of an engine that cannot be closed for its views: with the last of them it goes, and the lock of its home.
    pub(crate) fn let_go(&self, wait: Duration) {
        let slot = write_for(&self.running, wait);
        drop(slot.and_then(|mut slot| slot.take()));
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
