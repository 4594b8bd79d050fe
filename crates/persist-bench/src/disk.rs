//! Files from outside: how many blocks they hold, and making the system forget their pages.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Advice, fadvise};

use crate::contender::{Result, text};

/// Bytes of the blocks that all files below `dir` hold, holes and promises not counted.
///
/// # Errors
/// A sentence of the system.
pub(crate) fn allocated(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    each_file(dir, &mut |path| match std::fs::metadata(path) {
        Ok(metadata) => {
            bytes += metadata.blocks() * 512;
            Ok(())
        }
        // An engine in use removes files meanwhile.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(text(error)),
    })?;
    Ok(bytes)
}

/// Makes the system forget the pages of all files below `dir`, which nobody has mapped.
///
/// # Errors
/// A sentence of the system.
pub(crate) fn forget(dir: &Path) -> Result<()> {
    each_file(dir, &mut |path| {
        let file = File::open(path).map_err(text)?;
        file.sync_all().map_err(text)?;
        fadvise(&file, 0, None, Advice::DontNeed).map_err(text)
    })
}

/// Reads all files below `dir` from their beginnings to their ends.
///
/// # Errors
/// A sentence of the system.
pub(crate) fn read_all(dir: &Path) -> Result<()> {
    let mut buffer = vec![0; 1 << 20];
    each_file(dir, &mut |path| {
        let mut file = File::open(path).map_err(text)?;
        while file.read(&mut buffer).map_err(text)? > 0 {}
        Ok(())
    })
}

fn each_file(dir: &Path, work: &mut dyn FnMut(&Path) -> Result<()>) -> Result<()> {
    for entry in std::fs::read_dir(dir).map_err(text)? {
        let path = entry.map_err(text)?.path();
        if path.is_dir() {
            each_file(&path, work)?;
        } else {
            work(&path)?;
        }
    }
    Ok(())
}

/// The name of the file system that holds `dir`.
#[must_use]
pub(crate) fn file_system(dir: &Path) -> String {
    let dir = dir.canonicalize().unwrap_or_default();
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut best = ("", "unknown");
    for line in mounts.lines() {
        let words: Vec<&str> = line.split_whitespace().take(3).collect();
        if let [_, at, kind] = words[..]
            && dir.starts_with(at)
            && at.len() >= best.0.len()
        {
            best = (at, kind);
        }
    }
    best.1.to_owned()
}
