//! Merging runs: a few neighbours in the background, all of them when asked.
//!
//! A merge reads immutable files and writes a new one; only the exchange of pointers at its end concerns anybody else.

use std::collections::BTreeMap;
use std::sync::Arc;

use persist_api::{BeatNo, CompactStat, Observer, Progress, Result};

use crate::core::Core;
use crate::newrun::{Plan, Relocate, kept_headers, kept_ranges};
use crate::payload::{PayloadFile, PayloadWriter};
use crate::payload_ref::PayloadRef;
use crate::retain::Retained;
use crate::run::{RunHead, Stored};
use crate::state::LiveRun;
use crate::timeline::FrameSpan;

/// So many runs of a size are merged into one of the next size.
const FAN: usize = 6;
/// Runs up to this many bytes are of the smallest size; each further size is [`FAN`] times the one before.
const SMALLEST: u64 = 4 << 20;
/// More runs than this are not kept, whatever it costs.
const RUNS_MAX: usize = 32;
/// Part of a payload segment that may be dead before its values are copied: one in so many bytes.
const DEAD_PART: u64 = 32;
/// Rows between two reports.
const STEP: u64 = 4096;

/// Merges neighbouring runs as long as there are too many of a size.
///
/// # Errors
/// `Io`, `Full`, `Corrupt` in a run; nothing is then changed.
pub(crate) fn merge_due(core: &Core) -> Result<()> {
    loop {
        let Some(_one_at_a_time) = core.merging.try_lock() else { return Ok(()) };
        let published = core.published();
        let runs = &published.state.runs;
        let sizes: Vec<u64> = runs.iter().map(|run| run.run.stat().file_len).collect();
        let Some((from, upto)) = due(&sizes) else { return Ok(()) };
        let Some(inputs) = runs.get(from..upto) else { return Ok(()) };
        let newest = published.header.beat.0;
        let floor = BeatNo(newest.saturating_sub(core.settings.history_beats));
        let merged = merge(core, inputs, upto == runs.len(), floor, None, &mut |_| Ok(()))?;
        replace(core, inputs, merged)?;
    }
}

/// The size class of a run.
fn class(bytes: u64) -> u32 {
    (bytes / SMALLEST).checked_ilog(FAN as u64).map_or(0, |class| class + 1)
}

/// The neighbours to merge, of runs with these sizes from the newest on: the smallest class of which there are enough in a
/// row, with smaller ones between them. When there are very many runs, the cheapest neighbours.
fn due(sizes: &[u64]) -> Option<(usize, usize)> {
    let most = sizes.iter().map(|bytes| class(*bytes)).max()?;
    for wanted in 0..=most {
        let mut from = 0;
        while from < sizes.len() {
            let row =
                || sizes.iter().skip(from).map(|bytes| class(*bytes)).take_while(|class| *class <= wanted);
            // Newer ones that are smaller wait until they are as many.
            let smaller = row().take_while(|class| *class < wanted).count();
            if row().filter(|class| *class == wanted).count() >= FAN {
                return Some((from + smaller, from + row().count()));
            }
            from += row().count() + 1;
        }
    }
    if sizes.len() <= RUNS_MAX {
        return None;
    }
    let cost = |from: &usize| sizes.iter().skip(*from).take(FAN).sum::<u64>();
    (0..=sizes.len().saturating_sub(FAN)).min_by_key(cost).map(|from| (from, from + FAN))
}

