//! `persist put`: one record in one beat.

use std::borrow::Cow;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use persist::{Error, ErrorKind};

use crate::args::{Global, Level};
use crate::fail::{Failure, Result, unreadable};
use crate::home::{self, ReceiptJson};
use crate::out::Out;
use crate::text::typed;
use crate::watch::{Watch, opened, waiting};

/// What to set.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The key
    key: String,
    /// The value; without it, --file or --stdin gives it
    #[arg(required_unless_present_any = ["file", "stdin"], conflicts_with_all = ["file", "stdin"])]
    #[arg(allow_negative_numbers = true)]
    value: Option<String>,
    /// Take the value from a file
    #[arg(long, value_name = "FILE", conflicts_with = "stdin")]
    file: Option<PathBuf>,
    /// Take the value from standard input
    #[arg(long)]
    stdin: bool,
    /// Key and value are hexadecimal (not those from --file or --stdin)
    #[arg(long)]
    hex: bool,
    #[command(flatten)]
    level: Level,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    let key = typed(&args.key, args.hex)?;
    // The store says how long a value may be; it is opened first, so that no more than that is read.
    let watch = Watch::new(global.quiet);
    let receipt = home::with(global, &watch, |writer, store| {
        let value = value(args, store.grant().session.limits.value_bytes_max)?;
        let mut beat = writer.begin(args.level.durability())?;
        beat.put(&key, &value)?;
        Ok(beat.commit()?)
    })?;
    if out.is_json() {
        return out.object(&ReceiptJson::from(&receipt));
    }
    out.line(format_args!("beat {}, {}", receipt.beat, home::survives(receipt.reached)))
}

fn value(args: &Args, max: u64) -> Result<Cow<'_, [u8]>> {
    if let Some(path) = &args.file {
        let read = opened("put", path, |file| {
            // What the file says of itself is refused unread. Other things than files say nothing, and files can grow.
            if file.metadata()?.len() > max {
                Ok(Err(too_long(path, max)))
            } else {
                Ok(read(file, path, max))
            }
        })?;
        return read.map_err(|error| unreadable("put", path, error))?.map(Cow::Owned);
    }
    match &args.value {
        Some(value) => typed(value, args.hex),
        None => waiting("put", || read(io::stdin().lock(), "-".as_ref(), max))?.map(Cow::Owned),
    }
}

fn read(from: impl Read, path: &Path, max: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let got = from.take(max.saturating_add(1)).read_to_end(&mut bytes);
    got.map_err(|error| unreadable("put", path, error))?;
    if bytes.len() as u64 > max {
        return Err(too_long(path, max));
    }
    Ok(bytes)
}

fn too_long(path: &Path, max: u64) -> Failure {
    let context = format!("the value has more than {max} bytes, the limit of this store");
    Error::new(ErrorKind::TooLarge, "put", context).with_path(path).into()
}
