//! Bulk load in a process of its own.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{loaded, open};
use crate::child;
use crate::contender::{Entrant, Result, Settings, text};
use crate::disk::allocated;
use crate::limit::{RawSegment, nanoseconds};
use crate::memory::{Peak, anonymous};
use crate::record::{Raw, Record, Sample};
use crate::rounds::{Case, interleave};
use crate::rows::{Data, KEY_BYTES, VALUE_BYTES};
use crate::session::{Session, fill};

/// Most bytes of the raw row: a million rows' payload.
const RAW_BYTES_MAX: u64 = 116_000_000;

/// What the child tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// What the loaded store does, if that was asked for.
    #[serde(default)]
    pub(crate) loaded: Vec<(String, Sample)>,
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
    let loaded = if then == "read" { loaded::figures(entrant, home, data, &mut raw)? } else { Vec::new() };
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
        loaded,
    };
    println!("{}", serde_json::to_string(&report).map_err(text)?);
    Ok(())
}
