//! `persist verify`: read everything back, check all that can be checked, and say what could not be.

use persist::{ErrorKind, Finding, FindingCode, Severity, Store, VerifyReport};
use persist_cps::FrameVerifyStat;
use serde::Serialize;

use crate::args::Global;
use crate::fail::{Failure, Result};
use crate::home;
use crate::out::Out;
use crate::text::size;
use crate::watch::Watch;

/// Nothing to choose.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

#[derive(Serialize)]
struct FindingJson<'f> {
    severity: &'static str,
    code: &'static str,
    what: &'f str,
    place: &'f str,
}

#[derive(Serialize)]
struct VerifyJson {
    ok: bool,
    beat: String,
    records: u64,
    engine_records: u64,
    engine_bytes: u64,
    damaged: u64,
    unchecked: u64,
    frames: u64,
    frame_records: u64,
    cells: u64,
    beat_root: &'static str,
    digest: Option<String>,
}

/// What both passes came to.
pub(crate) struct Outcome {
    pub(crate) report: VerifyReport,
    pub(crate) frames: FrameVerifyStat,
    pub(crate) damaged: u64,
    pub(crate) unchecked: u64,
    has_root: bool,
    has_doctor: bool,
}

pub(crate) fn run(_: &Args, global: &Global, out: &mut Out) -> Result<()> {
    let watch = Watch::new(global.quiet);
    let outcome = home::with(global, &watch, |_, store| {
        let mut failed = Ok(());
        let outcome = check(store, &watch, &mut |finding| {
            if failed.is_ok() {
                failed = watch.aside(|| print_finding(finding, out));
            }
        })?;
        failed.map(|()| outcome)
    })?;
    drop(watch);
    print(&outcome, out)?;
    if outcome.damaged > 0 { Err(Failure::Told(ErrorKind::Corrupt)) } else { Ok(()) }
}

/// Checks the kept frames, then everything.
pub(crate) fn check(store: &Store, watch: &Watch, found: &mut dyn FnMut(&Finding)) -> Result<Outcome> {
    let (mut damaged, mut unchecked) = (0_u64, 0_u64);
    let mut count = |finding: &Finding| match finding.severity {
        Severity::Damage => damaged = damaged.saturating_add(1),
        Severity::Unchecked => unchecked = unchecked.saturating_add(1),
        Severity::Note => {}
    };
    let view = store.view()?;
    let has_root = view.header().root.is_some();
    let limits = store.grant().session.limits;
    let frames = persist_cps::verify(
        &view,
        &limits,
        &mut |finding| {
            count(&finding);
            found(&finding);
        },
        watch,
    );
    drop(view);
    let frames = match frames {
        Ok(frames) => frames,
        // The walk over the keys broke; the pass over everything says more about that.
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            let what = format!("the frames could not all be walked: {}", error.context());
            let finding = Finding::damage(FindingCode::Record, what, "frames");
            count(&finding);
            found(&finding);
            FrameVerifyStat::default()
        }
        Err(error) => return Err(error.into()),
    };
    // The store cannot know that this root was computed anew from a frame.
    let settled = frames.beat_root.map(|beat| format!("header of beat {beat}"));
    let report = store.verify(
        &mut |finding| {
            let known =
                finding.code == FindingCode::RootNotComputed && settled.as_ref() == Some(&finding.place);
            if !known {
                count(&finding);
                found(&finding);
            }
        },
        watch,
    )?;
    let has_doctor = store.engine_name() == "flatfile";
    Ok(Outcome { report, frames, damaged, unchecked, has_root, has_doctor })
}

fn print_finding(finding: &Finding, out: &mut Out) -> Result<()> {
    let severity = finding.severity.name();
    if out.is_json() {
        let (code, what, place) = (finding.code.name(), &finding.what, &finding.place);
        return out.object(&FindingJson { severity, code, what, place });
    }
    out.line(format_args!("{severity}: {}: {}", finding.place, finding.what))
}

fn print(outcome: &Outcome, out: &mut Out) -> Result<()> {
    let Outcome { report, frames, .. } = outcome;
    if out.is_json() {
        return out.object(&VerifyJson {
            ok: outcome.damaged == 0,
            beat: report.beat.to_string(),
            records: report.records,
            engine_records: report.engine.records,
            engine_bytes: report.engine.bytes,
            damaged: outcome.damaged,
            unchecked: outcome.unchecked,
            frames: frames.frames.saturating_add(frames.imported),
            frame_records: frames.records,
            cells: frames.cells,
            beat_root: match (outcome.has_root, frames.beat_root) {
                (_, Some(_)) => "verified",
                (true, None) => "unchecked",
                (false, None) => "none",
            },
            digest: report.digest.map(|digest| digest.to_string()),
        });
    }
    out.field("beat", report.beat)?;
    out.field("records", format_args!("{} read back, {}", report.records, size(report.engine.bytes)))?;
    let FrameVerifyStat { records, cells, .. } = frames;
    let whole = frames.frames.saturating_add(frames.imported);
    if whole > 0 || *cells > 0 {
        out.field(
            "frames",
            format_args!("{whole} with {records} records and {cells} cells; roots computed anew"),
        )?;
    }
    if let Some(digest) = report.digest {
        out.field("digest", digest)?;
    }
    let verdict = match outcome.damaged {
        0 => "no damage".to_owned(),
        some => format!("DAMAGE in {some} places"),
    };
    out.field("result", format_args!("{verdict}, {}", left_over(outcome.unchecked)))?;
    if outcome.damaged > 0 && outcome.has_doctor {
        out.line("`persist doctor` says what is lost")?;
    }
    Ok(())
}

/// How much could not be checked, for people.
pub(crate) fn left_over(unchecked: u64) -> String {
    match unchecked {
        0 => "everything could be checked".to_owned(),
        1 => "1 thing could not be checked".to_owned(),
        some => format!("{some} things could not be checked"),
    }
}
