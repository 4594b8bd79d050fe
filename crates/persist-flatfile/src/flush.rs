//! A full memtable becomes a run.

use std::sync::Arc;

use persist_api::{BeatNo, Result};

use crate::core::Core;
use crate::memtable::Memtable;
use crate::newrun::{Plan, kept_headers, kept_ranges};
use crate::retain::Retained;
use crate::run::{Run, RunHead};
use crate::state::{LiveRun, State};

/// Makes a run of the oldest full memtable, if its frames are not beyond `upto`, and removes the segments that held them.
/// Answers the bytes of the run.
///
/// # Errors
/// `Io`, `Full`. The memtable then stays, and so do its segments.
pub(crate) fn flush_oldest(core: &Core, upto: u64) -> Result<Option<u64>> {
    let _one_at_a_time = core.flushing.lock();
    let published = core.published();
    let Some(table) = published.state.frozen.last().filter(|table| table.span().upto <= upto) else {
        return Ok(None);
    };
    {
        // What stays for the feed must be durable before the run that would replace it is.
        let mut log = core.log.lock();
        if log.timeline.kept().wants_any() {
            log.timeline.sync()?;
        }
    }
    let floor = published.header.beat.0.saturating_sub(core.settings.history_beats);
    let run = write_run(core, &published.state, table, BeatNo(floor))?;
    let (bytes, span) = (run.stat().file_len, run.head().span);
    let live = Arc::new(LiveRun::new(run));
    core.switch(|state| {
        state.frozen.retain(|other| !Arc::ptr_eq(other, table));
        state.runs.insert(0, live);
    });
    // The run is durable, whatever becomes of the head.
    core.write_head(false)?;
    core.log.lock().timeline.retire(span.upto)?;
    Ok(Some(bytes))
}

/// Writes the run of a memtable.
pub(crate) fn write_run(
    core: &Core,
    state: &State,
    table: &Arc<Memtable>,
    floor: BeatNo,
) -> Result<Arc<Run>> {
    let lost = table.coverings().filter_map(|range| range.mark.lost.as_ref().map(|lost| lost.beat));
    let lost = lost.min();
    let floor = lost.map_or(floor, |lost| floor.min(lost));
    let oldest = state.runs.is_empty();
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
    let plan = Plan {
        head,
        rows,
        ranges: kept_ranges(&[marks], floor, oldest),
        headers: kept_headers(headers, floor),
    };
    plan.write(&*core.disk, &core.home, None, &mut |_| Ok(()))
}
