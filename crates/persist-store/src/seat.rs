//! Where beats are written: what only the holder of the lane may use.

use persist_api::{Beat, BeatHeader, CommitNo, Durability, Error, Result};
use std::sync::Arc;
use std::task::Waker;

use crate::feed::{Buffers, Change, Plan};
use crate::group::Entry;
use crate::layers::{FORMAT_KEY, format_record, user_key, user_range};
use crate::log::{BeatLog, Op};
use crate::merkle::beat_root;
use crate::shared::{Active, Core, Terms};
use crate::writer::Receipt;

/// The one seat of a store. Whoever has it makes the next beat; there is no other way to make one.
pub(crate) struct Seat {
    /// The engine that it writes to. A seat that was kept over a swap writes nothing more.
    pub(crate) active: Arc<Active>,
    /// The header of the newest beat.
    pub(crate) last: BeatHeader,
    /// Memory for a group of commits, empty in between.
    pub(crate) batch: Vec<Arc<Entry>>,
    /// Tasks that follow the feed, to be woken when the lane is free.
    pub(crate) following: Vec<Waker>,
    key: Vec<u8>,
    feed: Buffers,
    /// The engine has the check of the key that seals, and a copy of the format grant that can be read.
    has_own_records: bool,
}

/// A beat that was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    header: BeatHeader,
    reached: Durability,
    shown_root: Option<[u8; 32]>,
}

/// Why a beat was not made.
pub(crate) struct NotMade {
    pub(crate) error: Error,
    /// The engine refused an operation of the beat and was never asked to commit it: nothing of it is there.
    pub(crate) in_staging: bool,
}

impl From<Error> for NotMade {
    fn from(error: Error) -> Self {
        Self { error, in_staging: false }
    }
}

impl From<NotMade> for Error {
    fn from(not_made: NotMade) -> Self {
        not_made.error
    }
}

impl Done {
    /// The receipt of its `index`th commit.
    pub(crate) fn receipt(&self, index: u64) -> Receipt {
        Receipt {
            beat: self.header.beat,
            commit: CommitNo(self.header.first_commit.0.saturating_add(index)),
            reached: self.reached,
            root: self.shown_root,
        }
    }
}

impl Seat {
    pub(crate) fn new(last: BeatHeader, active: Arc<Active>) -> Self {
        let (batch, feed) = (Vec::new(), Buffers::default());
        Self { active, last, batch, following: Vec::new(), key: Vec::new(), feed, has_own_records: false }
    }

    /// Writes checked commits as one beat, at a durability that is active. `changes` says, in order, which of them change
    /// the holds of the feed.
    ///
    /// # Errors
    /// Those of the engine; `TooLarge` with what the feed adds; `Closed` when a swap has retired it.
    pub(crate) fn write<'l>(
        &mut self,
        core: &Core,
        logs: impl ExactSizeIterator<Item = &'l BeatLog> + Clone,
        changes: &[(u64, &Change)],
        durability: Durability,
    ) -> Result<Done, NotMade> {
        let active = Arc::clone(&self.active);
        let terms = &active.terms;
        let root = terms.codec.merkle.then(|| root_of(logs.clone()));
        let header = self.last.next(logs.len() as u64, durability, root)?;
        let plan = core.feed.plan(&active, &header, logs.clone(), changes)?;
        // Before the beat, so that it can use again what they held.
        core.recall_views();
        let _span =
            tracing::debug_span!("persist.beat", beat = header.beat.0, commits = header.commits).entered();
        let engine = active.engine("commit")?;
        let mut beat = engine.begin_beat(header)?;
        self.stage(terms, &header, logs.clone(), plan.as_ref(), beat.as_mut())
            .map_err(|error| NotMade { error, in_staging: true })?;
        let began = core.setup.clock.now();
        let reached = beat.commit_beat()?.reached;
        let sync = (reached == Durability::Durable).then(|| core.setup.clock.now().saturating_sub(began));
        drop(engine);
        self.last = header;
        self.has_own_records = true;
        let bytes = logs.clone().map(|log| log.canonical_bytes().len() as u64).sum();
        // What is committed is known to everybody before code of others is called, as a recorder of metrics is.
        self.following.append(&mut core.note_beat(&header, plan, logs));
        active.meters.beat(header.commits, bytes, sync);
        let shown_root = root.filter(|_| terms.grant.session.caps.contains(persist_api::Caps::MERKLE));
        Ok(Done { header, reached, shown_root })
    }

    /// Puts everything into the engine's beat: our own records where they are due, the commits, and the feed's part.
    fn stage<'l>(
        &mut self,
        terms: &Terms,
        header: &BeatHeader,
        logs: impl Iterator<Item = &'l BeatLog> + Clone,
        plan: Option<&Plan>,
        beat: &mut dyn Beat,
    ) -> Result<()> {
        if self.last.beat.0 == 0 || (terms.format_lost && !self.has_own_records) {
            beat.put_record(FORMAT_KEY, &format_record(&terms.grant.format))?;
        }
        if !self.has_own_records
            && let Some((key, check)) = terms.codec.new_key_check()
        {
            beat.put_record(&key, check)?;
        }
        for log in logs.clone() {
            self.apply(log, beat)?;
        }
        plan.map_or(Ok(()), |plan| plan.apply(terms, header, logs, beat, &mut self.feed))
    }

    /// Applies one commit to the engine's beat, prefixes put on; the other layers are the engine's.
    fn apply(&mut self, log: &BeatLog, beat: &mut dyn Beat) -> Result<()> {
        for op in log.ops() {
            match op {
                Op::Put { key, value } => beat.put_record(user_key(key, &mut self.key), value)?,
                Op::Delete { key } => beat.delete_record(user_key(key, &mut self.key))?,
                Op::DeleteRange { range } => beat.delete_range(user_range(&range))?,
            }
        }
        Ok(())
    }
}

/// The Merkle root over commits. A single leaf is its own root.
fn root_of<'l>(mut logs: impl ExactSizeIterator<Item = &'l BeatLog>) -> [u8; 32] {
    if logs.len() == 1 {
        return logs.next().map_or(crate::EMPTY_ROOT, BeatLog::leaf);
    }
    beat_root(&logs.map(BeatLog::leaf).collect::<Vec<_>>())
}
