//! `persist del`: records away, all in one beat.

use persist::KeyRange;

use crate::args::{Global, Level};
use crate::fail::Result;
use crate::home::{self, ReceiptJson};
use crate::out::Out;
use crate::text::typed;
use crate::watch::Watch;

/// What to remove. Keys that are absent are no error.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The keys
    #[arg(required_unless_present = "prefix")]
    keys: Vec<String>,
    /// Remove every record whose key begins so
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// Keys and prefix are hexadecimal
    #[arg(long)]
    hex: bool,
    #[command(flatten)]
    level: Level,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    let keys = args.keys.iter().map(|key| typed(key, args.hex)).collect::<Result<Vec<_>>>()?;
    let prefix = args.prefix.as_deref().map(|prefix| typed(prefix, args.hex)).transpose()?;
    let watch = Watch::new(global.quiet);
    let receipt = home::with(global, &watch, |writer, _| {
        let mut beat = writer.begin(args.level.durability())?;
        for key in &keys {
            beat.delete(key)?;
        }
        if let Some(prefix) = &prefix {
            beat.delete_range(&KeyRange::prefix(prefix))?;
        }
        Ok(beat.commit()?)
    })?;
    if out.is_json() {
        return out.object(&ReceiptJson::from(&receipt));
    }
    out.line(format_args!("beat {}, {}", receipt.beat, home::survives(receipt.reached)))
}
