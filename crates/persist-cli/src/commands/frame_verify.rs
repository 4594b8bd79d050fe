//! `persist frame verify`: each file by the rules of the format, without a store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use persist_api::{ErrorKind, Observer, Progress};
use persist_frame::{Frame, Limits};
use serde::Serialize;

use crate::args::Global;
use crate::fail::{Failure, Result};
use crate::frames::{self, InputTooLong, LimitArgs, RefusalJson};
use crate::out::Out;
use crate::text::{hex, size};
use crate::watch::Watch;

/// What to check.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Frames, bare or in containers; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    limits: LimitArgs,
}

/// One line of JSON. The values are those of the vectors' manifests: 64-bit numbers as decimal text.
#[derive(Debug, Default, Serialize)]
struct Report {
    file: String,
    ok: bool,
    error: Option<RefusalJson>,
    bytes: Option<u64>,
    container: Option<bool>,
    beat: Option<String>,
    caps: Option<String>,
    record_count: Option<u32>,
    record_type_counts: Option<BTreeMap<String, u32>>,
    merkle_root: Option<String>,
    records_blake3: Option<String>,
    /// Why ingestion would refuse this frame although it is well-formed.
    ingest_error: Option<RefusalJson>,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    let watch = Watch::new(global.quiet || out.is_terminal());
    let limits = args.limits.limits();
    let total = Some(args.files.len() as u64);
    let mut worst: Option<ErrorKind> = None;
    let (mut done, mut failed) = (0, 0_u64);
    for file in &args.files {
        let seen: &dyn Observer = &watch;
        seen.step("frame verify", Progress { phase: "verify", done, total, unit: "files" })?;
        let (report, kind) = check(file, &limits);
        if let Some(kind) = kind {
            worst.get_or_insert(kind);
            failed += 1;
        }
        print(&report, out)?;
        done += 1;
    }
    if args.files.len() > 1 && !out.is_json() {
        out.line(format_args!("{done} files, {failed} refused"))?;
    }
    worst.map_or(Ok(()), |kind| Err(Failure::Told(kind)))
}

/// The report on a file, and the kind of error if it is not a good frame.
fn check(file: &Path, limits: &Limits) -> (Report, Option<ErrorKind>) {
    let name = file.display().to_string();
    let refused = |error: RefusalJson, kind| {
        (Report { file: name.clone(), error: Some(error), ..Report::default() }, Some(kind))
    };
    let bytes = match frames::read(file, limits).map(|input| input.within(limits)) {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(long)) => {
            let class = InputTooLong::CLASS.as_str().to_owned();
            let error = RefusalJson { class, message: long.message(), offset: None };
            return refused(error, ErrorKind::TooLarge);
        }
        Err(error) => {
            let class = error.kind().name().to_owned();
            let json = RefusalJson { class, message: error.context().to_owned(), offset: None };
            return refused(json, error.kind());
        }
    };
    match Frame::parse(&bytes, limits) {
        Ok(frame) => (describe(name, &bytes, &frame), None),
        Err(error) => refused(RefusalJson::from(&error), persist_cps::kind_of(error.class())),
    }
}

fn describe(file: String, bytes: &[u8], frame: &Frame<'_>) -> Report {
    let summary = frame.summary();
    let counts = summary.record_type_counts.iter().map(|(kind, count)| (kind.to_string(), *count));
    Report {
        file,
        ok: true,
        error: None,
        bytes: Some(bytes.len() as u64),
        container: Some(frame.came_in_container()),
        beat: Some(summary.beat.to_string()),
        caps: Some(summary.caps.to_string()),
        record_count: Some(summary.record_count),
        record_type_counts: Some(counts.collect()),
        merkle_root: Some(hex(&summary.merkle_root)),
        records_blake3: Some(hex(&summary.records_blake3)),
        ingest_error: frame.policy().into_result().err().as_ref().map(RefusalJson::from),
    }
}

fn print(report: &Report, out: &mut Out) -> Result<()> {
    if out.is_json() {
        return out.object(report);
    }
    if let Some(error) = &report.error {
        let at = error.offset.map_or_else(String::new, |offset| format!(" at byte {offset}"));
        return out.line(format_args!("REFUSED {}  {}: {}{at}", report.file, error.class, error.message));
    }
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let policy = report.ingest_error.as_ref().map_or("", |_| "  (ingestion would refuse it)");
    out.line(format_args!(
        "ok      {}  {}, {} records, beat {}, root {}{policy}",
        report.file,
        size(report.bytes.unwrap_or_default()),
        report.record_count.unwrap_or_default(),
        text(&report.beat),
        text(&report.merkle_root).get(..16).unwrap_or_default(),
    ))
}
