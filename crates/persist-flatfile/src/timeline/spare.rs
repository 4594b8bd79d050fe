//! The file of a segment that nobody needs any more, on its way to be the next one: zeros over what stands in it cost the file
//! system nothing but the writing, where a new file needs room and an old one has to give it back. Until all of it is zero and durable
//! its name is that of an unfinished file, which the next opening removes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use persist_api::Result;
use persist_io::{Disk, DiskFile, FileMode};

use super::segment::{FillError, PIECE, ZEROS};
use crate::names::{Kind, UNFINISHED};

/// Spare files at most: one that is being zeroed, and one that becomes free meanwhile.
const SPARES_MAX: usize = 2;

/// A file that becomes zeros.
pub(crate) struct Spare {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    len: u64,
    /// Zeros are durable up to here.
    zeroed: AtomicU64,
}

impl Spare {
    /// Makes a spare file of segment `number`, the frames of which nobody needs or reads. Until its name is durable a crash may make a
    /// segment of it again, so that nothing may be written before.
    ///
    /// Where it cannot be opened it is removed.
    ///
    /// # Errors
    /// `Full` where there is no room for the name: nothing is changed. `Io`.
    pub(super) fn of_segment(disk: &dyn Disk, dir: &Path, number: u32) -> Result<Option<Self>> {
        let name = Kind::Timeline.name(number);
        let path = dir.join(name.clone() + UNFINISHED);
        disk.rename(&dir.join(name), &path)?;
        let opened = disk.open(&path, FileMode::Write).and_then(|file| Ok((file.len()?, file)));
        let Ok((len, file)) = opened else { return disk.remove_file(&path).map(|()| None) };
        Ok(Some(Self { path, file, len, zeroed: AtomicU64::new(0) }))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// True when all of it is zero, durably.
    pub(super) fn is_zero(&self) -> bool {
        self.zeroed.load(Ordering::Acquire) >= self.len
    }

    /// Makes one more piece of it zero, durably; for any thread.
    ///
    /// # Errors
    /// `Zeros` where they could not be written: the file is of no use. `Sync`.
    pub(super) fn zero_more(&self) -> Result<(), FillError> {
        let at = self.zeroed.load(Ordering::Acquire);
        let len = usize::try_from(self.len.saturating_sub(at)).unwrap_or(PIECE).min(PIECE);
        if let Some(zeros) = ZEROS.get(..len).filter(|zeros| !zeros.is_empty()) {
            self.file.write_at(at, zeros).map_err(FillError::Zeros)?;
            self.file.sync_data().map_err(FillError::Sync)?;
            self.zeroed.fetch_max(at.saturating_add(len as u64), Ordering::AcqRel);
        }
        Ok(())
    }
}

/// The spare files.
#[derive(Default)]
pub(super) struct Spares(Mutex<Vec<Arc<Spare>>>);

impl Spares {
    /// Whether there is use for one more beside so many that come.
    pub(super) fn has_room(&self, more: usize) -> bool {
        self.0.lock().len().saturating_add(more) < SPARES_MAX
    }

    /// Takes over those whose names are durable.
    pub(super) fn add(&self, spares: impl Iterator<Item = Spare>) {
        self.0.lock().extend(spares.map(Arc::new));
    }

    /// One that is all zeros; it is the caller's.
    pub(super) fn take_zeros(&self) -> Option<Arc<Spare>> {
        let mut all = self.0.lock();
        let found = all.iter().position(|spare| spare.is_zero())?;
        Some(all.remove(found))
    }

    /// The one that is to be zeroed next.
    pub(super) fn unfinished(&self) -> Option<Arc<Spare>> {
        self.0.lock().iter().find(|spare| !spare.is_zero()).cloned()
    }

    /// Forgets one that is of no use.
    pub(super) fn forget(&self, spare: &Arc<Spare>) {
        self.0.lock().retain(|other| !Arc::ptr_eq(other, spare));
    }

    /// All of them; they are the caller's.
    pub(super) fn take_all(&self) -> Vec<Arc<Spare>> {
        std::mem::take(&mut self.0.lock())
    }

    /// Bytes of all.
    pub(super) fn bytes(&self) -> u64 {
        self.0.lock().iter().fold(0, |sum, spare| sum.saturating_add(spare.len))
    }
}
