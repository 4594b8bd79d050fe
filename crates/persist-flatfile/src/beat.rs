//! A beat: operations staged in the bytes of their frame.

use std::cell::{OnceCell, RefCell};

use persist_api::{Beat, BeatHeader, BeatReceipt, BeatTicket, Error, ErrorKind, KeyRange, Result, Value};

use crate::core::Core;
use crate::error::SCHEME;
use crate::own::{Own, OwnFound};
use crate::reader::Reader;
use crate::timeline::FrameBuilder;

/// What a range delete counts for beside its bounds when a beat's size is checked.
const RANGE_BYTES: usize = 16;

/// What a beat stages.
pub(crate) struct Staged {
    pub(crate) header: BeatHeader,
    pub(crate) frame: FrameBuilder,
    /// There are range deletes.
    pub(crate) has_ranges: bool,
    /// There are puts.
    pub(crate) has_puts: bool,
    /// There are large values.
    pub(crate) has_large: bool,
}

pub(crate) struct FlatfileBeat<'e> {
    core: &'e Core,
    staged: Staged,
    staged_bytes: u64,
    failed: bool,
    /// The beat ended well, so there is nothing to take back.
    done: bool,
    /// What the beat began from.
    base: OnceCell<Reader>,
    own: RefCell<Own>,
    _ticket: BeatTicket<'e>,
}

impl<'e> FlatfileBeat<'e> {
    pub(crate) fn new(core: &'e Core, ticket: BeatTicket<'e>, header: BeatHeader) -> Self {
        let staged = Staged {
            header,
            frame: core.spare_frame(),
            has_ranges: false,
            has_puts: false,
            has_large: false,
        };
        Self {
            core,
            staged,
            staged_bytes: 0,
            failed: false,
            done: false,
            base: OnceCell::new(),
            own: RefCell::default(),
            _ticket: ticket,
        }
    }

    /// Runs one operation; its failure poisons the beat.
    #[inline]
    fn apply(&mut self, op: &'static str, change: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if self.failed {
            return Err(self.poisoned(op));
        }
        let done = change(self);
        if done.is_err() {
            self.failed = true;
        }
        done.map_err(|error| self.named(error))
    }

    #[cold]
    fn named(&self, error: Error) -> Error {
        error.with_engine(SCHEME).with_beat(self.staged.header.beat)
    }

    #[cold]
    fn poisoned(&self, op: &'static str) -> Error {
        self.named(Error::new(ErrorKind::Poisoned, op, "an earlier operation of this beat failed"))
    }

    #[inline]
    fn stage(&mut self, op: &'static str, bytes: usize) -> Result<()> {
        self.staged_bytes = self.staged_bytes.saturating_add(bytes as u64);
        self.core.limits.check_beat(op, self.staged_bytes)
    }
}

impl Beat for FlatfileBeat<'_> {
    #[inline]
    fn put_record(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.apply("put_record", |beat| {
            beat.core.limits.check_key("put_record", key)?;
            beat.core.limits.check_value("put_record", value)?;
            beat.stage("put_record", key.len().saturating_add(value.len()))?;
            beat.staged.has_puts = true;
            if value.len() as u64 > beat.core.settings.large_value_bytes {
                let payload = beat.core.stage_large(value)?;
                beat.staged.has_large = true;
                beat.staged.frame.put_large(key, &payload);
            } else {
                beat.staged.frame.put(key, value);
            }
            Ok(())
        })
    }

    fn delete_record(&mut self, key: &[u8]) -> Result<()> {
        self.apply("delete_record", |beat| {
            beat.core.limits.check_key("delete_record", key)?;
            beat.stage("delete_record", key.len())?;
            beat.staged.frame.delete(key);
            Ok(())
        })
    }

    fn delete_range(&mut self, range: KeyRange<'_>) -> Result<()> {
        self.apply("delete_range", |beat| {
            if range.is_empty() {
                return Ok(());
            }
            let len = |bound: std::ops::Bound<&[u8]>| match bound {
                std::ops::Bound::Included(key) | std::ops::Bound::Excluded(key) => key.len(),
                std::ops::Bound::Unbounded => 0,
            };
            let bounds = len(range.start()).saturating_add(len(range.end()));
            beat.stage("delete_range", bounds.saturating_add(RANGE_BYTES))?;
            beat.staged.has_ranges = true;
            beat.staged.frame.delete_range(range.start(), range.end());
            Ok(())
        })
    }

    fn peek_record(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        if self.failed {
            return Err(self.poisoned("peek_record"));
        }
        if !self.core.limits.can_hold_key(key) {
            return Ok(None);
        }
        match self.own.borrow_mut().find(self.staged.frame.body(), key) {
            OwnFound::Value(value) => Ok(Some(Value::borrowed(value))),
            OwnFound::Large(payload) => {
                let value = self.core.read_staged(&payload).map_err(|error| self.named(error))?;
                Ok(Some(Value::pinned(value)))
            }
            OwnFound::Deleted => Ok(None),
            OwnFound::Nothing => {
                let base = self.base.get_or_init(|| self.core.newest());
                base.get("peek_record", key)
            }
        }
    }

    fn commit_beat(mut self: Box<Self>) -> Result<BeatReceipt> {
        if self.failed {
            return Err(self.poisoned("commit_beat"));
        }
        let receipt = self.core.commit(&mut self.staged);
        self.done = receipt.is_ok();
        receipt.map_err(|error| self.named(error))
    }

    fn abort_beat(self: Box<Self>) {}
}

impl Drop for FlatfileBeat<'_> {
    fn drop(&mut self) {
        self.core.end_beat(std::mem::take(&mut self.staged.frame), self.staged.has_large && !self.done);
    }
}
