//! Checking a store while it is in use: every page of one snapshot, then every record through LMDB.

use std::ops::ControlFlow;

use persist_api::{
    Error, ErrorKind, Finding, FindingCode, Observer, Progress, Result, Scan, VerifyStat, View,
};
use persist_io::{Disk, FileMode};

use crate::driver::SCHEME;
use crate::engine::LmdbEngine;
use crate::home::DATA;
use crate::layout::{Meta, read_metas};
use crate::view::LmdbView;
use crate::walk::{Depth, Walk};

/// How often a snapshot is tried whose meta page writers replace before it could be read.
const TRIES: usize = 100;
/// Rows between two reports.
const ROWS_PER_STEP: u64 = 4096;

pub(crate) fn verify(
    disk: &dyn Disk,
    engine: &LmdbEngine,
    found: &mut dyn FnMut(Finding),
    seen: &dyn Observer,
) -> Result<VerifyStat> {
    let path = engine.home.join(DATA);
    let file = disk.open(&path, FileMode::Read)?;
    let (view, meta) = snapshot(engine, || read_metas(&*file))?;
    let mut stat = VerifyStat::default();
    let mut damage = |what: String, place: String| {
        stat.damaged += 1;
        found(Finding::damage(FindingCode::Structure, what, place));
    };
    let step = |done, total| {
        seen.step("verify", Progress { phase: "pages", done, total: Some(total), unit: "pages" })
    };
    let counted = Walk::new(&*file, &meta, Depth::Values)?.run(&mut damage, &step)?;
    if stat.damaged > 0 {
        // Reading damaged pages through the map could end the process, so what the walk read has to do.
        stat.records = counted.entries;
        stat.bytes = counted.bytes;
        let what = "records were not read through LMDB, because pages are damaged";
        found(Finding::unchecked(FindingCode::NotRead, what, DATA));
    } else {
        read_records(&view, &mut stat, seen)?;
        if stat.records != counted.entries || view.records_counted()? != counted.entries {
            stat.damaged += 1;
            let what = format!("{} records read where {} are stored", stat.records, counted.entries);
            found(Finding::damage(FindingCode::Count, what, "records"));
        }
    }
    let what = "LMDB keeps no checksums: a changed byte inside of a value goes unnoticed here";
    found(Finding::unchecked(FindingCode::NoChecksums, what, DATA));
    Ok(stat)
}

/// A view and the meta page that describes it. Writers replace the older of two meta pages, so a view may have none when
/// two beats commit between opening it and reading.
fn snapshot(engine: &LmdbEngine, metas: impl Fn() -> Result<[Meta; 2]>) -> Result<(LmdbView, Meta)> {
    for _ in 0..TRIES {
        let view = engine.own_view("verify")?;
        if let Some(meta) = metas()?.into_iter().find(|meta| meta.txn == view.txn_id()) {
            return Ok((view, meta));
        }
    }
    let error = Error::new(ErrorKind::Busy, "verify", "beats commit faster than a meta page can be read");
    Err(error.with_engine(SCHEME))
}

fn read_records(view: &LmdbView, stat: &mut VerifyStat, seen: &dyn Observer) -> Result<()> {
    let total = Some(view.records_counted()?);
    let mut stopped = Ok(());
    view.scan(Scan::all(), &mut |key, value| {
        if stat.records.is_multiple_of(ROWS_PER_STEP) {
            let progress = Progress { phase: "records", done: stat.records, total, unit: "records" };
            stopped = seen.step("verify", progress);
            if stopped.is_err() {
                return ControlFlow::Break(());
            }
        }
        stat.records += 1;
        stat.bytes = stat.bytes.saturating_add((key.len() as u64).saturating_add(value.len() as u64));
        ControlFlow::Continue(())
    })?;
    stopped
}
