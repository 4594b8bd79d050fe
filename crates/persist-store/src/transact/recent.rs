//! What was committed while transactions run.

use std::collections::VecDeque;
use std::sync::Arc;

use persist_api::{BeatNo, Result};

use super::{Cause, Conflict, Reads};
use crate::log::{BeatLog, Op};
use crate::sync::{Mutex, lock};

/// Memory of one beat beside its keys, about.
const BEAT_BYTES: u64 = 128;
/// Beats that are looked at in one go.
const STEP: usize = 64;

/// Which keys and ranges each recent beat has changed. Nothing is kept while no transaction runs.
pub(crate) struct Recent(Mutex<Kept>);

struct Kept {
    /// Transactions that run.
    live: usize,
    /// The newest beat.
    last: BeatNo,
    /// Every beat after this one is in `beats`.
    floor: BeatNo,
    beats: VecDeque<Arc<Changes>>,
    bytes: u64,
    bytes_max: u64,
}

/// What a beat has changed: its commits without values, each put as a delete.
struct Changes {
    beat: BeatNo,
    log: BeatLog,
}

impl Changes {
    fn memory(&self) -> u64 {
        BEAT_BYTES.saturating_add(self.log.canonical_bytes().len() as u64)
    }
}

/// While it exists, beats are remembered.
pub(super) struct Live<'r>(&'r Recent);

impl Drop for Live<'_> {
    fn drop(&mut self) {
        let mut kept = lock(&self.0.0);
        kept.live = kept.live.saturating_sub(1);
        if kept.live == 0 {
            kept.beats = VecDeque::new();
            kept.bytes = 0;
            kept.floor = kept.last;
        }
    }
}

impl Recent {
    pub(crate) fn new(last: BeatNo) -> Self {
        let beats = VecDeque::new();
        Self(Mutex::new(Kept { live: 0, last, floor: last, beats, bytes: 0, bytes_max: 0 }))
    }

    /// Begins to remember. Call it before the view is opened: a view then shows every beat that is not remembered.
    pub(super) fn enter(&self, bytes_max: u64) -> Live<'_> {
        let mut kept = lock(&self.0);
        kept.live = kept.live.saturating_add(1);
        kept.bytes_max = bytes_max;
        Live(self)
    }

    /// Notes what a beat has changed. Call it after the beat is visible and before the next one begins.
    pub(crate) fn record<'l>(&self, beat: BeatNo, logs: impl Iterator<Item = &'l BeatLog>) {
        let mut kept = lock(&self.0);
        kept.last = beat;
        if kept.live == 0 {
            kept.floor = beat;
            return;
        }
        match changes(logs) {
            Ok(log) => {
                let changes = Changes { beat, log };
                kept.bytes = kept.bytes.saturating_add(changes.memory());
                kept.beats.push_back(Arc::new(changes));
            }
            // A log that cannot be repeated cannot have been made; it is as good as forgotten.
            Err(_) => kept.forget_all(),
        }
        while kept.bytes > kept.bytes_max
            && let Some(oldest) = kept.beats.pop_front()
        {
            kept.bytes = kept.bytes.saturating_sub(oldest.memory());
            kept.floor = oldest.beat;
        }
    }

    /// Compares what was read with what was committed since, but for the last few beats, without holding anybody up.
    pub(super) fn catch_up(&self, reads: &mut Reads) -> Option<Conflict> {
        loop {
            let step = match lock(&self.0).since(reads.at, STEP) {
                Ok(step) => step,
                Err(cause) => return Some(reads.conflict(cause)),
            };
            for changes in &step {
                if let Some(cause) = reads.touched_by(&changes.log) {
                    return Some(reads.conflict(cause));
                }
                reads.at = changes.beat;
            }
            if step.len() < STEP {
                return None;
            }
        }
    }

    /// What, committed up to now, changed something that was read. Only the holder of the lane gets a lasting answer.
    pub(super) fn against(&self, reads: &Reads) -> Option<Cause> {
        match lock(&self.0).since(reads.at, usize::MAX) {
            Ok(beats) => beats.iter().find_map(|changes| reads.touched_by(&changes.log)),
            Err(cause) => Some(cause),
        }
    }
}

impl Kept {
    /// The first beats after `at`.
    ///
    /// # Errors
    /// `Forgotten` when some of them are not remembered.
    fn since(&self, at: BeatNo, most: usize) -> Result<Vec<Arc<Changes>>, Cause> {
        if at < self.floor {
            return Err(Cause::Forgotten);
        }
        let first = self.beats.partition_point(|changes| changes.beat <= at);
        Ok(self.beats.iter().skip(first).take(most).map(Arc::clone).collect())
    }

    fn forget_all(&mut self) {
        self.beats.clear();
        self.bytes = 0;
        self.floor = self.last;
    }
}

/// Commits without their values.
fn changes<'l>(logs: impl Iterator<Item = &'l BeatLog>) -> Result<BeatLog> {
    let mut changes = BeatLog::new();
    for op in logs.flat_map(BeatLog::ops) {
        match op {
            Op::Put { key, .. } | Op::Delete { key } => changes.delete(key)?,
            Op::DeleteRange { range } => changes.delete_range(&range)?,
        }
    }
    changes.shrink();
    Ok(changes)
}
