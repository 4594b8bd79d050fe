//! A beat: a private copy of the root, published whole on commit.

use std::ops::Bound;
use std::sync::Arc;

use persist_api::{
    Beat, BeatHeader, BeatReceipt, BeatTicket, Durability, Error, ErrorKind, KeyRange, Result, Value,
};

use crate::driver::SCHEME;
use crate::engine::{MemoryEngine, Root};

pub(crate) struct MemoryBeat<'e> {
    engine: &'e MemoryEngine,
    _ticket: BeatTicket<'e>,
    staged: Root,
    staged_bytes: u64,
    failed: bool,
}

impl<'e> MemoryBeat<'e> {
    pub(crate) fn new(
        engine: &'e MemoryEngine,
        ticket: BeatTicket<'e>,
        base: Root,
        header: BeatHeader,
    ) -> Self {
        let staged = Root { header, ..base };
        Self { engine, _ticket: ticket, staged, staged_bytes: 0, failed: false }
    }

    /// What a failed operation leaves staged is not to be seen.
    fn check_sound(&self, op: &'static str) -> Result<()> {
        if self.failed {
            let what = "an earlier operation of this beat failed";
            return Err(Error::new(ErrorKind::Poisoned, op, what).with_engine(SCHEME));
        }
        Ok(())
    }

    /// Runs one operation; its failure poisons the beat.
    fn apply(&mut self, op: &'static str, change: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.check_sound(op)?;
        let done = change(self).map_err(|error| error.with_engine(SCHEME));
        self.failed = done.is_err();
        done
    }

    fn stage(&mut self, op: &'static str, bytes: usize) -> Result<()> {
        self.staged_bytes = self.staged_bytes.saturating_add(bytes as u64);
        self.engine.offer.limits.check_beat(op, self.staged_bytes)
    }

    fn remove(&mut self, key: &[u8]) {
        if let Some(old) = self.staged.map.get(key) {
            self.staged.bytes -= (key.len() + old.len()) as u64;
            self.staged.map.remove_mut(key);
        }
    }
}

impl Beat for MemoryBeat<'_> {
    fn put_record(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.apply("put_record", |beat| {
            let limits = beat.engine.offer.limits;
            limits.check_key("put_record", key)?;
            limits.check_value("put_record", value)?;
            beat.stage("put_record", key.len() + value.len())?;
            beat.remove(key);
            let bytes = beat.staged.bytes + (key.len() + value.len()) as u64;
            if bytes > limits.store_bytes_max {
                let context =
                    format!("{bytes} bytes; the ceiling of this store is {}", limits.store_bytes_max);
                return Err(Error::new(ErrorKind::Full, "put_record", context));
            }
            beat.staged.bytes = bytes;
            beat.staged.map.insert_mut(Arc::from(key), Arc::from(value));
            Ok(())
        })
    }

    fn delete_record(&mut self, key: &[u8]) -> Result<()> {
        self.apply("delete_record", |beat| {
            beat.engine.offer.limits.check_key("delete_record", key)?;
            beat.stage("delete_record", key.len())?;
            beat.remove(key);
            Ok(())
        })
    }

    fn delete_range(&mut self, range: KeyRange<'_>) -> Result<()> {
        self.apply("delete_range", |beat| {
            if range.is_empty() {
                return Ok(());
            }
            let bounds: (Bound<&[u8]>, Bound<&[u8]>) = range.bounds();
            let doomed: Vec<_> =
                beat.staged.map.range::<[u8], _>(bounds).map(|(key, _)| Arc::clone(key)).collect();
            for key in doomed {
                beat.remove(&key);
            }
            Ok(())
        })
    }

    fn peek_record(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        self.check_sound("peek_record")?;
        Ok(self.staged.map.get(key).map(|value| Value::borrowed(value)))
    }

    fn commit_beat(self: Box<Self>) -> Result<BeatReceipt> {
        if self.failed {
            return Err(Error::new(ErrorKind::Poisoned, "commit_beat", "an operation of this beat failed")
                .with_engine(SCHEME)
                .with_beat(self.staged.header.beat));
        }
        let header = self.staged.header;
        *self.engine.held.0.root.lock() = self.staged;
        Ok(BeatReceipt { header, reached: Durability::Volatile })
    }

    fn abort_beat(self: Box<Self>) {}
}
