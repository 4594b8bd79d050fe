//! A commit that is being put together.

use std::fmt;
use std::sync::Arc;

use persist_api::{Caps, Durability, Error, ErrorKind, KeyRange, Result};

use crate::active::Room;
use crate::log::{BeatLog, Op};
use crate::observe::told;
use crate::shared::Terms;
use crate::writer::{Receipt, Writer};

/// One commit that is being put together. It borrows the writer, so that there is one at a time, and it has the lane: queued
/// commits wait for it. A failed operation poisons it; dropping it gives it up. What it stages is visible to nobody before [`commit`](Self::commit) returns.
pub struct StagedBeat<'w> {
    writer: &'w mut Writer,
    log: BeatLog,
    durability: Durability,
    /// They stay as long as this has the lane.
    terms: Arc<Terms>,
    /// Bytes that the engine's beat has room for, the runtime's own record taken off.
    room: Room,
    failed: bool,
}

impl fmt::Debug for StagedBeat<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StagedBeat").field("operations", &self.log.len()).finish_non_exhaustive()
    }
}

impl<'w> StagedBeat<'w> {
    pub(crate) fn new(writer: &'w mut Writer, durability: Durability) -> Self {
        let terms = Arc::clone(&writer.shared.active().terms);
        let room = writer.shared.beat_room(&terms);
        Self { writer, log: BeatLog::new(), durability, terms, room, failed: false }
    }

    /// Sets a record. Key and value may be empty.
    ///
    /// # Errors
    /// `TooLarge` beyond the limit of a key, a value or the beat, `Poisoned` after a failed operation.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.stage("put", |beat| {
            beat.terms.check_next(&beat.log, &Op::Put { key, value }, beat.room)?;
            beat.log.put(key, value)
        })
    }

    /// Removes a record; one that is absent is no error.
    ///
    /// # Errors
    /// `TooLarge` beyond the limit of a key or the beat, `Poisoned` after a failed operation.
    pub fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.stage("delete", |beat| {
            beat.terms.check_next(&beat.log, &Op::Delete { key }, beat.room)?;
            beat.log.delete(key)
        })
    }

    /// Removes the records of a range, those staged earlier in this beat included (DELETE_RANGE). It cannot reach beyond
    /// users' records.
    ///
    /// # Errors
    /// `Unsupported` unless granted, `TooLarge` beyond the limit of the beat, `Poisoned` after a failed operation.
    pub fn delete_range(&mut self, range: &KeyRange<'_>) -> Result<()> {
        self.stage("delete_range", |beat| {
            beat.terms.need("delete_range", Caps::DELETE_RANGE)?;
            if range.is_empty() {
                return Ok(());
            }
            let op = Op::DeleteRange { range: range.borrowed() };
            beat.terms.check_next(&beat.log, &op, beat.room)?;
            beat.log.delete_range(range)
        })
    }

    fn stage(&mut self, op: &'static str, change: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        told(self.check_whole(op))?;
        let done = change(self);
        self.failed = done.is_err();
        told(done)
    }

    fn check_whole(&self, op: &'static str) -> Result<()> {
        if self.failed {
            return Err(Error::new(ErrorKind::Poisoned, op, "an earlier operation of this beat failed"));
        }
        Ok(())
    }

    /// What is staged so far.
    #[must_use]
    pub const fn log(&self) -> &BeatLog {
        &self.log
    }

    /// Commits: visible whole and as durable as asked when this returns.
    ///
    /// # Errors
    /// `Poisoned` after a failed operation, `TooLarge` beyond the beat's byte limit, `Full`: nothing is changed then.
    /// After `Io` or a `Poisoned` engine, reopen to see whether the beat is there.
    pub fn commit(self) -> Result<Receipt> {
        told(self.check_whole("commit"))?;
        self.writer.commit(&self.log, self.durability)
    }

    /// Gives the beat up. Dropping does the same.
    pub fn abort(self) {}
}

impl Drop for StagedBeat<'_> {
    fn drop(&mut self) {
        self.writer.leave();
    }
}
