//! A simulated medium below one file of the real disk.

use std::path::Path;

use persist_api::Result;

use super::SimDisk;
use crate::{Disk, DiskFile, Entry, FileMode, RealDisk};

/// The real disk, for libraries that do I/O of their own: whatever is written, cut or synced through here in files of one name is
/// also done to the file of that name at the root of a simulated disk. So the real file is what readers see, and the simulated one
/// says what a power cut leaves of it.
#[derive(Debug, Clone)]
pub struct Above {
    /// What lies below.
    pub medium: SimDisk,
    /// The name of the files.
    pub name: &'static str,
}

struct Both {
    seen: Box<dyn DiskFile>,
    below: Box<dyn DiskFile>,
}

impl Disk for Above {
    fn open(&self, path: &Path, mode: FileMode) -> Result<Box<dyn DiskFile>> {
        let seen = RealDisk.open(path, mode)?;
        if !path.ends_with(self.name) {
            return Ok(seen);
        }
        let below = self.medium.open(&Path::new("/").join(self.name), mode)?;
        Ok(Box::new(Both { seen, below }))
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
        RealDisk.sync_dir(path)
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn DiskFile>>> {
        RealDisk.try_lock(path)
    }
}

impl DiskFile for Both {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize> {
        self.seen.read_at(offset, into)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.seen.write_at(offset, bytes)?;
        self.below.write_at(offset, bytes)
    }

    fn len(&self) -> Result<u64> {
        self.seen.len()
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.seen.truncate(len)?;
        self.below.truncate(len)
    }

    fn sync_data(&self) -> Result<()> {
        self.seen.sync_data()?;
        self.below.sync_data()
    }
}
