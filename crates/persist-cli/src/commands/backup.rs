//! `persist backup`: a consistent copy that opens by itself.

use std::path::PathBuf;

use serde::Serialize;

use crate::args::Global;
use crate::fail::Result;
use crate::home;
use crate::out::Out;
use crate::text::size;
use crate::watch::Watch;

/// Where to.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// An empty or missing directory
    #[arg(value_name = "DIR")]
    into: PathBuf,
}

#[derive(Serialize)]
struct BackupJson {
    into: String,
    store_id: String,
    origin_id: String,
    beat: String,
    bytes: u64,
    blobs: u64,
    blob_bytes: u64,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    let watch = Watch::new(global.quiet);
    let report = home::with(global, &watch, |_, store| Ok(store.backup(&args.into, &watch)?))?;
    let json = BackupJson {
        into: args.into.display().to_string(),
        store_id: report.store.to_string(),
        origin_id: report.origin.to_string(),
        beat: report.engine.beat.to_string(),
        bytes: report.engine.bytes,
        blobs: report.blobs,
        blob_bytes: report.blob_bytes,
    };
    if out.is_json() {
        return out.object(&json);
    }
    let bytes = size(json.bytes.saturating_add(json.blob_bytes));
    out.line(format_args!("backup of beat {} in {}, {bytes}", json.beat, json.into))
}
