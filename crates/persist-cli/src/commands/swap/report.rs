//! What became of a swap.

use std::path::Path;
use std::time::Duration;

use persist::{SwapReport, SwapState};
use serde::Serialize;

use crate::configured::Configured;
use crate::fail::Result;
use crate::out::Out;
use crate::text::size;

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
    change_in_config: Vec<&'static str>,
}

/// Tells it, and what to change in the configuration that names the store.
pub(crate) fn tell(report: &SwapReport, configured: Option<&Configured>, out: &mut Out) -> Result<()> {
    let home = |home: Option<&Path>| home.map(|home| home.display().to_string());
    let figures = &report.figures;
    let untrue = |known: &Configured| known.untrue(&report.to.engine, report.to.home.as_deref());
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let json = SwapJson {
        swap_id: report.id.to_string(),
        state: SwapState::Flipped.name(),
        from_engine: report.from.engine.clone(),
        from_epoch: report.from.epoch,
        from_home: home(report.from.home.as_deref()),
        to_engine: report.to.engine.clone(),
        to_epoch: report.to.epoch,
        to_home: home(report.to.home.as_deref()),
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
        change_in_config: configured.map(untrue).unwrap_or_default(),
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
    let rate = u128::from(json.records_now) * 1_000_000 / u128::from(json.copy_us.max(1));
    out.field("copied", format_args!("{} records, {}", json.records, size(json.bytes)))?;
    out.field("rate", format_args!("{rate} records a second"))?;
    out.field("digest", format_args!("{} on both sides", json.digest))?;
    out.field("writers waited", format_args!("{:.1} ms", report.pause.as_secs_f64() * 1000.0))?;
    out.line(format_args!(
        "the {from} engine is kept; `persist swap --finish` removes it, `--rollback` goes back"
    ))?;
    let advice =
        configured.and_then(|known| known.advice(&json.change_in_config, to, report.to.home.as_deref()));
    advice.map_or(Ok(()), |advice| out.line(advice))
}
