//! The ceiling of a store, for which RocksDB has no setting of its own.

use persist_api::{Error, ErrorKind, Result};

use crate::driver::SCHEME;
use crate::engine::RocksEngine;
use crate::{home, maintain};

/// What a record in the log costs beyond its batch, rounded up.
const LOG_OVERHEAD: u64 = 64;

/// Keeps account of the bytes on the medium and measures only when the account is full: files shrink by compaction, and
/// measuring them costs more than a beat.
#[derive(Debug)]
pub(crate) struct Ceiling {
    max: u64,
    known: u64,
    /// Bytes written since the tables were last rewritten to make room.
    since_rewrite: u64,
    /// Something was deleted since then.
    deleted: bool,
}

impl Ceiling {
    pub(crate) fn new(max: u64) -> Self {
        // The first beat measures.
        Self { max, known: max, since_rewrite: 0, deleted: true }
    }

    /// Takes the room for a batch that puts something.
    ///
    /// # Errors
    /// `Full` when there is none, not even after rewriting the tables.
    pub(crate) fn take(&mut self, engine: &RocksEngine, batch_bytes: u64) -> Result<()> {
        if self.max == u64::MAX {
            return Ok(());
        }
        let needed = batch_bytes.saturating_add(LOG_OVERHEAD);
        if !self.has_room(needed) {
            self.known = measure(engine)?;
        }
        if !self.has_room(needed) && self.is_worth_a_rewrite() {
            (self.since_rewrite, self.deleted) = (0, false);
            engine.flush("commit_beat")?;
            maintain::rewrite(engine, "commit_beat")?;
            self.known = measure(engine)?;
        }
        if !self.has_room(needed) {
            let bytes = self.known.saturating_add(needed);
            let context = format!("{bytes} bytes with this beat; the ceiling of this store is {}", self.max);
            return Err(Error::new(ErrorKind::Full, "commit_beat", context).with_engine(SCHEME));
        }
        self.known = self.known.saturating_add(needed);
        self.since_rewrite = self.since_rewrite.saturating_add(needed);
        Ok(())
    }

    /// Notes that a beat deleted something, which a rewrite would turn into room.
    pub(crate) fn note_deletes(&mut self) {
        self.deleted = true;
    }

    fn has_room(&self, needed: u64) -> bool {
        self.known.saturating_add(needed) <= self.max
    }

    /// A rewrite costs as much as the store is big, so a store that is full of live records must not do it for each
    /// refusal.
    fn is_worth_a_rewrite(&self) -> bool {
        self.deleted || self.since_rewrite >= self.max / 8
    }
}

/// Bytes of all files in use: what waits to be dropped is as good as gone.
fn measure(engine: &RocksEngine) -> Result<u64> {
    let others = home::size_of(&engine.core.home, &home::is_not_of_records)?;
    Ok(maintain::bytes_of_records(&engine.core)?.saturating_add(others))
}
