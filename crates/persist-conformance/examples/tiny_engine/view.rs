//! A view shares a state that no beat will ever change; a cursor walks over it.

use std::collections::btree_map;
use std::ops::Bound;
use std::sync::Arc;

use persist_api::{BeatHeader, Cursor, Direction, KeyRange, Result, Scan, Value, View, ViewLease, Visit};

use super::Lock;
use super::image::State;

pub(crate) struct TinyView {
    pub(crate) state: Arc<State>,
    // Fields drop in this order. `close` waits for leases, and after it the home must be free.
    pub(crate) _lock: Arc<Lock>,
    pub(crate) _lease: ViewLease,
}

impl TinyView {
    /// The rows of a range. An ordered map panics where a range is upside down, so that is asked first.
    fn rows(&self, range: &KeyRange<'_>) -> Option<btree_map::Range<'_, Vec<u8>, Vec<u8>>> {
        let bounds: (Bound<&[u8]>, Bound<&[u8]>) = range.bounds();
        (!range.is_empty()).then(|| self.state.rows.range::<[u8], _>(bounds))
    }

    /// The first row of a range, in some direction.
    fn first(&self, range: &KeyRange<'_>, direction: Direction) -> Option<(&[u8], &[u8])> {
        let mut rows = self.rows(range)?;
        let row = if direction == Direction::Forward { rows.next() } else { rows.next_back() };
        row.map(|(key, value)| (key.as_slice(), value.as_slice()))
    }
}

impl View for TinyView {
    fn header(&self) -> &BeatHeader {
        &self.state.header
    }

    fn get_record(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        Ok(self.state.rows.get(key).map(|value| Value::borrowed(value)))
    }

    fn scan(&self, scan: Scan<'_>, visit: &mut Visit<'_>) -> Result<()> {
        let Some(mut rows) = self.rows(&scan.range) else { return Ok(()) };
        let mut left = scan.limit;
        while left > 0 {
            let row = if scan.direction == Direction::Forward { rows.next() } else { rows.next_back() };
            let Some((key, value)) = row else { break };
            if visit(key, value).is_break() {
                break;
            }
            left -= 1;
        }
        Ok(())
    }

    fn cursor<'v>(&'v self, scan: Scan<'v>) -> Result<Box<dyn Cursor + 'v>> {
        let left = scan.limit;
        Ok(Box::new(TinyCursor { view: self, scan, left, row: None, started: false }))
    }
}

struct TinyCursor<'v> {
    view: &'v TinyView,
    scan: Scan<'v>,
    left: u64,
    row: Option<(&'v [u8], &'v [u8])>,
    started: bool,
}

impl TinyCursor<'_> {
    fn go(&mut self, range: &KeyRange<'_>) -> bool {
        let view = self.view;
        self.started = true;
        self.row = if self.left == 0 { None } else { view.first(range, self.scan.direction) };
        self.left = self.left.saturating_sub(1);
        self.row.is_some()
    }
}

impl Cursor for TinyCursor<'_> {
    fn advance(&mut self) -> Result<bool> {
        let range = self.scan.range.clone();
        let rest = match (self.row, self.scan.direction) {
            (None, _) if self.started => return Ok(false),
            (None, _) => range,
            (Some((key, _)), Direction::Forward) => {
                KeyRange::new(Bound::Excluded(key), range.end()).into_owned()
            }
            (Some((key, _)), Direction::Reverse) => {
                KeyRange::new(range.start(), Bound::Excluded(key)).into_owned()
            }
        };
        Ok(self.go(&rest))
    }

    fn seek(&mut self, key: &[u8]) -> Result<bool> {
        self.left = self.scan.limit;
        let range = self.scan.from(key).range.into_owned();
        Ok(self.go(&range))
    }

    fn key(&self) -> &[u8] {
        self.row.map_or(&[], |(key, _)| key)
    }

    fn value(&self) -> &[u8] {
        self.row.map_or(&[], |(_, value)| value)
    }
}
