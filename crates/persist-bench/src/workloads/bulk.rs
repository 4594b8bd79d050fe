//! Bulk load in a process of its own.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::open;
use crate::child;
use crate::contender::{Ack, Contender, Entrant, Result, Settings, text};
use crate::disk::allocated;
use crate::limit::{RawSegment, nanoseconds};
use crate::memory::{Peak, anonymous};
use crate::record::{Raw, Record, Sample};
use crate::rounds::{Case, interleave};
use crate::rows::{Data, KEY_BYTES, Random, VALUE_BYTES, fresh};
use crate::session::{Session, fill};
use crate::stats::median;

/// Most bytes of the raw row: a million rows' payload.
const RAW_BYTES_MAX: u64 = 116_000_000;

/// Openings of a loaded store, and those with a tail: medians.
const OPENS: usize = 9;
const TAILS: u64 = 3;
/// Commits of each size after a load.
const COMMITS: usize = 100;

/// What the child tells.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Load {
    /// Nanoseconds a row to put all rows in and sync once.
    pub(crate) put: f64,
    /// Nanoseconds a row until order is kept too: with the checkpoint of an engine that defers it.
    pub(crate) ordered: f64,
    /// Raw nanoseconds for as many bytes.
    pub(crate) raw: Raw,
    /// Peak of anonymous memory while loading, in bytes.
    pub(crate) peak: u64,
    /// The same before the store was opened.
    pub(crate) base: u64,
    /// Allocated blocks after the load.
    pub(crate) disk: u64,
    /// Allocated blocks after compaction and closing.
    pub(crate) disk_compacted: u64,
    /// Figures of reading and committing afterwards, if they were asked for.
    pub(crate) after: Option<After>,
}

/// Figures of the loaded store at rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Copy)]
pub(crate) struct After {
    /// Nanoseconds.
    pub(crate) get: f64,
    pub(crate) miss: f64,
    pub(crate) skewed: f64,
    pub(crate) scan_row: f64,
    pub(crate) prefix: f64,
    pub(crate) commit_1: f64,
    pub(crate) commit_1_raw: Raw,
    pub(crate) commit_100: f64,
    pub(crate) commit_100_raw: Raw,
    /// Milliseconds to open and read one row: closed well, and with a tail of beats behind a checkpoint.
    pub(crate) open: f64,
    pub(crate) open_tail: f64,
    /// Bytes of anonymous memory that the open store takes in a fresh process, after gets.
    pub(crate) at_rest: f64,
}

pub(super) fn run(session: &mut Session) -> Result<()> {
    let durable = session.durable();
    for order in ["random", "sequential"] {
        let case = Case::new(session, "bulk", order);
        let mut more = Vec::new();
        interleave(session, &case, &durable, |session, entrant, round| {
            let load = load(session, entrant, case.rows, order, false)?;
            more.extend(further(session, &case, entrant, round, &load));
            Ok(Sample::beside("ns a row", load.ordered, load.raw))
        });
        session.publish_with(&case.name, more);
    }
    Ok(())
}

/// Loads in a child.
pub(super) fn load(
    session: &Session,
    entrant: &Entrant,
    rows: u64,
    order: &str,
    after: bool,
) -> Result<Load> {
    let home = session.new_home()?;
    let then = if after { "read" } else { "end" };
    let words = [rows.to_string(), order.to_owned(), then.to_owned()];
    let loaded = child::run("bulk", entrant.name, &home, &words);
    open::remove(&home)?;
    loaded
}

/// The other figures of a load, as cases of their own.
#[allow(clippy::cast_precision_loss, reason = "bytes of stores")]
pub(super) fn further(
    session: &mut Session,
    case: &Case,
    entrant: &Entrant,
    round: u32,
    load: &Load,
) -> Vec<Record> {
    let payload = Data { rows: case.rows }.payload() as f64;
    let figures = [
        ("before ordering", Sample::beside("ns a row", load.put, load.raw)),
        ("peak memory", Sample::bare("MiB RssAnon", load.peak as f64 / f64::from(1 << 20))),
        ("memory before", Sample::bare("MiB RssAnon", load.base as f64 / f64::from(1 << 20))),
        ("disk", Sample::bare("of payload", load.disk as f64 / payload)),
        ("disk after compaction", Sample::bare("of payload", load.disk_compacted as f64 / payload)),
    ];
    let pressure = session.meter.read();
    let record = |(name, sample): (&str, Sample)| Record {
        workload: case.workload.to_owned(),
        case: format!("{}, {name}", case.name),
        engine: entrant.name.to_owned(),
        rows: case.rows,
        round,
        sample,
        pressure,
        dropped: None,
    };
    figures.map(record).into()
}

