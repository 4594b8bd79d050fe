//! `persist tail`: commits as they come.

mod follow;
mod lookout;
mod print;
mod reader;

use persist::Store;

use crate::args::Global;
use crate::fail::Result;
use crate::home;
use crate::out::Out;
use crate::watch::Watch;

use reader::Reader;

/// What to print. Commits are kept from the first `--hold` on; without one there is nothing to print.
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Args {
    /// Only commits after this number; without it, all that holds keep
    #[arg(long, value_name = "COMMIT", conflicts_with = "hold")]
    after: Option<u64>,
    /// Go on from where the hold of this name was left, and move it past what was printed; it is made if it is not there
    #[arg(long, value_name = "NAME")]
    hold: Option<String>,
    /// Give the hold up when all is printed
    #[arg(long, requires = "hold", conflicts_with = "follow")]
    release: bool,
    /// Give up all holds where their table cannot be read, and print nothing: every reader then has to start over
    #[arg(long, conflicts_with_all = ["after", "hold", "follow"])]
    forget_holds: bool,
    /// Go on until Ctrl-C, and leave the store to others while there is nothing new
    #[arg(long, short)]
    follow: bool,
    /// How long to leave it to them at least, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 500, requires = "follow")]
    every: u64,
    /// Print keys and values as hexadecimal
    #[arg(long)]
    hex: bool,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    out.needs_reader();
    if args.follow {
        return follow::run(args, global, out);
    }
    home::with(global, &Watch::new(true), |_, store| {
        if args.forget_holds {
            return Ok(store.forget_holds()?);
        }
        let mut reader = Reader::new(args);
        let done = all(&mut reader, store, out);
        if args.release {
            return done.and_then(|()| reader.release(store));
        }
        // Also when it was stopped half way.
        let settled = reader.settle(store);
        done.and(settled)
    })
}

/// Prints all that there is.
fn all(reader: &mut Reader<'_>, store: &Store, out: &mut Out) -> Result<()> {
    loop {
        let batch = reader.read(store)?;
        reader.print(&batch, out)?;
        if !batch.more {
            return Ok(());
        }
    }
}
