//! The engine of a store changes while it is in use: how long writers wait, and how fast the copy is.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use persist_api::{Caps, Driver, OpenOptions, Quiet, Scan};
use persist_io::RealDisk;
use persist_store::{SwapOptions, SwapTarget, Writer, default_request, open_with};

use crate::busy::Busy;
use crate::contender::{Ack, Contender, Result, Settings, text};
use crate::limit::nanoseconds;
use crate::ours::Ours;
use crate::record::{Record, Sample};
use crate::rounds::{Case, good, judge, require};
use crate::rows::{Data, KEY_BYTES, Row, VALUE_BYTES};
use crate::session::Session;

/// One store goes round: every two neighbours are a swap, each pair of engines is there once, and the last is the first again.
#[cfg(not(feature = "rocksdb"))]
const CYCLE: [&str; 7] = ["flatfile", "sqlite", "lmdb", "flatfile", "lmdb", "sqlite", "flatfile"];
#[cfg(feature = "rocksdb")]
const CYCLE: [&str; 13] = [
    "flatfile", "sqlite", "lmdb", "flatfile", "lmdb", "sqlite", "rocksdb", "lmdb", "rocksdb", "sqlite",
    "flatfile", "rocksdb", "flatfile",
];

pub(crate) const PAUSE: &str = "pause";
pub(crate) const LONGEST: &str = "longest commit";
pub(crate) const COPY: &str = "copy";
const BULK: &str = "bulk load";
pub(crate) const COPY_OVER_BULK: &str = "copy ÷ bulk load";
const SCAN: &str = "scan";
pub(crate) const COPY_OVER_BOTH: &str = "copy ÷ (scan + bulk load)";
const CASES: [&str; 7] = [PAUSE, LONGEST, COPY, BULK, COPY_OVER_BULK, SCAN, COPY_OVER_BOTH];

/// What is told of a swap, in the order of the cases.
type Figures = [Sample; 7];

pub(super) fn run(session: &mut Session) -> Result<()> {
    let home = session.new_home()?;
    let (writer, busy) = open(&home, session.data)?;
    let case = Case::new(session, "swap", COPY);
    let mut records = Vec::new();
    let done = rounds(session, &busy, &case, &mut records);
    if done.is_ok() {
        for pair in CYCLE.windows(2) {
            require(session, &case, &name(pair), &records);
        }
    }
    // Figure by figure, so that the pairs of each stand together.
    records.sort_by_key(|record| CASES.iter().position(|case| record.case == *case));
    session.publish(records);
    done?;
    busy.store.close().map_err(text)?;
    drop((writer, busy));
    super::open::remove(&home)
}

fn name(pair: &[&str]) -> String {
    pair.join("→")
}

fn drivers() -> Vec<Arc<dyn Driver>> {
    vec![
        Arc::new(persist_flatfile::FlatfileDriver::default()),
        Arc::new(persist_sqlite::SqliteDriver),
        Arc::new(persist_lmdb::LmdbDriver),
        #[cfg(feature = "rocksdb")]
        Arc::new(persist_rocksdb::RocksDbDriver),
    ]
}

/// What every engine is told, the bare ones too.
fn options() -> OpenOptions {
    OpenOptions { cache_bytes: Some(Settings::USUAL.cache_bytes), ..OpenOptions::default() }
}

/// A store with all that stores have, Merkle roots among it, loaded.
fn open(home: &Path, data: Data) -> Result<(Writer, Busy)> {
    let opened = open_with(Arc::new(RealDisk), &drivers(), home, Some(CYCLE[0]), &options()).map_err(text)?;
    let (writer, store) = opened.negotiate(&default_request()).map_err(text)?;
    Ok((writer, Busy::load(store, data)?))
}

