//! Files that cases lay, compare and damage. Only ever inside a case's own temporary directory.
#![allow(
    clippy::disallowed_methods,
    reason = "the cases play the stranger and the damage; nothing of the project's own data is written here"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Every entry below a directory: files with their bytes, directories with `None`. A missing directory has none.
pub(crate) fn listing(dir: &Path) -> io::Result<BTreeMap<PathBuf, Option<Vec<u8>>>> {
    let mut found = BTreeMap::new();
    if !dir.exists() {
        return Ok(found);
    }
    let mut open = vec![dir.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next)? {
            let path = entry?.path();
            let name = path.strip_prefix(dir).unwrap_or(&path).to_path_buf();
            if path.is_dir() {
                found.insert(name, None);
                open.push(path);
            } else {
                found.insert(name, Some(fs::read(&path)?));
            }
        }
    }
    Ok(found)
}

/// The files below a directory that hold at least one byte, by name.
pub(crate) fn files_with_bytes(dir: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let lengths = listing(dir)?.into_iter().filter_map(|(name, bytes)| Some((name, bytes?.len() as u64)));
    Ok(lengths.filter(|(_, length)| *length > 0).collect())
}

/// Lays a file, and its directory.
pub(crate) fn lay(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(path, bytes)
}

/// Makes a directory.
pub(crate) fn make_dir(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// Copies a directory, sparse files included, without growing them.
pub(crate) fn copy_dir(from: &Path, into: &Path) -> io::Result<()> {
    fs::create_dir_all(into)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = into.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

/// Cuts a file to a length.
pub(crate) fn cut(path: &Path, length: u64) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(path)?.set_len(length)
}

/// Inverts the byte in the middle of a file.
pub(crate) fn flip_middle(path: &Path) -> io::Result<()> {
    let mut bytes = fs::read(path)?;
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 0xff;
    }
    fs::write(path, bytes)
}

/// Appends bytes to a file.
pub(crate) fn append(path: &Path, more: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    fs::OpenOptions::new().append(true).open(path)?.write_all(more)
}

/// Removes a file.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}
