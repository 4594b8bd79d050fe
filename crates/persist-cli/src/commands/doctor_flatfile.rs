//! The doctor's findings about a flatfile store, printed.

use std::borrow::Cow;
use std::ops::{Bound, RangeInclusive};
use std::path::Path;
use std::sync::Arc;

use persist::{Disk, Error, ErrorKind, RealDisk, STAMP_FILE, Severity, StampState};
use persist_flatfile::doctor::{
    Complaint, Diagnosis, KeySpan, Losses, Remedy, Repaired, Trouble, Verdict, examine, repair,
};
use persist_io::LOCK_FILE;
use serde::Serialize;

use super::doctor::{Args, Patient};
use crate::args::Global;
use crate::fail::{Failure, Result};
use crate::out::Out;
use crate::text::{hex, show};
use crate::watch::Watch;

/// Examines, or repairs.
pub(super) fn treat(args: &Args, global: &Global, patient: &Patient, out: &mut Out) -> Result<()> {
    let watch = Watch::new(global.quiet);
    let (wanted, accept_loss) = args.wanted();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let dir = &patient.dir;
    let losses = if accept_loss { Losses::GiveUp } else { Losses::Keep };
    // A stamp says `ready` once the head of its engine is durable: what is empty then was emptied.
    let has_store = patient.state == Some(StampState::Ready);
    let hopeless = |what: &str| {
        let what = format!("{what}: there is nothing to save");
        Err(Error::new(ErrorKind::Corrupt, "doctor", what).with_path(dir).into())
    };
    if has_store && disk.list(dir)?.is_none() {
        refuse_if_open(&*disk, dir)?;
        return hopeless("the stamp says that a store is here, and its engine has no directory");
    }
    let (mut diagnosis, repaired) = if wanted {
        let repaired = repair(&disk, dir, losses, &patient.known, &watch)?;
        (repaired.after.clone(), Some(repaired))
    } else {
        (examine(&*disk, dir, &watch)?, None)
    };
    drop(watch);
    if has_store && diagnosis.verdict == Verdict::Empty {
        refuse_if_open(&*disk, dir)?;
        if wanted {
            return hopeless(NOTHING_LEFT);
        }
        diagnosis.verdict = Verdict::Unreadable;
        diagnosis.complaints.push(nothing_left());
    }
    if let Some(repaired) = repaired.as_ref().filter(|repaired| repaired.kept_in.is_some()) {
        each("found", &repaired.before.complaints, out)?;
        each("given_up", &repaired.given_up, out)?;
        each("left", &diagnosis.complaints, out)?;
    } else {
        each("found", &diagnosis.complaints, out)?;
    }
    summary(patient, &diagnosis, repaired.as_ref(), out)?;
    match diagnosis.verdict {
        Verdict::Empty | Verdict::Whole => Ok(()),
        Verdict::Repairable | Verdict::Lossy | Verdict::Unreadable => Err(Failure::Told(ErrorKind::Corrupt)),
    }
}

/// Refuses a store that is open: who has it may just have put another engine in the place of this one.
fn refuse_if_open(disk: &dyn Disk, dir: &Path) -> Result<()> {
    let home = dir.parent().unwrap_or(dir);
    if disk.is_locked(&home.join(LOCK_FILE))? {
        let what = "the store is open; close it first, or its files change while they are read";
        return Err(Error::new(ErrorKind::Locked, "doctor", what).with_path(home).into());
    }
    Ok(())
}

/// What is wrong where a stamp is all that is left.
const NOTHING_LEFT: &str =
    "the stamp says that a store is here, and the directory of its engine holds none of it";

fn nothing_left() -> Complaint {
    Complaint {
        severity: Severity::Damage,
        trouble: Trouble::Contradiction,
        remedy: Remedy::Backup,
        file: STAMP_FILE.to_owned(),
        offset: 0,
        len: None,
        frames: None,
        beats: None,
        records: None,
        keys: Some(KeySpan { start: Bound::Unbounded, end: Bound::Unbounded }),
        what: NOTHING_LEFT.to_owned(),
    }
}

