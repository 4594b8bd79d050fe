//! Stores to damage, and the damage.

#![allow(clippy::disallowed_methods, reason = "copies of stores of others, file by file")]

use std::fs;
use std::path::{Path, PathBuf};

use crate::contender::{Ack, Entrant, Result, Settings, text};
use crate::rows::{Data, Row};

/// Bytes that a disk writes in one go.
pub(super) const SECTOR: usize = 512;
/// Rows of a commit.
const BATCH: usize = 500;

pub(super) fn fill(entrant: &Entrant, home: &Path, rows: u64, settle: bool) -> Result<()> {
    fs::create_dir_all(home).map_err(text)?;
    let data = Data { rows };
    let store = (entrant.open)(home, &Settings::USUAL)?;
    let rows: Vec<Row> = (0..rows).map(|at| data.row(data.shuffled(at))).collect();
    for batch in rows.chunks(BATCH) {
        store.commit(batch, Ack::Durable)?;
    }
    if settle {
        store.settle()?;
    }
    store.close()
}

/// All files below a directory, by their paths in it.
fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut left = vec![dir.to_path_buf()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(next).map_err(text)? {
            let path = entry.map_err(text)?.path();
            if path.is_dir() {
                left.push(path);
            } else {
                found.push(path.strip_prefix(dir).map_err(text)?.to_path_buf());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The sectors that are not all zeros: file and offset.
pub(super) fn sectors(dir: &Path) -> Result<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    for file in files(dir)? {
        let bytes = fs::read(dir.join(&file)).map_err(text)?;
        for (at, sector) in (0..).step_by(SECTOR).zip(bytes.chunks(SECTOR)) {
            if sector.iter().any(|byte| *byte != 0) {
                found.push((file.clone(), at));
            }
        }
    }
    if found.is_empty() { Err("the store has no bytes".to_owned()) } else { Ok(found) }
}

/// Turns over a bit of a sector; in a sector that is cut short, of the part that is there.
pub(super) fn flip(path: &Path, sector: u64, bit: u64) -> Result<()> {
    let mut bytes = fs::read(path).map_err(text)?;
    let start = usize::try_from(sector).map_err(text)?;
    let end = bytes.len().min(start + SECTOR);
    let here = bytes.get_mut(start..end).ok_or("the sector is gone")?;
    let bit = usize::try_from(bit).map_err(text)? % (here.len() * 8);
    here[bit / 8] ^= 1 << (bit % 8);
    fs::write(path, bytes).map_err(text)
}

pub(super) fn copied(from: &Path, to: &Path) -> Result<PathBuf> {
    fs::create_dir_all(to).map_err(text)?;
    for file in files(from)? {
        let target = to.join(&file);
        fs::create_dir_all(target.parent().unwrap_or(to)).map_err(text)?;
        fs::copy(from.join(&file), target).map_err(text)?;
    }
    Ok(to.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_of_a_sector_that_is_not_zero_is_flipped() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut bytes = vec![0; 1_300];
        bytes[600] = 1;
        bytes[1_290] = 1;
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub/file"), &bytes).unwrap();
        let found = sectors(dir.path()).unwrap();
        assert_eq!(found, [("sub/file".into(), 512), ("sub/file".into(), 1_024)]);
        for (file, at) in found {
            for bit in [0, 3, 4_095] {
                let copy = copied(dir.path(), &elsewhere.path().join("copy")).unwrap();
                flip(&copy.join(&file), at, bit).unwrap();
                let after = fs::read(copy.join(&file)).unwrap();
                fs::remove_dir_all(copy).unwrap();
                let changed: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != after[*at]).collect();
                assert_eq!(changed.len(), 1);
                assert_eq!(changed[0] as u64 / 512 * 512, at);
                assert_eq!((bytes[changed[0]] ^ after[changed[0]]).count_ones(), 1);
            }
        }
    }
}
