//! Merging runs: neighbours of a size become one of the next size, so that their number stays logarithmic.
//!
//! A merge reads immutable files and writes a new one; only the exchange of pointers at its end concerns anybody else.

use std::sync::Arc;

use persist_api::{BeatNo, Error, ErrorKind, Result};

use crate::core::Core;
use crate::error::{SCHEME, is_no_room};
use crate::maintain::Job;
use crate::newrun::{Plan, Relocate, kept_headers, kept_ranges};
use crate::removal::remove_each;
use crate::retain::Retained;
use crate::run::RunHead;
use crate::state::{LiveRun, State};
use crate::timeline::FrameSpan;

/// So many runs of a size are merged into one of the next size.
const FAN: usize = 8;
/// So many runs of a size lie in a row when merges have fallen behind so far that flushes wait for them.
const LAG: usize = 3 * FAN;
/// Runs up to this many bytes are of the smallest size; each further size is [`FAN`] times the one before.
const SMALLEST: u64 = 4 << 20;
/// More runs than this are not kept, whatever it costs.
const RUNS_MAX: usize = 32;

/// Merges neighbouring runs as long as there are too many of a size.
///
/// # Errors
/// `Io`, `Full`, `Cancelled` when the store is being closed; nothing is then changed. A run in which damage is found is left alone from then on.
pub(crate) fn merge_due(core: &Core) -> Result<()> {
    while merge_one(core)? {}
    Ok(())
}

/// Merges while there are far too many runs: their number stays logarithmic under any load.
///
/// # Errors
/// Those after which nothing may be written. Where a merge fails otherwise, runs gather until one succeeds.
pub(crate) fn keep_up(core: &Core) -> Result<()> {
    let lagging = || {
        let reserved = *core.merging.lock();
        lags(&sizes(&core.published().state.runs, reserved))
    };
    while lagging() {
        match merge_one(core) {
            Ok(true) => {}
            Err(error) if crate::error::ends_writing(&error) => return Err(error),
            Ok(false) | Err(_) => break,
        }
    }
    Ok(())
}

/// Sizes of runs, from the newest on; none of those that no merge can read, that another one reads, or whose frames, up to
/// `reserved`, belong to a compaction.
fn sizes(runs: &[Arc<LiveRun>], reserved: u64) -> Vec<Option<u64>> {
    let is_free = |run: &LiveRun| !run.is_border() && !run.is_taken() && run.run.head().span.upto > reserved;
    runs.iter().map(|run| is_free(run).then(|| run.run.stat().file_len)).collect()
}

/// Runs that a merge reads: nobody else merges them meanwhile.
struct Taken<'c> {
    core: &'c Core,
    runs: Vec<Arc<LiveRun>>,
    /// There are no older ones.
    oldest: bool,
}

impl<'c> Taken<'c> {
    /// Takes what is to be merged next, if there is anything.
    fn next(core: &'c Core) -> Option<Self> {
        let reserved = core.merging.lock();
        let state = core.published().state;
        let (from, upto) = due(&sizes(&state.runs, *reserved))?;
        let runs = state.runs.get(from..upto)?.to_vec();
        for run in &runs {
            run.set_taken(true);
        }
        Some(Self { core, runs, oldest: upto == state.runs.len() })
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        for run in &self.runs {
            run.set_taken(false);
        }
        self.core.due.finished();
    }
}

/// All runs that there are, for a compaction: those that are made meanwhile are merged without them.
pub(crate) struct Reserved<'c> {
    core: &'c Core,
    pub(crate) runs: Vec<Arc<LiveRun>>,
}

impl<'c> Reserved<'c> {
    /// Waits until the merges of today have ended, and begins no others of these runs.
    pub(crate) fn all(core: &'c Core) -> Self {
        let upto = {
            let mut reserved = core.merging.lock();
            let newest = core.published().state.runs.first().map_or(0, |run| run.run.head().span.upto);
            *reserved = newest;
            newest
        };
        let ended = || {
            let runs = core.published().state.runs.clone();
            let mine: Vec<_> = runs.into_iter().filter(|run| run.run.head().span.upto <= upto).collect();
            (!mine.iter().any(|run| run.is_taken())).then_some(mine)
        };
        Self { core, runs: core.due.until(ended) }
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        *self.core.merging.lock() = 0;
    }
}