#[derive(Serialize)]
struct ComplaintJson<'c> {
    state: &'static str,
    severity: &'static str,
    trouble: &'static str,
    remedy: &'static str,
    file: &'c str,
    offset: u64,
    len: Option<u64>,
    frames: Option<[String; 2]>,
    beats: Option<[String; 2]>,
    records: Option<u64>,
    keys: Option<KeysJson>,
    what: &'c str,
}

#[derive(Serialize)]
struct KeysJson {
    start_hex: Option<String>,
    start_included: bool,
    end_hex: Option<String>,
    end_included: bool,
}

#[derive(Serialize)]
struct SummaryJson<'s> {
    ok: bool,
    verdict: &'static str,
    engine: &'static str,
    dir: String,
    beat: String,
    runs: u64,
    frames: u64,
    records: u64,
    values: u64,
    closed: bool,
    left_out: u64,
    aside: &'s [String],
    repaired: Option<RepairedJson<'s>>,
}

#[derive(Serialize)]
struct RepairedJson<'s> {
    verdict_before: &'static str,
    kept_in: Option<String>,
    kept: &'s [String],
    rebuilt: &'s [String],
    given_up: usize,
    restored: usize,
}

fn numbers(range: &RangeInclusive<u64>) -> [String; 2] {
    [range.start().to_string(), range.end().to_string()]
}

fn keys_json(keys: &KeySpan) -> KeysJson {
    let key = |bound: &Bound<Vec<u8>>| match bound {
        Bound::Unbounded => (None, false),
        Bound::Included(key) => (Some(hex(key)), true),
        Bound::Excluded(key) => (Some(hex(key)), false),
    };
    let ((start_hex, start_included), (end_hex, end_included)) = (key(&keys.start), key(&keys.end));
    KeysJson { start_hex, start_included, end_hex, end_included }
}

fn each(state: &'static str, complaints: &[Complaint], out: &mut Out) -> Result<()> {
    for complaint in complaints {
        if out.is_json() {
            out.object(&ComplaintJson {
                state,
                severity: complaint.severity.name(),
                trouble: complaint.trouble.name(),
                remedy: complaint.remedy.name(),
                file: &complaint.file,
                offset: complaint.offset,
                len: complaint.len,
                frames: complaint.frames.as_ref().map(numbers),
                beats: complaint.beats.as_ref().map(numbers),
                records: complaint.records,
                keys: complaint.keys.as_ref().map(keys_json),
                what: &complaint.what,
            })?;
        } else {
            sentence(state, complaint, out)?;
        }
    }
    Ok(())
}

fn sentence(state: &str, complaint: &Complaint, out: &mut Out) -> Result<()> {
    let word = match state {
        "given_up" => "given up",
        "left" => "still there",
        _ => complaint.severity.name(),
    };
    out.line(format_args!("{word}: {} at offset {}: {}", complaint.file, complaint.offset, complaint.what))?;
    let mut concerned = Vec::new();
    let span = |name: &str, range: &RangeInclusive<u64>| match (range.start(), range.end()) {
        (start, end) if start == end => format!("{name} {start}"),
        (start, end) => format!("{name}s {start} to {end}"),
    };
    concerned.extend(complaint.beats.as_ref().map(|beats| span("beat", beats)));
    concerned.extend(complaint.frames.as_ref().map(|frames| span("frame", frames)));
    concerned
        .extend(complaint.records.filter(|records| *records > 0).map(|records| format!("{records} records")));
    concerned.extend(complaint.keys.as_ref().map(keys_text));
    if !concerned.is_empty() {
        out.line(format_args!("    concerns {}", concerned.join(", ")))?;
    }
    match state {
        "given_up" => Ok(()),
        _ => out.line(format_args!("    {}", advice(complaint.remedy))),
    }
}

