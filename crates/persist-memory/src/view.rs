//! A view: a shared root.

use std::ops::Bound;
use std::sync::Arc;

use persist_api::{BeatHeader, Cursor, Direction, KeyRange, Result, Scan, Value, View, ViewLease, Visit};

use crate::engine::{Held, Root};

pub(crate) struct MemoryView {
    root: Root,
    _held: Arc<Held>,
    _lease: ViewLease,
}

impl MemoryView {
    pub(crate) fn new(root: Root, held: Arc<Held>, lease: ViewLease) -> Self {
        Self { root, _held: held, _lease: lease }
    }

    /// The first row of a range in the given direction.
    fn first(&self, range: &KeyRange<'_>, direction: Direction) -> Option<(&[u8], &[u8])> {
        if range.is_empty() {
            return None;
        }
        let bounds: (Bound<&[u8]>, Bound<&[u8]>) = range.bounds();
        let mut rows = self.root.map.range::<[u8], _>(bounds);
        let found = match direction {
            Direction::Forward => rows.next(),
            Direction::Reverse => rows.next_back(),
        };
        // Looked up again, because the iterator's rows live only as long as its bounds.
        let (key, value) = self.root.map.get_key_value(&**found?.0)?;
        Some((key, value))
    }
}

impl View for MemoryView {
    fn header(&self) -> &BeatHeader {
        &self.root.header
    }

    fn get_record(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        Ok(self.root.map.get(key).map(|value| Value::borrowed(value)))
    }

    fn scan(&self, scan: Scan<'_>, visit: &mut Visit<'_>) -> Result<()> {
        if scan.range.is_empty() {
            return Ok(());
        }
        let limit = usize::try_from(scan.limit).unwrap_or(usize::MAX);
        let bounds: (Bound<&[u8]>, Bound<&[u8]>) = scan.range.bounds();
        let mut rows = self.root.map.range::<[u8], _>(bounds);
        let mut next = || match scan.direction {
            Direction::Forward => rows.next(),
            Direction::Reverse => rows.next_back(),
        };
        for (key, value) in std::iter::from_fn(&mut next).take(limit) {
            if visit(key, if scan.keys_only { &[] } else { value }).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn cursor<'v>(&'v self, scan: Scan<'v>) -> Result<Box<dyn Cursor + 'v>> {
        let left = scan.limit;
        Ok(Box::new(MemoryCursor { view: self, scan, left, place: Place::Before }))
    }
}

/// Where a cursor stands.
#[derive(Clone, Copy)]
enum Place<'v> {
    Before,
    At(&'v [u8], &'v [u8]),
    After,
}

struct MemoryCursor<'v> {
    view: &'v MemoryView,
    scan: Scan<'v>,
    left: u64,
    place: Place<'v>,
}

impl MemoryCursor<'_> {
    fn go(&mut self, range: &KeyRange<'_>) -> bool {
        let row = if self.left == 0 { None } else { self.view.first(range, self.scan.direction) };
        self.place = row.map_or(Place::After, |(key, value)| Place::At(key, value));
        self.left = self.left.saturating_sub(1);
        row.is_some()
    }
}

impl Cursor for MemoryCursor<'_> {
    fn advance(&mut self) -> Result<bool> {
        let range = match (self.place, self.scan.direction) {
            (Place::After, _) => return Ok(false),
            (Place::Before, _) => self.scan.range.clone(),
            (Place::At(key, _), Direction::Forward) => {
                KeyRange::new(Bound::Excluded(key), self.scan.range.end()).into_owned()
            }
            (Place::At(key, _), Direction::Reverse) => {
                KeyRange::new(self.scan.range.start(), Bound::Excluded(key)).into_owned()
            }
        };
        Ok(self.go(&range))
    }

    fn seek(&mut self, key: &[u8]) -> Result<bool> {
        self.left = self.scan.limit;
        let range = self.scan.from(key).range.into_owned();
        Ok(self.go(&range))
    }

    fn key(&self) -> &[u8] {
        match self.place {
            Place::At(key, _) => key,
            _ => &[],
        }
    }

    fn value(&self) -> &[u8] {
        match self.place {
            Place::At(_, value) if !self.scan.keys_only => value,
            _ => &[],
        }
    }
}
