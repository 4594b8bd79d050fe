//! A transaction while its closure runs.

use std::cell::RefCell;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use persist_api::{BeatHeader, Caps, Durability, Error, ErrorKind, KeyRange, Result, Scan, Value};

use super::overlay::{Overlay, Staged};
use super::reads::Reads;
use super::{Cause, Conflict};
use crate::active::Room;
use crate::group::{Failure, Pending, WhenFull, Work};
use crate::layers::show_key;
use crate::log::{BeatLog, Op};
use crate::shared::{Shared, Terms};
use crate::writer::Receipt;
use crate::{Store, StoreView};

/// What a closure of [`Store::transact`] reads and writes. Reads show one beat and what the transaction itself has staged.
pub struct Transaction {
    shared: Arc<Shared>,
    /// The epoch and the terms under which it was begun.
    epoch: u64,
    terms: Arc<Terms>,
    view: StoreView,
    log: BeatLog,
    own: Overlay,
    reads: RefCell<Reads>,
    room: Room,
    failed: bool,
    /// A key that is not as expected.
    unexpected: RefCell<Option<Vec<u8>>>,
}

/// How one run of a transaction ended.
pub(super) enum End {
    Committed(Receipt),
    Unchanged(persist_api::BeatNo),
    Conflict(Conflict),
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("base", &self.base().beat)
            .field("operations", &self.log.len())
            .finish_non_exhaustive()
    }
}

impl Transaction {
    pub(super) fn begin(store: &Store, reads_bytes_max: u64) -> Result<Self> {
        let shared = Arc::clone(&store.0);
        let active = shared.active();
        let (epoch, terms) = (active.epoch, Arc::clone(&active.terms));
        let view = store.view()?;
        let reads = RefCell::new(Reads::new(view.header().beat, reads_bytes_max));
        let room = shared.beat_room(&terms);
        let (log, own) = (BeatLog::new(), Overlay::default());
        let unexpected = RefCell::default();
        Ok(Self { shared, epoch, terms, view, log, own, reads, room, failed: false, unexpected })
    }

    /// The header of the beat that it reads.
    #[must_use]
    pub fn base(&self) -> &BeatHeader {
        self.view.header()
    }

    /// What is staged so far.
    #[must_use]
    pub const fn log(&self) -> &BeatLog {
        &self.log
    }

    /// Reads one record. That it is absent is a thing to read too.
    ///
    /// # Errors
    /// `Corrupt` naming the key, `Io`, `Stale`.
    pub fn get(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        match self.own.get(key) {
            Staged::Value(value) => Ok(Some(Value::borrowed(value))),
            Staged::Deleted => Ok(None),
            Staged::AsBefore => {
                self.reads.borrow_mut().note_key(key);
                self.view.get(key)
            }
        }
    }

    /// Expects a record to have this value, or to be absent. Otherwise the transaction ends in a [`Conflict`], whatever the
    /// closure makes of the error.
    ///
    /// # Errors
    /// `Conflict` naming the key; as [`get`](Self::get).
    pub fn expect(&self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        if self.get(key)?.as_deref() == value {
            return Ok(());
        }
        *self.unexpected.borrow_mut() = Some(key.to_vec());
        let context = format!("{} is not as expected", show_key(key));
        Err(Error::new(ErrorKind::Conflict, "expect", context))
    }

