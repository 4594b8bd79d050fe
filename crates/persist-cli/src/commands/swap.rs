//! `persist swap`: another engine under the store, with all that may come after that.

mod report;
mod status;

use std::path::Path;
use std::time::Duration;

use persist::{
    Caps, Error, ErrorKind, MovedTo, OpenOptions, RealDisk, Store, SwapOptions, SwapReport, SwapState,
    SwapTarget,
};
use persist_io::absolute;

use crate::args::{Global, knob};
use crate::fail::{Result, with_context};
use crate::home;
use crate::out::Out;
use crate::target::Target;
use crate::watch::Watch;

pub(super) use report::tell;

/// What to do.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Args {
    /// The store, as with --store
    #[arg(value_name = "STORE")]
    which: Option<String>,
    /// Swap to this engine, in the same directory or in another one, which must be empty
    #[arg(long, group = "what", value_name = "ENGINE[:DIR]")]
    to: Option<String>,
    /// Go on with a swap that was stopped
    #[arg(long, group = "what")]
    resume: bool,
    /// Give up a swap that is not decided: the target is removed
    #[arg(long, group = "what")]
    abort: bool,
    /// Swap back to the engine before, which is still there
    #[arg(long, group = "what")]
    rollback: bool,
    /// Remove the engine before, in another directory all but the stamp that says where the store is: there is no way back then
    #[arg(long, group = "what")]
    finish: bool,
    /// Make what a swap to another directory has kept here the store again, where that directory is lost
    #[arg(long, group = "what")]
    take_back: bool,
    /// Give up what was committed after that swap
    #[arg(long, conflicts_with_all = ["to", "resume", "abort", "rollback", "finish", "status"])]
    accept_loss: bool,
    /// Say whether a swap is under way, and how far one is that was stopped
    #[arg(long, group = "what")]
    status: bool,
    /// A setting of the engine to go to (docs/engines), may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = knob)]
    to_knob: Vec<(String, String)>,
    /// Keep every later commit for the engine before, so that a rollback is quick
    #[arg(long)]
    follow_back: bool,
    /// Begin also where the disk has less room than the store takes now
    #[arg(long)]
    ignore_space: bool,
    /// Longest that writers may be made to wait, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    fence_ms: u64,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    let global = &global.about(args.which.as_deref())?;
    let watch = Watch::new(global.quiet);
    if args.take_back {
        take_back(args, global, out)?;
    }
    let target = Target::of(global)?.stamped();
    if args.take_back || args.status {
        return status::run(&target, &args.engine(), &watch, out);
    }
    let mut ended = None;
    let report = home::with_target(&target, &watch, |_, store| {
        if args.finish || args.abort {
            ended = status::end(args.finish, store)?;
            return Ok(None);
        }
        swap(args, store, &watch).map(Some)
    })?;
    if let Some(ended) = ended.filter(|_| !out.is_json()) {
        out.line(ended)?;
    }
    match report {
        Some(report) => tell(&report, target.configured.as_ref(), out),
        // What is told was not changed since by us; a home that moved is opened where it is.
        None => status::run(&target, &args.engine(), &watch, out),
    }
}

impl Args {
    /// What the engine to go to is told.
    fn engine(&self) -> OpenOptions {
        OpenOptions { knobs: self.to_knob.iter().cloned().collect(), ..OpenOptions::default() }
    }
}

/// Makes what is kept the store again, and says what was lost by that.
fn take_back(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    let target = Target::of(global)?;
    let home = absolute("take_back", &target.home()?)?;
    let lost = MovedTo::read(&RealDisk, &home)?;
    let taken = persist::take_back(&RealDisk, &home, args.accept_loss);
    let stamp = taken.map_err(|error| match (&lost, error.kind()) {
        (Some(lost), ErrorKind::Conflict) => {
            let to = lost.home.display();
            let context = format!("{}; `persist swap --rollback --store {to}` goes back", error.context());
            with_context(error, context)
        }
        (Some(lost), ErrorKind::Invalid) if lost.kept && !args.accept_loss => {
            let context = format!("{}: --accept-loss", error.context());
            with_context(error, context)
        }
        _ => error,
    })?;
    if out.is_json() {
        return Ok(());
    }
    let to = lost.map(|lost| lost.home.display().to_string()).unwrap_or_default();
    let (home, engine) = (home.display(), stamp.engine);
    out.line(format_args!("{home} ({engine}) is the store again, without what was committed in {to}"))
}

fn swap(args: &Args, store: &Store, watch: &Watch) -> Result<SwapReport> {
    let options = SwapOptions {
        follow_back: args.follow_back,
        ignore_space: args.ignore_space,
        fence_budget: Duration::from_millis(args.fence_ms),
        // Nobody but this command uses the session.
        may_lose: Caps::all(),
        ..SwapOptions::default()
    };
    let engine = args.engine();
    if let Some(to) = &args.to {
        return begin(to, engine, &options, store, watch);
    }
    let done = if args.resume {
        store.resume_swap(&engine, &options, watch).and_then(|mut swap| swap.run(watch))
    } else {
        store.rollback_swap(&engine, &options, watch)
    };
    Ok(done.map_err(|error| unfinished(error, store, "persist swap"))?)
}

/// Swaps to an address.
pub(super) fn begin(
    to: &str,
    engine: OpenOptions,
    options: &SwapOptions,
    store: &Store,
    watch: &Watch,
) -> Result<SwapReport> {
    let (name, dir) = to.split_once(':').unwrap_or((to, ""));
    if dir.starts_with("//") {
        let context = format!("write {name}:path, without slashes after the colon that are not the path's");
        return Err(Error::new(ErrorKind::Invalid, "swap", context).into());
    }
    let target = if dir.is_empty() { SwapTarget::here(name) } else { SwapTarget::at(name, Path::new(dir)) };
    let target = target.options(engine);
    let done = store.swap(&target, options, watch);
    Ok(done.map_err(|error| unfinished(error, store, "persist swap"))?)
}

/// Says by which commands a swap goes on or ends that stands in the way, or that was stopped.
pub(super) fn unfinished(error: Error, store: &Store, command: &str) -> Error {
    let more = match store.swap_status().map(|status| status.state) {
        Some(SwapState::Copying) => {
            format!("`{command} --resume` goes on with it, `{command} --abort` gives it up")
        }
        Some(SwapState::Flipped) if error.kind() == ErrorKind::Conflict => {
            format!("`{command} --finish` removes the engine before, `{command} --rollback` goes back to it")
        }
        Some(SwapState::Flipped) | None => return error,
    };
    let context = format!("{}; {more}", error.context());
    with_context(error, context)
}
