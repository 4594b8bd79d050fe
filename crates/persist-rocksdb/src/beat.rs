//! A beat: one write batch, written whole on commit.

use persist_api::{
    Beat, BeatHeader, BeatReceipt, BeatTicket, Durability, Error, ErrorKind, KeyRange, Result,
};
use rocksdb::WriteBatch;

use crate::bounds::{Bounds, HEADER_KEY, successor};
use crate::driver::SCHEME;
use crate::engine::RocksEngine;
use crate::error::map_error;

pub(crate) struct RocksBeat<'e> {
    engine: &'e RocksEngine,
    _ticket: BeatTicket<'e>,
    header: BeatHeader,
    batch: WriteBatch,
    staged_bytes: u64,
    /// The greatest key put so far; empty when there is none.
    last_put: Vec<u8>,
    deletes: bool,
    failed: bool,
}

impl<'e> RocksBeat<'e> {
    pub(crate) fn new(engine: &'e RocksEngine, ticket: BeatTicket<'e>, header: BeatHeader) -> Self {
        let (batch, last_put) = (WriteBatch::new(), Vec::new());
        Self {
            engine,
            _ticket: ticket,
            header,
            batch,
            staged_bytes: 0,
            last_put,
            deletes: false,
            failed: false,
        }
    }

    /// Runs one operation; its failure poisons the beat.
    fn apply(&mut self, op: &'static str, change: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if self.failed {
            return Err(self.poisoned(op));
        }
        let done = change(self).map_err(|error| error.with_engine(SCHEME));
        self.failed = done.is_err();
        done
    }

    fn poisoned(&self, op: &'static str) -> Error {
        Error::new(ErrorKind::Poisoned, op, "an earlier operation of this beat failed")
            .with_engine(SCHEME)
            .with_beat(self.header.beat)
    }

    fn stage(&mut self, op: &'static str, bytes: usize) -> Result<()> {
        self.staged_bytes = self.staged_bytes.saturating_add(bytes as u64);
        self.engine.core.limits.check_beat(op, self.staged_bytes)
    }

    /// A key beyond every record of the store and of this beat. RocksDB wants an end for a range to delete, and no key
    /// short enough to be stored with each beat lies beyond all possible ones.
    fn beyond_last(&self) -> Result<Vec<u8>> {
        let mut rows = self.engine.core.db.raw_iterator();
        rows.seek_to_last();
        rows.status().map_err(|error| map_error("delete_range", error))?;
        let last = rows.key().unwrap_or_default();
        Ok(successor(last.max(self.last_put.as_slice())))
    }
}

impl Beat for RocksBeat<'_> {
    fn put_record(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.apply("put_record", |beat| {
            let limits = &beat.engine.core.limits;
            limits.check_key("put_record", key)?;
            limits.check_value("put_record", value)?;
            beat.stage("put_record", key.len().saturating_add(value.len()))?;
            if key > beat.last_put.as_slice() {
                beat.last_put.clear();
                beat.last_put.extend_from_slice(key);
            }
            beat.batch.put(key, value);
            Ok(())
        })
    }

    fn delete_record(&mut self, key: &[u8]) -> Result<()> {
        self.apply("delete_record", |beat| {
            beat.engine.core.limits.check_key("delete_record", key)?;
            beat.stage("delete_record", key.len())?;
            beat.deletes = true;
            beat.batch.delete(key);
            Ok(())
        })
    }

    fn delete_range(&mut self, range: KeyRange<'_>) -> Result<()> {
        self.apply("delete_range", |beat| {
            let Some(Bounds { start, end }) = Bounds::of(&range) else {
                return Ok(());
            };
            let end = match end {
                Some(end) => end,
                None => beat.beyond_last()?,
            };
            if start < end {
                beat.stage("delete_range", start.len().saturating_add(end.len()))?;
                beat.deletes = true;
                beat.batch.delete_range(start, end);
            }
            Ok(())
        })
    }

    fn commit_beat(mut self: Box<Self>) -> Result<BeatReceipt> {
        if self.failed {
            return Err(self.poisoned("commit_beat"));
        }
        self.batch.put(HEADER_KEY, self.header.encode());
        // Deleting is what makes room again, so only beats that put are held to the ceiling.
        let puts = !self.last_put.is_empty();
        self.engine.write(self.header, self.batch, puts, self.deletes)?;
        let reached = self.header.durability.max(Durability::Buffered);
        Ok(BeatReceipt { header: self.header, reached })
    }

    fn abort_beat(self: Box<Self>) {}
}