/// Writes one run of neighbours, given newest first.
fn merge(
    core: &Core,
    inputs: &[Arc<LiveRun>],
    oldest: bool,
    floor: BeatNo,
    relocate: Option<&mut dyn Relocate>,
    step: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<Arc<LiveRun>> {
    let heads = || inputs.iter().map(|run| run.run.head());
    let floor = floor_of(inputs, floor);
    let mut rows = Retained::new(floor, oldest);
    let mut headers = Vec::new();
    for run in inputs {
        rows.add_run(&run.run, &run.cover)?;
    }
    for run in inputs.iter().rev() {
        headers.extend(run.run.headers()?);
    }
    let ranges: Vec<_> = inputs.iter().map(|run| run.coverings()).collect();
    let head = RunHead {
        number: core.take_run_number()?,
        span: FrameSpan {
            after: heads().map(|head| head.span.after).min().unwrap_or_default(),
            upto: heads().map(|head| head.span.upto).max().unwrap_or_default(),
        },
        first_beat: heads().map(|head| head.first_beat).min().unwrap_or_default(),
        last_beat: heads().map(|head| head.last_beat).max().unwrap_or_default(),
        floor,
    };
    let plan = Plan {
        head,
        rows,
        ranges: kept_ranges(&ranges, floor, oldest),
        headers: kept_headers(headers.into_iter(), floor),
    };
    let run = plan.write(&*core.disk, &core.home, relocate, step)?;
    Ok(Arc::new(LiveRun::new(run)))
}

/// Puts a merged run in the place of its inputs, and removes their files.
fn replace(core: &Core, inputs: &[Arc<LiveRun>], merged: Arc<LiveRun>) -> Result<()> {
    core.switch(|state| {
        let is_input = |run: &Arc<LiveRun>| inputs.iter().any(|input| Arc::ptr_eq(run, input));
        let at = state.runs.iter().position(is_input).unwrap_or(state.runs.len());
        state.runs.retain(|run| !is_input(run));
        state.runs.insert(at.min(state.runs.len()), merged);
    });
    core.write_head(false)?;
    for run in inputs {
        core.disk.remove_file(run.run.path())?;
    }
    Ok(())
}

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
    let _one_at_a_time = core.merging.lock();
    let published = core.published();
    let runs = published.state.runs.clone();
    let floor = BeatNo(published.header.beat.0.saturating_sub(keep_beats));
    let judged_below = crate::feed::payloads_from(core)?.map_or(settled, |kept| kept.min(settled));
    let before: Vec<Arc<PayloadFile>> =
        published.state.payloads.iter().filter(|file| file.number() < judged_below).cloned().collect();
    let live = live_bytes(&runs, floor, &before, seen)?;
    let doomed = wasteful(&before, &live)?;
    if is_worth_it(&runs, floor, &live, &doomed) {
        rewrite(core, &runs, floor, &doomed, seen)?;
    }
    let doomed: Vec<u32> = doomed.iter().map(|file| file.number()).collect();
    if !doomed.is_empty() {
        core.switch(|state| state.payloads = Arc::new(state.payloads.without(&doomed)));
        for file in before.iter().filter(|file| doomed.contains(&file.number())) {
            core.disk.remove_file(file.path())?;
        }
        core.disk.sync_dir(&core.home)?;
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

/// The floor of a run made of these, where `wanted` is asked for: what is given up already stays so, and nothing is given up
/// behind which a beat is lost.
fn floor_of(runs: &[Arc<LiveRun>], wanted: BeatNo) -> BeatNo {
    let given_up = runs.iter().map(|run| run.run.head().floor).max().unwrap_or_default();
    let floor = given_up.max(wanted);
    let lost =
        runs.iter().flat_map(|run| run.coverings()).filter_map(|range| Some(range.mark.lost?.beat)).min();
    lost.map_or(floor, |lost| floor.min(lost))
}

/// The segments with more dead bytes than is worth keeping.
fn wasteful(files: &[Arc<PayloadFile>], live: &BTreeMap<u32, u64>) -> Result<Vec<Arc<PayloadFile>>> {
    let mut found = Vec::new();
    for file in files {
        let len = file.len()?;
        let dead = len.saturating_sub(live.get(&file.number()).copied().unwrap_or(0));
        if dead > len / DEAD_PART + 4096 || !live.contains_key(&file.number()) {
            found.push(Arc::clone(file));
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
            replace(core, runs, merged)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_neighbours_of_a_size_are_merged_and_their_number_stays_small() {
        const MIB: u64 = 1 << 20;
        assert_eq!(due(&[]), None);
        assert_eq!(due(&[MIB; FAN - 1]), None);
        assert_eq!(due(&[MIB; FAN]), Some((0, FAN)));
        assert_eq!(due(&[MIB, MIB, 900 * MIB, MIB, MIB, MIB, MIB]), None);
        let scattered: Vec<u64> =
            (0..=RUNS_MAX as u64).map(|n| [MIB, 900 * MIB][usize::from(n % 6 == 0)]).collect();
        assert!(due(&scattered).is_some(), "never more than allowed");
        let mixed = [MIB, 30 * MIB, MIB, 30 * MIB, 30 * MIB, 30 * MIB, 30 * MIB, 30 * MIB, 4000 * MIB];
        assert_eq!(due(&mixed), Some((1, 8)));
        let mut sizes = Vec::new();
        let mut written = 0;
        for _ in 0..2000 {
            sizes.insert(0, 30 * MIB);
            while let Some((from, upto)) = due(&sizes) {
                let merged = sizes.drain(from..upto).sum();
                written += merged;
                sizes.insert(from, merged);
            }
            assert!(sizes.len() <= 5 * FAN, "{sizes:?}");
            assert!(sizes.len() <= RUNS_MAX);
        }
        let times = written / (2000 * 30 * MIB);
        assert!(times <= 5, "every byte is written about once a size, of which there are five: {times}");
    }
}
