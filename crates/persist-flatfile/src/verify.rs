//! Checking a store while it is in use: every block of every run, every frame that no run holds, every record with its value.

use std::ops::ControlFlow;

use persist_api::{ErrorKind, Finding, FindingCode, Observer, Progress, Result, Scan, Severity, VerifyStat};

use crate::core::Core;
use crate::reader::Reader;
use crate::timeline::head::Head;
use crate::timeline::replay::{Found, ReplayFrom, replay};
use crate::view::scan_rows;

/// Rows between two reports.
const STEP: u64 = 4096;

pub(crate) fn verify(core: &Core, found: &mut dyn FnMut(Finding), seen: &dyn Observer) -> Result<VerifyStat> {
    let reader = core.newest();
    let mut stat = VerifyStat::default();
    read_rows(&reader, &mut stat, found, seen)?;
    let mut damage = |finding: Finding| {
        if finding.severity == Severity::Damage {
            stat.damaged += 1;
        }
        found(finding);
    };
    for run in &reader.state().runs {
        run.run.verify(&mut damage, seen)?;
    }
    for lost in reader.state().lost() {
        let place = format!("{} at offset {}, beat {}", lost.file, lost.offset, lost.beat);
        damage(Finding {
            severity: Severity::Damage,
            code: FindingCode::Record,
            what: lost.what.clone(),
            place,
        });
    }
    for file in reader.state().payloads.iter() {
        // Every value was read above, without the header. A segment that a crash left before anything referred to it has none.
        if let Err(error) = file.check_header(core.store) {
            damage(Finding {
                severity: Severity::Note,
                code: FindingCode::Structure,
                what: error.context().to_owned(),
                place: file.path().display().to_string(),
            });
        }
    }
    read_timeline(core, &mut damage, seen)?;
    read_kept(core, &mut damage, seen)?;
    Ok(stat)
}

/// Reads every record through a view. A record that cannot be read ends it; what else is damaged is found by the checks of
/// the files.
fn read_rows(
    reader: &Reader,
    stat: &mut VerifyStat,
    found: &mut dyn FnMut(Finding),
    seen: &dyn Observer,
) -> Result<()> {
    let mut stopped = Ok(());
    let step = |done| seen.step("verify", Progress { phase: "records", done, total: None, unit: "records" });
    step(0)?;
    let done = scan_rows(reader, &Scan::all(), &mut |key, value| {
        stat.records += 1;
        stat.bytes = stat.bytes.saturating_add((key.len() as u64).saturating_add(value.len() as u64));
        if stat.records.is_multiple_of(STEP) {
            stopped = step(stat.records);
        }
        if stopped.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    stopped?;
    match done {
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            stat.damaged += 1;
            let mut place =
                error.path().map_or_else(|| "records".to_owned(), |path| path.display().to_string());
            if let Some(beat) = error.beat() {
                place = format!("{place}, beat {beat}");
            }
            found(Finding {
                severity: Severity::Damage,
                code: FindingCode::Record,
                what: error.context().to_owned(),
                place,
            });
            let what = format!("reading all records ended after {}", stat.records);
            found(Finding {
                severity: Severity::Unchecked,
                code: FindingCode::NotRead,
                what,
                place: "records".to_owned(),
            });
            Ok(())
        }
        done => done,
    }
}

/// Sees that no segment goes away, while memtables become runs and beats are committed.
struct Held<'c>(&'c Core);

impl<'c> Held<'c> {
    fn new(core: &'c Core) -> Self {
        // Nobody is just about to remove one.
        let _nobody_at_work = core.flushing.write();
        core.log.lock().timeline.hold();
        Self(core)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.log.lock().timeline.release();
        // What cannot be removed now is tried again after the next run.
        let _ = self.0.judge(self.0.put_away_in_runs());
    }
}

/// Reads the frames again that no run holds.
fn read_timeline(core: &Core, damage: &mut dyn FnMut(Finding), seen: &dyn Observer) -> Result<()> {
    // Frames that are committed from here on may be half written when they are read, so what is said about them does not count.
    let _held = Held::new(core);
    let (published, head) = {
        let log = core.log.lock();
        let published = core.published();
        // Every frame so far must be there, durable or not.
        let head = Head { durable_frame: published.frame, ..log.head(&published, core.store, true) };
        (published, head)
    };
    let newest_run = published.state.runs.first().map_or(0, |run| run.run.head().span.upto);
    let beat = published.state.runs.first().map_or_else(Default::default, |run| run.run.head().last_beat);
    let from =
        ReplayFrom { head: Some(&head), store: None, after: newest_run, beat, ..ReplayFrom::default() };
    replay(&*core.disk, &core.home, from, seen, &mut |item| {
        match item {
            Found::Damage(what) if what.frames.after < published.frame => {
                let place = format!("{} at offset {}, beat {}", what.path.display(), what.offset, what.beat);
                damage(Finding {
                    severity: Severity::Damage,
                    code: FindingCode::Record,
                    what: what.what.to_owned(),
                    place,
                });
            }
            Found::Torn(what) if what.frame <= published.frame => {
                let place = format!("{} at offset {}, beat {}", what.path.display(), what.offset, what.beat);
                damage(Finding {
                    severity: Severity::Damage,
                    code: FindingCode::Record,
                    what: what.what.to_owned(),
                    place,
                });
            }
            Found::Note(note) => {
                let place = format!("{} at offset {}", note.path.display(), note.offset);
                damage(Finding {
                    severity: Severity::Note,
                    code: FindingCode::Structure,
                    what: note.what.to_owned(),
                    place,
                });
            }
            Found::Frame(_) | Found::Damage(_) | Found::Torn(_) => {}
        }
        Ok(())
    })?;
    Ok(())
}

/// Reads what is kept for the feed.
fn read_kept(core: &Core, damage: &mut dyn FnMut(Finding), seen: &dyn Observer) -> Result<()> {
    let mut stopped = Ok(());
    let mut done = 0;
    let read = loop {
        let read = crate::feed::read_kept(core, &mut |_| {
            done += 1;
            let progress = Progress { phase: "feed", done, total: None, unit: "frames" };
            stopped = seen.step("verify", progress);
            if stopped.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        // Where what comes next was given up meanwhile, what is left is read from its beginning.
        if !read.as_ref().is_err_and(|error| error.kind() == ErrorKind::Stale) {
            break read;
        }
    };
    stopped?;
    match read {
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            let place = error.path().map_or_else(|| "feed".to_owned(), |path| path.display().to_string());
            damage(Finding::damage(FindingCode::Record, error.context(), place));
            Ok(())
        }
        read => read,
    }
}
