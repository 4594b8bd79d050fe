//! The operating system's disk.

#![allow(clippy::disallowed_methods, reason = "this is the one place that calls the file system")]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use memmap2::MmapOptions;
use persist_api::{Error, Result};
use rustix::fs::{Access, AtFlags, CWD, FlockOperation, OFlags, accessat, flock};
use rustix::io::{Errno, retry_on_intr};

use crate::disk::{mapped_end, usize_of};
use crate::{Disk, DiskFile, Entry, EntryKind, FileMode, Mapping, fully};

use Flush::{Bytes, Names};

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

/// What to flush.
#[derive(Clone, Copy)]
enum Flush {
    /// Bytes and length of a file.
    Bytes,
    /// Names in a directory.
    Names,
}

/// Flushes down to the medium, once: the standard library would repeat a sync that a signal interrupted, and what the
/// first one failed to write would count as written for the second.
#[cfg(not(target_vendor = "apple"))]
fn flush(file: &File, what: Flush) -> io::Result<()> {
    match what {
        Bytes => rustix::fs::fdatasync(file)?,
        Names => rustix::fs::fsync(file)?,
    }
    Ok(())
}

/// Flushes down to the medium, once; a plain fsync stops at the drive's own memory here.
#[cfg(target_vendor = "apple")]
fn flush(file: &File, what: Flush) -> io::Result<()> {
    match what {
        Bytes | Names => Ok(rustix::fs::fcntl_fullfsync(file)?),
    }
}

/// How often a lock is tried that nobody holds and some ask for.
const LOCK_TRIES: u32 = 1_000;

/// Takes or shares a lock without waiting; false when somebody else is in the way.
fn try_flock(file: &File, how: FlockOperation) -> Result<bool, Errno> {
    match retry_on_intr(|| flock(file, how)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Takes a lock exclusively; false when somebody holds it. Those who only ask ([`Disk::is_locked`]) share it for a moment, as no
/// call tells without: where it can be shared nobody holds it, and the next try meets other askers at worst.
fn lock_alone(file: &File) -> Result<bool, Errno> {
    for _ in 0..LOCK_TRIES {
        if try_flock(file, FlockOperation::NonBlockingLockExclusive)? {
            return Ok(true);
        }
        if !try_flock(file, FlockOperation::NonBlockingLockShared)? {
            return Ok(false);
        }
        // Two who try at once must not meet each other for ever.
        flock(file, FlockOperation::Unlock)?;
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(false)
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

    fn space(&self, dir: &Path) -> Result<Option<u64>> {
        let there = dir.ancestors().find(|dir| dir.is_dir()).unwrap_or_else(|| Path::new("."));
        let facts =
            rustix::fs::statvfs(there).map_err(|error| Error::io("space", there, io::Error::from(error)))?;
        Ok(Some(facts.f_bavail.saturating_mul(facts.f_frsize)))
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        let fail = |error| Error::io("sync_dir", path, error);
        let dir = File::open(path).map_err(fail)?;
        flush(&dir, Names).map_err(fail)
    }

    fn try_lock(&self, path: &Path) -> Result<Option<Box<dyn DiskFile>>> {
        let fail = |error| Error::io("lock", path, error);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        // A link would make us lock, and write our name into, a file that is somewhere else.
        options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
        let file = options.open(path).map_err(fail)?;
        if !file.metadata().map_err(fail)?.is_file() {
            return Err(fail(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
        }
        if lock_alone(&file).map_err(|error| fail(error.into()))? {
            return Ok(Some(Box::new(RealFile { file, path: path.to_path_buf(), locked: true })));
        }
        Ok(None)
    }

    /// Opens the file for reading only. A file that is gone, nobody holds.
    fn is_locked(&self, path: &Path) -> Result<bool> {
        let fail = |error| Error::io("lock", path, error);
        let mut options = OpenOptions::new();
        options.read(true).custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
        let file = match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file.map_err(fail)?,
        };
        let free = try_flock(&file, FlockOperation::NonBlockingLockShared);
        let free = free.map_err(|error| fail(error.into()))?;
        if free {
            // At once, and not when a child that was forked meanwhile starts its program. Nothing is lost if this fails.
            let _ = flock(&file, FlockOperation::Unlock);
        }
        Ok(!free)
    }

    fn may_create_in(&self, dir: &Path) -> Result<bool> {
        let rights = Access::WRITE_OK | Access::EXEC_OK;
        match accessat(CWD, dir, rights, AtFlags::EACCESS) {
            Ok(()) => Ok(true),
            Err(Errno::ACCESS | Errno::PERM | Errno::ROFS) => Ok(false),
            Err(error) => Err(Error::io("may_create_in", dir, error.into())),
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
        flush(&self.file, Bytes).map_err(|error| Error::io("sync_file", &self.path, error))
    }

    #[cfg(target_os = "linux")]
    fn start_writeback(&self, offset: u64, len: u64) {
        // Linux begins to write what is dirty in the range. It forgets what is clean by then: of what was just written, hardly any.
        // Without a length it would be all of the file.
        if let Some(len) = std::num::NonZeroU64::new(len) {
            let _ = rustix::fs::fadvise(&self.file, offset, Some(len), rustix::fs::Advice::DontNeed);
        }
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
