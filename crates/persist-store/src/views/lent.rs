//! A view that can be taken from its holder while the holder does not read.
//!
//! The engine's view lies in a slot that its holder and whoever recalls share. A read takes it out, and it goes back when
//! nothing that was read from it is left: values and cursors carry that duty with them.

use std::cell::{Ref, RefCell};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use persist_api::{BeatNo, Cursor, Error, ErrorKind, GiveBack, Lender, Result, Scan, Value};
use self_cell::self_cell;

use super::hold::Engaged;

/// Where an engine's view lies while its holder does not read.
pub(crate) struct Slot {
    engaged: Mutex<Option<Engaged>>,
    recalled: AtomicBool,
    /// The engine's view is gone for good.
    back: AtomicBool,
    beat: BeatNo,
    age_max: Duration,
}

impl Slot {
    pub(super) fn new(engaged: Engaged, beat: BeatNo, age_max: Duration) -> Self {
        let (recalled, back) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { engaged: Mutex::new(Some(engaged)), recalled, back, beat, age_max }
    }

    /// Takes the view out; `Stale` if it was recalled.
    fn take(&self, op: &'static str) -> Result<Engaged> {
        self.engaged.lock().take().ok_or_else(|| self.stale(op))
    }

    /// Puts the view back, or ends it if it was recalled meanwhile.
    fn put_back(&self, engaged: Engaged) {
        let mut place = self.engaged.lock();
        // Set under this lock, so that either this sees it or the recall sees the view.
        if self.recalled.load(Ordering::Relaxed) {
            drop(place);
            self.end(engaged);
        } else {
            *place = Some(engaged);
        }
    }

    /// True if the engine's view is gone now; else it goes when its holder gives it back.
    pub(super) fn recall(&self) -> bool {
        let mut place = self.engaged.lock();
        self.recalled.store(true, Ordering::Release);
        let engaged = place.take();
        drop(place);
        engaged.is_some_and(|engaged| {
            self.end(engaged);
            true
        })
    }

    fn end(&self, engaged: Engaged) {
        drop(engaged);
        self.back.store(true, Ordering::Release);
    }

    /// True when the engine's view is gone.
    pub(super) fn is_back(&self) -> bool {
        self.back.load(Ordering::Acquire)
    }

    fn check(&self, op: &'static str) -> Result<()> {
        if self.recalled.load(Ordering::Relaxed) { Err(self.stale(op)) } else { Ok(()) }
    }

    #[cold]
    fn stale(&self, op: &'static str) -> Error {
        let context =
            format!("the view was open for more than {:?} and was recalled; open a new one", self.age_max);
        Error::new(ErrorKind::Stale, op, context).with_beat(self.beat)
    }
}

/// The holder's side.
pub(crate) struct Lent {
    slot: Arc<Slot>,
    /// The engine's view while something reads it.
    out: RefCell<Option<Engaged>>,
    /// The engine hands out values that only its view can keep.
    pins: Arc<AtomicBool>,
}

/// The engine's view in use. What is read goes before the duty to give back.
struct Loan<'v> {
    out: Ref<'v, Option<Engaged>>,
    back: GiveBack<'v>,
}

type BoxCursor<'c> = Box<dyn Cursor + 'c>;

self_cell!(
    struct LoanedValue<'v> {
        owner: Loan<'v>,
        #[covariant]
        dependent: Value,
    }
);

self_cell!(
    struct LoanedCursor<'v> {
        owner: Loan<'v>,
        #[covariant]
        dependent: BoxCursor,
    }
);

impl Lender for Lent {
    fn given_back(&self) {
        // While anything else is still lent, this is refused.
        let engaged = self.out.try_borrow_mut().ok().and_then(|mut out| out.take());
        if let Some(engaged) = engaged {
            self.slot.put_back(engaged);
        }
    }
}

impl Lent {
    pub(super) fn new(slot: Arc<Slot>, pins: Arc<AtomicBool>) -> Self {
        Self { slot, out: RefCell::new(None), pins }
    }

