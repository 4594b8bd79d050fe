//! The operating system's disk.

#![allow(clippy::disallowed_methods, reason = "this is the one place that calls the file system")]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use memmap2::MmapOptions;
use persist_api::{Error, Result};
use rustix::fs::{FlockOperation, flock};

use crate::disk::{mapped_end, usize_of};
use crate::{Disk, DiskFile, Entry, EntryKind, FileMode, Mapping, fully};

/// The operating system's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

struct RealFile {
    file: File,
    path: PathBuf,
    locked: bool,
}

impl Drop for RealFile {
    fn drop(&mut self) {
        if self.locked {
            // Closing is not enough: a child process that was forked a moment ago and has not yet started its own
            // program holds a copy of the descriptor, and the lock with it. Nothing is lost if this fails.
            let _ = flock(&self.file, FlockOperation::Unlock);
        }
    }
}

fn absent_is_fine(op: &'static str, path: &Path, done: io::Result<()>) -> Result<()> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.map_err(|error| Error::io(op, path, error)),
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: FileMode) -> Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(mode != FileMode::Read);
        match mode {
            FileMode::Read | FileMode::Write => {}
            FileMode::CreateNew => {
                options.create_new(true);
            }
            FileMode::OpenOrCreate => {
                options.create(true);
            }
        }
        let file = options.open(path).map_err(|error| Error::io("open_file", path, error))?;
        Ok(Box::new(RealFile { file, path: path.to_path_buf(), locked: false }))
    }

    fn list(&self, path: &Path) -> Result<Option<Vec<Entry>>> {
        let fail = |error| Error::io("list_dir", path, error);
        let found = match std::fs::read_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => found.map_err(fail)?,
        };
        let mut entries = Vec::new();
        for entry in found {
            let entry = entry.map_err(fail)?;
            let kind = match entry.file_type().map_err(fail)? {
                kind if kind.is_file() => EntryKind::File,
                kind if kind.is_dir() => EntryKind::Dir,
                _ => EntryKind::Other,
            };
            let len = match kind {
                // A file may go away between the listing and this look at it.
                EntryKind::File => entry.metadata().map_or(0, |metadata| metadata.len()),
                _ => 0,
            };
            entries.push(Entry { name: entry.file_name(), kind, len });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Some(entries))
    }

    fn create_dir(&self, path: &Path) -> Result<()> {
        match std::fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            done => done.map_err(|error| Error::io("create_dir", path, error)),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        std::fs::rename(from, to).map_err(|error| Error::io("rename", from, error))
    }

    fn remove_file(&self, path: &Path) -> Result<()> {
        absent_is_fine("remove_file", path, std::fs::remove_file(path))
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        absent_is_fine("remove_dir", path, std::fs::remove_dir(path))
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        // `sync_all` is a full flush on platforms that distinguish one.
        File::open(path).and_then(|dir| dir.sync_all()).map_err(|error| Error::io("sync_dir", path, error))
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn DiskFile>>> {
        let fail = |error| Error::io("lock", path, error);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path).map_err(fail)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Box::new(RealFile { file, path: path.to_path_buf(), locked: true }))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(fail(error.into())),
        }
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize> {
        fully::read(offset, into, |offset, into| self.file.read_at(into, offset))
            .map_err(|error| Error::io("read_file", &self.path, error))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        fully::write(offset, bytes, |offset, bytes| self.file.write_at(bytes, offset))
            .map_err(|error| Error::io("write_file", &self.path, error))
    }

    fn len(&self) -> Result<u64> {
        let metadata = self.file.metadata().map_err(|error| Error::io("read_len", &self.path, error))?;
        Ok(metadata.len())
    }

    fn truncate(&self, len: u64) -> Result<()> {
        self.file.set_len(len).map_err(|error| Error::io("truncate", &self.path, error))
    }

    fn sync_data(&self) -> Result<()> {
        self.file.sync_data().map_err(|error| Error::io("sync_file", &self.path, error))
    }

    fn map(&self, offset: u64, len: u64) -> Result<Mapping> {
        let _ = mapped_end(offset, len, self.len()?).map_err(|error| error.with_path(&self.path))?;
        if len == 0 {
            return Ok(Mapping::default());
        }
        let mut options = MmapOptions::new();
        options.offset(offset).len(usize_of(len)?);
        // SAFETY: the bytes of a mapping must not change while it is borrowed as a slice. The trait demands that of its
        // callers (`DiskFile::map`); see "Mappings" in the crate's documentation for why they can promise it.
        #[allow(unsafe_code, reason = "a file cannot be mapped without; argued in the crate's documentation")]
        let map = unsafe { options.map(&self.file) };
        map.map(Mapping::of_map).map_err(|error| Error::io("map_file", &self.path, error))
    }

    fn drop_cache(&self) -> Result<()> {
        #[cfg(not(any(
            target_vendor = "apple",
            target_os = "netbsd",
            target_os = "openbsd",
            target_os = "dragonfly"
        )))]
        rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed)
            .map_err(|error| Error::io("drop_cache", &self.path, error.into()))?;
        Ok(())
    }
}
