//! The repair.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use persist_api::{
    BeatHeader, Driver as _, Durability, Engine, Error, ErrorKind, Observer, OpenMode, OpenOptions, Result,
};
use persist_io::{Disk, FileMode, absolute, lock_dir, renew};

use super::examine::{Exam, OP, look, look_locked};
use super::give_up::{concerns, is_loss, rewrite};
use super::keep::Kept;
use super::told::{Complaint, Diagnosis, Remedy, Trouble, Verdict};
use super::values::payloads;
use crate::driver::FlatfileDriver;
use crate::error::SCHEME;
use crate::names::{HEAD, Kind};
use crate::payload::{PAYLOAD_HEADER, header};
use crate::run::{Run, rebuild};
use crate::timeline::head::{HEAD_BYTES, Head, HeadWriter, read_head};

/// What becomes of records that are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Losses {
    /// Reads of them go on failing with `Corrupt`.
    Keep,
    /// They are given up: reads show the newest that is left.
    GiveUp,
}

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
    /// How many lost records were written again, because the caller knew them.
    pub restored: usize,
}

/// Repairs the store in `home`, which must be closed: makes anew what can be made anew, moves aside what cannot be read, and
/// where `losses` says so gives up what is lost. Reads that met a loss then no longer fail: they show the newest that is left,
/// so an older value may come back, and a deleted key too; a key whose newest value is a lost large one is gone.
///
/// Lost records that the caller knows all the same (`known`, key and value) are written again, in the newest beat.
///
/// Every file that is not as it should be is first copied to `damaged/<n>/`, durably. A store without damage is left as it is,
/// byte for byte. A crash in between leaves a store that can be examined and repaired again; what it has changed by then is made
/// durable by the repair that follows.
///
/// # Errors
/// As [`examine`](super::examine()); `Locked` also when somebody changed the store while it was examined (nothing is then changed by
/// this); `Corrupt` when nothing can be saved (nothing is then changed), `Full`.
pub fn repair(
    disk: &Arc<dyn Disk>,
    home: &Path,
    losses: Losses,
    known: &[(Vec<u8>, Vec<u8>)],
    seen: &dyn Observer,
) -> Result<Repaired> {
    let named = |error: Error| error.with_engine(SCHEME);
    // Nothing of this store goes elsewhere when the process changes its directory.
    let home = &absolute(OP, home)?;
    try_repair(disk, home, losses, known, seen).map_err(named)
}

fn try_repair(
    disk: &Arc<dyn Disk>,
    home: &Path,
    losses: Losses,
    known: &[(Vec<u8>, Vec<u8>)],
    seen: &dyn Observer,
) -> Result<Repaired> {
    let exam = look(&**disk, home, seen)?;
    let before = exam.diagnosis.clone();
    if before.verdict == Verdict::Unreadable {
        let what = "no beat of this store can be read, so that there is nothing to save here: restore a backup; nothing \
                    was changed";
        return Err(Error::new(ErrorKind::Corrupt, OP, what).with_path(home));
    }
    make_sure(&exam)?;
    if !has_work(&before, losses != Losses::Keep) {
        drop(exam);
        // An earlier repair may have died between marking what is lost and writing again what is known of it.
        let is_marked = |complaint: &Complaint| matches!(complaint.trouble, Trouble::Lost | Trouble::Value);
        let restored = if before.damage().any(is_marked) { restore(disk, home, known, seen)? } else { 0 };
        let after = if restored > 0 { look(&**disk, home, seen)?.diagnosis } else { before.clone() };
        let (kept, rebuilt, given_up) = (Vec::new(), Vec::new(), Vec::new());
        return Ok(Repaired { before, after, kept_in: None, kept, rebuilt, given_up, restored });
    }
    drop(exam);
    let lock = lock_dir(&**disk, home)?;
    // Whoever had the store open since then may have changed what there is to do.
    let mut exam = look_locked(&**disk, home, seen)?;
    if exam.diagnosis != before {
        let what = "somebody opened the store and changed it while it was examined; nothing was repaired: close it and \
                    repair it again";
        return Err(Error::new(ErrorKind::Locked, OP, what).with_path(home));
    }
    let mut kept = Kept::begin(&**disk, home)?;
    kept.copy(HEAD)?;
    for name in &exam.plan.files {
        kept.copy(name)?;
    }
    let mut rebuilt = make_anew(&exam)?;
    let unreadable = std::mem::take(&mut exam.plan.remove);
    drop(exam);
    // What is lost with a run of which nothing can be read is marked in runs before it goes: nothing else may tell of it.
    let in_frames =
        |complaint: &Complaint| matches!(complaint.trouble, Trouble::Frames | Trouble::Value | Trouble::Run);
    // The engine takes the lock itself. Who comes in between finds a store that it can open.
    drop(lock);
    settle(disk, home, before.damage().any(in_frames), seen)?;
    remove(&**disk, home, &unreadable)?;
    // Before the losses are forgotten, so that a crash in between leaves them to be found again.
    let restored = restore(disk, home, known, seen)?;
    let given_up = match losses {
        Losses::Keep => Vec::new(),
        Losses::GiveUp => give_up(disk, home, &mut kept, seen)?,
    };
    rebuilt.sort();
    let kept_in = Some(kept.dir.clone());
    let kept = kept.into_names();
    let after = look(&**disk, home, seen)?.diagnosis;
    Ok(Repaired { before, after, kept_in, kept, rebuilt, given_up, restored })
}