    /// Visits the records of a scan in order (ORDERED). `Break` ends it without an error; what lies beyond was not read then.
    ///
    /// # Errors
    /// `Unsupported` unless granted; `Corrupt` naming the key (rows visited before it were right), `Io`, `Stale`.
    pub fn scan(
        &self,
        scan: &Scan<'_>,
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<()> {
        self.terms.need("scan", Caps::ORDERED)?;
        match super::scan::scan(&self.view, &self.own, scan, &mut visit) {
            Ok(Some(range)) => self.reads.borrow_mut().note_range(&range),
            Ok(None) => {}
            Err(error) => {
                self.reads.borrow_mut().note_range(&scan.range);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Visits the records whose keys begin with `prefix`, ascending.
    ///
    /// # Errors
    /// As [`scan`](Self::scan).
    pub fn scan_prefix(
        &self,
        prefix: &[u8],
        visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<()> {
        self.scan(&Scan::prefix(prefix), visit)
    }

    /// Sets a record. Key and value may be empty.
    ///
    /// # Errors
    /// `TooLarge` beyond the limit of a key, a value or the beat, `Poisoned` after a failed operation.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.stage("put", |tx| {
            tx.terms.check_next(&tx.log, &Op::Put { key, value }, tx.room)?;
            tx.log.put(key, value)?;
            tx.own.put(key, value);
            Ok(())
        })
    }

    /// Removes a record; one that is absent is no error, and that is not read.
    ///
    /// # Errors
    /// `TooLarge` beyond the limit of a key or the beat, `Poisoned` after a failed operation.
    pub fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.stage("delete", |tx| {
            tx.terms.check_next(&tx.log, &Op::Delete { key }, tx.room)?;
            tx.log.delete(key)?;
            tx.own.delete(key);
            Ok(())
        })
    }

    /// Removes the records of a range (DELETE_RANGE), without reading it: what others put there meanwhile goes too.
    ///
    /// # Errors
    /// `Unsupported` unless granted, `TooLarge` beyond the limit of the beat, `Poisoned` after a failed operation.
    pub fn delete_range(&mut self, range: &KeyRange<'_>) -> Result<()> {
        self.stage("delete_range", |tx| {
            tx.terms.need("delete_range", Caps::DELETE_RANGE)?;
            if range.is_empty() {
                return Ok(());
            }
            tx.terms.check_next(&tx.log, &Op::DeleteRange { range: range.borrowed() }, tx.room)?;
            tx.log.delete_range(range)?;
            tx.own.delete_range(range);
            Ok(())
        })
    }

    /// Gives up what is staged so far, a failed operation included. What was read stays read.
    pub fn unstage(&mut self) {
        self.log = BeatLog::new();
        self.own = Overlay::default();
        self.failed = false;
    }

    fn stage(&mut self, op: &'static str, change: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.check_whole(op)?;
        let done = change(self);
        self.failed = done.is_err();
        done
    }

    fn check_whole(&self, op: &'static str) -> Result<()> {
        if self.failed {
            let context = "an earlier operation of this transaction failed";
            return Err(Error::new(ErrorKind::Poisoned, op, context));
        }
        Ok(())
    }

    /// The conflict of an expectation that failed.
    pub(super) fn unexpected(&self, redos: u32) -> Option<Conflict> {
        let key = self.unexpected.borrow_mut().take()?;
        Some(Conflict { cause: Cause::Unexpected(key), base: self.base().beat, redos })
    }

    /// Commits what is staged, if what was read still holds.
    pub(super) fn finish(self, durability: Durability) -> Result<End> {
        self.check_whole("commit")?;
        if self.log.is_empty() {
            return Ok(End::Unchanged(self.base().beat));
        }
        let Self { shared, epoch, terms, view, log, reads, .. } = self;
        // What waits in the queue must not hold old records in place.
        drop(view);
        let mut reads = Some(reads.into_inner()).filter(|reads| !reads.is_empty());
        if let Some(conflict) = reads.as_mut().and_then(|reads| shared.recent.catch_up(reads)) {
            return Ok(End::Conflict(conflict));
        }
        let work = Work { staged: terms.staged_bytes(&log), reads, ..Work::new(log, durability, epoch) };
        let entry = shared.0.enqueue(work, WhenFull::Wait).map_err(|refused| refused.1)?;
        match Pending::new(shared, entry).outcome() {
            Ok(receipt) => Ok(End::Committed(receipt)),
            Err(Failure::Conflict(conflict)) => Ok(End::Conflict(conflict)),
            Err(Failure::Error(error)) => Err(error),
        }
    }
}
