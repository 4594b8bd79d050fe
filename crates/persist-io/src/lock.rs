//! The advisory lock of a directory, which says who holds it.

use std::path::Path;
use std::sync::OnceLock;

use persist_api::{Advice, Error, ErrorKind, Result};

use crate::whole::is_denied;
use crate::{Disk, DiskFile};

/// Name of the lock file in a locked directory. It stays when the lock goes.
pub const LOCK_FILE: &str = "lock";

/// The exclusive right to a directory, until dropped.
pub struct DirLock {
    _file: Box<dyn DiskFile>,
}

impl std::fmt::Debug for DirLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DirLock")
    }
}

/// Locks `dir`, which must exist, and writes who holds it into [`LOCK_FILE`], where the disk has room for that.
///
/// # Errors
/// `Locked` naming the holder; `Io`, with the advice to copy where nothing may be written.
pub fn lock_dir(disk: &dyn Disk, dir: &Path) -> Result<DirLock> {
    let path = dir.join(LOCK_FILE);
    let lock = disk.try_lock(&path).map_err(|error| not_here(disk, dir, error));
    let Some(file) = lock? else {
        let holder = crate::read_file(disk, &path, 4096)?.unwrap_or_default();
        let holder = String::from_utf8_lossy(&holder).trim().to_owned();
        let holder = if holder.is_empty() { "another process".to_owned() } else { holder };
        return Err(Error::new(ErrorKind::Locked, "open", format!("held by {holder}")).with_path(dir));
    };
    say(&*file, format!("process {} ({})\n", std::process::id(), program()).as_bytes());
    Ok(DirLock { _file: file })
}

/// Where a lock is that may not be written, a store is: a copy of it can be opened elsewhere.
fn not_here(disk: &dyn Disk, dir: &Path, error: Error) -> Error {
    let there = disk.list(dir).ok().flatten().unwrap_or_default();
    let is_store = there.iter().any(|entry| entry.name == LOCK_FILE);
    if is_store && is_denied(&error) { error.with_advice(Advice::CopyToWrite) } else { error }
}

/// The name of this program.
fn program() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let path = std::env::current_exe().unwrap_or_default();
        path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    })
}

/// Writes who holds the lock. That is a courtesy: where there is no room even for a name, the directory can be read all the same.
fn say(file: &dyn DiskFile, holder: &[u8]) {
    // Written before it is cut, so that the file keeps its block on a full disk.
    let said = file.write_at(0, holder).and_then(|()| file.truncate(holder.len() as u64));
    if said.is_err() {
        // No name is better than the one of a former holder.
        let _ = file.truncate(0);
    }
}