fn keys_text(keys: &KeySpan) -> String {
    // The runtime's prefix of users' keys says nothing to a person.
    let shown = |key: &[u8]| match key {
        [1, rest @ ..] => show(rest, false).into_owned(),
        key => format!("0x{}", hex(key)),
    };
    if let Some(key) = keys.single() {
        return format!("key {}", shown(key));
    }
    let bound = |word: &str, bound: &Bound<Vec<u8>>| match bound {
        Bound::Unbounded => None,
        Bound::Included(key) | Bound::Excluded(key) => Some(format!("{word} {}", shown(key))),
    };
    let (from, to) = (bound("from", &keys.start), bound("to", &keys.end));
    match (from, to) {
        (None, None) => "possibly every key".to_owned(),
        (from, to) => {
            let parts: Vec<Cow<'_, str>> =
                [Some("keys".to_owned()), from, to].into_iter().flatten().map(Cow::Owned).collect();
            parts.join(" ")
        }
    }
}

fn advice(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::None => "nothing need be done",
        Remedy::Opening => "the next opening of the store deals with it",
        Remedy::Repair => "--repair makes it anew without losing anything",
        Remedy::AcceptLoss => "something is lost: reads of it fail until --repair --accept-loss gives it up",
        Remedy::Backup => "nothing here helps; restore a backup",
    }
}

fn summary(
    patient: &Patient,
    diagnosis: &Diagnosis,
    repaired: Option<&Repaired>,
    out: &mut Out,
) -> Result<()> {
    let dir = &patient.dir;
    let Diagnosis { verdict, beat, runs, frames, records, values, closed, left_out, .. } = *diagnosis;
    let kept_in = repaired.and_then(|repaired| repaired.kept_in.as_ref());
    if out.is_json() {
        return out.object(&SummaryJson {
            ok: verdict <= Verdict::Whole,
            verdict: verdict.name(),
            engine: "flatfile",
            dir: dir.display().to_string(),
            beat: beat.to_string(),
            runs,
            frames,
            records,
            values,
            closed,
            left_out,
            aside: &diagnosis.aside,
            repaired: repaired.map(|repaired| RepairedJson {
                verdict_before: repaired.before.verdict.name(),
                kept_in: kept_in.map(|dir| dir.display().to_string()),
                kept: &repaired.kept,
                rebuilt: &repaired.rebuilt,
                given_up: repaired.given_up.len(),
                restored: repaired.restored,
            }),
        });
    }
    if left_out > 0 {
        out.line(format_args!("… and {left_out} more"))?;
    }
    out.field("files", format_args!("flatfile in {}", dir.display()))?;
    out.field("newest beat", format_args!("{beat}{}", if closed { ", closed" } else { ", not closed" }))?;
    out.field("runs", format_args!("{runs}, and {frames} frames behind them"))?;
    out.field("verified", format_args!("{records} versions of records, {values} large values"))?;
    if patient.unstamped {
        let what = "persist.stamp beside it is missing or damaged: no store opens without, put it back or restore the home";
        out.field("stamp", what)?;
    }
    if !diagnosis.aside.is_empty() {
        out.field("moved aside", format_args!("damaged/: {}", diagnosis.aside.join(", ")))?;
    }
    if let Some((repaired, dir)) = repaired.zip(kept_in) {
        out.field("repaired", format_args!("{} runs made anew", repaired.rebuilt.len()))?;
        if repaired.restored > 0 {
            out.field("written again", "what the stamp knows: the engine's copy of the format grant")?;
        }
        out.field("originals", format_args!("{}: {}", dir.display(), repaired.kept.join(", ")))?;
    } else if repaired.is_some() {
        out.field("repaired", "nothing; no file was changed")?;
    }
    out.field("result", verdict_text(verdict))
}

fn verdict_text(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Empty => "there is no store here yet",
        Verdict::Whole => "no damage",
        Verdict::Repairable => "DAMAGE that costs nothing: --repair makes it anew",
        Verdict::Lossy => "DAMAGE, and something is lost; the rest can be read",
        Verdict::Unreadable => "DAMAGE, and nothing can be saved here: restore a backup",
    }
}
