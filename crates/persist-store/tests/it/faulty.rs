//! A disk that stops at its n-th writing operation, as a crash would: that operation and every later one fails.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use persist_api::{Error, ErrorKind, Result};
use persist_io::{Disk, DiskFile, Entry, FileMode, RealDisk};

pub struct Faulty {
    left: Arc<AtomicU64>,
}

impl Faulty {
    /// Fails after `operations` writing operations.
    pub fn after(operations: u64) -> Arc<Self> {
        Arc::new(Self { left: Arc::new(AtomicU64::new(operations)) })
    }

    /// True when it has failed an operation.
    pub fn stopped(&self) -> bool {
        self.left.load(Ordering::SeqCst) == u64::MAX
    }
}

fn spend(left: &AtomicU64) -> Result<()> {
    // MAX means stopped for good.
    let next = |left| Some(if left == 0 || left == u64::MAX { u64::MAX } else { left - 1 });
    match left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next) {
        Ok(left) if left != 0 && left != u64::MAX => Ok(()),
        _ => Err(Error::new(ErrorKind::Io, "write", "the disk stopped")),
    }
}

struct FaultyFile {
    file: Box<dyn DiskFile>,
    left: Arc<AtomicU64>,
}

impl Disk for Faulty {
    fn open(&self, path: &Path, mode: FileMode) -> Result<Box<dyn DiskFile>> {
        if matches!(mode, FileMode::CreateNew | FileMode::OpenOrCreate) {
            spend(&self.left)?;
        }
        Ok(Box::new(FaultyFile { file: RealDisk.open(path, mode)?, left: Arc::clone(&self.left) }))
    }

    fn list(&self, path: &Path) -> Result<Option<Vec<Entry>>> {
        RealDisk.list(path)
    }

    fn create_dir(&self, path: &Path) -> Result<()> {
        spend(&self.left)?;
        RealDisk.create_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        spend(&self.left)?;
        RealDisk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        spend(&self.left)?;
        RealDisk.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        spend(&self.left)?;
        RealDisk.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        spend(&self.left)?;
        RealDisk.sync_dir(path)
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn DiskFile>>> {
        spend(&self.left)?;
        let file = RealDisk.try_lock(path)?;
        Ok(file.map(|file| Box::new(FaultyFile { file, left: Arc::clone(&self.left) }) as Box<dyn DiskFile>))
    }
}

impl DiskFile for FaultyFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize> {
        self.file.read_at(offset, into)
    }

    /// A write that fails has written its first half.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let stopped = self.left.load(Ordering::SeqCst) == u64::MAX;
        spend(&self.left).inspect_err(|_| {
            if !stopped {
                self.file.write_at(offset, &bytes[..bytes.len() / 2]).unwrap();
            }
        })?;
        self.file.write_at(offset, bytes)
    }

    fn len(&self) -> Result<u64> {
        self.file.len()
    }

    fn truncate(&self, len: u64) -> Result<()> {
        spend(&self.left)?;
        self.file.truncate(len)
    }

    fn sync_data(&self) -> Result<()> {
        spend(&self.left)?;
        self.file.sync_data()
    }
}

impl Faulty {
    /// From now on, fails after `operations` writing operations.
    pub fn stop_after(&self, operations: u64) {
        self.left.store(operations, Ordering::SeqCst);
    }
}
