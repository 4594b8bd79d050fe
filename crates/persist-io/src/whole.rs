//! Whole files and directories: read, replace atomically, create durably, remove.

use std::path::{Path, PathBuf};

use persist_api::{Advice, Error, ErrorKind, Result};

use crate::{Disk, Entry, EntryKind, FileMode};

/// The same path from the root, so that it names the same place when the process changes its directory. Links are not followed.
///
/// # Errors
/// `Invalid` for an empty path, `Io` where the current directory is gone.
pub fn absolute(op: &'static str, path: &Path) -> Result<PathBuf> {
    if path.as_os_str().is_empty() {
        let error =
            Error::new(ErrorKind::Invalid, op, "the path is empty; `.` is the directory of the process");
        return Err(error.with_advice(Advice::FixPath));
    }
    std::path::absolute(path).map_err(|error| Error::io(op, path, error))
}

/// Reads a regular file that is at most `max` bytes long; `None` when it does not exist.
///
/// # Errors
/// `Corrupt` when it is longer, `Io`, also when it is a link, a directory, a pipe, …
pub fn read_file(disk: &dyn Disk, path: &Path, max: u64) -> Result<Option<Vec<u8>>> {
    if !is_regular("read_file", disk, path)? {
        return Ok(None);
    }
    let file = disk.open(path, FileMode::Read)?;
    let len = file.len()?;
    if len > max {
        let context = format!("{len} bytes, more than the {max} that such a file can have");
        return Err(Error::new(ErrorKind::Corrupt, "read_file", context).with_path(path));
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    let got = file.read_at(0, &mut bytes)?;
    bytes.truncate(got);
    Ok(Some(bytes))
}

/// Whether there is such a file; `Io` when there is something else of that name.
fn is_regular(op: &'static str, disk: &dyn Disk, path: &Path) -> Result<bool> {
    let entries = disk.list(parent_of(path))?.unwrap_or_default();
    match entries.into_iter().find(|entry| Some(entry.name.as_os_str()) == path.file_name()) {
        None => Ok(false),
        Some(Entry { kind: EntryKind::File, .. }) => Ok(true),
        Some(_) => {
            let cause = std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file");
            Err(Error::io(op, path, cause))
        }
    }
}

/// Puts `bytes` in the place of the file at `path`, durably: after a crash the file holds the old bytes or the new ones,
/// whole, and after this returns the new ones. Temporary file `<name>.new`, write, sync, rename, sync of the directory.
///
/// # Errors
/// `Io`, also when a link or anything else that is no regular file has the name; `Full`. The old file is then still there,
/// unless only the last sync failed.
pub fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<()> {
    is_regular("replace", disk, path)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    disk.remove_file(&temporary)?;
    let file = disk.open(&temporary, FileMode::CreateNew)?;
    file.write_at(0, bytes)?;
    file.sync_data()?;
    drop(file);
    disk.rename(&temporary, path)?;
    disk.sync_dir(parent_of(path))
}

/// Writes the first `bytes` bytes of a file again, as they are read, and makes them durable.
///
/// For what a process has left that died, or met a sync that failed. After such a sync the operating system shows bytes that
/// never reached the disk and takes them for written, so that a further sync does nothing for them; only to write them
/// again does. A crash in between leaves each byte as it was on the disk or as it was read. `step` is told before each piece how many
/// bytes are done, and may stop it. Nobody else may write to the file meanwhile.
///
/// # Errors
/// `Io`, `Full`, what `step` gives. It is then not known which of the bytes are durable.
pub fn renew(
    disk: &dyn Disk,
    path: &Path,
    bytes: u64,
    step: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<()> {
    const PIECE: u64 = 1 << 20;
    let file = disk.open(path, FileMode::Write)?;
    let mut piece = vec![0; usize::try_from(bytes.min(PIECE)).unwrap_or(0)];
    let mut done = 0;
    while done < bytes {
        step(done)?;
        let most = usize::try_from(bytes - done).unwrap_or(usize::MAX).min(piece.len());
        let got = file.read_at(done, piece.get_mut(..most).unwrap_or_default())?;
        if got == 0 {
            break;
        }
        file.write_at(done, piece.get(..got).unwrap_or_default())?;
        done = done.saturating_add(got as u64);
    }
    file.sync_data()
}

/// Creates a directory and its missing parents, each name durable before the next is made. The name of a directory that
/// is there already is made durable too: who created it may have died before.
///
/// # Errors
/// `Io`, also where names may be made in a directory that may not be read: without reading it none becomes durable.
pub fn create_dir_durably(disk: &dyn Disk, path: &Path) -> Result<()> {
    let parent = parent_of(path);
    if disk.list(path)?.is_some() {
        return match disk.sync_dir(parent) {
            // Who may make no name in a directory has hardly made this one.
            Err(error) if is_denied(&error) && !disk.may_create_in(parent)? => Ok(()),
            Err(error) if is_denied(&error) => Err(error.with_advice(Advice::FixPath)),
            done => done,
        };
    }
    if parent != path {
        create_dir_durably(disk, parent)?;
    }
    disk.create_dir(path)?;
    disk.sync_dir(parent)
}

/// Whether the system does not let this user do it.
pub(crate) fn is_denied(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| {
        matches!(cause.kind(), std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem)
    })
}

/// Syncs every file below a directory that no engine has open, then every directory, and last the name of the directory itself.
///
/// # Errors
/// `Io`.
pub fn sync_tree(disk: &dyn Disk, path: &Path) -> Result<()> {
    walk(disk, path, &mut |path, entry| match entry.kind {
        EntryKind::File => disk.open(path, FileMode::Read)?.sync_data(),
        EntryKind::Dir => disk.sync_dir(path),
        EntryKind::Other => Ok(()),
    })?;
    disk.sync_dir(path)?;
    disk.sync_dir(parent_of(path))
}

/// Removes a directory and everything below it; links are removed, not followed. A missing one is no error.
///
/// # Errors
/// `Io`.
pub fn remove_tree(disk: &dyn Disk, path: &Path) -> Result<()> {
    walk(disk, path, &mut |path, entry| match entry.kind {
        EntryKind::Dir => disk.remove_dir(path),
        EntryKind::File | EntryKind::Other => disk.remove_file(path),
    })?;
    disk.remove_dir(path)
}

/// Bytes of all files below a directory; 0 when it does not exist. No file is opened, so that it may run over the files of an
/// open engine: closing a descriptor would drop the POSIX locks that its library holds on the same file.
///
/// # Errors
/// `Io`.
pub fn size_of_tree(disk: &dyn Disk, path: &Path) -> Result<u64> {
    let mut bytes = 0_u64;
    walk(disk, path, &mut |_, entry| {
        bytes = bytes.saturating_add(entry.len);
        Ok(())
    })?;
    Ok(bytes)
}

/// Calls `each` for every entry below `path`, those of a directory before the directory itself.
fn walk(disk: &dyn Disk, path: &Path, each: &mut dyn FnMut(&Path, &Entry) -> Result<()>) -> Result<()> {
    for entry in disk.list(path)?.unwrap_or_default() {
        let below: PathBuf = path.join(&entry.name);
        if entry.kind == EntryKind::Dir {
            walk(disk, &below, each)?;
        }
        each(&below, &entry)?;
    }
    Ok(())
}

/// The directory that holds `path`; `.` for a plain name.
fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}
