//! A disk that reads what is there and forgets what is written: to know what a repair would do without doing it.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use persist_api::{Error, ErrorKind, Result};
use persist_io::{Disk, DiskFile, Entry, FileMode};

/// Reads through to another disk.
pub(super) struct Dry<'d>(pub(super) &'d dyn Disk);

fn no(op: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, op, "nothing is read back or locked on a disk that forgets")
}

impl Disk for Dry<'_> {
    fn open(&self, path: &Path, mode: FileMode) -> Result<Box<dyn DiskFile>> {
        match mode {
            FileMode::Read => self.0.open(path, mode),
            FileMode::CreateNew => Ok(Box::new(Forgotten(AtomicU64::new(0)))),
            FileMode::Write | FileMode::OpenOrCreate => Err(no("open")),
        }
    }

    fn list(&self, path: &Path) -> Result<Option<Vec<Entry>>> {
        self.0.list(path)
    }

    fn create_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn rename(&self, _: &Path, _: &Path) -> Result<()> {
        Ok(())
    }

    fn remove_file(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn remove_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn try_lock(&self, _: &Path) -> Result<Option<Box<dyn DiskFile>>> {
        Err(no("lock"))
    }

    fn is_locked(&self, path: &Path) -> Result<bool> {
        self.0.is_locked(path)
    }
}

/// A file that only knows how long it would be.
struct Forgotten(AtomicU64);

impl DiskFile for Forgotten {
    fn read_at(&self, _: u64, _: &mut [u8]) -> Result<usize> {
        Err(no("read"))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.0.fetch_max(offset.saturating_add(bytes.len() as u64), Ordering::Relaxed);
        Ok(())
    }

    fn len(&self) -> Result<u64> {
        Ok(self.0.load(Ordering::Relaxed))
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.0.store(len, Ordering::Relaxed);
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        Ok(())
    }
}
