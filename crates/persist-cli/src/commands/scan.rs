//! `persist scan`: records in key order.

use std::borrow::Cow;
use std::ops::{Bound, ControlFlow};

use persist::{KeyRange, Scan, Store};
use serde::Serialize;

use crate::args::Global;
use crate::fail::{Failure, Result};
use crate::home;
use crate::out::Out;
use crate::text::{hex, printable, show, typed};
use crate::watch::Watch;

/// What to print.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only keys that begin so
    #[arg(long, short, value_name = "PREFIX", conflicts_with_all = ["from", "to"])]
    prefix: Option<String>,
    /// Only this key and those after it
    #[arg(long, value_name = "KEY")]
    from: Option<String>,
    /// Only keys before this one
    #[arg(long, value_name = "KEY")]
    to: Option<String>,
    /// At most so many records
    #[arg(long, short, value_name = "COUNT")]
    limit: Option<u64>,
    /// From the last key to the first
    #[arg(long, short)]
    reverse: bool,
    /// Leave the values out
    #[arg(long)]
    keys_only: bool,
    /// Keys are hexadecimal, and records are printed so
    #[arg(long)]
    hex: bool,
}

#[derive(Serialize)]
struct RowJson<'r> {
    key: Option<&'r str>,
    key_hex: String,
    value: Option<&'r str>,
    value_hex: String,
}

#[derive(Serialize)]
struct KeyJson<'r> {
    key: Option<&'r str>,
    key_hex: String,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    let prefix = bytes(args.prefix.as_deref(), args)?;
    let (from, to) = (bytes(args.from.as_deref(), args)?, bytes(args.to.as_deref(), args)?);
    let range = match &prefix {
        Some(prefix) => KeyRange::prefix(prefix),
        None => KeyRange::new(
            from.as_deref().map_or(Bound::Unbounded, Bound::Included),
            to.as_deref().map_or(Bound::Unbounded, Bound::Excluded),
        ),
    };
    let mut scan = Scan::range(range).limit(args.limit.unwrap_or(u64::MAX));
    scan = if args.reverse { scan.reverse() } else { scan };
    scan = if args.keys_only { scan.keys_only() } else { scan };

    out.needs_reader();
    let watch = Watch::new(true);
    home::with(global, &watch, |_, store| print_rows(args, scan, store, out))
}

fn print_rows(args: &Args, scan: Scan<'_>, store: &Store, out: &mut Out) -> Result<()> {
    let view = store.view()?;
    let mut failed: Result<()> = Ok(());
    view.scan(scan, |key, value| {
        let printed = Watch::check("scan").map_err(Failure::from).and_then(|()| print(args, key, value, out));
        match printed {
            Ok(()) => ControlFlow::Continue(()),
            Err(failure) => {
                failed = Err(failure);
                ControlFlow::Break(())
            }
        }
    })?;
    failed
}

fn bytes<'t>(text: Option<&'t str>, args: &Args) -> Result<Option<Cow<'t, [u8]>>> {
    text.map(|text| typed(text, args.hex)).transpose()
}

fn print(args: &Args, key: &[u8], value: &[u8], out: &mut Out) -> Result<()> {
    if out.is_json() {
        let (text, key_hex) = (printable(key), hex(key));
        return if args.keys_only {
            out.object(&KeyJson { key: text, key_hex })
        } else {
            out.object(&RowJson { key: text, key_hex, value: printable(value), value_hex: hex(value) })
        };
    }
    let key = show(key, args.hex);
    if args.keys_only { out.line(key) } else { out.line(format_args!("{key}\t{}", show(value, args.hex))) }
}