/// Goes round until every pair has enough samples that count, or three times as often. The order cannot be rotated, for
/// each swap begins where the one before ended.
fn rounds(session: &mut Session, busy: &Busy, case: &Case, records: &mut Vec<Record>) -> Result<()> {
    for round in 0..u32::try_from(3 * case.rounds).unwrap_or(u32::MAX) {
        if CYCLE.windows(2).all(|pair| good(records, case, &name(pair)) >= case.rounds) {
            break;
        }
        for pair in CYCLE.windows(2) {
            let before = session.meter.read();
            let figures = swap(session, busy, pair[1]).map_err(|error| format!("{}: {error}", name(pair)))?;
            let pressure = before.worse(session.meter.read());
            records.extend(CASES.into_iter().zip(figures).map(|(case, sample)| Record {
                workload: "swap".to_owned(),
                case: case.to_owned(),
                engine: name(pair),
                rows: session.plan.rows,
                round,
                sample,
                pressure,
                dropped: None,
            }));
        }
        if session.plan.gated {
            judge(records);
        }
    }
    Ok(())
}

/// Scans the source without load, swaps under load, checks every row, and loads the same rows into a bare engine, without
/// load.
#[allow(clippy::cast_precision_loss, reason = "counts of millions")]
fn swap(session: &mut Session, busy: &Busy, to: &str) -> Result<Figures> {
    let bounds = SwapOptions { may_lose: Caps::all(), ..SwapOptions::default() };
    let target = SwapTarget::here(to).options(options());
    let (seed, rows) = (session.random.number(), session.data.rows);
    let scan = scan(busy, rows)?;
    let (report, longest) = busy.beside(seed, || busy.store.swap(&target, &bounds, &Quiet).map_err(text))?;
    busy.check()?;
    busy.store.finish_swap().map_err(text)?;
    let done = report.figures;
    if done.records_now != rows {
        return Err(format!("{} of {rows} rows were copied", done.records_now));
    }
    let bulk = bulk(session, busy, to, bounds.chunk_bytes)?;
    let copy = nanoseconds(done.copy_time) / rows as f64;
    // Writers waited behind a fence that was taken down, too: as long as it may stand.
    let down = if done.fences_down > 0 { bounds.fence_budget } else { Duration::ZERO };
    let milliseconds = |time| Sample::bare("ms", nanoseconds(time) / 1e6);
    Ok([
        milliseconds(report.pause.max(down)),
        milliseconds(longest),
        Sample::bare("ns a row", copy),
        Sample::bare("ns a row", bulk),
        Sample::bare("of its speed", bulk / copy),
        Sample::bare("ns a row", scan),
        Sample::bare("of their time", copy / (scan + bulk)),
    ])
}

/// Nanoseconds a row of reading every row of the store in key order.
#[allow(clippy::cast_precision_loss, reason = "counts of millions")]
fn scan(busy: &Busy, rows: u64) -> Result<f64> {
    let (view, mut found) = (busy.store.view().map_err(text)?, 0);
    let clock = Instant::now();
    view.scan(Scan::all(), |key, value| {
        found += u64::from(black_box((key, value)).0.len() == KEY_BYTES);
        ControlFlow::Continue(())
    })
    .map_err(text)?;
    let spent = clock.elapsed();
    if found == rows { Ok(nanoseconds(spent) / rows as f64) } else { Err(format!("{found} of {rows} rows")) }
}

/// Nanoseconds a row of a load in key order, in buffered beats as large as those of the swap, and one sync. All rows are there
/// before the clock starts, or the engine would work behind a beat while the next one is made and nobody counts.
#[allow(clippy::cast_precision_loss, reason = "counts of millions")]
fn bulk(session: &Session, busy: &Busy, engine: &str, beat_bytes: u64) -> Result<f64> {
    let (home, rows) = (session.new_home()?, session.data.rows);
    let all: Vec<Row> = (0..rows).map(|row| busy.row(row)).collect();
    let a_beat = usize::try_from(beat_bytes).unwrap_or(usize::MAX) / (KEY_BYTES + VALUE_BYTES);
    let drivers = drivers();
    let driver = drivers.iter().find(|driver| driver.scheme() == engine).ok_or("no such engine")?;
    let bare = Ours::open(driver.as_ref(), &home, &Settings::USUAL)?;
    let clock = Instant::now();
    for beat in all.chunks(a_beat.max(1)) {
        bare.commit(beat, Ack::Unsynced)?;
    }
    bare.sync()?;
    let spent = clock.elapsed();
    Box::new(bare).close()?;
    super::open::remove(&home)?;
    Ok(nanoseconds(spent) / rows as f64)
}
