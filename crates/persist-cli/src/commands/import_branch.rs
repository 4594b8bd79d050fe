//! `persist import-branch`: a branch directory of the original engine, checked completely, then imported.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use persist::{BeatNo, Error, ErrorKind, OpenMode, Store, Writer};
use persist_cps::branch::{
    BranchFinding, BranchImported, BranchLimits, BranchSeverity as Severity, BranchSurvey, DirSource,
    check_fits, import_branch,
};
use serde::Serialize;

use crate::args::{Global, Level};
use crate::commands::init;
use crate::fail::{Failure, Result};
use crate::home;
use crate::out::Out;
use crate::target::Target;
use crate::text::{hex, show, size};
use crate::watch::Watch;

/// Keys with an older value that are shown to a person.
const SHOWN_KEYS: usize = 10;

/// What to import.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory that holds branch.meta; it is only read
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Check and report only; no store is opened
    #[arg(long)]
    dry_run: bool,
    /// Most bytes of keys and values of one frame
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..4096))]
    max_frame: u32,
    /// Most bytes of one blob, as stored and inflated
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..4096))]
    max_blob: u32,
    #[command(flatten)]
    level: Level,
}

#[derive(Serialize)]
struct ReportJson<'r> {
    dir: String,
    ok: bool,
    branch_id: Option<String>,
    checksum: Option<&'static str>,
    head_beat: Option<String>,
    head_frame_id: Option<String>,
    frames: u64,
    records: u64,
    keys: u64,
    checkpoints: u64,
    blobs: u64,
    blob_bytes: u64,
    imported: Option<ImportedJson>,
    newest_values: BTreeMap<String, String>,
    repeated_values: BTreeMap<String, String>,
    stale_keys: Vec<String>,
    notes: u64,
    unchecked: u64,
    repaired: u64,
    lost: u64,
    findings: Vec<FindingJson<'r>>,
    findings_left_out: u64,
}

#[derive(Serialize)]
struct ImportedJson {
    frames: u64,
    frames_present: u64,
    blobs: u64,
    blobs_present: u64,
    first_beat: Option<String>,
    last_beat: Option<String>,
}

#[derive(Serialize)]
struct FindingJson<'f> {
    code: &'static str,
    severity: &'static str,
    file: &'f str,
    offset: Option<u64>,
    frame_id: Option<String>,
    what: &'f str,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    let watch = Watch::new(global.quiet);
    let source = DirSource::new(&args.dir);
    let at = |error: Error| if error.path().is_some() { error } else { error.with_path(&args.dir) };
    let survey = BranchSurvey::read(&source, args.limits(), &watch).map_err(at)?;
    // No store is made for a branch of which nothing is left.
    let nothing = survey.frames.is_empty() && survey.blobs.is_empty() && !survey.is_complete();
    let imported = if args.dry_run || nothing {
        None
    } else {
        let (mut writer, store) = open(global, &survey, &watch)?;
        let durability = args.level.durability();
        let done = import_branch(&mut writer, &store, &source, &survey, durability, &watch);
        Some(home::close(&store, done.map_err(|error| at(error).into()))?)
    };
    drop(watch);
    if out.is_json() {
        out.object(&report(&args.dir, &survey, imported.as_ref()))?;
    } else {
        print(&args.dir, &survey, imported.as_ref(), &Target::of(global)?.url, out)?;
    }
    if survey.is_complete() { Ok(()) } else { Err(Failure::Told(ErrorKind::Corrupt)) }
}

impl Args {
    fn limits(&self) -> BranchLimits {
        let bytes = |mebibytes: u32| mebibytes.saturating_mul(1 << 20);
        let default = BranchLimits::default();
        let frame = persist_frame::Limits { frame_bytes: bytes(self.max_frame), ..default.frame };
        BranchLimits { frame, blob_bytes: bytes(self.max_blob) }
    }
}

/// Opens the store that is there, or makes a new one: a branch usually gets a store of its own.
fn open(global: &Global, survey: &BranchSurvey, watch: &Watch) -> Result<(Writer, Store)> {
    let target = Target::of(global)?;
    let dir = match init::scheme_of(&target.url) {
        Some(scheme) => target.url.get(scheme.len().saturating_add(1)..).unwrap_or_default(),
        None => &target.url,
    };
    if persist::Stamp::read(&persist::RealDisk, Path::new(dir))?.is_some() {
        return home::open(global, watch);
    }
    let url = init::address(&target.url, None)?;
    let opened = persist::open_with(&url, &target.options(OpenMode::OpenOrCreate))?;
    // No store is made that could not hold the branch.
    check_fits(survey, &opened.offer().limits)?;
    home::negotiate(&target, opened, watch)
}

