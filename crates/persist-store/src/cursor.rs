//! A cursor with prefix and layers taken off.

use std::fmt;

use persist_api::{Cursor, Error, ErrorKind, Result};

use crate::layers::{Codec, logical_key, user_key};

/// A lending cursor over users' records. It starts before the first row; after an error it keeps failing until `seek`.
pub struct StoreCursor<'v> {
    cursor: Box<dyn Cursor + 'v>,
    codec: Codec,
    keys_only: bool,
    state: State,
    buffer: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    NoRow,
    Row,
    Failed,
}

impl fmt::Debug for StoreCursor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreCursor")
    }
}

impl<'v> StoreCursor<'v> {
    pub(crate) fn new(cursor: Box<dyn Cursor + 'v>, codec: Codec, keys_only: bool) -> Self {
        Self { cursor, codec, keys_only, state: State::NoRow, buffer: Vec::new() }
    }

    /// Steps to the next row; false at the end, and again false when called after the end.
    ///
    /// # Errors
    /// `Corrupt` naming the key, `Io`, `Stale`.
    pub fn advance(&mut self) -> Result<bool> {
        if self.state == State::Failed {
            let context = "an earlier step failed; seek first";
            return Err(Error::new(ErrorKind::Poisoned, "advance", context));
        }
        let moved = self.cursor.advance();
        self.arrive(moved)
    }

    /// Goes to the first row at or after `key` in the scan's direction, within its range; false if there is none. The
    /// limit counts anew from there.
    ///
    /// # Errors
    /// `Corrupt` naming the key, `Io`, `Stale`.
    pub fn seek(&mut self, key: &[u8]) -> Result<bool> {
        let moved = self.cursor.seek(user_key(key, &mut self.buffer));
        self.arrive(moved)
    }

    fn arrive(&mut self, moved: Result<bool>) -> Result<bool> {
        self.state = State::Failed;
        let moved = moved?;
        if moved && !self.keys_only {
            self.codec.open(logical_key(self.cursor.key()), self.cursor.value())?;
        }
        self.state = if moved { State::Row } else { State::NoRow };
        Ok(moved)
    }

    /// The current key; empty when there is no current row.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        if self.state == State::Row { logical_key(self.cursor.key()) } else { &[] }
    }

    /// The current value; empty when there is no current row, and for keys-only scans.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        if self.state != State::Row || self.keys_only {
            return &[];
        }
        let stored = self.cursor.value();
        let overhead = usize::try_from(self.codec.value_overhead()).unwrap_or(usize::MAX);
        stored.get(..stored.len().saturating_sub(overhead)).unwrap_or_default()
    }
}

impl Cursor for StoreCursor<'_> {
    fn advance(&mut self) -> Result<bool> {
        self.advance()
    }

    fn seek(&mut self, key: &[u8]) -> Result<bool> {
        self.seek(key)
    }

    fn key(&self) -> &[u8] {
        self.key()
    }

    fn value(&self) -> &[u8] {
        self.value()
    }
}
