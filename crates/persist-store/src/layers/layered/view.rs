//! A view whose values are opened on their way out.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::Arc;

use persist_api::{BeatHeader, Cursor, Error, ErrorKind, Result, Scan, Value, View, Visit};

use super::{Codec, Scratch};
use crate::layers::codec::Place;

/// A view under a codec.
pub(crate) struct LayeredView {
    inner: Box<dyn View>,
    codec: Arc<Codec>,
    /// Memory for one verb. A verb that is called by a visitor finds none and takes its own.
    scratch: RefCell<Scratch>,
}

impl LayeredView {
    pub(super) fn new(inner: Box<dyn View>, codec: Arc<Codec>) -> Self {
        Self { inner, codec, scratch: RefCell::default() }
    }

    /// The same beat with values as they are stored.
    pub(crate) fn below(&self) -> &dyn View {
        &*self.inner
    }

    fn scan_opened(&self, scan: Scan<'_>, visit: &mut Visit<'_>, scratch: &mut Scratch) -> Result<()> {
        let mut damage: Option<Error> = None;
        self.inner.scan(scan, &mut |key, stored| match self.codec.open(key, stored, scratch) {
            Ok(place) => visit(key, place.of(stored, scratch)),
            Err(error) => {
                damage = Some(error);
                ControlFlow::Break(())
            }
        })?;
        damage.map_or(Ok(()), Err)
    }
}

impl View for LayeredView {
    fn header(&self) -> &BeatHeader {
        self.inner.header()
    }

    fn get_record(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        match self.inner.get_record(key)? {
            None => Ok(None),
            Some(stored) => self.codec.open_value(key, stored, &mut self.scratch.borrow_mut()).map(Some),
        }
    }

    fn scan(&self, scan: Scan<'_>, visit: &mut Visit<'_>) -> Result<()> {
        if scan.keys_only {
            return self.inner.scan(scan, &mut |key, _| visit(key, &[]));
        }
        let mut scratch = self.scratch.take();
        let done = self.scan_opened(scan, visit, &mut scratch);
        self.scratch.replace(scratch);
        done
    }

    fn cursor<'v>(&'v self, scan: Scan<'v>) -> Result<Box<dyn Cursor + 'v>> {
        let keys_only = scan.keys_only;
        let inner = self.inner.cursor(scan)?;
        let (codec, scratch) = (&*self.codec, Scratch::default());
        Ok(Box::new(LayeredCursor { inner, codec, keys_only, scratch, state: State::NoRow }))
    }
}

/// Where a cursor stands.
#[derive(Clone, Copy)]
enum State {
    NoRow,
    Row(Place),
    Failed,
}

/// A cursor under a codec. A row is opened when the cursor comes to it.
struct LayeredCursor<'v> {
    inner: Box<dyn Cursor + 'v>,
    codec: &'v Codec,
    keys_only: bool,
    scratch: Scratch,
    state: State,
}

impl LayeredCursor<'_> {
    fn arrive(&mut self, moved: Result<bool>) -> Result<bool> {
        self.state = State::Failed;
        let moved = moved?;
        self.state = if !moved {
            State::NoRow
        } else if self.keys_only {
            State::Row(Place::Stored(0))
        } else {
            State::Row(self.codec.open(self.inner.key(), self.inner.value(), &mut self.scratch)?)
        };
        Ok(moved)
    }
}

impl Cursor for LayeredCursor<'_> {
    fn advance(&mut self) -> Result<bool> {
        if matches!(self.state, State::Failed) {
            let context = "an earlier step failed; seek first";
            return Err(Error::new(ErrorKind::Poisoned, "advance", context));
        }
        let moved = self.inner.advance();
        self.arrive(moved)
    }

    fn seek(&mut self, key: &[u8]) -> Result<bool> {
        let moved = self.inner.seek(key);
        self.arrive(moved)
    }

    fn key(&self) -> &[u8] {
        if matches!(self.state, State::Row(_)) { self.inner.key() } else { &[] }
    }

    fn value(&self) -> &[u8] {
        match self.state {
            State::Row(place) => place.of(self.inner.value(), &self.scratch),
            State::NoRow | State::Failed => &[],
        }
    }
}
