//! `persist ingest`: each frame checked completely, then stored as one beat.

use std::path::{Path, PathBuf};

use persist::{Durability, Error, ErrorKind, Observer, Progress, Store, Writer};
use persist_cps::{BodyRule, IngestOptions, Ingested};
use persist_frame::FrameError;
use serde::Serialize;

use crate::args::{Global, Level};
use crate::fail::{Failure, Result};
use crate::frames::{self, LimitArgs, RefusalJson};
use crate::home;
use crate::out::Out;
use crate::text::hex;
use crate::watch::Watch;

/// What to ingest.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Frames, bare or in containers, in the order of their beats; `-` is standard input
    #[arg(required = true, value_name = "FRAME")]
    frames: Vec<PathBuf>,
    /// Go on after a refused frame
    #[arg(long)]
    keep_going: bool,
    /// Refuse a frame if any body does not decode, not only those of cells
    #[arg(long)]
    all_bodies: bool,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    level: Level,
}

#[derive(Default, Serialize)]
struct IngestJson {
    file: String,
    ok: bool,
    error: Option<ErrorJson>,
    beat: Option<String>,
    commit: Option<String>,
    reached: Option<&'static str>,
    beat_root: Option<String>,
    frame_beat: Option<String>,
    records: Option<u32>,
    opaque_records: Option<u32>,
    merkle_root: Option<String>,
}

#[derive(Serialize)]
struct ErrorJson {
    kind: &'static str,
    code: i32,
    message: String,
    /// The frame reader's own words, where it was the one that refused.
    frame: Option<RefusalJson>,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    let watch = Watch::new(global.quiet || out.is_terminal());
    home::with(global, &watch, |writer, store| each(args, writer, store, &watch, out))
}

fn each(args: &Args, writer: &mut Writer, store: &Store, watch: &Watch, out: &mut Out) -> Result<()> {
    let limits = args.limits.limits();
    let bodies = if args.all_bodies { BodyRule::All } else { BodyRule::Cells };
    let options = IngestOptions { limits, bodies };
    let total = Some(args.frames.len() as u64);
    let mut first: Option<ErrorKind> = None;
    for (done, file) in (0_u64..).zip(&args.frames) {
        let seen: &dyn Observer = watch;
        seen.step("ingest", Progress { phase: "ingest", done, total, unit: "frames" })?;
        let error = match one(writer, store, file, args.level.durability(), &options) {
            Ok(done) => {
                print(file, &done, out)?;
                continue;
            }
            Err(error) if error.path().is_some() => error,
            Err(error) => error.with_path(file),
        };
        let kind = error.kind();
        if out.is_json() {
            out.object(&refusal(file, &error))?;
        } else {
            out.flush()?;
            Failure::from(error).report(false);
        }
        first.get_or_insert(kind);
        if !args.keep_going || writer_is_lost(kind) {
            break;
        }
    }
    first.map_or(Ok(()), |kind| Err(Failure::Told(kind)))
}

/// Whether the failure is about the store, so that the next frame would only fail again.
fn writer_is_lost(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Poisoned | ErrorKind::Closed | ErrorKind::Full | ErrorKind::Cancelled)
}

fn one(
    writer: &mut Writer,
    store: &Store,
    file: &Path,
    durability: Durability,
    options: &IngestOptions,
) -> Result<Ingested, Error> {
    let input = frames::read(file, &options.limits)?;
    let bytes = input.within(&options.limits).map_err(|long| long.into_error(file))?;
    persist_cps::ingest(writer, store, &bytes, durability, options)
}

fn print(file: &Path, done: &Ingested, out: &mut Out) -> Result<()> {
    let (receipt, note) = (&done.receipt, &done.note);
    if out.is_json() {
        return out.object(&IngestJson {
            file: file.display().to_string(),
            ok: true,
            error: None,
            beat: Some(receipt.beat.to_string()),
            commit: Some(receipt.commit.to_string()),
            reached: Some(receipt.reached.name()),
            beat_root: receipt.root.map(|root| hex(&root)),
            frame_beat: Some(note.fields.beat.to_string()),
            records: Some(note.records),
            opaque_records: Some(done.opaque_records),
            merkle_root: Some(hex(&note.root)),
        });
    }
    let opaque = match done.opaque_records {
        0 => String::new(),
        some => format!(" ({some} opaque)"),
    };
    let root = hex(&note.root);
    out.line(format_args!(
        "beat {}  {}  {} records{opaque}, frame beat {}, root {}",
        receipt.beat,
        file.display(),
        note.records,
        note.fields.beat,
        root.get(..16).unwrap_or_default()
    ))
}

fn refusal(file: &Path, error: &Error) -> IngestJson {
    let frame = std::error::Error::source(error).and_then(|source| source.downcast_ref::<FrameError>());
    let error = ErrorJson {
        kind: error.kind().name(),
        code: error.code(),
        message: error.context().to_owned(),
        frame: frame.map(RefusalJson::from),
    };
    IngestJson { file: file.display().to_string(), error: Some(error), ..IngestJson::default() }
}
