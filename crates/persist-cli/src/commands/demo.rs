//! `persist demo`: the whole way once, on real frames and generated records.

mod busy;
mod data;
mod steps;
mod swap;

use std::borrow::Cow;
use std::path::Path;
use std::time::Instant;

use persist::{Error, ErrorKind, OpenMode, Store, Writer};
use serde::Serialize;

use crate::args::Global;
use crate::fail::{Failure, Result};
use crate::home;
use crate::out::Out;
use crate::target::Target;
use crate::text::{hex, size};
use crate::watch::Watch;

use super::init::{default_engine, scheme_of};
use super::verify::left_over;
use steps::{Content, Done, Steps};

/// How to show it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The engine of a new store [default: that of the store, else the first of this build]
    #[arg(long, short, value_name = "ENGINE")]
    engine: Option<String>,
    /// Where the store lies; one that is there already is gone on with
    #[arg(long, value_name = "DIR", default_value = "./demo-store")]
    dir: String,
    /// How many records to generate
    #[arg(long, value_name = "COUNT", default_value_t = 5000)]
    records: u64,
    /// Begin with the first of these engines, then swap to the others in turn, under writers, readers and a follower that go on meanwhile
    #[arg(long, value_name = "ENGINE,...", value_delimiter = ',')]
    swap: Vec<String>,
}

#[derive(Serialize)]
struct DemoJson {
    engine: &'static str,
    library: String,
    home: String,
    continued: bool,
    caps: Vec<&'static str>,
    layers: Vec<String>,
    durability: &'static str,
    frames: usize,
    frame_records: u64,
    generated: u64,
    beats_this_run: u64,
    beat: String,
    records: u64,
    bytes: u64,
    bytes_on_disk: u64,
    beat_root: Option<String>,
    digest: String,
    damaged: u64,
    unchecked: u64,
    milliseconds: u64,
    steps: Vec<StepJson>,
}

#[derive(Serialize)]
struct StepJson {
    step: &'static str,
    milliseconds: u64,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    let watch = Watch::new(global.quiet);
    let started = Instant::now();
    let dir = args.dir();
    swap::check(&args.swap)?;
    let (mut writer, store, continued) = open(args, &dir, global, &watch)?;
    if !args.swap.is_empty() {
        say_where(args, continued, &store, &watch, out)?;
        let done = swap::run((&args.swap, &dir), args.records, (&mut writer, &store), &watch, out);
        return home::close(&store, done);
    }
    let mut steps = Steps::new(writer, store, &watch);
    let content = work(args, &mut steps, continued, out);
    let content = home::close(&steps.store, content)?;
    let url = format!("{}:{dir}", steps.store.engine_name());
    let again = Global { store: Some(url), ..global.clone() };
    let summary = home::with(&again, &watch, |_, store| {
        let done = steps.compare(&content, store)?;
        let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        summarise(args, continued, &done, store, milliseconds)
    })?;
    drop(watch);
    if out.is_json() { out.object(&summary) } else { print(&summary, out) }
}

/// All steps but the last, which is to close the store and to open it again. Answers what it must show then.
fn work(args: &Args, steps: &mut Steps<'_>, continued: bool, out: &mut Out) -> Result<Content> {
    say_where(args, continued, &steps.store, steps.watch, out)?;
    steps.write_records(args.records)?;
    // Last, so that the newest beat is one whose Merkle root `verify` can compute anew.
    steps.ingest_frames(out)?;
    steps.read_back(args.records)?;
    steps.scan(args.records)?;
    steps.verify()?;
    steps.content()
}

fn say_where(args: &Args, continued: bool, store: &Store, watch: &Watch, out: &mut Out) -> Result<()> {
    if out.is_json() {
        return Ok(());
    }
    let verb = match (continued, store.home()) {
        (true, _) => "going on in",
        (false, Some(_)) => "created",
        (false, None) => "from memory to",
    };
    let line = format!("{verb} {} ({})", args.dir(), store.engine_name());
    watch.aside(|| out.line(line))?;
    out.flush()
}

impl Args {
    /// The directory as an address without an engine: what looks like one gets `./` in front.
    fn dir(&self) -> Cow<'_, str> {
        match scheme_of(&self.dir) {
            Some(_) => Cow::Owned(format!("./{}", self.dir)),
            None => Cow::Borrowed(&self.dir),
        }
    }
}

