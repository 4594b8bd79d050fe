//! A disk in memory that writes down what is done to it, for the tests of this module.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;
use persist_api::{Error, ErrorKind, Result};
use persist_io::{Disk, DiskFile, Entry, EntryKind, FileMode};

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Done {
    Create(PathBuf),
    Write(PathBuf, u64, Vec<u8>),
    Sync(PathBuf),
    SyncDir(PathBuf),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

/// The bytes of all files.
pub(crate) type Image = BTreeMap<PathBuf, Vec<u8>>;

type Fails = fn(&Done) -> bool;
type Bytes = Arc<Mutex<Vec<u8>>>;

#[derive(Default)]
struct Inner {
    files: Mutex<BTreeMap<PathBuf, Bytes>>,
    done: Mutex<Vec<Done>>,
    /// Writes that are going on: no two of them may touch the same bytes.
    writing: Mutex<Vec<(PathBuf, u64, u64)>>,
    overlaps: Mutex<Vec<String>>,
    /// Fails the calls for which it says so.
    fails: Mutex<Option<Fails>>,
    /// So many zeros lie behind the bytes of every file, as in a sparse one.
    sparse: AtomicU64,
    /// The longest read.
    longest: AtomicUsize,
}

#[derive(Clone, Default)]
pub(crate) struct TestDisk(Arc<Inner>);

struct TestFile {
    disk: TestDisk,
    path: PathBuf,
    bytes: Bytes,
}

pub(crate) const DIR: &str = "home";

impl TestDisk {
    pub(crate) fn of(image: &Image) -> Self {
        let disk = Self::default();
        *disk.0.files.lock() =
            image.iter().map(|(path, bytes)| (path.clone(), Arc::new(Mutex::new(bytes.clone())))).collect();
        disk
    }

    pub(crate) fn image(&self) -> Image {
        self.0.files.lock().iter().map(|(path, bytes)| (path.clone(), bytes.lock().clone())).collect()
    }

    /// Pairs of writes to the same bytes at the same time.
    pub(crate) fn overlaps(&self) -> Vec<String> {
        self.0.overlaps.lock().clone()
    }

    pub(crate) fn done_len(&self) -> usize {
        self.0.done.lock().len()
    }

    pub(crate) fn take_done(&self) -> Vec<Done> {
        std::mem::take(&mut self.0.done.lock())
    }

    pub(crate) fn fail(&self, which: fn(&Done) -> bool) {
        *self.0.fails.lock() = Some(which);
    }

    /// Has so many zeros lie behind the bytes of every file.
    pub(crate) fn make_sparse(&self, zeros: u64) {
        self.0.sparse.store(zeros, Relaxed);
    }

    /// The most bytes that one read had room for.
    pub(crate) fn longest_read(&self) -> usize {
        self.0.longest.load(Relaxed)
    }

    fn act(&self, done: Done) -> Result<()> {
        let fails = self.0.fails.lock().is_some_and(|fails| fails(&done));
        self.0.done.lock().push(done);
        if fails { Err(Error::new(ErrorKind::Io, "test", "as asked")) } else { Ok(()) }
    }

    fn file(&self, path: &Path) -> Option<Bytes> {
        self.0.files.lock().get(path).cloned()
    }
}

/// The state of a directory after `done`, beginning with `image`.
pub(crate) fn apply(image: &mut Image, done: &Done) {
    match done {
        Done::Create(path) => {
            image.entry(path.clone()).or_default();
        }
        Done::Write(path, offset, bytes) => {
            let file = image.entry(path.clone()).or_default();
            let at = usize::try_from(*offset).unwrap();
            let end = at + bytes.len();
            if file.len() < end {
                file.resize(end, 0);
            }
            file[at..end].copy_from_slice(bytes);
        }
        Done::Rename(from, to) => {
            if let Some(bytes) = image.remove(from) {
                image.insert(to.clone(), bytes);
            }
        }
        Done::Remove(path) => {
            image.remove(path);
        }
        Done::Sync(_) | Done::SyncDir(_) => {}
    }
}

impl Disk for TestDisk {
    fn open(&self, path: &Path, mode: FileMode) -> Result<Box<dyn DiskFile>> {
        let there = self.file(path);
        let bytes = match (there, mode) {
            (Some(_), FileMode::CreateNew) | (None, FileMode::Read | FileMode::Write) => {
                return Err(Error::new(ErrorKind::Io, "open_file", "there or not there").with_path(path));
            }
            (Some(bytes), _) => bytes,
            (None, _) => {
                self.act(Done::Create(path.to_path_buf()))?;
                self.0.files.lock().entry(path.to_path_buf()).or_default().clone()
            }
        };
        Ok(Box::new(TestFile { disk: self.clone(), path: path.to_path_buf(), bytes }))
    }

    fn list(&self, path: &Path) -> Result<Option<Vec<Entry>>> {
        let files = self.0.files.lock();
        let here = files.iter().filter(|(name, _)| name.parent() == Some(path));
        let entry = |(name, bytes): (&PathBuf, &Bytes)| Entry {
            name: name.file_name().unwrap().to_owned(),
            kind: EntryKind::File,
            len: bytes.lock().len() as u64,
        };
        Ok(Some(here.map(entry).collect()))
    }

    fn create_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.act(Done::Rename(from.to_path_buf(), to.to_path_buf()))?;
        let mut files = self.0.files.lock();
        let bytes = files.remove(from).ok_or_else(|| Error::new(ErrorKind::Io, "rename", "not there"))?;
        files.insert(to.to_path_buf(), bytes);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        self.act(Done::Remove(path.to_path_buf()))?;
        self.0.files.lock().remove(path);
        Ok(())
    }

    fn remove_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        self.act(Done::SyncDir(path.to_path_buf()))
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn DiskFile>>> {
        self.open(path, FileMode::OpenOrCreate).map(Some)
    }
}

impl DiskFile for TestFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize> {
        self.disk.0.longest.fetch_max(into.len(), Relaxed);
        let left = usize::try_from(self.len()?.saturating_sub(offset)).unwrap();
        let bytes = self.bytes.lock();
        let from = usize::try_from(offset).unwrap().min(bytes.len());
        let n = into.len().min(bytes.len() - from);
        into[..n].copy_from_slice(&bytes[from..from + n]);
        let with_zeros = into.len().min(left);
        into[n..with_zeros].fill(0);
        Ok(with_zeros)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let done = Done::Write(self.path.clone(), offset, bytes.to_vec());
        self.disk.act(done)?;
        let this = (self.path.clone(), offset, offset + bytes.len() as u64);
        {
            let mut writing = self.disk.0.writing.lock();
            let others =
                writing.iter().filter(|other| other.0 == this.0 && other.1 < this.2 && this.1 < other.2);
            self.disk.0.overlaps.lock().extend(others.map(|other| format!("{other:?} and {this:?}")));
            writing.push(this.clone());
        }
        std::thread::yield_now();
        self.disk.0.writing.lock().retain(|other| *other != this);
        let mut file = self.bytes.lock();
        let at = usize::try_from(offset).unwrap();
        let end = at + bytes.len();
        if file.len() < end {
            file.resize(end, 0);
        }
        file[at..end].copy_from_slice(bytes);
        Ok(())
    }

    fn len(&self) -> Result<u64> {
        Ok(self.bytes.lock().len() as u64 + self.disk.0.sparse.load(Relaxed))
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.bytes.lock().resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        self.disk.act(Done::Sync(self.path.clone()))
    }
}
