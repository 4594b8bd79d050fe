//! `persist emit`: an ingested frame, byte for byte as it came.

use std::path::PathBuf;

use persist::{BeatNo, Error, ErrorKind, Store};
use serde::Serialize;

use crate::args::Global;
use crate::fail::{Failure, Result};
use crate::home;
use crate::out::{Out, save};
use crate::text::{hex, size};
use crate::watch::Watch;

/// Which frame.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The store's beat that brought it
    beat: u64,
    /// Without the container it came in
    #[arg(long)]
    bare: bool,
    /// Write it to a file, replacing it; else it goes to standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct EmitJson {
    beat: String,
    out: String,
    bytes: usize,
    container: bool,
    blake3: String,
    merkle_root: String,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    if args.out.is_none() && (out.is_json() || out.is_terminal()) {
        return Err(Failure::Usage("a frame is not text: use --out FILE, or a pipe".to_owned()));
    }
    let watch = Watch::new(global.quiet);
    home::with(global, &watch, |_, store| give(args, store, out))
}

fn give(args: &Args, store: &Store, out: &mut Out) -> Result<()> {
    let view = store.view()?;
    let beat = BeatNo(args.beat);
    let missing = || {
        let context = format!(
            "beat {beat} brought no frame; `persist scan --prefix frame/ --keys-only` lists those that did"
        );
        Error::new(ErrorKind::Invalid, "emit", context)
    };
    let kept = persist_cps::frame(&view, beat)?.ok_or_else(missing)?;
    let bytes = if args.bare { kept.reassemble()? } else { kept.reassemble_received()? };
    let Some(path) = &args.out else { return out.bytes(&bytes) };
    save(path, &bytes)?;
    if out.is_json() {
        return out.object(&EmitJson {
            beat: beat.to_string(),
            out: path.display().to_string(),
            bytes: bytes.len(),
            container: kept.note.came_in_container() && !args.bare,
            blake3: hex(blake3::hash(&bytes).as_bytes()),
            merkle_root: hex(&kept.note.root),
        });
    }
    out.line(format_args!("the frame of beat {beat}, {}, in {}", size(bytes.len() as u64), path.display()))
}
