//! `persist demo --swap`: engines change under a subsystem that does not notice.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use persist::{
    Advice, BeatLog, Caps, Durability, Error, ErrorKind, Observer, OpenMode, OpenOptions, Progress, Request,
    Store, SwapOptions, SwapReport, SwapTarget, Writer,
};
use serde::Serialize;

use super::busy::{Busy, Counts, Seen};
use crate::commands::swap::unfinished;
use crate::fail::Result;
use crate::out::Out;
use crate::target::Target;
use crate::text::size;
use crate::watch::Watch;

/// Records of a beat while the store is filled.
const BATCH: u64 = 1000;
/// So long the subsystem works before the first swap and after each.
const WORK: Duration = Duration::from_millis(500);
/// So long views may stay open on an engine that is to be removed.
const FINISH: Duration = Duration::from_secs(10);

#[derive(Serialize)]
struct SwapJson {
    from: String,
    to: String,
    records: u64,
    bytes: u64,
    copy_us: u64,
    records_per_second: u64,
    followed: u64,
    fence_us: u64,
    longest_wait_us: u64,
    /// From the beginning of this swap to its end.
    #[serde(flatten)]
    meanwhile: Counts,
    digest: String,
}

#[derive(Serialize)]
struct DemoJson {
    home: String,
    engine: &'static str,
    generated: u64,
    commits: u64,
    reads: u64,
    followed: u64,
    milliseconds: u64,
    swaps: Vec<SwapJson>,
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Checks that every engine is in this build, and that what keeps nothing on disk is where it begins and not where it ends,
/// before anything is made.
///
/// # Errors
/// `Unsupported` naming the first that is not there, `Refused` naming one that keeps nothing.
pub(super) fn check(engines: &[String]) -> Result<()> {
    let drivers = persist::drivers();
    let there: Vec<&str> = drivers.iter().map(|driver| driver.scheme()).collect();
    if let Some(engine) = engines.iter().find(|engine| !there.contains(&engine.as_str())) {
        let context = format!("there is no engine {engine:?} in this build; there are: {}", there.join(", "));
        return Err(Error::new(ErrorKind::Unsupported, "demo", context).into());
    }
    let to = engines.iter().skip(1).find(|engine| is_volatile(engine));
    if let Some(engine) =
        to.or_else(|| engines.first().filter(|engine| engines.len() == 1 && is_volatile(engine)))
    {
        let context = format!("{engine} keeps nothing on disk: it can only be the first of several engines");
        return Err(Error::new(ErrorKind::Refused, "demo", context).with_advice(Advice::FixCode).into());
    }
    Ok(())
}

/// True for an engine that keeps nothing on disk.
pub(super) fn is_volatile(engine: &str) -> bool {
    let drivers = persist::drivers();
    let driver = drivers.iter().find(|driver| driver.scheme() == engine);
    driver
        .is_some_and(|driver| driver.offer(&OpenOptions::default()).durability_max() == Durability::Volatile)
}

/// A new store on an engine that keeps nothing on disk. Commits may ask for what they get once it lies there.
pub(super) fn open_volatile(engine: &str, target: &Target, watch: &Watch) -> Result<(Writer, Store)> {
    let opened = persist::open_with(&format!("{engine}:demo"), &target.options(OpenMode::OpenOrCreate))?;
    let request = Request { durability_may_pend: true, ..target.request.clone() };
    Ok(opened.negotiate_watched(&request, watch).map_err(Error::from)?)
}

/// Fills the store, sets the subsystem to work, and swaps to one engine after the other.
pub(super) fn run(
    (engines, dir): (&[String], &str),
    records: u64,
    (writer, store): (&mut Writer, &Store),
    watch: &Watch,
    out: &mut Out,
) -> Result<()> {
    let begun = Instant::now();
    fill(writer, store, records, watch)?;
    let busy = Busy::start(store)?;
    let seen = Arc::clone(&busy.seen);
    let swapped = swap_all((engines, dir), store, &seen, watch, out);
    let finished = busy.finish();
    let swaps = swapped?;
    if let Some(what) = seen.first_error() {
        return Err(Error::new(ErrorKind::Corrupt, "demo", what).into());
    }
    finished?;
    let json = DemoJson {
        home: store.home().map(|home| home.display().to_string()).unwrap_or_default(),
        engine: store.engine_name(),
        generated: records,
        commits: seen.commits.load(Ordering::Acquire),
        reads: seen.reads.load(Ordering::Acquire),
        followed: seen.followed.load(Ordering::Acquire),
        milliseconds: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        swaps,
    };
    if out.is_json() {
        return out.object(&json);
    }
    let line = format!(
        "\n{} commits, {} reads, {} commits followed; every one of them there once, in order",
        json.commits, json.reads, json.followed
    );
    out.line(line)
}

fn fill(writer: &mut Writer, store: &Store, records: u64, watch: &Watch) -> Result<()> {
    let level = store.grant().session.durability.min(Durability::Buffered);
    let mut done = 0;
    while done < records {
        (watch as &dyn Observer)
            .step("demo", Progress { phase: "fill", done, total: Some(records), unit: "records" })?;
        let mut log = BeatLog::new();
        for n in done..records.min(done + BATCH) {
            let value = blake3::hash(&n.to_be_bytes());
            log.put(format!("swap/record/{n:012}").as_bytes(), value.as_bytes())?;
        }
        writer.commit(&log, level)?;
        done = records.min(done + BATCH);
    }
    Ok(())
}

/// What the terminal shows: how far the swap is, and below that what the subsystem does meanwhile.
struct Live<'l> {
    watch: &'l Watch,
    store: &'l Store,
    seen: &'l Seen,
}

