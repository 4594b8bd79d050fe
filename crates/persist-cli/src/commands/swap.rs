//! `persist swap`: another engine under the store, with all that may come after that.

use std::path::Path;
use std::time::Duration;

use persist::{
    Caps, Error, ErrorKind, OpenOptions, Store, SwapOptions, SwapPlace, SwapReport, SwapState, SwapTarget,
};
use serde::Serialize;

use crate::args::{Global, knob};
use crate::fail::{Failure, Result};
use crate::home;
use crate::out::Out;
use crate::text::size;
use crate::watch::Watch;

/// What to do.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Args {
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
    /// Remove the engine before: there is no way back then
    #[arg(long, group = "what")]
    finish: bool,
    /// Say how far a swap is
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

#[derive(Serialize)]
struct SwapJson {
    swap_id: String,
    state: &'static str,
    from_engine: String,
    from_epoch: u64,
    from_home: Option<String>,
    to_engine: String,
    to_epoch: u64,
    to_home: Option<String>,
    beat: String,
    commit: String,
    digest: String,
    digest_commit: String,
    records: u64,
    bytes: u64,
    records_now: u64,
    copy_us: u64,
    followed: u64,
    fences_down: u64,
    pause_us: u64,
    durability: &'static str,
}

#[derive(Serialize)]
struct StatusJson {
    swap_id: Option<String>,
    state: &'static str,
    engine: &'static str,
    other_engine: Option<String>,
    other_epoch: Option<u64>,
    other_place: Option<String>,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    let watch = Watch::new(global.quiet);
    let mut removed = None;
    let report = home::with(global, &watch, |_, store| {
        let other =
            || store.swap_status().map(|status| format!("{} ({})", status.engine, place_name(&status.place)));
        if args.status {
            return Ok(None);
        }
        if args.abort {
            let other = other();
            store.abort_swap()?;
            removed =
                other.map(|other| format!("gave up the swap to {other}; what was copied there is removed"));
            return Ok(None);
        }
        if args.finish {
            let other = other();
            store.finish_swap()?;
            removed = other.map(|other| format!("removed {other}"));
            return Ok(None);
        }
        swap(args, store, &watch).map(Some)
    })?;
    if let Some(removed) = removed.filter(|_| !out.is_json()) {
        out.line(removed)?;
    }
    match report {
        Some(report) => tell(&report, out),
        // What is told was not changed since by us; a home that moved is opened where it is.
        None => home::with(global, &watch, |_, store| tell_status(store, out)),
    }
}

fn place_name(place: &SwapPlace) -> String {
    match place {
        SwapPlace::Here => "here".to_owned(),
        SwapPlace::Nowhere => "nowhere".to_owned(),
        SwapPlace::Home(home) => home.display().to_string(),
    }
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
    let engine = OpenOptions { knobs: args.to_knob.iter().cloned().collect(), ..OpenOptions::default() };
    if let Some(to) = &args.to {
        return begin(to, engine, &options, store, watch);
    }
    if args.resume {
        return Ok(store.resume_swap(&engine, &options, watch)?.run(watch)?);
    }
    Ok(store.rollback_swap(&engine, &options, watch)?)
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
    let mut swap = store.begin_swap(&target, options, watch)?;
    let id = swap.id();
    swap.run(watch).map_err(|error| {
        let kept =
            store.swap_status().is_some_and(|status| status.id == id && status.state == SwapState::Copying);
        let more = "; `persist swap --resume` goes on with it, `persist swap --abort` gives it up";
        let context = format!("{}{}", error.context(), if kept { more } else { "" });
        Failure::from(Error::new(error.kind(), "swap", context).with_source(error))
    })
}

pub(super) fn tell(report: &SwapReport, out: &mut Out) -> Result<()> {
    let home = |home: &Option<std::path::PathBuf>| home.as_ref().map(|home| home.display().to_string());
    let figures = &report.figures;
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let json = SwapJson {
        swap_id: report.id.to_string(),
        state: SwapState::Flipped.name(),
        from_engine: report.from.engine.clone(),
        from_epoch: report.from.epoch,
        from_home: home(&report.from.home),
        to_engine: report.to.engine.clone(),
        to_epoch: report.to.epoch,
        to_home: home(&report.to.home),
        beat: report.beat.to_string(),
        commit: report.commit.to_string(),
        digest: report.digest.to_string(),
        digest_commit: report.digest_commit.to_string(),
        records: figures.records,
        bytes: figures.bytes,
        records_now: figures.records_now,
        copy_us: micros(figures.copy_time),
        followed: figures.followed,
        fences_down: figures.fences_down,
        pause_us: micros(report.pause),
        durability: report.durability.name(),
    };
    if out.is_json() {
        return out.object(&json);
    }
    let (from, to) = (&json.from_engine, &json.to_engine);
    out.line(format_args!(
        "{from} -> {to}, at beat {}, in {}",
        json.beat,
        json.to_home.clone().unwrap_or_default()
    ))?;
    out.field("copied", format_args!("{} records, {}", json.records, size(json.bytes)))?;
    out.field("digest", format_args!("{} on both sides", json.digest))?;
    out.field("writers waited", format_args!("{:.1} ms", report.pause.as_secs_f64() * 1000.0))?;
    out.line(format_args!(
        "the {from} engine is kept; `persist swap --finish` removes it, `--rollback` goes back"
    ))
}

fn tell_status(store: &Store, out: &mut Out) -> Result<()> {
    let status = store.swap_status();
    let place = status.as_ref().map(|status| place_name(&status.place));
    let json = StatusJson {
        swap_id: status.as_ref().map(|status| status.id.to_string()),
        state: status.as_ref().map_or("none", |status| status.state.name()),
        engine: store.engine_name(),
        other_engine: status.as_ref().map(|status| status.engine.clone()),
        other_epoch: status.as_ref().map(|status| status.epoch),
        other_place: place,
    };
    if out.is_json() {
        return out.object(&json);
    }
    let other = json.other_engine.clone().unwrap_or_default();
    let place = json.other_place.clone().unwrap_or_default();
    match status.map(|status| status.state) {
        None => out.line(format_args!("the engine is {}; no swap is under way", json.engine)),
        Some(SwapState::Copying) => out.line(format_args!(
            "the engine is {}; a swap to {other} ({place}) was begun: --resume goes on with it, --abort gives it up",
            json.engine
        )),
        Some(SwapState::Flipped) => out.line(format_args!(
            "the engine is {}; {other} ({place}) is kept: --finish removes it, --rollback goes back",
            json.engine
        )),
    }
}
