//! `persist compact`: unused space back.

use persist::CompactScope;
use serde::Serialize;

use crate::args::Global;
use crate::fail::Result;
use crate::home;
use crate::out::Out;
use crate::text::size;
use crate::watch::Watch;

/// What to give up.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Keep so many of the newest beats readable as history, where the engine has one
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    keep_beats: u64,
}

#[derive(Serialize)]
struct CompactJson {
    bytes_before: u64,
    bytes_after: u64,
    reclaimed: u64,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    let watch = Watch::new(global.quiet);
    let scope = CompactScope { keep_beats: args.keep_beats };
    let stat = home::with(global, &watch, |_, store| Ok(store.compact(scope, &watch)?))?;
    let reclaimed = stat.reclaimed();
    if out.is_json() {
        let (bytes_before, bytes_after) = (stat.bytes_before, stat.bytes_after);
        return out.object(&CompactJson { bytes_before, bytes_after, reclaimed });
    }
    let (before, after) = (size(stat.bytes_before), size(stat.bytes_after));
    out.line(format_args!("{before} before, {after} after, {} given back", size(reclaimed)))
}
