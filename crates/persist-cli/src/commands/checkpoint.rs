//! `persist checkpoint`: less work for the next open.

use serde::Serialize;

use crate::args::Global;
use crate::fail::Result;
use crate::home;
use crate::out::Out;
use crate::text::size;
use crate::watch::Watch;

/// Nothing to choose.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

#[derive(Serialize)]
struct CheckpointJson {
    beat: String,
    bytes: u64,
}

pub(crate) fn run(_: &Args, global: &Global, out: &mut Out) -> Result<()> {
    let watch = Watch::new(global.quiet);
    let stat = home::with(global, &watch, |_, store| Ok(store.checkpoint()?))?;
    if out.is_json() {
        return out.object(&CheckpointJson { beat: stat.beat.to_string(), bytes: stat.bytes });
    }
    out.line(format_args!("checkpoint at beat {}, {} moved", stat.beat, size(stat.bytes)))
}
