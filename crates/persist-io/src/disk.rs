//! The traits.

use std::ffi::OsString;
use std::path::Path;

use persist_api::{Error, ErrorKind, Result};

use crate::Mapping;

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileMode {
    /// It must exist; for reading only.
    Read,
    /// It must exist; for reading and writing.
    Write,
    /// It must not exist; created empty.
    CreateNew,
    /// Created when missing; its content is kept.
    OpenOrCreate,
}

/// What a directory entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// Anything else: a link, a socket, …
    Other,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its plain name.
    pub name: OsString,
    /// What it is; a symbolic link is `Other`.
    pub kind: EntryKind,
    /// Bytes of a file; 0 for anything else.
    pub len: u64,
}

/// A file system, or a simulation of one. Errors are `Io` (or `Full`) with the path.
///
/// Nothing is durable until synced: a file's bytes and length by its [`DiskFile::sync_data`], its name by
/// [`Disk::sync_dir`] of its directory.
pub trait Disk: Send + Sync {
    /// Opens a file.
    ///
    /// # Errors
    /// `Io` when it cannot be opened in this mode.
    fn open(&self, path: &Path, mode: FileMode) -> Result<Box<dyn DiskFile>>;

    /// The entries of a directory, by name; `None` when it does not exist.
    ///
    /// # Errors
    /// `Io`, also when the path is not a directory.
    fn list(&self, path: &Path) -> Result<Option<Vec<Entry>>>;

    /// Creates one directory; an existing one is no error.
    ///
    /// # Errors
    /// `Io`.
    fn create_dir(&self, path: &Path) -> Result<()>;

    /// Renames a file or directory, replacing a file of the new name.
    ///
    /// # Errors
    /// `Io`.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Removes a file; a missing one is no error.
    ///
    /// # Errors
    /// `Io`.
    fn remove_file(&self, path: &Path) -> Result<()>;

    /// Removes an empty directory; a missing one is no error.
    ///
    /// # Errors
    /// `Io`.
    fn remove_dir(&self, path: &Path) -> Result<()>;

    /// Makes the entries of a directory durable.
    ///
    /// # Errors
    /// `Io`. Never retried: what was not synced may be lost.
    fn sync_dir(&self, path: &Path) -> Result<()>;

    /// Bytes that can still be written where `dir` lies, or would lie; `None` where nobody knows. Others may take them meanwhile.
    ///
    /// # Errors
    /// `Io`.
    fn space(&self, dir: &Path) -> Result<Option<u64>> {
        let _ = dir;
        Ok(None)
    }

    /// Takes the exclusive advisory lock on a file, creating it; `None` when somebody else holds it. The lock goes with
    /// the returned handle, or with the process.
    ///
    /// # Errors
    /// `Io`.
    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn DiskFile>>>;

    /// Whether somebody holds the lock on a file that is there, for those who only read. A disk that can tell without writing does, so
    /// that it works where nothing may be written, too; the default takes the lock and lets it go.
    ///
    /// # Errors
    /// `Io`.
    fn is_locked(&self, path: &Path) -> Result<bool> {
        Ok(self.try_lock(path)?.is_none())
    }

    /// Whether this process may make names in a directory that is there. The default is for disks that know no rights.
    ///
    /// # Errors
    /// `Io`.
    fn may_create_in(&self, dir: &Path) -> Result<bool> {
        let _ = dir;
        Ok(true)
    }
}

/// An open file. Positions are absolute; there is no cursor.
pub trait DiskFile: Send + Sync {
    /// Reads into `into` from `offset`; answers how many bytes there were, fewer only at the end of the file.
    ///
    /// # Errors
    /// `Io`.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize>;

    /// Writes all of `bytes` at `offset`, growing the file as needed.
    ///
    /// # Errors
    /// `Io` or `Full`; part of the bytes may then be written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()>;

    /// The length in bytes.
    ///
    /// # Errors
    /// `Io`.
    fn len(&self) -> Result<u64>;

    /// True for a file without bytes.
    ///
    /// # Errors
    /// `Io`.
    fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts or extends (with zeros) to a length.
    ///
    /// # Errors
    /// `Io` or `Full`.
    fn truncate(&self, len: u64) -> Result<()>;

    /// Makes bytes and length durable.
    ///
    /// # Errors
    /// `Io`. Never retried: after a failure the state of the bytes is unknown.
    fn sync_data(&self) -> Result<()>;

    /// Has the system begin to write these bytes to the medium, so that [`sync_data`](Self::sync_data) has less to wait for. A
    /// hint: nothing is durable by it, what fails fails at the sync, and what is written already may leave the system's memory.
    /// The default does nothing.
    fn start_writeback(&self, offset: u64, len: u64) {
        let _ = (offset, len);
    }

    /// The `len` bytes from `offset` on, without a copy where the disk can. No bytes map to an empty slice.
    ///
    /// As long as the mapping lives, nobody may write to these bytes or cut them off the file: a reader of the mapping
    /// would see them change, or be killed by the operating system. [`SimDisk`](crate::sim::SimDisk) panics then. Bytes
    /// behind them may be appended, and the file may be renamed and removed.
    ///
    /// # Errors
    /// `Corrupt` when the file ends before `offset + len`, `Io`. The default reads into memory.
    fn map(&self, offset: u64, len: u64) -> Result<Mapping> {
        let _ = mapped_end(offset, len, self.len()?)?;
        let mut bytes = vec![0; usize_of(len)?];
        let got = self.read_at(offset, &mut bytes)?;
        if got < bytes.len() {
            return Err(beyond_the_end(offset, len, offset.saturating_add(got as u64)));
        }
        Ok(Mapping::of_bytes(bytes))
    }

    /// Forgets what the operating system holds of the file in memory, so that the next read comes from the medium. For
    /// use after a failed [`DiskFile::sync_data`], or before believing what a process that died has left: such pages may
    /// show bytes that never reached the disk. Pages that are not synced, or mapped, may stay. The default, for disks
    /// without such a memory, does nothing.
    ///
    /// # Errors
    /// `Io`.
    fn drop_cache(&self) -> Result<()> {
        Ok(())
    }
}

/// Where a mapping ends; `Corrupt` when the file of `file_len` bytes ends before.
pub(crate) fn mapped_end(offset: u64, len: u64, file_len: u64) -> Result<u64> {
    match offset.checked_add(len) {
        Some(end) if end <= file_len => Ok(end),
        _ => Err(beyond_the_end(offset, len, file_len)),
    }
}

fn beyond_the_end(offset: u64, len: u64, file_len: u64) -> Error {
    let context = format!("{len} bytes at offset {offset} of a file that ends at {file_len}");
    Error::new(ErrorKind::Corrupt, "map_file", context)
}

/// A length in memory; `TooLarge` where an address is too short for it.
pub(crate) fn usize_of(len: u64) -> Result<usize> {
    usize::try_from(len).map_err(|_| {
        Error::new(ErrorKind::TooLarge, "map_file", format!("{len} bytes are beyond this machine"))
    })
}
