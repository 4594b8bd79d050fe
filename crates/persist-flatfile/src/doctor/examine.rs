//! The examination: which files there are, what the head says, and what it all comes to.

use std::collections::BTreeSet;
use std::path::Path;

use persist_api::{BeatNo, Error, ErrorKind, Observer, Progress, Result, Severity};
use persist_io::{Disk, EntryKind, LOCK_FILE, absolute};

use super::told::{Complaint, Diagnosis, Remedy, Trouble, Verdict};
use crate::error::SCHEME;
use crate::home::Home;
use crate::names::{DAMAGED, HEAD};
use crate::run::OnLoss;
use crate::timeline::head::{HeadFound, read_head};

pub(super) const OP: &str = "doctor";
/// So many complaints are kept.
const COMPLAINTS_MAX: usize = 1000;

/// Reads every file of the store in `home`, which must be closed, and says what is not as it should be. Nothing is written.
/// Memory: a few MiB, and what the largest beat and the largest value take.
///
/// # Errors
/// `Invalid` when there is no such directory, `Mismatch` when it is not of this engine or of a later format, `Locked` when the
/// store is open, `Cancelled`, `Io`. Damage is no error here.
pub fn examine(disk: &dyn Disk, home: &Path, seen: &dyn Observer) -> Result<Diagnosis> {
    let named = |error: Error| error.with_engine(SCHEME);
    let home = &absolute(OP, home)?;
    look(disk, home, seen).map(|exam| exam.diagnosis).map_err(named)
}

/// What a repair has to do.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Runs to be made anew, and whether that may lose anything.
    pub(super) rebuild: Vec<(u32, OnLoss)>,
    /// Runs of which nothing can be read.
    pub(super) remove: Vec<u32>,
    /// Payload segments whose header is to be written again.
    pub(super) headers: Vec<u32>,
    /// The head is not to be believed.
    pub(super) drop_head: bool,
    /// The tag of the store.
    pub(super) store: u64,
    /// Only payload segments tell the tag of the store.
    pub(super) write_tag: bool,
    /// Files that are not as they should be, by plain name.
    pub(super) files: BTreeSet<String>,
}

/// An examination under way.
pub(super) struct Exam<'e> {
    pub(super) disk: &'e dyn Disk,
    pub(super) home: &'e Path,
    pub(super) seen: &'e dyn Observer,
    pub(super) files: Home,
    /// The head.
    pub(super) found: HeadFound,
    pub(super) diagnosis: Diagnosis,
    pub(super) plan: Plan,
}

/// Looks at everything.
pub(super) fn look<'e>(disk: &'e dyn Disk, home: &'e Path, seen: &'e dyn Observer) -> Result<Exam<'e>> {
    look_at(disk, home, seen, false)
}

/// The same for who holds the lock: nobody changes anything between this and what is done about it.
pub(super) fn look_locked<'e>(
    disk: &'e dyn Disk,
    home: &'e Path,
    seen: &'e dyn Observer,
) -> Result<Exam<'e>> {
    look_at(disk, home, seen, true)
}

fn look_at<'e>(
    disk: &'e dyn Disk,
    home: &'e Path,
    seen: &'e dyn Observer,
    is_mine: bool,
) -> Result<Exam<'e>> {
    if disk.list(home)?.is_none() {
        return Err(Error::new(ErrorKind::Invalid, OP, "there is no such directory").with_path(home));
    }
    let files = Home::look(disk, home)?;
    if let Some(what) = files.foreign {
        return Err(Error::new(ErrorKind::Mismatch, OP, what).with_path(home));
    }
    if !is_mine {
        refuse_if_open(disk, home)?;
    }
    let found = read_head(disk, home)?;
    let diagnosis = Diagnosis {
        verdict: Verdict::Whole,
        beat: BeatNo(0),
        runs: 0,
        frames: 0,
        records: 0,
        values: 0,
        closed: found.head.as_ref().is_some_and(|head| head.clean),
        complaints: Vec::new(),
        left_out: 0,
        aside: aside(disk, home)?,
    };
    let unborn = files.is_unborn(disk, home)?;
    let mut exam = Exam { disk, home, seen, files, found, diagnosis, plan: Plan::default() };
    exam.head();
    exam.leftovers();
    if unborn {
        exam.diagnosis.verdict = Verdict::Empty;
        return Ok(exam);
    }
    let live = exam.runs()?;
    exam.tail(&live)?;
    exam.judge();
    Ok(exam)
}

