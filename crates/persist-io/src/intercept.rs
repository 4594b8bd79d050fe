//! A disk that passes calls on, with something of the caller's around each.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use persist_api::{Error, ErrorKind, Result};

use crate::{Disk, DiskFile, Entry, FileMode, Mapping};

/// A call of a [`Disk`] or of one of its files.
#[derive(Clone, Copy)]
#[allow(missing_docs, reason = "they are the methods of the two traits")]
pub enum Call<'c> {
    Open(FileMode),
    List,
    CreateDir,
    /// The path is the old one.
    RenameTo(&'c Path),
    RemoveFile,
    RemoveDir,
    SyncDir,
    TryLock,
    IsLocked,
    ReadAt,
    /// The file is the one below, for those that write something else.
    WriteAt {
        file: &'c dyn DiskFile,
        offset: u64,
        bytes: &'c [u8],
    },
    Truncate(u64),
    SyncData,
    Map,
    DropCache,
}

/// Passes the call on.
pub type PassOn<'p> = dyn FnMut() -> Result<()> + 'p;

/// What happens around the calls of an [`Intercepted`] disk.
pub trait Intercept: Send + Sync + 'static {
    /// Called instead of each call but hints and those for a length, the room or a right, with the path of its file or directory: passes
    /// it on, or not, as often as it likes. Calls that answer something must be passed on, or fail.
    ///
    /// # Errors
    /// They are the call's.
    fn around(&self, path: &Path, call: Call<'_>, pass_on: &mut PassOn<'_>) -> Result<()>;
}

/// A disk with an [`Intercept`] around its calls: to watch it, to slow it down, to break it.
///
/// ```
/// use std::path::Path;
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
///
/// use persist_io::{Call, Intercept, Intercepted, PassOn, RealDisk, replace};
///
/// #[derive(Default)]
/// struct Syncs(AtomicU64);
///
/// impl Intercept for Syncs {
///     fn around(&self, _: &Path, call: Call<'_>, pass_on: &mut PassOn<'_>) -> persist_api::Result<()> {
///         if matches!(call, Call::SyncData | Call::SyncDir) {
///             self.0.fetch_add(1, Relaxed);
///         }
///         pass_on()
///     }
/// }
///
/// let dir = tempfile::tempdir()?;
/// let disk = Intercepted::new(RealDisk, Syncs::default());
/// replace(&disk, &dir.path().join("settings"), b"new")?;
/// assert_eq!(disk.intercept().0.load(Relaxed), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Intercepted<D, I> {
    disk: D,
    intercept: Arc<I>,
}

struct File<I> {
    inner: Box<dyn DiskFile>,
    path: PathBuf,
    intercept: Arc<I>,
}

impl<D, I> Intercepted<D, I> {
    /// Puts `intercept` around the calls of `disk`.
    pub fn new(disk: D, intercept: impl Into<Arc<I>>) -> Self {
        Self { disk, intercept: intercept.into() }
    }

    /// What is around the calls.
    pub fn intercept(&self) -> &I {
        &self.intercept
    }
}

impl<D, I: Intercept> Intercepted<D, I> {
    fn wrap(&self, path: &Path, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(File { inner: file, path: path.to_path_buf(), intercept: Arc::clone(&self.intercept) })
    }
}

/// Passes a call on that answers something.
fn answered<T>(
    intercept: &impl Intercept,
    path: &Path,
    call: Call<'_>,
    mut go: impl FnMut() -> Result<T>,
) -> Result<T> {
    let mut answer = None;
    intercept.around(path, call, &mut || {
        answer = Some(go()?);
        Ok(())
    })?;
    answer.ok_or_else(|| {
        let context = "a call that answers something was not passed on";
        Error::new(ErrorKind::Invalid, "intercept", context).with_path(path)
    })
}

impl<D: Disk, I: Intercept> Disk for Intercepted<D, I> {
    fn open(&self, path: &Path, mode: FileMode) -> Result<Box<dyn DiskFile>> {
        let file = answered(&*self.intercept, path, Call::Open(mode), || self.disk.open(path, mode))?;
        Ok(self.wrap(path, file))
    }

    fn list(&self, path: &Path) -> Result<Option<Vec<Entry>>> {
        answered(&*self.intercept, path, Call::List, || self.disk.list(path))
    }

    fn create_dir(&self, path: &Path) -> Result<()> {
        self.intercept.around(path, Call::CreateDir, &mut || self.disk.create_dir(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.intercept.around(from, Call::RenameTo(to), &mut || self.disk.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        self.intercept.around(path, Call::RemoveFile, &mut || self.disk.remove_file(path))
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        self.intercept.around(path, Call::RemoveDir, &mut || self.disk.remove_dir(path))
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        self.intercept.around(path, Call::SyncDir, &mut || self.disk.sync_dir(path))
    }

    fn space(&self, dir: &Path) -> Result<Option<u64>> {
        self.disk.space(dir)
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn DiskFile>>> {
        let lock = answered(&*self.intercept, path, Call::TryLock, || self.disk.try_lock(path))?;
        Ok(lock.map(|file| self.wrap(path, file)))
    }

    fn is_locked(&self, path: &Path) -> Result<bool> {
        answered(&*self.intercept, path, Call::IsLocked, || self.disk.is_locked(path))
    }

    fn may_create_in(&self, dir: &Path) -> Result<bool> {
        self.disk.may_create_in(dir)
    }
}

impl<I: Intercept> DiskFile for File<I> {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize> {
        answered(&*self.intercept, &self.path, Call::ReadAt, || self.inner.read_at(offset, into))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let call = Call::WriteAt { file: &*self.inner, offset, bytes };
        self.intercept.around(&self.path, call, &mut || self.inner.write_at(offset, bytes))
    }

    fn len(&self) -> Result<u64> {
        self.inner.len()
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.intercept.around(&self.path, Call::Truncate(len), &mut || self.inner.truncate(len))
    }

    fn sync_data(&self) -> Result<()> {
        self.intercept.around(&self.path, Call::SyncData, &mut || self.inner.sync_data())
    }

    fn start_writeback(&self, offset: u64, len: u64) {
        self.inner.start_writeback(offset, len);
    }

    fn map(&self, offset: u64, len: u64) -> Result<Mapping> {
        answered(&*self.intercept, &self.path, Call::Map, || self.inner.map(offset, len))
    }

    fn drop_cache(&self) -> Result<()> {
        self.intercept.around(&self.path, Call::DropCache, &mut || self.inner.drop_cache())
    }
}
