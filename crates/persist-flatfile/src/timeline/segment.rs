//! A segment file while it is written to: the writer appends, somebody else fills it with zeros ahead of the writer.
//!
//! The two never touch the same bytes. Everything below `filled` is the writer's alone. To go beyond it, the writer first
//! raises `taken` under the lock; the filler writes its zeros under the same lock, one piece at a time, never below `taken`. So the
//! writer waits for one piece at most, and only when it has outrun the filler. Zeros are synced before
//! `filled` says so; a piece is small because the writer's next sync has to carry what of it is still unsynced.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use persist_api::{Error, Result};
use persist_io::{Disk, DiskFile, FileMode};

use crate::names::Kind;

/// Bytes of zeros that are written and synced at a time.
pub(super) const PIECE: usize = 256 << 10;
pub(super) static ZEROS: [u8; PIECE] = [0; PIECE];
/// Pieces end at multiples of this.
const PAGE: u64 = 4096;

/// What failed while filling ahead.
#[derive(Debug)]
pub(crate) enum FillError {
    /// Making a file, or writing zeros where nothing lies.
    Zeros(Error),
    /// Syncing the file or its directory, with whatever else of it was not synced.
    Sync(Error),
}

/// An open segment.
pub(crate) struct Segment {
    number: u32,
    path: PathBuf,
    /// The writer's handle.
    file: Box<dyn DiskFile>,
    /// The filler's handle: of its own, so that a failed sync of one is not hidden from the other.
    filler: Box<dyn DiskFile>,
    /// Everything below is written by now, with frames or zeros, and the length of the file is durable up to here.
    filled: AtomicU64,
    /// Where the writer stands.
    end: AtomicU64,
    /// How far to fill ahead next time.
    step: AtomicU64,
    /// When fewer bytes are left ahead of the writer, it is time for that.
    low: AtomicU64,
    reserved: Mutex<Reserved>,
}

struct Reserved {
    /// Zeros were written up to here.
    zeroed: u64,
    /// The writer may be writing up to here.
    taken: u64,
    /// Nothing is filled any more.
    closed: bool,
}

impl Segment {
    /// Creates segment `number`; its name is durable when this returns. The first [`fill`](Self::fill) fills `step` bytes.
    ///
    /// # Errors
    /// `Zeros` when the file cannot be made: nothing is harmed. `Sync` when the directory could not be synced.
    pub(crate) fn create(disk: &dyn Disk, dir: &Path, number: u32, step: u64) -> Result<Self, FillError> {
        let path = dir.join(Kind::Timeline.name(number));
        let file = disk.open(&path, FileMode::CreateNew).map_err(FillError::Zeros)?;
        let filler = disk.open(&path, FileMode::Write).map_err(FillError::Zeros)?;
        disk.sync_dir(dir).map_err(FillError::Sync)?;
        Ok(Self::new(number, path, [file, filler], 0, 0, step))
    }

    /// Makes a file of durable zeros segment `number`; its name is durable when this returns.
    ///
    /// # Errors
    /// As [`create`](Self::create); where it cannot be renamed or opened, it is removed.
    pub(crate) fn adopt(
        disk: &dyn Disk,
        dir: &Path,
        number: u32,
        (zeros, len): (&Path, u64),
        step: u64,
    ) -> Result<Self, FillError> {
        let path = dir.join(Kind::Timeline.name(number));
        let open = || disk.open(&path, FileMode::Write);
        let [file, filler] =
            disk.rename(zeros, &path).and_then(|()| Ok([open()?, open()?])).map_err(|error| {
                for left in [zeros, &path] {
                    let _ = disk.remove_file(left);
                }
                FillError::Zeros(error)
            })?;
        disk.sync_dir(dir).map_err(FillError::Sync)?;
        Ok(Self::new(number, path, [file, filler], 0, len, step))
    }