/// Refuses a store that is open. Without a lock file nobody has ever opened it, and none is made.
fn refuse_if_open(disk: &dyn Disk, home: &Path) -> Result<()> {
    let entries = disk.list(home)?.unwrap_or_default();
    if entries.iter().any(|entry| entry.name == LOCK_FILE) && disk.is_locked(&home.join(LOCK_FILE))? {
        let what = "the store is open; close it first, or its files change while they are read";
        return Err(Error::new(ErrorKind::Locked, OP, what).with_path(home));
    }
    Ok(())
}

/// The names below `damaged/`, two levels deep.
fn aside(disk: &dyn Disk, home: &Path) -> Result<Vec<String>> {
    let damaged = home.join(DAMAGED);
    let mut names = Vec::new();
    for entry in disk.list(&damaged)?.unwrap_or_default() {
        let name = entry.name.to_string_lossy().into_owned();
        if entry.kind == EntryKind::Dir {
            for below in disk.list(&damaged.join(&entry.name))?.unwrap_or_default() {
                names.push(format!("{name}/{}", below.name.to_string_lossy()));
            }
        } else {
            names.push(name);
        }
    }
    Ok(names)
}

impl Exam<'_> {
    pub(super) fn step(&self, phase: &'static str, done: u64, unit: &'static str) -> Result<()> {
        self.seen.step(OP, Progress { phase, done, total: None, unit })
    }

    /// Takes a complaint down.
    pub(super) fn say(&mut self, complaint: Complaint) {
        if complaint.severity == Severity::Damage || complaint.trouble == Trouble::TornTail {
            self.plan.files.insert(complaint.file.clone());
        }
        // What is damage must not be missing because of notes.
        let verdict = match (complaint.severity, complaint.remedy) {
            (Severity::Note | Severity::Unchecked, _) => Verdict::Whole,
            (Severity::Damage, Remedy::None | Remedy::Opening | Remedy::Repair) => Verdict::Repairable,
            (Severity::Damage, Remedy::AcceptLoss | Remedy::Backup) => Verdict::Lossy,
        };
        self.diagnosis.verdict = self.diagnosis.verdict.max(verdict);
        if self.diagnosis.complaints.len() < COMPLAINTS_MAX {
            self.diagnosis.complaints.push(complaint);
        } else {
            self.diagnosis.left_out += 1;
        }
    }

    fn head(&mut self) {
        if self.found.missing {
            if !self.files.files.is_empty() {
                self.say(Complaint::new(
                    Severity::Damage,
                    Trouble::Head,
                    Remedy::Opening,
                    (HEAD, 0),
                    "the head is missing; it is made anew from the other files, but nothing tells whether frames at the \
                     end are missing",
                ));
            }
            return;
        }
        for offset in self.found.damaged.clone() {
            let (severity, what) = if self.found.head.is_some() {
                (Severity::Note, "a head slot does not verify; the other one counts")
            } else {
                let what = "neither head slot verifies; the head is made anew from the other files, but nothing tells \
                            whether frames at the end are missing";
                (Severity::Damage, what)
            };
            let mut complaint =
                Complaint::new(severity, Trouble::Head, Remedy::Opening, (HEAD, offset), what);
            complaint.len = Some(4096);
            self.say(complaint);
        }
    }

    fn leftovers(&mut self) {
        for name in std::mem::take(&mut self.files.unfinished) {
            let what = "a file that was never finished; nothing refers to it";
            self.say(Complaint::new(
                Severity::Note,
                Trouble::Leftover,
                Remedy::Opening,
                (name.as_str(), 0),
                what,
            ));
        }
    }

    /// With damage and nothing to read there is nothing to save.
    fn judge(&mut self) {
        let nothing = self.diagnosis.runs == 0 && self.diagnosis.frames == 0;
        let contradiction = |complaint: &Complaint| {
            complaint.trouble == Trouble::Contradiction && complaint.remedy == Remedy::Backup
        };
        let lossy = self.diagnosis.verdict == Verdict::Lossy;
        if lossy && (nothing || self.diagnosis.complaints.iter().any(contradiction)) {
            self.diagnosis.verdict = Verdict::Unreadable;
            for complaint in &mut self.diagnosis.complaints {
                if complaint.severity == Severity::Damage {
                    complaint.remedy = Remedy::Backup;
                }
            }
        }
    }
}