impl Observer for Live<'_> {
    fn progress(&self, progress: Progress) -> ControlFlow<()> {
        self.watch.note(|| format!("{}: {}", self.store.engine_name(), self.seen.line()));
        self.watch.progress(progress)
    }
}

fn swap_all(
    (engines, dir): (&[String], &str),
    store: &Store,
    seen: &Seen,
    watch: &Watch,
    out: &mut Out,
) -> Result<Vec<SwapJson>> {
    let options = SwapOptions { may_lose: Caps::all(), ..SwapOptions::default() };
    let mut swaps = Vec::new();
    let live = Live { watch, store, seen };
    work_on(&live)?;
    // What the store has already is where it begins.
    let begins = engines.first().is_some_and(|engine| engine == store.engine_name());
    for engine in engines.iter().skip(usize::from(begins)) {
        seen.take_longest_wait();
        let before = seen.counts();
        let target = match store.home() {
            Some(_) => SwapTarget::here(engine),
            None => SwapTarget::at(engine, dir),
        };
        let command = format!("persist --store {dir} swap");
        let report = store.swap(&target, &options, &live);
        let report = report.map_err(|error| unfinished(error, store, &command))?;
        finish(&live)?;
        let swap = figures(&report, seen, before);
        if !out.is_json() {
            watch.aside(|| print(&swap, out))?;
            out.flush()?;
        }
        swaps.push(swap);
        work_on(&live)?;
    }
    Ok(swaps)
}

/// Removes the engine before, once the views that were open on it are gone.
fn finish(live: &Live<'_>) -> Result<()> {
    let begun = Instant::now();
    // Of memory nothing is left.
    while live.store.swap_status().is_some() {
        match live.store.finish_swap() {
            Err(error) if error.kind() == ErrorKind::Busy && begun.elapsed() < FINISH => {
                (live as &dyn Observer)
                    .step("demo", Progress { phase: "finish", done: 0, total: None, unit: "" })?;
                thread::sleep(Duration::from_millis(5));
            }
            done => done?,
        }
    }
    Ok(())
}

/// Lets the subsystem work a while, and shows that it does.
fn work_on(live: &Live<'_>) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < WORK {
        let done = live.seen.commits.load(Ordering::Acquire);
        (live as &dyn Observer)
            .step("demo", Progress { phase: "work", done, total: None, unit: "commits" })?;
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn figures(report: &SwapReport, seen: &Seen, before: Counts) -> SwapJson {
    let copied = report.figures;
    let copy_us = micros(copied.copy_time);
    let per_second = u128::from(copied.records_now) * 1_000_000 / u128::from(copy_us.max(1));
    SwapJson {
        from: report.from.engine.clone(),
        to: report.to.engine.clone(),
        records: copied.records,
        bytes: copied.bytes,
        copy_us,
        records_per_second: u64::try_from(per_second).unwrap_or(u64::MAX),
        followed: copied.followed,
        fence_us: micros(report.pause),
        longest_wait_us: micros(seen.take_longest_wait()),
        meanwhile: seen.since(before),
        digest: report.digest.to_string(),
    }
}

fn print(swap: &SwapJson, out: &mut Out) -> Result<()> {
    let seen = swap.meanwhile;
    let millis = |micros: u64| Duration::from_micros(micros).as_secs_f64() * 1000.0;
    out.line(format_args!("\n{} -> {}", swap.from, swap.to))?;
    let rate = swap.records_per_second;
    out.field("copied", format_args!("{} records, {}, {rate} a second", swap.records, size(swap.bytes)))?;
    out.field(
        "meanwhile",
        format_args!("{} commits, {} of them followed, {} reads", seen.commits, swap.followed, seen.reads),
    )?;
    let (fence, longest) = (millis(swap.fence_us), millis(swap.longest_wait_us));
    out.field(
        "writers waited",
        format_args!("{fence:.1} ms behind the fence; the longest commit took {longest:.1} ms"),
    )?;
    out.field("readers' errors", seen.reader_errors)?;
    out.field("feed", format_args!("{} gaps, {} repeats", seen.feed_gaps, seen.feed_repeats))?;
    out.field("digest", format_args!("{} on both sides", swap.digest))
}
