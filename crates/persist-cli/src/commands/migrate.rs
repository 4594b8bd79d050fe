//! `persist migrate`: a store moves to another engine and place, in one go.

use persist::{Caps, OpenOptions, Store, SwapOptions};

use super::swap;
use crate::args::{Global, knob};
use crate::fail::Result;
use crate::home;
use crate::out::Out;
use crate::target::Target;
use crate::watch::Watch;

/// Where from and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The store
    #[arg(value_name = "FROM")]
    from: String,
    /// The engine to go to, and an empty or missing directory; without one the store stays where it is
    #[arg(value_name = "ENGINE[:DIR]")]
    to: String,
    /// A setting of the engine to go to (docs/engines), may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = knob)]
    to_knob: Vec<(String, String)>,
    /// Begin also where the disk has less room than the store takes now
    #[arg(long)]
    ignore_space: bool,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    let watch = Watch::new(global.quiet);
    let global = Global { store: Some(args.from.clone()), ..global.clone() };
    let ignore_space = args.ignore_space;
    let options = SwapOptions { may_lose: Caps::all(), ignore_space, ..SwapOptions::default() };
    let engine = OpenOptions { knobs: args.to_knob.iter().cloned().collect(), ..OpenOptions::default() };
    let target = Target::of(&global)?.stamped();
    let begin = |store: &Store| swap::begin(&args.to, engine, &options, store, &watch);
    let report = home::with_target(&target, &watch, |_, store| begin(store))?;
    swap::tell(&report, target.configured.as_ref(), out)
}
