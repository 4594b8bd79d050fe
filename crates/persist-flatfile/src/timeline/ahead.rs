//! Working ahead of the writer: zeros in the current segment, and the next segment, made of a spare file where there is one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;
use persist_api::{Error, ErrorKind, Result};
use persist_io::Disk;

use super::segment::{FillError, Segment};
use super::spare::Spares;
use crate::error::SCHEME;

/// How far to work ahead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AheadOptions {
    /// Bytes to fill ahead in a new segment; doubled with each further fill.
    pub(crate) step: u64,
    /// Bytes to fill ahead at most.
    pub(crate) step_max: u64,
    /// Fill of a segment at which the next one is prepared.
    pub(crate) prepare_after: u64,
    /// Fill at which it is prepared although a spare file for it is not ready.
    pub(crate) prepare_late: u64,
    /// No file longer than this is spared for the next segment.
    pub(crate) spare_max: u64,
}

impl Default for AheadOptions {
    fn default() -> Self {
        Self {
            step: 1 << 20,
            step_max: 8 << 20,
            prepare_after: 8 << 20,
            prepare_late: 14 << 20,
            spare_max: 64 << 20,
        }
    }
}

/// What the writer and [`Ahead`] share.
pub(super) struct Shared {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    pub(super) options: AheadOptions,
    pub(super) current: Mutex<Option<Arc<Segment>>>,
    pub(super) next: Mutex<Option<Arc<Segment>>>,
    pub(super) spares: Spares,
    /// Segments that were made of spare files.
    pub(super) reused: AtomicU64,
    preparing: Mutex<()>,
    greatest: AtomicU32,
    failed: AtomicBool,
}

impl Shared {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: AheadOptions,
        current: Option<Arc<Segment>>,
        greatest: u32,
    ) -> Self {
        Self {
            disk,
            dir: dir.to_path_buf(),
            options,
            current: Mutex::new(current),
            next: Mutex::new(None),
            spares: Spares::default(),
            reused: AtomicU64::new(0),
            preparing: Mutex::new(()),
            greatest: AtomicU32::new(greatest),
            failed: AtomicBool::new(false),
        }
    }

    pub(super) fn check(&self, op: &'static str) -> Result<()> {
        if !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        let context = "an earlier write or sync of the timeline failed";
        Err(Error::new(ErrorKind::Poisoned, op, context).with_engine(SCHEME).with_path(&self.dir))
    }

    /// After a failed write or sync nothing more may be written.
    pub(super) fn poison<T>(&self, done: Result<T>) -> Result<T> {
        if done.is_err() {
            self.failed.store(true, Ordering::Release);
        }
        done
    }

    /// Creates a segment, of a file of zeros if there is one. Its first [`fill`](Segment::fill) fills `step` bytes.
    pub(super) fn create(&self, step: u64) -> Result<Arc<Segment>> {
        let took = |number: u32| number.checked_add(1);
        let number = self
            .greatest
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, took)
            .ok()
            .and_then(took)
            .ok_or_else(|| {
                Error::new(ErrorKind::Full, "roll", "the numbers of timeline segments are used up")
                    .with_engine(SCHEME)
            })?;
        let created = match self.spares.take_zeros() {
            Some(zeros) => {
                let adopted =
                    Segment::adopt(&*self.disk, &self.dir, number, (zeros.path(), zeros.len()), step);
                self.reused.fetch_add(u64::from(adopted.is_ok()), Ordering::Relaxed);
                adopted
            }
            None => Segment::create(&*self.disk, &self.dir, number, step),
        };
        self.judge(created).map(Arc::new)
    }

    /// What failed to be made does no harm; after a failed sync nothing more may be written.
    fn judge<T>(&self, done: Result<T, FillError>) -> Result<T> {
        match done {
            Ok(done) => Ok(done),
            Err(FillError::Zeros(error)) => Err(error),
            Err(FillError::Sync(error)) => self.poison(Err(error)),
        }
    }
}

/// Works ahead of the writer, on any thread.
#[derive(Clone)]
pub(crate) struct Ahead(pub(super) Arc<Shared>);

impl Ahead {
    /// True when [`work`](Self::work) has something to do. Cheap enough for every commit.
    pub(crate) fn wanted(&self, zeros: bool) -> bool {
        let Some(current) = self.0.current.lock().clone() else { return false };
        zeros && (current.wants_fill() || self.0.spares.unfinished().is_some()) || self.wants_next(&current)
    }

    fn wants_next(&self, current: &Segment) -> bool {
        let options = &self.0.options;
        let due =
            if self.0.spares.unfinished().is_some() { options.prepare_late } else { options.prepare_after };
        current.end() >= due && self.0.next.lock().is_none()
    }

    /// Fills the current segment ahead, makes one piece of a spare file zero, and prepares the next segment where it is time for that;
    /// without `zeros`, no zeros are written. There [may be more](Self::wanted) to do.
    ///
    /// # Errors
    /// `Full` or `Io` where zeros could not be written: nothing is harmed, commits go on as long as the disk takes them. `Io`
    /// where something could not be synced: the writer is poisoned from then on. `Poisoned`.
    pub(crate) fn work(&self, zeros: bool) -> Result<()> {
        self.0.check("fill_ahead")?;
        let Some(current) = self.0.current.lock().clone() else { return Ok(()) };
        if zeros && current.wants_fill() {
            self.0.judge(current.fill(self.0.options.step_max))?;
        }
        if zeros && let Some(spare) = self.0.spares.unfinished() {
            let zeroed = spare.zero_more();
            if zeroed.is_err() {
                self.0.spares.forget(&spare);
                let _ = self.0.disk.remove_file(spare.path());
            }
            self.0.judge(zeroed)?;
        }
        if self.wants_next(&current) {
            // Whoever has used up long steps will do so again.
            self.prepare(zeros, current.step())?;
        }
        Ok(())
    }

    /// Creates the next segment, durable and with `zeros` filled for `step` bytes, unless there is one.
    ///
    /// # Errors
    /// As [`work`](Self::work).
    pub(crate) fn prepare(&self, zeros: bool, step: u64) -> Result<()> {
        let _one_at_a_time = self.0.preparing.lock();
        if self.0.next.lock().is_some() {
            return Ok(());
        }
        let segment = self.0.create(step)?;
        let filled = if zeros { self.0.judge(segment.fill(self.0.options.step_max)) } else { Ok(()) };
        let overtaken = {
            // The writer may have rolled into a segment of a greater number meanwhile; numbers only grow along the timeline.
            let current = self.0.current.lock();
            let overtaken = current.as_ref().is_none_or(|current| current.number() > segment.number());
            if filled.is_ok() && !overtaken {
                *self.0.next.lock() = Some(segment.clone());
            }
            overtaken
        };
        if filled.is_err() || overtaken {
            self.0.disk.remove_file(segment.path())?;
        }
        filled
    }
}