    /// Opens segment `number` to go on behind its last frame at `end`; its bytes are durable when this returns.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn resume(disk: &dyn Disk, dir: &Path, number: u32, end: u64, step: u64) -> Result<Self> {
        let path = dir.join(Kind::Timeline.name(number));
        let file = disk.open(&path, FileMode::Write)?;
        let filler = disk.open(&path, FileMode::Write)?;
        let filled = file.len()?;
        file.sync_data()?;
        Ok(Self::new(number, path, [file, filler], end, filled, step))
    }

    fn new(
        number: u32,
        path: PathBuf,
        files: [Box<dyn DiskFile>; 2],
        end: u64,
        filled: u64,
        step: u64,
    ) -> Self {
        let [file, filler] = files;
        let reserved = Mutex::new(Reserved { zeroed: filled, taken: end, closed: false });
        Self {
            number,
            path,
            file,
            filler,
            filled: AtomicU64::new(filled),
            end: AtomicU64::new(end),
            step: AtomicU64::new(step.max(PAGE)),
            low: AtomicU64::new(step.max(PAGE) / 2),
            reserved,
        }
    }

    /// Its number.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the writer stands.
    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// How far it is filled ahead next time.
    pub(crate) fn step(&self) -> u64 {
        self.step.load(Ordering::Relaxed)
    }

    /// Length of the file, as far as this handle knows.
    pub(crate) fn file_len(&self) -> u64 {
        self.filled.load(Ordering::Acquire).max(self.end())
    }

    /// Writes `bytes` at `offset`, which is where the writer stands: one write. Only the one writer may call this.
    ///
    /// # Errors
    /// `Io`, `Full`; part of the bytes may be written.
    pub(crate) fn append(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset.saturating_add(bytes.len() as u64);
        if end > self.filled.load(Ordering::Acquire) {
            let mut reserved = self.reserved.lock();
            reserved.taken = reserved.taken.max(end);
        }
        self.file.write_at(offset, bytes)?;
        self.end.store(end, Ordering::Release);
        Ok(())
    }

    /// Makes what was appended durable: one sync.
    ///
    /// # Errors
    /// `Io`. Never retried.
    pub(crate) fn sync(&self) -> Result<()> {
        self.file.sync_data()
    }

    /// Cuts off the zeros more than `ahead` bytes behind the last frame. Only while nobody [fills](Self::fill).
    ///
    /// # Errors
    /// `Io`; the file is as it was.
    pub(crate) fn cut(&self, ahead: u64) -> Result<()> {
        let mut reserved = self.reserved.lock();
        let len = self.end().saturating_add(ahead).next_multiple_of(PAGE);
        if self.file_len() > len {
            self.file.truncate(len)?;
            reserved.zeroed = len;
            self.filled.store(len, Ordering::Release);
        }
        Ok(())
    }

    /// True when [`fill`](Self::fill) has work. Cheap.
    pub(crate) fn wants_fill(&self) -> bool {
        let ahead = self.filled.load(Ordering::Acquire).saturating_sub(self.end());
        ahead < self.low.load(Ordering::Relaxed)
    }

    /// No more frames will come: nothing is filled from now on. Answers the length of the file. Waits for one piece of zeros
    /// at most.
    pub(crate) fn close(&self) -> u64 {
        let mut reserved = self.reserved.lock();
        reserved.closed = true;
        reserved.zeroed.max(self.file_len())
    }

    /// Fills with zeros as far ahead of the writer as this segment's step says, and makes the next step, which is due once half
    /// of this one is used, twice as long, up to `step_max`. For any thread, while the writer appends.
    ///
    /// # Errors
    /// `Zeros` when zeros could not be written: nothing is harmed. `Sync`: nothing of this file that was not synced before
    /// may be relied on.
    pub(crate) fn fill(&self, step_max: u64) -> Result<(), FillError> {
        let step = self.step.load(Ordering::Relaxed);
        let target = self.end().saturating_add(step).next_multiple_of(PAGE);
        loop {
            let upto = {
                let mut reserved = self.reserved.lock();
                let from = reserved.zeroed.max(reserved.taken);
                if from >= target || reserved.closed {
                    break;
                }
                let full = from.saturating_add(PIECE as u64) / PAGE * PAGE;
                let upto = full.min(target);
                let len = usize::try_from(upto - from).unwrap_or(PIECE);
                let zeros = ZEROS.get(..len).unwrap_or(&ZEROS);
                self.filler.write_at(from, zeros).map_err(FillError::Zeros)?;
                reserved.zeroed = upto;
                upto
            };
            self.filler.sync_data().map_err(FillError::Sync)?;
            self.filled.fetch_max(upto, Ordering::AcqRel);
        }
        self.low.store(step / 2, Ordering::Relaxed);
        self.step.store(step.saturating_mul(2).min(step_max.max(PAGE)), Ordering::Relaxed);
        Ok(())
    }
}
