//! Room on the disk: having it before LMDB counts on it, and telling when there is none.

use std::path::Path;

use persist_api::Result;
use persist_io::{Disk, FileMode};
use rustix::process::{Resource, getrlimit};

use crate::home::{DATA, READERS};

/// A disk with less left than this is full: it is less than one write of LMDB may ask for.
const ROOM: u64 = 1 << 20;
/// Bytes of one line in the table of readers, and of what stands before the second line.
const LINE: u64 = 64;
const HEAD: u64 = 128;
/// Zeros are written in pieces of this size.
const PIECE: usize = 64 << 10;

/// Whether a write to the data file that came out short did so for want of room. LMDB does not go on after a short
/// write, so it never hears why, and says EIO whatever the reason was.
pub(crate) fn is_gone(dir: &Path) -> bool {
    let disk_is_full =
        rustix::fs::statvfs(dir).is_ok_and(|fs| fs.f_bavail.saturating_mul(fs.f_frsize) < ROOM);
    let longest = getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX);
    disk_is_full || std::fs::metadata(dir.join(DATA)).is_ok_and(|file| file.len() >= longest)
}

/// Makes the table of readers as long as LMDB wants it, with bytes that are really there. LMDB would make it long without
/// them and write through a map, where a full disk is a signal that ends the process. Call before LMDB opens the file.
pub(crate) fn reserve_readers(disk: &dyn Disk, dir: &Path, readers_max: u32) -> Result<()> {
    let file = disk.open(&dir.join(READERS), FileMode::OpenOrCreate)?;
    let wanted = u64::from(readers_max).saturating_mul(LINE).saturating_add(HEAD);
    let zeros = vec![0; PIECE];
    let mut len = file.len()?;
    while len < wanted {
        let piece = usize::try_from(wanted.saturating_sub(len)).unwrap_or(PIECE);
        let zeros = zeros.get(..piece).unwrap_or(&zeros);
        file.write_at(len, zeros)?;
        len = len.saturating_add(zeros.len() as u64);
    }
    Ok(())
}
