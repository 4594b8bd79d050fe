//! The system's disk, on which every sync takes longer.

use std::path::Path;

use persist_api::Result;
use persist_io::{Disk, DiskFile, Entry, FileMode, Mapping, RealDisk};

use crate::limit::SLOW;

/// A disk whose syncs take a millisecond longer than the system's.
pub(crate) struct SlowDisk;

struct SlowFile(Box<dyn DiskFile>);

fn slow(file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
    Box::new(SlowFile(file))
}

impl Disk for SlowDisk {
    fn open(&self, path: &Path, mode: FileMode) -> Result<Box<dyn DiskFile>> {
        RealDisk.open(path, mode).map(slow)
    }

    fn list(&self, path: &Path) -> Result<Option<Vec<Entry>>> {
        RealDisk.list(path)
    }

    fn create_dir(&self, path: &Path) -> Result<()> {
        RealDisk.create_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        RealDisk.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        RealDisk.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        std::thread::sleep(SLOW);
        RealDisk.sync_dir(path)
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn DiskFile>>> {
        Ok(RealDisk.try_lock(path)?.map(slow))
    }
}

impl DiskFile for SlowFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize> {
        self.0.read_at(offset, into)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.0.write_at(offset, bytes)
    }

    fn len(&self) -> Result<u64> {
        self.0.len()
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.0.truncate(len)
    }

    fn sync_data(&self) -> Result<()> {
        std::thread::sleep(SLOW);
        self.0.sync_data()
    }

    fn map(&self, offset: u64, len: u64) -> Result<Mapping> {
        self.0.map(offset, len)
    }

    fn drop_cache(&self) -> Result<()> {
        self.0.drop_cache()
    }
}