/// Makes durable what an earlier repair has changed. It may have died before its syncs, or met one that failed: what reads well
/// now need not be on the disk then, and a power cut would bring the damage back.
fn make_sure(exam: &Exam<'_>) -> Result<()> {
    // Nothing is changed before there are originals.
    if !exam.diagnosis.aside.iter().any(|name| name.contains('/')) {
        return Ok(());
    }
    let (disk, home) = (exam.disk, exam.home);
    let _lock = lock_dir(disk, home)?;
    // Whatever else has a name was synced before it got it.
    if exam.files.has_head {
        renew(disk, &home.join(HEAD), HEAD_BYTES, &mut |_| Ok(()))?;
    }
    for number in exam.files.numbers(Kind::Payload) {
        renew(disk, &home.join(Kind::Payload.name(number)), PAYLOAD_HEADER, &mut |_| Ok(()))?;
    }
    disk.sync_dir(home)
}

fn has_work(before: &Diagnosis, accept_loss: bool) -> bool {
    // Where no store is yet, an opening makes one, whatever its head says.
    before.verdict != Verdict::Empty
        && before.damage().any(|complaint| match complaint.remedy {
            Remedy::Opening | Remedy::Repair => true,
            // What was marked before stays as it is without a word.
            Remedy::AcceptLoss => accept_loss || !matches!(complaint.trouble, Trouble::Lost | Trouble::Value),
            Remedy::None | Remedy::Backup => false,
        })
}

/// Removes runs of which nothing can be read. They were copied.
fn remove(disk: &dyn Disk, home: &Path, runs: &[u32]) -> Result<()> {
    if runs.is_empty() {
        return Ok(());
    }
    let _lock = lock_dir(disk, home)?;
    for number in runs {
        disk.remove_file(&home.join(Kind::Run.name(*number)))?;
    }
    disk.sync_dir(home)
}

/// Makes runs and headers anew. All of it was copied.
fn make_anew(exam: &Exam<'_>) -> Result<Vec<String>> {
    let (disk, home) = (exam.disk, exam.home);
    let mut rebuilt = Vec::new();
    for &(number, on_loss) in &exam.plan.rebuild {
        rebuild(disk, home, (number, number), on_loss, exam.seen)?;
        rebuilt.push(Kind::Run.name(number));
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
fn settle(disk: &Arc<dyn Disk>, home: &Path, flush: bool, seen: &dyn Observer) -> Result<()> {
    let engine = open(disk, home, seen)?;
    if flush {
        engine.checkpoint()?;
    }
    engine.close().map_err(|(_, error)| error)
}

/// Opens the store so that nothing is given up, and the newest beat may be written to.
fn open(disk: &Arc<dyn Disk>, home: &Path, seen: &dyn Observer) -> Result<Box<dyn Engine>> {
    let everything = u64::MAX.to_string();
    let knobs = [("maintenance", "inline"), ("history_beats", &everything)];
    let knobs = knobs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let options = OpenOptions { mode: OpenMode::MustExist, knobs, importing: true, ..OpenOptions::default() };
    FlatfileDriver::new(Arc::clone(disk)).open(home, &options, seen)
}

/// Writes those of the known records again that are lost; answers how many.
fn restore(
    disk: &Arc<dyn Disk>,
    home: &Path,
    known: &[(Vec<u8>, Vec<u8>)],
    seen: &dyn Observer,
) -> Result<usize> {
    if known.is_empty() {
        return Ok(0);
    }
    let engine = open(disk, home, seen)?;
    let view = engine.view()?;
    let newest = BeatHeader { durability: Durability::Durable, ..*view.header() };
    let mut lost = Vec::new();
    for (key, value) in known {
        match view.get_record(key) {
            Ok(Some(_)) => {}
            Ok(None) => lost.push((key, value)),
            Err(error) if error.kind() == ErrorKind::Corrupt => lost.push((key, value)),
            Err(error) => return Err(error),
        }
    }
    drop(view);
    if !lost.is_empty() && newest.beat.0 > 0 {
        let mut beat = engine.begin_beat(newest)?;
        for (key, value) in &lost {
            beat.put_record(key, value)?;
        }
        beat.commit_beat()?;
        engine.checkpoint()?;
    }
    engine.close().map_err(|(_, error)| error)?;
    Ok(lost.len())
}

/// Writes the runs again without what is lost. By now all losses are marked in runs, or are values that runs refer to.
fn give_up(
    disk: &Arc<dyn Disk>,
    home: &Path,
    kept: &mut Kept<'_>,
    seen: &dyn Observer,
) -> Result<Vec<Complaint>> {
    let _lock = lock_dir(&**disk, home)?;
    let exam = look_locked(&**disk, home, seen)?;
    let lost: Vec<Complaint> =
        exam.diagnosis.damage().filter(|complaint| is_loss(complaint)).cloned().collect();
    let files = payloads(&exam)?;
    for number in exam.files.numbers(Kind::Run) {
        let run = Run::open(&**disk, home, number)?;
        if concerns(&run, &lost, &files)? {
            kept.copy(&Kind::Run.name(number))?;
            rewrite(&**disk, home, &run, &files, seen)?;
        }
    }
    Ok(lost)
}