/// Merges once, if there is something to merge.
fn merge_one(core: &Core) -> Result<bool> {
    let Some(mut taken) = Taken::next(core) else { return Ok(false) };
    let floor = core.published().state.history_from(core.settings.history_beats);
    match merge(core, &taken.runs, taken.oldest, floor, None, &mut |_| core.due.go_on("merge")) {
        Ok(merged) => {
            replace(core, &taken.runs, &merged)?;
            let merged_away = std::mem::take(&mut taken.runs);
            // A compaction need not wait for what follows.
            drop(taken);
            remove_merged(core, merged_away)?;
        }
        Err(error) if error.kind() == ErrorKind::Corrupt => leave_alone(&taken.runs, &error),
        Err(error) => return Err(error),
    }
    Ok(true)
}

/// Sees that the run in which a merge has found damage is not merged again while the store is open: the others go on without it.
fn leave_alone(inputs: &[Arc<LiveRun>], error: &Error) {
    let named = inputs.iter().find(|run| error.path() == Some(run.run.path()));
    match named {
        Some(run) => run.make_border(),
        None => inputs.iter().for_each(|run| run.make_border()),
    }
}

/// Whether merges have fallen so far behind that there should be no more runs before the next one.
fn lags(sizes: &[Option<u64>]) -> bool {
    sizes.len() > runs_max(sizes) + FAN
        || due(sizes).is_some_and(|(from, upto)| upto.saturating_sub(from) >= LAG)
}

/// The size class of a run.
fn class(bytes: u64) -> u32 {
    (bytes / SMALLEST).checked_ilog(FAN as u64).map_or(0, |class| class + 1)
}

/// So many runs of these sizes are too many. One that cannot be merged may stand between two others that it keeps apart.
fn runs_max(sizes: &[Option<u64>]) -> usize {
    RUNS_MAX + 2 * sizes.iter().filter(|size| size.is_none()).count()
}

/// The neighbours to merge, of runs with these sizes from the newest on. Those without one cannot be merged, nor the runs on
/// both sides of one of them with each other.
fn due(sizes: &[Option<u64>]) -> Option<(usize, usize)> {
    let mut at = 0;
    let rows: Vec<(usize, Vec<u64>)> = sizes
        .split(Option::is_none)
        .map(|row| {
            let from = at;
            at += row.len() + 1;
            (from, row.iter().copied().flatten().collect())
        })
        .collect();
    let of_class = || rows.iter().find_map(|(at, row)| due_in_row(row).map(|due| (*at, due)));
    let of_all = || {
        let cheapest = rows.iter().filter_map(|(at, row)| Some((*at, cheapest(row)?)));
        let most = cheapest.min_by_key(|(_, (_, cost))| *cost);
        most.map(|(at, (due, _))| (at, due)).filter(|_| sizes.len() > runs_max(sizes))
    };
    of_class().or_else(of_all).map(|(at, (from, upto))| (at + from, at + upto))
}

/// Of runs in a row, those of the smallest class of which there are enough, with smaller ones between them.
fn due_in_row(sizes: &[u64]) -> Option<(usize, usize)> {
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
    None
}

/// The neighbours in a row that are merged with the least work, and how much that is for each run that there is less then.
fn cheapest(sizes: &[u64]) -> Option<((usize, usize), u64)> {
    let len = sizes.len().min(FAN);
    let less = u64::try_from(len).ok()?.checked_sub(1).filter(|less| *less > 0)?;
    let cost = |from: usize| sizes.iter().skip(from).take(len).sum::<u64>() / less;
    let all = (0..=sizes.len() - len).map(|from| ((from, from + len), cost(from)));
    all.min_by_key(|(_, cost)| *cost)
}

