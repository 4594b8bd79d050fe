//! `persist get`: one record.

use std::path::PathBuf;

use persist::Store;
use serde::Serialize;

use crate::args::Global;
use crate::fail::{Failure, Result};
use crate::home;
use crate::out::{Out, save};
use crate::text::{hex, printable, show, typed};
use crate::watch::Watch;

/// What to print.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The key
    key: String,
    /// The key is hexadecimal, and the value is printed so
    #[arg(long)]
    hex: bool,
    /// Print the bytes as they are, without a line end
    #[arg(long, conflicts_with_all = ["json", "hex"])]
    raw: bool,
    /// Write the bytes to a file, replacing it
    #[arg(long, value_name = "FILE", conflicts_with = "raw")]
    out: Option<PathBuf>,
}

#[derive(Serialize)]
struct RecordJson<'r> {
    key: Option<&'r str>,
    key_hex: String,
    value: Option<&'r str>,
    value_hex: String,
    bytes: usize,
    beat: String,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    let key = typed(&args.key, args.hex)?;
    let watch = Watch::new(global.quiet);
    home::with(global, &watch, |_, store| print(args, &key, store, out))
}

fn print(args: &Args, key: &[u8], store: &Store, out: &mut Out) -> Result<()> {
    let view = store.view()?;
    let value = view.get(key)?.ok_or_else(|| Failure::NotFound(show(key, args.hex).into_owned()))?;
    if let Some(path) = &args.out {
        save(path, &value)?;
    }
    if out.is_json() {
        return out.object(&RecordJson {
            key: printable(key),
            key_hex: hex(key),
            value: printable(&value),
            value_hex: hex(&value),
            bytes: value.len(),
            beat: view.header().beat.to_string(),
        });
    }
    match &args.out {
        Some(path) => out.line(format_args!("{} bytes in {}", value.len(), path.display())),
        None if args.raw => out.bytes(&value),
        None => out.line(show(&value, args.hex)),
    }
}
