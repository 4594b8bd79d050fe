//! Full memtables become runs: each by one thread, several at the same time. They get their names and their places in the
//! order of their frames, so that runs adjoin whatever happens.

use std::sync::Arc;

use persist_api::{BeatNo, Result};

use crate::core::Core;
use crate::error::is_no_room;
use crate::memtable::Memtable;
use crate::newrun::{Plan, kept_headers, kept_ranges};
use crate::retain::Retained;
use crate::run::{Run, RunHead};
use crate::state::LiveRun;

/// A full memtable that a thread makes a run of.
struct Claim<'c> {
    core: &'c Core,
    table: Arc<Memtable>,
}

impl<'c> Claim<'c> {
    /// The oldest full memtable that nobody has claimed, if its frames are not beyond `upto`.
    fn take(core: &'c Core, upto: u64) -> Option<Self> {
        let mut claimed = core.claimed.lock();
        let state = core.published().state;
        let is_free = |table: &&Arc<Memtable>| !claimed.iter().any(|other| Arc::ptr_eq(other, table));
        let table = Arc::clone(state.frozen.iter().rev().find(is_free)?);
        if table.span().upto > upto {
            return None;
        }
        claimed.push(Arc::clone(&table));
        Some(Self { core, table })
    }

    /// Waits until no older memtable is there.
    ///
    /// # Errors
    /// `Poisoned` when one of them could not become a run; `Full` when there was no room for it.
    fn wait_for_older(&self) -> Result<()> {
        let core = self.core;
        core.due.until(|| match oldest(core) {
            Some((oldest, _)) if Arc::ptr_eq(&oldest, &self.table) => Some(Ok(())),
            // All that are older were somebody's when this one was taken.
            Some((_, false)) => Some(core.health.check("flush").and(Err(core.shortage.refusal("flush")))),
            _ => core.health.check("flush").err().map(Err),
        })
    }
}

/// The oldest full memtable, and whether somebody makes a run of it.
fn oldest(core: &Core) -> Option<(Arc<Memtable>, bool)> {
    let claimed = core.claimed.lock();
    let oldest = core.published().state.frozen.last().map(Arc::clone)?;
    let is_claimed = claimed.iter().any(|other| Arc::ptr_eq(other, &oldest));
    Some((oldest, is_claimed))
}

/// Whether there is a full memtable with frames up to `upto` at most, and nobody makes a run of the oldest one.
pub(crate) fn is_left(core: &Core, upto: u64) -> bool {
    oldest(core).is_some_and(|(oldest, is_claimed)| !is_claimed && oldest.span().upto <= upto)
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.core.claimed.lock().retain(|table| !Arc::ptr_eq(table, &self.table));
    }
}

/// Makes a run of the oldest full memtable that nobody works on, if its frames are not beyond `upto`, and removes the
/// segments that held them. Answers the bytes of the run.
///
/// # Errors
/// `Io`: the engine is then poisoned. `Full`. The memtable then stays, and so do its segments. `Poisoned`.
pub(crate) fn flush_oldest(core: &Core, upto: u64) -> Result<Option<u64>> {
    let flushed = core.judge_strictly(flush(core, upto));
    if let Err(error) = &flushed {
        core.shortage.note(error);
        // Those who wait for this one need not.
        core.due.finished();
    }
    flushed
}

fn flush(core: &Core, upto: u64) -> Result<Option<u64>> {
    let _nobody_begins_to_verify = core.flushing.read();
    let Some(claim) = Claim::take(core, upto) else { return Ok(None) };
    let table = &claim.table;
    {
        // What stays for the feed must be durable before the run that would replace it is.
        let mut log = core.log.lock();
        if log.timeline.kept().wants_any() {
            log.timeline.sync()?;
        }
    }
    // Counted from what the run makes durable: later beats may be lost, and the window must reach as far back then.
    let newest = table.slots().next_back().map_or(BeatNo(0), |slot| slot.header.beat);
    let floor = BeatNo(newest.0.saturating_sub(core.settings.history_beats));
    let write = || {
        let plan = plan(core, table, floor)?;
        Ok((plan.head.number, plan.write_nameless(&*core.disk, &core.home, None, &mut |_| Ok(()))?))
    };
    let (number, nameless) = match write() {
        // There may be room enough in what lies ready for beats to come.
        Err(error) if is_no_room(&error) && core.give_back() => write()?,
        written => written?,
    };
    claim.wait_for_older()?;
    nameless.give_name()?;
    let run = Run::open(&*core.disk, &core.home, number)?;
    let (bytes, span) = (run.stat().file_len, run.head().span);
    let live = Arc::new(LiveRun::new(run));
    core.switch(|state| {
        state.frozen.retain(|other| !Arc::ptr_eq(other, table));
        state.runs.insert(0, live);
    });
    core.pins.add(table);
    // The next one may go on.
    core.due.finished();
    // The run is durable, whatever becomes of the head.
    core.write_head(false)?;
    // Those who wait for their beats need zeros again soon.
    core.put_away(|log| log.timeline.retire(span.upto, log.zeros))?;
    Ok(Some(bytes))
}

/// What the run of a memtable will hold.
fn plan<'t>(core: &Core, table: &'t Arc<Memtable>, floor: BeatNo) -> Result<Plan<'t>> {
    let lost = table.coverings().filter_map(|range| range.mark.lost.as_ref().map(|lost| lost.beat));
    let lost = lost.min();
    let floor = lost.map_or(floor, |lost| floor.min(lost));
    let oldest = {
        // Not for longer: runs that are merged away meanwhile could not be let go of one by one.
        let state = core.published().state;
        state.runs.is_empty() && state.frozen.last().is_some_and(|oldest| Arc::ptr_eq(oldest, table))
    };
    let mut rows = Retained::new(floor, oldest);
    rows.add_table(table)?;
    let marks: Vec<_> = table.coverings().cloned().collect();
    let beats = || table.slots().map(|slot| slot.header.beat);
    let head = RunHead {
        number: core.take_run_number()?,
        span: table.span(),
        first_beat: beats().next().into_iter().chain(lost).min().unwrap_or_default(),
        last_beat: beats().next_back().into_iter().chain(lost).max().unwrap_or_default(),
        floor,
    };
    let headers = table.slots().map(|slot| slot.header);
    Ok(Plan {
        head,
        rows,
        ranges: kept_ranges(&[marks], floor, oldest),
        headers: kept_headers(headers, floor),
    })
}
