//! A beat whose values are sealed on their way in.

use std::cell::RefCell;

use persist_api::{Beat, BeatReceipt, Error, ErrorKind, KeyRange, Result, Value};

use super::{Layered, SPARE_BYTES_MAX, Scratch};
use crate::layers::space::is_plain;

/// A beat under a codec.
pub(super) struct LayeredBeat<'e> {
    engine: &'e Layered,
    inner: Box<dyn Beat + 'e>,
    scratch: RefCell<Box<Scratch>>,
    /// Keys and values that were staged, layers included.
    staged: u64,
    /// An operation was refused before the engine heard of it.
    poisoned: bool,
}

impl<'e> LayeredBeat<'e> {
    pub(super) fn new(engine: &'e Layered, inner: Box<dyn Beat + 'e>) -> Self {
        let scratch = RefCell::new(engine.spare.lock().take().unwrap_or_default());
        Self { engine, inner, scratch, staged: 0, poisoned: false }
    }

    fn check_sound(&self, op: &'static str) -> Result<()> {
        if self.poisoned {
            return Err(Error::new(ErrorKind::Poisoned, op, "an earlier operation of this beat failed"));
        }
        Ok(())
    }

    /// Counts an operation, and refuses what a layer that makes values shorter would let through.
    fn stage(&mut self, op: &'static str, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let limits = &self.engine.offer.limits;
        if let Some(value) = value {
            limits.check_value(op, value)?;
        }
        let overhead = if is_plain(key) { 0 } else { self.engine.codec.value_overhead() };
        let value = value.map_or(0, |value| (value.len() as u64).saturating_add(overhead));
        self.staged = self.staged.saturating_add(key.len() as u64).saturating_add(value);
        limits.check_beat(op, self.staged)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.stage("put_record", key, Some(value))?;
        let mut scratch = self.scratch.borrow_mut();
        self.inner.put_record(key, self.engine.codec.seal(key, value, &mut scratch)?)
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.stage("delete_record", key, None)?;
        self.inner.delete_record(key)
    }
}

impl Beat for LayeredBeat<'_> {
    fn put_record(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.check_sound("put_record")?;
        let done = self.put(key, value);
        self.poisoned = done.is_err();
        done
    }

    fn delete_record(&mut self, key: &[u8]) -> Result<()> {
        self.check_sound("delete_record")?;
        let done = self.delete(key);
        self.poisoned = done.is_err();
        done
    }

    fn delete_range(&mut self, range: KeyRange<'_>) -> Result<()> {
        self.check_sound("delete_range")?;
        let done = self.inner.delete_range(range);
        self.poisoned = done.is_err();
        done
    }

    fn peek_record(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        self.check_sound("peek_record")?;
        let mut scratch = self.scratch.borrow_mut();
        let stored = self.inner.peek_record(key)?;
        stored.map(|stored| self.engine.codec.open_value(key, stored, &mut scratch)).transpose()
    }

    fn commit_beat(self: Box<Self>) -> Result<BeatReceipt> {
        self.check_sound("commit_beat")?;
        let Self { engine, inner, scratch, .. } = *self;
        let done = inner.commit_beat();
        keep(engine, scratch.into_inner());
        done
    }

    fn abort_beat(self: Box<Self>) {
        let Self { engine, inner, scratch, .. } = *self;
        inner.abort_beat();
        keep(engine, scratch.into_inner());
    }
}

/// Keeps memory for the next beat, unless it is large.
fn keep(engine: &Layered, scratch: Box<Scratch>) {
    if scratch.capacity() <= SPARE_BYTES_MAX {
        *engine.spare.lock() = Some(scratch);
    }
}
