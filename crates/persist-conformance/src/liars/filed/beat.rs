//! A beat: one of the inner engine, and its operations for the log.

use persist_api::{
    Beat, BeatHeader, BeatReceipt, BeatTicket, Durability, Error, ErrorKind, KeyRange, Result, Value,
};

use super::SCHEME;
use super::engine::FiledEngine;
use super::log::Ops;

pub(crate) struct FiledBeat<'e> {
    engine: &'e FiledEngine,
    inner: Box<dyn Beat + 'e>,
    header: BeatHeader,
    ops: Ops,
    staged_bytes: u64,
    failed: bool,
    // Last, so that the inner beat is gone before the gate opens.
    _ticket: BeatTicket<'e>,
}

impl<'e> FiledBeat<'e> {
    pub(crate) fn new(engine: &'e FiledEngine, ticket: BeatTicket<'e>, header: BeatHeader) -> Result<Self> {
        let inner = engine.inner.begin_beat(BeatHeader { durability: Durability::Volatile, ..header })?;
        let ops = Ops::new(&header);
        Ok(Self { engine, inner, header, ops, staged_bytes: 0, failed: false, _ticket: ticket })
    }

    fn check_sound(&self, op: &'static str) -> Result<()> {
        if self.failed {
            return Err(Error::new(ErrorKind::Poisoned, op, "an earlier operation of this beat failed"));
        }
        Ok(())
    }

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
}

impl Beat for FiledBeat<'_> {
    fn put_record(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.apply("put_record", |beat| {
            let limits = beat.engine.offer.limits;
            limits.check_key("put_record", key)?;
            limits.check_value("put_record", value)?;
            beat.stage("put_record", key.len() + value.len())?;
            beat.inner.put_record(key, value)?;
            beat.ops.put(key, value);
            Ok(())
        })
    }

    fn delete_record(&mut self, key: &[u8]) -> Result<()> {
        self.apply("delete_record", |beat| {
            beat.engine.offer.limits.check_key("delete_record", key)?;
            beat.stage("delete_record", key.len())?;
            beat.inner.delete_record(key)?;
            beat.ops.delete(key);
            Ok(())
        })
    }

    fn delete_range(&mut self, range: KeyRange<'_>) -> Result<()> {
        self.apply("delete_range", |beat| {
            beat.inner.delete_range(range.borrowed())?;
            beat.ops.range(&range);
            Ok(())
        })
    }

    fn peek_record(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        self.check_sound("peek_record")?;
        self.inner.peek_record(key)
    }

    fn commit_beat(self: Box<Self>) -> Result<BeatReceipt> {
        let Self { engine, inner, header, ops, failed, .. } = *self;
        if failed {
            return Err(Error::new(ErrorKind::Poisoned, "commit_beat", "an operation of this beat failed")
                .with_engine(SCHEME)
                .with_beat(header.beat));
        }
        let mut published = engine.published();
        published.log.append(ops.into_payload(), header.durability).map_err(|error| {
            engine.health.poison();
            Error::new(ErrorKind::Io, "commit_beat", error.to_string()).with_engine(SCHEME).with_source(error)
        })?;
        inner.commit_beat()?;
        published.header = header;
        Ok(BeatReceipt { header, reached: header.durability })
    }

    fn abort_beat(self: Box<Self>) {}
}
