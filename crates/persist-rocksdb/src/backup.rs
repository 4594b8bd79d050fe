//! A copy at one beat that shares nothing with the store.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use persist_api::{BackupStat, Error, ErrorKind, Observer, Progress, Result};
use persist_io::{Disk, FileMode, RealDisk, absolute, create_dir_durably};
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{DB, ReadOptions, properties};

use crate::core::read_header;
use crate::engine::RocksEngine;
use crate::error::map_error;
use crate::{home, maintain};

const OP: &str = "backup";
const CHUNK: usize = 1 << 20;

/// Writes a backup into an empty or missing directory. Until it is whole and on the medium, it has not its name.
pub(crate) fn backup(engine: &RocksEngine, into: &Path, seen: &dyn Observer) -> Result<BackupStat> {
    engine.check_health(OP)?;
    let into = &absolute(OP, into)?;
    if !home::is_vacant(into)? {
        return Err(Error::occupied(OP, into));
    }
    seen.step(OP, Progress { phase: "link", done: 0, total: None, unit: "bytes" })?;
    create_dir_durably(&RealDisk, into)?;
    let written = write(engine, into, seen);
    if written.is_err() {
        // As empty as before, as far as the disk lets it be; what stays has no name that an open would trust.
        let _ = home::clear_unfinished(into);
    }
    written
}

fn write(engine: &RocksEngine, into: &Path, seen: &dyn Observer) -> Result<BackupStat> {
    let new = home::new_dir(into);
    let fail = |error| map_error(OP, error).with_path(into);
    // A checkpoint begins with a flush. Done before, its failure is known to be the store's and not the target's; what is committed
    // until the checkpoint's own is told by what RocksDB counts.
    engine.flush(OP)?;
    let errors_before = maintain::figure(&engine.core.db, properties::BACKGROUND_ERRORS)?;
    let made = Checkpoint::new(&engine.core.db).and_then(|made| made.create_checkpoint(&new));
    if let Err(error) = made {
        if maintain::figure(&engine.core.db, properties::BACKGROUND_ERRORS)? > errors_before {
            engine.health.poison();
        }
        return Err(fail(error));
    }
    separate(&new, seen)?;
    // Writers went on meanwhile: only the copy knows its beat.
    let copy = DB::open_for_read_only(&engine.settings.for_checking()?, &new, false).map_err(fail)?;
    let header = read_header(OP, &copy, &ReadOptions::default())?;
    drop(copy);
    home::finish(into)?;
    Ok(BackupStat { beat: header.beat, bytes: home::size_of(into, &|_| true)? })
}

/// Puts a copy in the place of every file that RocksDB linked, so that no accident to the store reaches the backup.
fn separate(dir: &Path, seen: &dyn Observer) -> Result<()> {
    let mut linked: Vec<(PathBuf, u64)> = Vec::new();
    for entry in RealDisk.list(dir)?.unwrap_or_default() {
        let path = dir.join(entry.name);
        let metadata = std::fs::symlink_metadata(&path).map_err(|error| Error::io(OP, &path, error))?;
        if metadata.nlink() > 1 {
            linked.push((path, metadata.len()));
        }
    }
    let total = Some(linked.iter().map(|(_, bytes)| bytes).sum());
    let mut done = 0_u64;
    let mut chunk = vec![0; CHUNK];
    for (path, bytes) in linked {
        let temporary = path.with_extension("dbtmp");
        let (from, to) =
            (RealDisk.open(&path, FileMode::Read)?, RealDisk.open(&temporary, FileMode::CreateNew)?);
        let mut at = 0;
        while at < bytes {
            seen.step(OP, Progress { phase: "copy", done, total, unit: "bytes" })?;
            let got = from.read_at(at, &mut chunk)?;
            let Some(read) = chunk.get(..got).filter(|read| !read.is_empty()) else {
                return Err(Error::new(ErrorKind::Corrupt, OP, "a table became shorter").with_path(path));
            };
            to.write_at(at, read)?;
            at = at.saturating_add(got as u64);
            done = done.saturating_add(got as u64);
        }
        RealDisk.rename(&temporary, &path)?;
    }
    seen.step(OP, Progress { phase: "copy", done, total, unit: "bytes" })
}