fn report<'s>(dir: &Path, survey: &'s BranchSurvey, imported: Option<&BranchImported>) -> ReportJson<'s> {
    let values = |repeated: bool| {
        let chosen = survey.keys.iter().filter(|(_, newest)| newest.repeated == repeated);
        chosen.map(|(key, newest)| (hex(key), hex(&newest.blake3))).collect()
    };
    let finding = |finding: &'s BranchFinding| FindingJson {
        code: finding.code,
        severity: finding.severity.name(),
        file: &finding.file,
        offset: finding.offset,
        frame_id: finding.frame_id.map(|id| id.to_string()),
        what: &finding.what,
    };
    let text = |beat: BeatNo| beat.to_string();
    ReportJson {
        dir: dir.display().to_string(),
        ok: survey.is_complete(),
        branch_id: survey.branch_id.map(|id| hex(&id)),
        checksum: survey.checksum.map(persist_frame::Checksum::name),
        head_beat: survey.head.map(|(beat, _)| beat.to_string()),
        head_frame_id: survey.head.map(|(_, id)| id.to_string()),
        frames: survey.frames.len() as u64,
        records: survey.records,
        keys: survey.keys.len() as u64,
        checkpoints: survey.checkpoints,
        blobs: survey.blobs.len() as u64,
        blob_bytes: blob_bytes(survey),
        imported: imported.map(|done| ImportedJson {
            frames: done.frames,
            frames_present: done.frames_present,
            blobs: done.blobs,
            blobs_present: done.blobs_present,
            first_beat: done.beats.map(|(first, _)| text(first)),
            last_beat: done.beats.map(|(_, last)| text(last)),
        }),
        newest_values: values(false),
        repeated_values: values(true),
        stale_keys: survey.stale_keys.iter().map(|key| hex(key)).collect(),
        notes: survey.findings.count(Severity::Note),
        unchecked: survey.findings.count(Severity::Unchecked),
        repaired: survey.findings.count(Severity::Repaired),
        lost: survey.findings.count(Severity::Lost),
        findings: survey.findings.kept().iter().map(finding).collect(),
        findings_left_out: survey.findings.left_out(),
    }
}

fn blob_bytes(survey: &BranchSurvey) -> u64 {
    survey.blobs.iter().fold(0_u64, |sum, blob| sum.saturating_add(blob.bytes))
}

fn print(
    dir: &Path,
    survey: &BranchSurvey,
    imported: Option<&BranchImported>,
    store: &str,
    out: &mut Out,
) -> Result<()> {
    for finding in survey.findings.kept() {
        out.line(finding)?;
    }
    if survey.findings.left_out() > 0 {
        out.line(format_args!("and {} findings more", survey.findings.left_out()))?;
    }
    let checksum = survey.checksum.map_or("none found", persist_frame::Checksum::name);
    let id = survey.branch_id.map_or_else(|| "unknown".to_owned(), |id| hex(&id));
    out.field("branch", format_args!("{}, id {id}, checksum {checksum}", dir.display()))?;
    let (frames, records, keys) = (survey.frames.len(), survey.records, survey.keys.len());
    out.field(
        "frames",
        format_args!("{frames} with {records} records of {keys} keys; digests computed anew"),
    )?;
    let blobs = survey.blobs.len();
    out.field("blobs", format_args!("{blobs}, {}; hashes computed anew", size(blob_bytes(survey))))?;
    for key in survey.stale_keys.iter().take(SHOWN_KEYS) {
        out.field("older value", show(key, false))?;
    }
    if let Some(more) = survey.stale_keys.len().checked_sub(SHOWN_KEYS).filter(|more| *more > 0) {
        out.field("older value", format_args!("and {more} keys more"))?;
    }
    out.field("imported", imported_text(imported, store))?;
    let lost = survey.findings.count(Severity::Lost);
    let unchecked = survey.findings.count(Severity::Unchecked);
    let verdict = match (lost, survey.findings.count(Severity::Repaired)) {
        (0, 0) => "nothing is damaged".to_owned(),
        (0, repaired) => format!("damage in {repaired} places, and nothing is lost"),
        (lost, _) => format!("LOST: {lost} findings say what could not be imported"),
    };
    out.field("result", format_args!("{verdict}; {unchecked} things could not be checked"))
}

fn imported_text(imported: Option<&BranchImported>, store: &str) -> String {
    let Some(done) = imported else { return "nothing".to_owned() };
    let beats = match done.beats {
        Some((first, last)) if first == last => format!("beat {first}"),
        Some((first, last)) => format!("beats {first} to {last}"),
        None => "no beat".to_owned(),
    };
    let known = match (done.frames_present, done.blobs_present) {
        (0, 0) => String::new(),
        (frames, blobs) => format!(" ({frames} frames and {blobs} blobs were there already)"),
    };
    format!("{} frames and {} blobs into {store}, {beats}{known}", done.frames, done.blobs)
}
