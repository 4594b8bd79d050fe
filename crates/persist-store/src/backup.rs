//! A copy of a whole home.

use std::path::{Path, PathBuf, absolute};

use persist_api::{BackupStat, Caps, Error, ErrorKind, Observer, Progress, Quiet, Result};
use persist_io::{Disk, EntryKind, FileMode, create_dir_durably, lock_dir, remove_tree, sync_tree};

use crate::home::{CAS_DIR, Found, engine_dir, survey};
use crate::shared::{Active, Shared};
use crate::stamp::{Stamp, StampState, StoreId};

/// Bytes that are copied at a time.
const COPY_BYTES: usize = 256 * 1024;

/// What a backup is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupReport {
    /// Name of the copy.
    pub store: StoreId,
    /// Name of the store that was copied.
    pub origin: StoreId,
    /// The beat that it shows and the bytes of its engine.
    pub engine: BackupStat,
    /// Blobs that were copied.
    pub blobs: u64,
    /// Bytes of those blobs.
    pub blob_bytes: u64,
}

pub(crate) fn backup(shared: &Shared, into: &Path, seen: &dyn Observer) -> Result<BackupReport> {
    let active = shared.active();
    active.terms.need("backup", Caps::BACKUP)?;
    let (Some(stamp), Some(home)) = (&active.stamp(), &active.home) else {
        return Err(Error::unsupported("backup", "BACKUP"));
    };
    let disk = shared.setup.disk.as_ref();
    check_free(disk, into)?;
    if lies_inside(into, home) {
        let context = "a backup cannot lie inside the store itself; choose a directory elsewhere";
        return Err(Error::new(ErrorKind::Invalid, "backup", context).with_path(into));
    }
    create_dir_durably(disk, into)?;
    let _lock = lock_dir(disk, into)?;
    // Whoever held the lock until now may have finished a backup here.
    check_free(disk, into)?;
    let copy = Stamp {
        store: StoreId::random()?,
        state: StampState::Ready,
        epoch: 1,
        origin: Some(stamp.store),
        swap: None,
        ..stamp.clone()
    };
    let copied = copy_parts(&active, disk, into, &copy, seen);
    if copied.is_err() {
        // Best effort: without a stamp it is no store, and it is refused by name.
        let _ = remove_tree(disk, &engine_dir(into, copy.epoch))
            .and_then(|()| remove_tree(disk, &into.join(CAS_DIR)));
    }
    copied
}

/// Checks that a directory is missing or holds nothing but what a backup that failed leaves: our lock.
///
/// # Errors
/// `Mismatch` when it holds anything else; `Io`.
fn check_free(disk: &dyn Disk, into: &Path) -> Result<()> {
    match survey(disk, into) {
        Ok(survey) if survey.found == Found::Nothing => Ok(()),
        Err(error) if !matches!(error.kind(), ErrorKind::Mismatch | ErrorKind::Corrupt) => Err(error),
        Ok(_) | Err(_) => Err(Error::occupied("backup", into)),
    }
}

/// Whether `path`, which need not exist, would lie inside `home`. Links are followed as far as there are any.
pub(crate) fn lies_inside(path: &Path, home: &Path) -> bool {
    let real = |path: &Path| {
        let path = absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let there = path.ancestors().find_map(|above| Some((above, above.canonicalize().ok()?)));
        match there {
            Some((above, real)) => path.strip_prefix(above).map_or(real.clone(), |rest| real.join(rest)),
            None => path,
        }
    };
    real(path).starts_with(real(home))
}

fn copy_parts(
    active: &Active,
    disk: &dyn Disk,
    into: &Path,
    copy: &Stamp,
    seen: &dyn Observer,
) -> Result<BackupReport> {
    let engine = active.engine("backup")?.backup(&engine_dir(into, copy.epoch), seen)?;
    let mut blobs = Blobs { disk, seen, count: 0, bytes: 0 };
    if let Some(home) = &active.home {
        blobs.copy_dir(&home.join(CAS_DIR), &into.join(CAS_DIR))?;
    }
    // The last thing that this syncs is `into` itself, with the engine's name in it.
    sync_tree(disk, &into.join(CAS_DIR))?;
    copy.write(disk, into)?;
    Ok(BackupReport {
        store: copy.store,
        origin: copy.origin.unwrap_or(copy.store),
        engine,
        blobs: blobs.count,
        blob_bytes: blobs.bytes,
    })
}

/// Copies blobs from one home to another, durably. Those that are there already are not copied again.
///
/// # Errors
/// `Mismatch` naming what is no blob; `Io`, `Full`.
pub(crate) fn copy_blobs(disk: &dyn Disk, from: &Path, to: &Path) -> Result<()> {
    let mut blobs = Blobs { disk, seen: &Quiet, count: 0, bytes: 0 };
    blobs.copy_dir(from, to)?;
    sync_tree(disk, to)
}

/// Copies the blobs. They never change once written, so that any moment is as good as another.
struct Blobs<'c> {
    disk: &'c dyn Disk,
    seen: &'c dyn Observer,
    count: u64,
    bytes: u64,
}

impl Blobs<'_> {
    fn copy_dir(&mut self, from: &Path, to: &Path) -> Result<()> {
        self.disk.create_dir(to)?;
        let there = self.disk.list(to)?.unwrap_or_default();
        for entry in self.disk.list(from)?.unwrap_or_default() {
            let (from, to): (PathBuf, PathBuf) = (from.join(&entry.name), to.join(&entry.name));
            match entry.kind {
                EntryKind::Dir => self.copy_dir(&from, &to)?,
                EntryKind::File => match there.iter().find(|other| other.name == entry.name) {
                    Some(other) if other.kind == EntryKind::File && other.len == entry.len => {}
                    _ => {
                        self.disk.remove_file(&to)?;
                        self.copy_file(&from, &to)?;
                    }
                },
                EntryKind::Other => {
                    let context = "neither a file nor a directory; blobs are nothing else";
                    return Err(Error::new(ErrorKind::Mismatch, "backup", context).with_path(from));
                }
            }
        }
        Ok(())
    }

    fn copy_file(&mut self, from: &Path, to: &Path) -> Result<()> {
        let progress = Progress { phase: "blobs", done: self.count, total: None, unit: "blobs" };
        self.seen.step("backup", progress)?;
        let source = self.disk.open(from, FileMode::Read)?;
        let target = self.disk.open(to, FileMode::CreateNew)?;
        let mut buffer = vec![0; COPY_BYTES];
        let mut offset = 0_u64;
        loop {
            let got = source.read_at(offset, &mut buffer)?;
            let Some(bytes) = buffer.get(..got).filter(|bytes| !bytes.is_empty()) else { break };
            target.write_at(offset, bytes)?;
            offset = offset.saturating_add(got as u64);
        }
        self.count = self.count.saturating_add(1);
        self.bytes = self.bytes.saturating_add(offset);
        Ok(())
    }
}
