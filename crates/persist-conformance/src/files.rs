//! Files that cases lay, compare and damage. Only ever inside a case's own temporary directory.
#![allow(
    clippy::disallowed_methods,
    reason = "the cases play the stranger and the damage; nothing of the project's own data is written here"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Every entry below a directory, by its path from there: files with their bytes, directories with `None`. A missing directory
/// has none.
///
/// # Errors
/// What the file system says.
pub fn listing(dir: &Path) -> io::Result<BTreeMap<PathBuf, Option<Vec<u8>>>> {
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

/// Inverts one byte, in place: what has the file mapped sees it change.
pub(crate) fn flip(path: &Path, offset: u64) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().read(true).write(true).open(path)?;
    let mut byte = [0];
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(&mut byte)?;
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(&[!byte[0]])
}

/// A place amid the dense bytes of each file below a directory that holds at least so many of them. Dense are blocks
/// without eight equal bytes in a row: values, and hardly anything else.
pub(crate) fn dense_places(dir: &Path, least: usize) -> io::Result<Vec<(PathBuf, u64)>> {
    const BLOCK: usize = 512;
    let mut places = Vec::new();
    for (name, bytes) in listing(dir)? {
        let bytes = bytes.unwrap_or_default();
        let is_dense =
            |block: &[u8]| !block.windows(8).any(|run| run.iter().all(|byte| run.first() == Some(byte)));
        let blocks = bytes.chunks_exact(BLOCK).enumerate().filter(|(_, block)| is_dense(block));
        let blocks: Vec<usize> = blocks.map(|(number, _)| number).collect();
        if blocks.len() * BLOCK >= least {
            // Not in the middle, which lies between two values where there are four.
            let block = blocks.get(blocks.len() * 3 / 8).copied().unwrap_or_default();
            places.push((name, (block * BLOCK + BLOCK / 2) as u64));
        }
    }
    Ok(places)
}

/// Appends bytes to a file.
pub(crate) fn append(path: &Path, more: &[u8]) -> io::Result<()> {
    fs::OpenOptions::new().append(true).open(path)?.write_all(more)
}

/// Removes a file.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}
