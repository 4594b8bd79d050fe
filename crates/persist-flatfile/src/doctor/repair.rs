//! The repair.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use persist_api::{Driver as _, Error, ErrorKind, Observer, OpenMode, OpenOptions, Result};
use persist_io::{DirLock, Disk, FileMode, lock_dir};

use super::examine::{Exam, OP, look};
use super::give_up::{concerns, is_loss, rewrite};
use super::keep::Kept;
use super::told::{Complaint, Diagnosis, Remedy, Trouble, Verdict};
use super::values::payloads;
use crate::driver::FlatfileDriver;
use crate::error::SCHEME;
use crate::names::{HEAD, Kind};
use crate::payload::header;
use crate::run::{Run, rebuild};
use crate::timeline::head::{Head, HeadWriter, read_head};

/// What a repair did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// How the store stood before.
    pub before: Diagnosis,
    /// How it stands now; the same when there was nothing to do.
    pub after: Diagnosis,
    /// Where the originals are; `None` when nothing was changed.
    pub kept_in: Option<PathBuf>,
    /// Which originals lie there, by plain name.
    pub kept: Vec<String>,
    /// Runs that were made anew, by plain name.
    pub rebuilt: Vec<String>,
    /// What was given up.
    pub given_up: Vec<Complaint>,
}

/// Repairs the store in `home`, which must be closed: makes anew what can be made anew, moves aside what cannot be read, and
/// with `accept_loss` gives up what is lost. Reads that met a loss then no longer fail: they show the newest that is left, so
/// an older value may come back, and a deleted key too; a key whose newest value is a lost large one is gone. Without
/// `accept_loss`, such reads go on failing with `Corrupt`.
///
/// Every file that is not as it should be is first copied to `damaged/<n>/`, durably. A store without damage is left as it is,
/// byte for byte. A crash in between leaves a store that can be examined and repaired again.
///
/// # Errors
/// As [`examine`](super::examine()); `Corrupt` when nothing can be saved (nothing is then changed), `Full`.
pub fn repair(disk: &Arc<dyn Disk>, home: &Path, accept_loss: bool, seen: &dyn Observer) -> Result<Repaired> {
    let named = |error: Error| error.with_engine(SCHEME);
    try_repair(disk, home, accept_loss, seen).map_err(named)
}

fn try_repair(disk: &Arc<dyn Disk>, home: &Path, accept_loss: bool, seen: &dyn Observer) -> Result<Repaired> {
    let exam = look(&**disk, home, seen)?;
    let before = exam.diagnosis.clone();
    if before.verdict == Verdict::Unreadable {
        let what = "no beat of this store can be read, so that there is nothing to save here: restore a backup; nothing \
                    was changed";
        return Err(Error::new(ErrorKind::Corrupt, OP, what).with_path(home));
    }
    if !has_work(&before, accept_loss) {
        let after = before.clone();
        let (kept, rebuilt, given_up) = (Vec::new(), Vec::new(), Vec::new());
        return Ok(Repaired { before, after, kept_in: None, kept, rebuilt, given_up });
    }
    let lock = lock_dir(&**disk, home)?;
    let mut kept = Kept::begin(&**disk, home)?;
    kept.copy(HEAD)?;
    for name in &exam.plan.files {
        kept.copy(name)?;
    }
    let mut rebuilt = make_anew(&exam)?;
    drop(exam);
    let mut given_up = Vec::new();
    let in_frames = |complaint: &Complaint| matches!(complaint.trouble, Trouble::Frames | Trouble::Value);
    settle(disk, home, lock, before.damage().any(in_frames), seen)?;
    if accept_loss {
        given_up = give_up(disk, home, &mut kept, seen)?;
    }
    rebuilt.sort();
    let kept_in = Some(kept.dir.clone());
    let kept = kept.into_names();
    let after = look(&**disk, home, seen)?.diagnosis;
    Ok(Repaired { before, after, kept_in, kept, rebuilt, given_up })
}

fn has_work(before: &Diagnosis, accept_loss: bool) -> bool {
    before.damage().any(|complaint| match complaint.remedy {
        Remedy::Opening | Remedy::Repair => true,
        // What was marked before stays as it is without a word.
        Remedy::AcceptLoss => accept_loss || !matches!(complaint.trouble, Trouble::Lost | Trouble::Value),
        Remedy::None | Remedy::Backup => false,
    })
}

/// Makes runs and headers anew, and removes what cannot be read. All of it was copied.
fn make_anew(exam: &Exam<'_>) -> Result<Vec<String>> {
    let (disk, home) = (exam.disk, exam.home);
    let mut rebuilt = Vec::new();
    for &(number, on_loss) in &exam.plan.rebuild {
        rebuild(disk, home, (number, number), on_loss, exam.seen)?;
        rebuilt.push(Kind::Run.name(number));
    }
    for &number in &exam.plan.remove {
        disk.remove_file(&home.join(Kind::Run.name(number)))?;
    }
    for &number in &exam.plan.headers {
        let file = disk.open(&home.join(Kind::Payload.name(number)), FileMode::Write)?;
        file.write_at(0, &header(number, exam.plan.store))?;
        file.sync_data()?;
    }
    if exam.plan.drop_head {
        disk.remove_file(&home.join(HEAD))?;
    }
    disk.sync_dir(home)?;
    if exam.plan.write_tag {
        let head = Head { store: exam.plan.store, ..Head::default() };
        HeadWriter::open(disk, home, &read_head(disk, home)?)?.write_both(&head)?;
    }
    Ok(rebuilt)
}

/// Opens the store and closes it: what recovery does is then done. With `flush`, runs are made of all frames, so that runs say
/// what is lost and the segments are moved aside.
fn settle(disk: &Arc<dyn Disk>, home: &Path, lock: DirLock, flush: bool, seen: &dyn Observer) -> Result<()> {
    // The engine takes it itself. Who comes in between finds a store that it can open.
    drop(lock);
    let everything = u64::MAX.to_string();
    let knobs = [("maintenance", "inline"), ("history_beats", &everything)];
    let knobs = knobs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let options = OpenOptions { mode: OpenMode::MustExist, knobs, ..OpenOptions::default() };
    let engine = FlatfileDriver::new(Arc::clone(disk)).open(home, &options, seen)?;
    if flush {
        engine.checkpoint()?;
    }
    engine.close().map_err(|(_, error)| error)
}

/// Writes the runs again without what is lost. By now all losses are marked in runs, or are values that runs refer to.
fn give_up(
    disk: &Arc<dyn Disk>,
    home: &Path,
    kept: &mut Kept<'_>,
    seen: &dyn Observer,
) -> Result<Vec<Complaint>> {
    let exam = look(&**disk, home, seen)?;
    let lost: Vec<Complaint> =
        exam.diagnosis.damage().filter(|complaint| is_loss(complaint)).cloned().collect();
    let files = payloads(&exam)?;
    let _lock = lock_dir(&**disk, home)?;
    for number in exam.files.numbers(Kind::Run) {
        let run = Run::open(&**disk, home, number)?;
        if concerns(&run, &lost, &files)? {
            kept.copy(&Kind::Run.name(number))?;
            rewrite(&**disk, home, &run, &files, seen)?;
        }
    }
    Ok(lost)
}