/// Creates the store, or goes on with the one that is there.
fn open(args: &Args, dir: &str, global: &Global, watch: &Watch) -> Result<(Writer, Store, bool)> {
    if global.is_store_typed() {
        return Err(Failure::Usage("the demo takes --dir, not --store".to_owned()));
    }
    let here = Global { store: Some(dir.to_owned()), ..global.clone() };
    let target = Target::of(&here)?;
    let exists = persist::Stamp::read(&persist::RealDisk, Path::new(dir))?.is_some();
    if let Some(engine) = args.swap.first().filter(|engine| swap::is_volatile(engine)) {
        if exists || args.engine.as_ref().is_some_and(|named| named != engine) {
            let what = format!(
                "{engine} begins with nothing: name a --dir that is not there, and no other --engine"
            );
            return Err(Failure::Usage(what));
        }
        let (writer, store) = swap::open_volatile(engine, &target, watch)?;
        return Ok((writer, store, false));
    }
    let url = match (&args.engine, exists) {
        (Some(engine), _) => format!("{engine}:{dir}"),
        (None, true) => dir.to_owned(),
        (None, false) => match args.swap.first() {
            Some(engine) => format!("{engine}:{dir}"),
            None => format!("{}:{dir}", default_engine()?),
        },
    };
    let opened = persist::open_with(&url, &target.options(OpenMode::OpenOrCreate)).map_err(|error| {
        match error.kind() {
            ErrorKind::Mismatch => {
                let context = format!("{}; choose another --dir, or remove this one first", error.context());
                Error::new(ErrorKind::Mismatch, "demo", context).with_path(dir)
            }
            _ => error,
        }
    })?;
    let continued = opened.describe().stamp.is_some();
    let (writer, store) = home::negotiate(&target, opened, watch)?;
    Ok((writer, store, continued))
}

fn summarise(
    args: &Args,
    continued: bool,
    done: &Done,
    store: &Store,
    milliseconds: u64,
) -> Result<DemoJson> {
    let (grant, stats, engine) = (store.grant(), store.stats()?, store.engine_name());
    let driver = persist::drivers().into_iter().find(|driver| driver.scheme() == engine);
    let library = driver.map(|driver| driver.offer(&persist::OpenOptions::default()).library);
    Ok(DemoJson {
        engine,
        library: library.unwrap_or_default(),
        home: args.dir().into_owned(),
        continued,
        caps: grant.session.caps.rows().map(|cap| cap.name).collect(),
        layers: grant.format.layers.iter().map(persist::LayerGrant::id).collect(),
        durability: grant.session.durability.name(),
        frames: data::FRAMES.len(),
        frame_records: done.frame_records,
        generated: args.records,
        beats_this_run: done.beats,
        beat: stats.engine.beat.to_string(),
        records: done.digest.records,
        bytes: done.digest.bytes,
        bytes_on_disk: stats.engine.bytes_on_disk,
        beat_root: done.root.map(|root| hex(&root)),
        digest: done.digest.to_string(),
        damaged: done.damaged,
        unchecked: done.unchecked,
        milliseconds,
        steps: done.times.iter().map(|&(step, milliseconds)| StepJson { step, milliseconds }).collect(),
    })
}

fn print(demo: &DemoJson, out: &mut Out) -> Result<()> {
    let times: Vec<_> =
        demo.steps.iter().map(|step| format!("{} {} ms", step.step, step.milliseconds)).collect();
    out.line("")?;
    out.field("engine", format_args!("{} ({})", demo.engine, demo.library))?;
    out.field("granted", format_args!("{}, up to {}", demo.caps.join(" "), demo.durability))?;
    out.field("layers", demo.layers.join(" "))?;
    out.field("beats", format_args!("{}, {} of them just now", demo.beat, demo.beats_this_run))?;
    out.field("records", format_args!("{}, {} generated", demo.records, demo.generated))?;
    out.field("bytes", format_args!("{}, {} on disk", size(demo.bytes), size(demo.bytes_on_disk)))?;
    out.field(
        "Merkle root",
        format_args!("{} (of beat {})", demo.beat_root.as_deref().unwrap_or("-"), demo.beat),
    )?;
    out.field("digest", format_args!("{} (the same after reopening)", demo.digest))?;
    out.field("verified", format_args!("no damage, {}", left_over(demo.unchecked)))?;
    out.field("time", format_args!("{} ms: {}", demo.milliseconds, times.join(", ")))?;
    out.line("")?;
    out.line(format_args!(
        "The store lies in {}; run the demo again to go on with it, or look around:",
        demo.home
    ))?;
    out.line(format_args!("  persist --store {} scan --prefix demo/ --limit 5", demo.home))?;
    out.line(format_args!("  persist --store {} verify", demo.home))
}
