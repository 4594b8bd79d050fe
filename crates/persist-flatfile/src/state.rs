//! What there is to read: memtables and runs, newest first, and what of it a reader may see.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use persist_api::{BeatHeader, BeatNo, Result};

use crate::cover::{Cover, Covering, Cut, Mark};
use crate::lost::Lost;
use crate::memtable::Memtable;
use crate::payload::Payloads;
use crate::run::{RangeDelete, RangeKind, Run};

/// A run that is being read, with its range deletes in order.
pub(crate) struct LiveRun {
    pub(crate) run: Arc<Run>,
    pub(crate) cover: Arc<Cover>,
    has_lost: bool,
    /// A merge has found a block that does not verify.
    is_border: AtomicBool,
    /// A merge reads it.
    is_taken: AtomicBool,
}

impl LiveRun {
    pub(crate) fn new(run: Arc<Run>) -> Self {
        let ranges = Self::coverings_of(&run);
        let has_lost = ranges.iter().any(|range| range.mark.lost.is_some());
        Self {
            cover: Arc::new(Cover::of(&ranges, |order| order)),
            run,
            has_lost,
            is_border: AtomicBool::new(false),
            is_taken: AtomicBool::new(false),
        }
    }

    fn coverings_of(run: &Run) -> Vec<Covering> {
        run.ranges().iter().map(covering).collect()
    }

    /// Whether merges leave it alone, and do not join what lies on both sides of it.
    pub(crate) fn is_border(&self) -> bool {
        self.is_border.load(Ordering::Relaxed)
    }

    /// Has merges leave it alone as long as the store is open.
    pub(crate) fn make_border(&self) {
        self.is_border.store(true, Ordering::Relaxed);
    }

    /// Whether it is an input of a merge.
    pub(crate) fn is_taken(&self) -> bool {
        self.is_taken.load(Ordering::Acquire)
    }

    /// Says that it is, or no longer is, an input of a merge.
    pub(crate) fn set_taken(&self, taken: bool) {
        self.is_taken.store(taken, Ordering::Release);
    }

    /// The marks as they are stored.
    pub(crate) fn coverings(&self) -> Vec<Covering> {
        Self::coverings_of(&self.run)
    }
}

fn covering(range: &RangeDelete) -> Covering {
    let lost = match &range.kind {
        RangeKind::Deleted => None,
        RangeKind::Damaged { file, offset, what } => {
            Some(Arc::new(Lost { beat: range.beat, file: file.clone(), offset: *offset, what: what.clone() }))
        }
    };
    Covering {
        start: Cut::start(range.start.as_ref().map(Vec::as_slice)),
        end: Cut::end(range.end.as_ref().map(Vec::as_slice)),
        mark: Mark { order: range.beat.0, beat: range.beat, lost },
    }
}

/// Everything that holds records. It never changes; a change makes a new one.
#[derive(Clone)]
pub(crate) struct State {
    /// Where commits go.
    pub(crate) active: Arc<Memtable>,
    /// Full memtables that wait for their run, newest first.
    pub(crate) frozen: Vec<Arc<Memtable>>,
    /// Newest first.
    pub(crate) runs: Vec<Arc<LiveRun>>,
    /// Where large values are.
    pub(crate) payloads: Arc<Payloads>,
}

impl State {
    /// The oldest beat that can be shown exactly, as far as the runs go.
    pub(crate) fn floor(&self) -> BeatNo {
        self.runs.iter().map(|run| run.run.head().floor).max().unwrap_or_default()
    }

    /// The oldest beat to keep when so many before the newest must stay readable, counted from the newest that is in a run: later
    /// ones may not be durable, and when they are lost, the window must reach as far back from what is left.
    pub(crate) fn history_from(&self, beats: u64) -> BeatNo {
        let newest = self.runs.first().map_or(BeatNo(0), |run| run.run.head().last_beat);
        BeatNo(newest.0.saturating_sub(beats))
    }

    /// Whether any beat is lost.
    pub(crate) fn has_lost(&self) -> bool {
        self.tables().any(|table| table.has_lost()) || self.runs.iter().any(|run| run.has_lost)
    }

    /// The beats that are lost.
    pub(crate) fn lost(&self) -> Vec<Arc<Lost>> {
        if !self.has_lost() {
            return Vec::new();
        }
        let in_tables = self.tables().flat_map(|table| table.coverings().cloned());
        let in_runs = self.runs.iter().flat_map(|run| run.coverings());
        in_tables.chain(in_runs).filter_map(|range| range.mark.lost).collect()
    }

    /// The memtables, newest first.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &Arc<Memtable>> {
        std::iter::once(&self.active).chain(&self.frozen)
    }

    /// The newest header at or below a beat that the runs know.
    pub(crate) fn header_in_runs(&self, beat: BeatNo) -> Result<Option<BeatHeader>> {
        for run in &self.runs {
            if let Some(header) = run.run.header(beat)? {
                return Ok(Some(header));
            }
        }
        Ok(None)
    }
}

/// What is committed: the state and how much of its active memtable counts.
#[derive(Clone)]
pub(crate) struct Published {
    pub(crate) state: Arc<State>,
    /// Slots of the active memtable.
    pub(crate) slots: u32,
    /// The newest beat.
    pub(crate) header: BeatHeader,
    /// Its frame.
    pub(crate) frame: u64,
}