    fn loan(&self, op: &'static str) -> Result<Loan<'_>> {
        self.slot.check(op)?;
        // Refused while something is lent: then it is out already.
        if let Ok(mut out) = self.out.try_borrow_mut()
            && out.is_none()
        {
            *out = Some(self.slot.take(op)?);
        }
        Ok(Loan { out: self.out.borrow(), back: GiveBack::to(self) })
    }

    /// Reads one record.
    #[inline]
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        if self.pins.load(Ordering::Relaxed) {
            return self.get_pinned(key);
        }
        let Loan { out, back } = self.loan("get")?;
        // What does not stay in the engine's memory comes out this way.
        let mut other = Other::None;
        let lent = Ref::filter_map(out, |out| {
            let view = &out.as_ref()?.view;
            match view.get_record(key) {
                Ok(None) => None,
                Ok(Some(value)) => {
                    if let Some(bytes) = value.as_borrowed() {
                        return Some(bytes);
                    }
                    other = value.detached().map_or(Other::Pinned, Other::Value);
                    None
                }
                Err(error) => {
                    other = Other::Error(error);
                    None
                }
            }
        });
        match (lent, other) {
            (Ok(bytes), _) => Ok(Some(Value::lent(bytes, back))),
            (Err(_), Other::None) => Ok(None),
            (Err(_), Other::Value(value)) => Ok(Some(value)),
            (Err(_), Other::Error(error)) => Err(error),
            (Err(_), Other::Pinned) => {
                self.pins.store(true, Ordering::Relaxed);
                self.get_pinned(key)
            }
        }
    }

    /// As [`get`](Self::get), where the engine pins values to its view: the loan goes along with the value.
    fn get_pinned(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        let found = LoanedValue::try_new(self.loan("get")?, |loan| {
            loan.read().and_then(|engaged| engaged.view.get_record(key)).map_err(Some)?.ok_or(None)
        });
        match found {
            Ok(value) => Ok(Some(Value::pinned(value))),
            Err(None) => Ok(None),
            Err(Some(error)) => Err(error),
        }
    }

    pub(super) fn scan(
        &self,
        scan: Scan<'_>,
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<()> {
        let loan = self.loan("scan")?;
        let recalled = &self.slot.recalled;
        let mut ended = false;
        loan.read()?.view.scan(scan, &mut |key, value| {
            if recalled.load(Ordering::Relaxed) {
                ended = true;
                return ControlFlow::Break(());
            }
            visit(key, value)
        })?;
        if ended { Err(self.slot.stale("scan")) } else { Ok(()) }
    }

    pub(super) fn cursor(&self, scan: Scan<'static>) -> Result<BoxCursor<'_>> {
        let cursor = LoanedCursor::try_new(self.loan("cursor")?, |loan| loan.read()?.view.cursor(scan))?;
        Ok(Box::new(LentCursor { slot: &self.slot, cursor: Some(cursor) }))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // Nothing is lent any more; a recalled view was ended by whoever gave it back.
        let engaged = self.slot.engaged.lock().take();
        if let Some(engaged) = engaged {
            self.slot.end(engaged);
        }
    }
}

/// What a read found that is not in the engine's memory.
enum Other {
    None,
    Value(Value<'static>),
    Pinned,
    Error(Error),
}

impl Loan<'_> {
    /// The engine's view, which is here as long as the loan.
    fn read(&self) -> Result<&Engaged> {
        self.out.as_ref().ok_or_else(|| Error::new(ErrorKind::Closed, "view", "the view was given back"))
    }
}

impl AsRef<[u8]> for LoanedValue<'_> {
    fn as_ref(&self) -> &[u8] {
        self.borrow_dependent()
    }
}

struct LentCursor<'v> {
    slot: &'v Slot,
    /// `None` once it was recalled.
    cursor: Option<LoanedCursor<'v>>,
}

impl LentCursor<'_> {
    fn step(&mut self, op: &'static str, step: impl FnOnce(&mut dyn Cursor) -> Result<bool>) -> Result<bool> {
        if self.slot.recalled.load(Ordering::Relaxed) {
            // Gives the engine's view back.
            self.cursor = None;
        }
        match &mut self.cursor {
            Some(cursor) => cursor.with_dependent_mut(|_, cursor| step(cursor.as_mut())),
            None => Err(self.slot.stale(op)),
        }
    }
}

impl Cursor for LentCursor<'_> {
    fn advance(&mut self) -> Result<bool> {
        self.step("advance", |cursor| cursor.advance())
    }

    fn seek(&mut self, key: &[u8]) -> Result<bool> {
        self.step("seek", |cursor| cursor.seek(key))
    }

    fn key(&self) -> &[u8] {
        self.cursor.as_ref().map_or(&[], |cursor| cursor.borrow_dependent().key())
    }

    fn value(&self) -> &[u8] {
        self.cursor.as_ref().map_or(&[], |cursor| cursor.borrow_dependent().value())
    }
}