/// Writes one run of neighbours, given newest first.
pub(crate) fn merge(
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

/// Puts a merged run in the place of its inputs; their files are to be [removed](remove_merged) then.
///
/// # Errors
/// `Full` where there is no room for a head that names it: it is removed then, and nothing is changed. `Io`, also where it cannot
/// be removed then.
pub(crate) fn replace(core: &Core, inputs: &[Arc<LiveRun>], merged: &Arc<LiveRun>) -> Result<()> {
    let exchange = |state: &mut State| {
        let is_input = |run: &Arc<LiveRun>| inputs.iter().any(|input| Arc::ptr_eq(run, input));
        let at = state.runs.iter().position(is_input).unwrap_or(state.runs.len());
        state.runs.retain(|run| !is_input(run));
        state.runs.insert(at.min(state.runs.len()), Arc::clone(merged));
    };
    if let Err(error) = name_and_switch(core, exchange) {
        if is_no_room(&error) {
            // One slot may name it. That does no harm as long as all that it was made of is there; but it must not come back beside
            // what is made of that next.
            core.disk.remove_file(merged.run.path()).map_err(|left| cannot_stay(&left, merged))?;
            core.disk.sync_dir(&core.home)?;
        }
        return Err(error);
    }
    Ok(())
}

/// Removes the files of runs that were merged into another; answers those that stay for want of room. The next opening does
/// without them, too, and tries again.
///
/// # Errors
/// `Io`.
pub(crate) fn remove_merged(core: &Core, runs: Vec<Arc<LiveRun>>) -> Result<Vec<Arc<LiveRun>>> {
    let shortages = core.shortage.count();
    let is_short = || core.shortage.count() != shortages;
    let is_urgent = || core.due.is_stopped() || is_short();
    let stayed = remove_each(&*core.disk, &core.home, runs, |run| run.run.path(), is_urgent)?;
    if is_short() {
        // Its room may be found now.
        core.due.ask(Job::Flush);
    }
    Ok(stayed)
}

/// A merged run that one slot of the head may name is there for good: what it refers to must stay, and nothing else may be made of
/// its inputs.
fn cannot_stay(left: &Error, merged: &LiveRun) -> Error {
    let what = format!("a run that the head may name cannot be removed: {}", left.context());
    Error::new(ErrorKind::Io, "merge", what).with_engine(SCHEME).with_path(merged.run.path())
}

/// Changes the runs, as soon as the head says so: no other head is written in between.
fn name_and_switch(core: &Core, change: impl Fn(&mut State)) -> Result<()> {
    let mut keeper = core.head.lock();
    let head = {
        let log = core.log.lock();
        let mut next = core.published();
        let mut state = State::clone(&next.state);
        change(&mut state);
        next.state = Arc::new(state);
        log.head(&next, core.store, false)
    };
    keeper.write(head)?;
    core.switch(change);
    Ok(())
}

/// The floor of a run made of these, where `wanted` is asked for: what is given up already stays so, and nothing is given up
/// behind which a beat is lost.
pub(crate) fn floor_of(runs: &[Arc<LiveRun>], wanted: BeatNo) -> BeatNo {
    let given_up = runs.iter().map(|run| run.run.head().floor).max().unwrap_or_default();
    let floor = given_up.max(wanted);
    let lost =
        runs.iter().flat_map(|run| run.coverings()).filter_map(|range| Some(range.mark.lost?.beat)).min();
    lost.map_or(floor, |lost| floor.min(lost))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_neighbours_of_a_size_are_merged_and_their_number_stays_small() {
        const MIB: u64 = 1 << 20;
        let due = |sizes: &[u64]| due(&sizes.iter().copied().map(Some).collect::<Vec<_>>());
        assert_eq!(due(&[]), None);
        assert_eq!(due(&[MIB; FAN - 1]), None);
        assert_eq!(due(&[MIB; FAN]), Some((0, FAN)));
        assert_eq!(due(&[MIB, MIB, 900 * MIB, MIB, MIB, MIB, MIB]), None);
        let scattered: Vec<u64> =
            (0..=RUNS_MAX as u64).map(|n| [MIB, 900 * MIB][usize::from(n % 6 == 0)]).collect();
        assert!(due(&scattered).is_some(), "never more than allowed");
        let mut mixed = vec![30 * MIB; FAN + 3];
        (mixed[0], mixed[2], mixed[FAN + 2]) = (MIB, MIB, 4000 * MIB);
        assert_eq!(due(&mixed), Some((1, FAN + 2)));
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
        assert!(!lags(&[Some(30 * MIB); LAG - 1]) && lags(&[Some(30 * MIB); LAG]), "then flushes wait");
        let times = written / (2000 * 30 * MIB);
        assert!(times <= 5, "every byte is written about once a size, of which there are five: {times}");
    }

    #[test]
    fn runs_that_cannot_be_merged_part_the_others_and_their_number_stays_bounded() {
        let some = |count: usize| vec![Some(1_u64 << 20); count];
        assert_eq!(due(&[&some(4), &[None][..], &some(4)].concat()), None);
        assert_eq!(due(&[&some(4), &[None][..], &some(FAN)].concat()), Some((5, 5 + FAN)));
        for borders in [0, 1, 2, 20, 40] {
            let mut sizes: Vec<Option<u64>> = Vec::new();
            let (mut written, mut most) = (0, 0);
            for n in 0..2000 {
                sizes.insert(0, if n < 3 * borders && n % 3 == 0 { None } else { Some(1 << 20) });
                while let Some((from, upto)) = due(&sizes) {
                    assert!(upto - from > 1, "{sizes:?}");
                    let merged: u64 = sizes.drain(from..upto).map(|size| size.unwrap()).sum();
                    written += merged >> 20;
                    sizes.insert(from, Some(merged));
                }
                most = most.max(sizes.len());
            }
            assert!(most <= RUNS_MAX + 2 * borders, "{borders}: {most}");
            assert!(written <= 2000 * 6, "{borders}: {written}");
        }
    }
}
