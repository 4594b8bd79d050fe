//! A disk that stops at its n-th writing operation, as a crash would: that operation and every later one fails. It also
//! keeps a list of what was done.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use persist_api::{Error, ErrorKind, Result};
use persist_io::{Disk, DiskFile, Entry, FileMode, RealDisk};

pub struct Faulty {
    left: Arc<AtomicU64>,
    done: Done,
}

type Done = Arc<Mutex<Vec<(&'static str, PathBuf)>>>;

fn note(done: &Done, op: &'static str, path: &Path) {
    done.lock().push((op, path.to_path_buf()));
}

impl Faulty {
    /// Fails after `operations` writing operations.
    pub fn after(operations: u64) -> Arc<Self> {
        Arc::new(Self { left: Arc::new(AtomicU64::new(operations)), done: Done::default() })
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
    done: Done,
    path: PathBuf,
}

impl FaultyFile {
    fn boxed(disk: &Faulty, file: Box<dyn DiskFile>, path: &Path) -> Box<dyn DiskFile> {
        let (left, done) = (Arc::clone(&disk.left), Arc::clone(&disk.done));
        Box::new(Self { file, left, done, path: path.to_path_buf() })
    }
}

impl Disk for Faulty {
    fn open(&self, path: &Path, mode: FileMode) -> Result<Box<dyn DiskFile>> {
        if matches!(mode, FileMode::CreateNew | FileMode::OpenOrCreate) {
            spend(&self.left)?;
        }
        Ok(FaultyFile::boxed(self, RealDisk.open(path, mode)?, path))
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
        note(&self.done, "rename", to);
        RealDisk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        spend(&self.left)?;
        note(&self.done, "remove_file", path);
        RealDisk.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        spend(&self.left)?;
        RealDisk.remove_dir(path)
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        spend(&self.left)?;
        note(&self.done, "sync_dir", path);
        RealDisk.sync_dir(path)
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn DiskFile>>> {
        spend(&self.left)?;
        Ok(RealDisk.try_lock(path)?.map(|file| FaultyFile::boxed(self, file, path)))
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
        note(&self.done, "sync_file", &self.path);
        self.file.sync_data()
    }
}

impl Faulty {
    /// From now on, fails after `operations` writing operations.
    pub fn stop_after(&self, operations: u64) {
        self.left.store(operations, Ordering::SeqCst);
    }

    /// Where in the list of syncs, renames and removals the last one of this kind and path stands.
    #[track_caller]
    pub fn last_place_of(&self, op: &str, path: &Path) -> usize {
        let done = self.done.lock();
        let place = done.iter().rposition(|(did, at)| *did == op && at == path);
        place.unwrap_or_else(|| panic!("no {op} of {} in {done:#?}", path.display()))
    }

    /// What stands at a place of the list.
    pub fn op_at(&self, place: usize) -> (&'static str, PathBuf) {
        self.done.lock()[place].clone()
    }

    /// How many syncs, renames and removals there were.
    pub fn done(&self) -> usize {
        self.done.lock().len()
    }
}