/// The child's side; prints a [`Load`].
pub(crate) fn child(entrant: &Entrant, home: &Path, rows: &str, order: &str, then: &str) -> Result<()> {
    let data = Data { rows: rows.parse().map_err(text)? };
    let raw_dir = tempfile::tempdir_in(home.parent().ok_or("no parent")?).map_err(text)?;
    let raw_bytes = data.payload().min(RAW_BYTES_MAX);
    let mut raw = RawSegment::create(raw_dir.path(), raw_bytes, false)?;
    raw.stream(raw_bytes)?;
    let raw_before = raw.stream(raw_bytes)?;
    let base = anonymous();
    let peak = Peak::watch();
    let store = (entrant.open)(home, &Settings { bulk: true, ..Settings::USUAL })?;
    let mut spent = Duration::ZERO;
    let shuffle = order == "random";
    let place = |at| if shuffle { data.shuffled(at) } else { at };
    fill(&*store, data, place, &mut |batch| spent += batch)?;
    let clock = Instant::now();
    store.sync()?;
    spent += clock.elapsed();
    let put = nanoseconds(spent);
    let clock = Instant::now();
    store.put_in_order()?;
    spent += clock.elapsed();
    let peak = peak.end();
    let raw_after = raw.stream(raw_bytes)?;
    let disk = allocated(home)?;
    let store = store.compact()?;
    store.close()?;
    let disk_compacted = allocated(home)?;
    let after = if then == "read" { Some(after(entrant, home, data, &mut raw)?) } else { None };
    #[allow(clippy::cast_precision_loss, reason = "counts of millions")]
    let (count, scale) = (data.rows as f64, (KEY_BYTES + VALUE_BYTES) as f64 / raw_bytes as f64);
    let report = Load {
        put: put / count,
        ordered: nanoseconds(spent) / count,
        raw: Raw::of_pair(raw_before * scale, raw_after * scale),
        peak,
        base,
        disk,
        disk_compacted,
        after,
    };
    println!("{}", serde_json::to_string(&report).map_err(text)?);
    Ok(())
}

/// Reads and commits after a load, each a few times in turn, best of the quiet middle: medians.
#[allow(clippy::cast_precision_loss, reason = "counts of millions")]
fn after(entrant: &Entrant, home: &Path, data: Data, raw: &mut RawSegment) -> Result<After> {
    const TURNS: usize = 5;
    let mut random = Random(11);
    let store = (entrant.open)(home, &Settings::USUAL)?;
    store.settle()?;
    store.close()?;
    let one = data.row(data.rows / 2);
    let open = |_| Ok(open::opened(entrant, home, &one, |_| Ok(()))?.value);
    let opens = (0..OPENS).map(open).collect::<Result<Vec<_>>>();
    let open = median(&mut opens?);
    let at_rest = child::run("rest", entrant.name, home, &[data.rows.to_string()])?;
    let store = (entrant.open)(home, &Settings::USUAL)?;
    let mut times: [Vec<f64>; 5] = Default::default();
    for _ in 0..TURNS {
        let hits = data.uniform_keys(&mut random, 20_000);
        let misses = data.absent_keys(&mut random, 20_000);
        let skewed = data.skewed_keys(&mut random, 20_000);
        let prefixes = data.prefixes(&mut random, 1_000);
        let mut reader = store.reader()?;
        for (keys, times) in [&hits, &misses, &skewed].into_iter().zip(&mut times) {
            let clock = Instant::now();
            reader.gets(keys)?;
            times.push(nanoseconds(clock.elapsed()) / keys.len() as f64);
        }
        let clock = Instant::now();
        let seen = reader.scan()?;
        times[3].push(nanoseconds(clock.elapsed()) / seen.rows.max(1) as f64);
        let clock = Instant::now();
        reader.prefixes(&prefixes)?;
        times[4].push(nanoseconds(clock.elapsed()) / prefixes.len() as f64);
    }
    let [get, miss, skewed, scan_row, prefix] = times.map(|mut times| median(&mut times));
    let (commit_1, commit_1_raw) = commits(&*store, raw, &mut random, 1)?;
    let (commit_100, commit_100_raw) = commits(&*store, raw, &mut random, 100)?;
    store.close()?;
    let tails = (0..TAILS).map(|seed| {
        let tail = open::Tail::behind_checkpoint(open::TAIL_BEATS, seed);
        tail.write(entrant, home)?;
        Ok(tail.opened(entrant, home, |_| Ok(()))?.value)
    });
    let open_tail = median(&mut tails.collect::<Result<Vec<_>>>()?);
    Ok(After {
        get,
        miss,
        skewed,
        scan_row,
        prefix,
        commit_1,
        commit_1_raw,
        commit_100,
        commit_100_raw,
        open,
        open_tail,
        at_rest,
    })
}

/// The side of a child that opens a loaded store and reads of it; prints how many bytes of memory that took.
#[allow(clippy::cast_precision_loss, reason = "bytes of a process")]
pub(crate) fn rest_child(entrant: &Entrant, home: &Path, rows: &str) -> Result<()> {
    let data = Data { rows: rows.parse().map_err(text)? };
    let keys = data.uniform_keys(&mut Random(12), 20_000);
    let before = anonymous();
    let store = (entrant.open)(home, &Settings::USUAL)?;
    store.reader()?.gets(&keys)?;
    println!("{}", anonymous().saturating_sub(before) as f64);
    store.close()
}

fn commits(
    store: &dyn Contender,
    raw: &mut RawSegment,
    random: &mut Random,
    rows: usize,
) -> Result<(f64, Raw)> {
    let batches: Vec<_> = (0..COMMITS).map(|_| fresh(random, rows, VALUE_BYTES)).collect();
    let sample = super::commit::series(store, raw, &batches, Ack::Durable)?;
    Ok((sample.value, sample.raw.ok_or("no raw row")?))
}
