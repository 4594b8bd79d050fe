//! A cursor: an iterator of RocksDB that knows where it stands.

use persist_api::{Cursor, Direction, Error, Result, Scan};
use rocksdb::DBRawIterator;

use crate::error::{corrupt, map_error};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    At,
    After,
    Failed,
}

pub(crate) struct RocksCursor<'v> {
    /// `None` for a range that can hold nothing.
    rows: Option<DBRawIterator<'v>>,
    direction: Direction,
    limit: u64,
    keys_only: bool,
    left: u64,
    place: Place,
}

impl<'v> RocksCursor<'v> {
    pub(crate) fn new(rows: Option<DBRawIterator<'v>>, scan: &Scan<'_>) -> Self {
        let (direction, limit, keys_only) = (scan.direction, scan.limit, scan.keys_only);
        Self { rows, direction, limit, keys_only, left: limit, place: Place::Before }
    }

    /// Moves the iterator, where there is one and the limit leaves a row, and takes note of where it came to.
    fn go(&mut self, op: &'static str, step: impl FnOnce(&mut DBRawIterator<'v>, Direction)) -> Result<bool> {
        self.place = Place::After;
        let Some(rows) = self.rows.as_mut().filter(|_| self.left > 0) else {
            return Ok(false);
        };
        step(rows, self.direction);
        if rows.valid() {
            self.left -= 1;
            self.place = Place::At;
            return Ok(true);
        }
        rows.status().map(|()| false).map_err(|error| {
            self.place = Place::Failed;
            map_error(op, error)
        })
    }

    /// What failed is still written in the iterator.
    fn failure(&self) -> Error {
        let status = self.rows.as_ref().and_then(|rows| rows.status().err());
        status.map_or_else(
            || corrupt("advance", "the cursor failed; seek to go on"),
            |e| map_error("advance", e),
        )
    }
}

impl Cursor for RocksCursor<'_> {
    fn advance(&mut self) -> Result<bool> {
        match self.place {
            Place::After => Ok(false),
            Place::Failed => Err(self.failure()),
            Place::Before => self.go("advance", |rows, direction| match direction {
                Direction::Forward => rows.seek_to_first(),
                Direction::Reverse => rows.seek_to_last(),
            }),
            Place::At => self.go("advance", |rows, direction| match direction {
                Direction::Forward => rows.next(),
                Direction::Reverse => rows.prev(),
            }),
        }
    }

    fn seek(&mut self, key: &[u8]) -> Result<bool> {
        self.left = self.limit;
        // RocksDB keeps a seek within the iterator's bounds, whichever side of them the key is on.
        self.go("seek", |rows, direction| match direction {
            Direction::Forward => rows.seek(key),
            Direction::Reverse => rows.seek_for_prev(key),
        })
    }

    fn key(&self) -> &[u8] {
        match (&self.rows, self.place) {
            (Some(rows), Place::At) => rows.key().unwrap_or_default(),
            _ => &[],
        }
    }

    fn value(&self) -> &[u8] {
        match (&self.rows, self.place) {
            (Some(rows), Place::At) if !self.keys_only => rows.value().unwrap_or_default(),
            _ => &[],
        }
    }
}
