//! A copy of a whole home.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use persist_api::{BackupStat, Caps, Engine as _, Error, ErrorKind, Observer, Progress, Result};
use persist_io::{Disk, create_dir_durably, lock_dir, remove_tree, sync_tree};

use crate::cas::{BlobDraft, BlobName, CAS_DIR, NewBlob, each_blob, read_blob};
use crate::home::{Found, engine_dir, lies_inside, survey};
use crate::shared::{Running, Shared};
use crate::stamp::{Stamp, StampState, StoreId};

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
    let into = &persist_io::absolute("backup", into)?;
    // The engine is kept for as long as this takes, and with it the home's blobs: no swap is finished meanwhile.
    shared.with_running("backup", |active, running| {
        active.terms.need("backup", Caps::BACKUP)?;
        let (Some(stamp), Some(home)) = (&active.stamp(), &active.home) else {
            return Err(Error::unsupported("backup", "BACKUP"));
        };
        backup_home(shared.setup.disk.as_ref(), running, stamp, home, into, seen)
    })
}

fn backup_home(
    disk: &dyn Disk,
    running: &Running,
    stamp: &Stamp,
    home: &Path,
    into: &Path,
    seen: &dyn Observer,
) -> Result<BackupReport> {
    check_free(disk, into)?;
    if lies_inside("backup", into, home)? {
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
    let copied = copy_parts(running, disk, home, into, &copy, seen);
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

fn copy_parts(
    running: &Running,
    disk: &dyn Disk,
    home: &Path,
    into: &Path,
    copy: &Stamp,
    seen: &dyn Observer,
) -> Result<BackupReport> {
    let engine = running.engine.backup(&engine_dir(into, copy.epoch), seen)?;
    let mut blobs = Blobs { disk, home, into, seen, count: 0, bytes: 0 };
    blobs.copy_all()?;
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

/// Copies the blobs of one home into another, each of them durably. Those that are there already are not copied again, and
/// cost a look at their names. `check` is asked before each blob and can end it.
///
/// # Errors
/// `Mismatch` naming what is no blob, `Corrupt` naming a blob that is not what its name says; `Io`, `Full`; that of `check`.
pub(crate) fn copy_blobs(
    disk: &dyn Disk,
    from: &Path,
    to: &Path,
    check: &dyn Fn() -> Result<()>,
) -> Result<()> {
    disk.create_dir(&to.join(CAS_DIR))?;
    // They come directory by directory.
    let (mut dir, mut there) = (PathBuf::new(), BTreeSet::new());
    each_blob(disk, from, &mut |name, _| {
        let path = name.path(to);
        let bucket = path.parent().unwrap_or(to);
        if dir != bucket {
            check()?;
            bucket.clone_into(&mut dir);
            there = disk.list(bucket)?.unwrap_or_default().into_iter().map(|entry| entry.name).collect();
        }
        if path.file_name().is_some_and(|file| there.contains(file)) {
            return Ok(());
        }
        check()?;
        let Some(mut draft) = BlobDraft::create(disk, to, name)? else { return Ok(()) };
        read_blob(disk, from, name, &mut |bytes| draft.write(bytes))?;
        draft.put_in_place(disk)
    })
}

/// Copies the blobs. A blob is written whole before the beat that names it, never changes and stays, so that after the
/// engine's copy was made, all that its beat can name are there.
struct Blobs<'c> {
    disk: &'c dyn Disk,
    home: &'c Path,
    into: &'c Path,
    seen: &'c dyn Observer,
    count: u64,
    bytes: u64,
}

impl Blobs<'_> {
    fn copy_all(&mut self) -> Result<()> {
        self.disk.create_dir(&self.into.join(CAS_DIR))?;
        each_blob(self.disk, self.home, &mut |name, _| self.copy(name))
    }

    fn copy(&mut self, name: BlobName) -> Result<()> {
        let mut target = NewBlob::create(self.disk, self.into, name)?;
        let bytes = read_blob(self.disk, self.home, name, &mut |bytes| {
            let progress = Progress { phase: "blobs", done: self.count, total: None, unit: "blobs" };
            self.seen.step("backup", progress)?;
            target.write(bytes)
        })?;
        self.count = self.count.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
        Ok(())
    }
}
