//! Compaction, when asked for: one run of everything, and payload segments without dead values.

use std::collections::BTreeMap;
use std::sync::Arc;

use persist_api::{BeatNo, CompactStat, Observer, Progress, Result};

use crate::core::Core;
use crate::error::is_no_room;
use crate::merging::{Reserved, floor_of, merge, remove_merged, replace};
use crate::newrun::Relocate;
use crate::payload::{PayloadFile, PayloadWriter};
use crate::payload_ref::PayloadRef;
use crate::removal::remove_each;
use crate::retain::Retained;
use crate::run::Stored;
use crate::state::LiveRun;

/// Part of a payload segment that may be dead before its values are copied: one in so many bytes.
const DEAD_PART: u64 = 32;
/// Rows between two reports.
const STEP: u64 = 4096;

/// Makes one run of everything and copies the large values out of segments with dead bytes. `keep_beats` beats before the
/// newest stay readable.
///
/// # Errors
/// `Cancelled`, `Io`, `Full`, `Corrupt`; the store is then whole and not smaller.
pub(crate) fn compact(core: &Core, keep_beats: u64, seen: &dyn Observer) -> Result<CompactStat> {
    let bytes_before = core.disk_bytes()?;
    report(seen, "checkpoint", 0, None)?;
    core.mark_open()?;
    // What is written from here on goes to other segments, so that those before can be judged by the runs alone.
    let settled = core.log.lock().payload.roll();
    core.checkpoint()?;
    let mut reserved = Reserved::all(core);
    let runs = &reserved.runs;
    let state = core.published().state;
    let floor = state.history_from(keep_beats);
    let judged_below = crate::feed::payloads_from(core)?.map_or(settled, |kept| kept.min(settled));
    let before: Vec<Arc<PayloadFile>> =
        state.payloads.iter().filter(|file| file.number() < judged_below).cloned().collect();
    // The room of what it holds could not be given back.
    drop(state);
    let live = live_bytes(runs, floor, &before, seen)?;
    let mut doomed = wasteful(before, &live)?;
    if is_worth_it(runs, floor, &live, &doomed) {
        rewrite(core, runs, floor, &doomed, seen)?;
        let stayed = remove_merged(core, std::mem::take(&mut reserved.runs))?;
        if !stayed.is_empty() {
            // They are what an opening has if the new run is damaged, and need their values.
            doomed.clear();
        }
    }
    let numbers: Vec<u32> = doomed.iter().map(|file| file.number()).collect();
    core.switch(|state| state.payloads = Arc::new(state.payloads.without(&numbers)));
    for file in remove_each(&*core.disk, &core.home, doomed, |file| file.path(), || false)? {
        // It counts until a compaction finds room.
        core.switch(|state| state.payloads = Arc::new(state.payloads.with(Arc::clone(&file))));
    }
    Ok(CompactStat { bytes_before, bytes_after: core.disk_bytes()? })
}

fn report(seen: &dyn Observer, phase: &'static str, done: u64, total: Option<u64>) -> Result<()> {
    seen.step("compact", Progress { phase, done, total, unit: "records" })
}

/// Whether one new run would be better than the runs that there are.
fn is_worth_it(
    runs: &[Arc<LiveRun>],
    floor: BeatNo,
    live: &BTreeMap<u32, u64>,
    doomed: &[Arc<PayloadFile>],
) -> bool {
    match runs {
        [] => false,
        [run] => {
            let (head, stat) = (run.run.head(), run.run.stat());
            let old = head.floor < floor.min(head.last_beat) && stat.keys < stat.records;
            let moves = doomed.iter().any(|file| live.contains_key(&file.number()));
            old || stat.deletions > 0 || stat.ranges > 0 || moves
        }
        _ => true,
    }
}

/// Bytes of values by segment that a run with this floor would refer to.
fn live_bytes(
    runs: &[Arc<LiveRun>],
    floor: BeatNo,
    files: &[Arc<PayloadFile>],
    seen: &dyn Observer,
) -> Result<BTreeMap<u32, u64>> {
    let mut live = BTreeMap::new();
    if files.is_empty() {
        return Ok(live);
    }
    let total = runs.iter().map(|run| run.run.stat().records).sum();
    let mut rows = Retained::new(floor_of(runs, floor), true);
    for run in runs {
        rows.add_run(&run.run, &run.cover)?;
    }
    let mut due = 0;
    while let Some(row) = rows.next()? {
        if rows.read >= due {
            report(seen, "count", rows.read, Some(total))?;
            due = rows.read.saturating_add(STEP);
        }
        if let Stored::Large(payload) = row.stored {
            let bytes = live.entry(payload.segment).or_insert(0_u64);
            *bytes = bytes.saturating_add(payload.len);
        }
    }
    Ok(live)
}

/// The segments with more dead bytes than is worth keeping.
fn wasteful(files: Vec<Arc<PayloadFile>>, live: &BTreeMap<u32, u64>) -> Result<Vec<Arc<PayloadFile>>> {
    let mut found = Vec::new();
    for file in files {
        let len = file.len()?;
        let dead = len.saturating_sub(live.get(&file.number()).copied().unwrap_or(0));
        if dead > len / DEAD_PART + 4096 || !live.contains_key(&file.number()) {
            found.push(file);
        }
    }
    Ok(found)
}

/// Writes one run of all, with the values of doomed segments copied to new ones.
fn rewrite(
    core: &Core,
    runs: &[Arc<LiveRun>],
    floor: BeatNo,
    doomed: &[Arc<PayloadFile>],
    seen: &dyn Observer,
) -> Result<()> {
    let total = runs.iter().map(|run| run.run.stat().records).sum();
    let mut step = |done| report(seen, "merge", done, Some(total));
    let mut mover = Mover { writer: core.log.lock().payload.beside(), doomed };
    match merge(core, runs, true, floor, Some(&mut mover), &mut step) {
        Ok(merged) => {
            core.switch(|state| {
                let files = mover.writer.begun().cloned();
                state.payloads = Arc::new(files.fold((*state.payloads).clone(), |set, file| set.with(file)));
            });
            let replaced = replace(core, runs, &merged);
            if replaced.as_ref().is_err_and(is_no_room) {
                let copies: Vec<u32> = mover.writer.begun().map(|file| file.number()).collect();
                core.switch(|state| state.payloads = Arc::new(state.payloads.without(&copies)));
                let _ = mover.writer.abort();
            }
            replaced
        }
        Err(error) => {
            // The first error counts; what cannot be removed is dead weight until the next compaction.
            let _ = mover.writer.abort();
            Err(error)
        }
    }
}

/// Copies values out of doomed segments.
struct Mover<'d> {
    writer: PayloadWriter,
    doomed: &'d [Arc<PayloadFile>],
}

impl Relocate for Mover<'_> {
    fn place(&mut self, payload: &PayloadRef) -> Result<PayloadRef> {
        match self.doomed.iter().find(|file| file.number() == payload.segment) {
            Some(file) => self.writer.stage(&file.read(payload)?),
            None => Ok(*payload),
        }
    }

    fn finish(&mut self) -> Result<()> {
        self.writer.sync()
    }
}
