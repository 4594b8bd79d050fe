//! A cursor with the prefix taken off. The other layers are the engine's.

use std::fmt;

use persist_api::{Cursor, Result};

use crate::layers::{logical_key, user_key};
use crate::observe::told;

/// A lending cursor over users' records. It starts before the first row; after an error it keeps failing until `seek`.
pub struct StoreCursor<'v> {
    cursor: Box<dyn Cursor + 'v>,
    keys_only: bool,
    buffer: Vec<u8>,
}

impl fmt::Debug for StoreCursor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreCursor")
    }
}

impl<'v> StoreCursor<'v> {
    pub(crate) fn new(cursor: Box<dyn Cursor + 'v>, keys_only: bool) -> Self {
        Self { cursor, keys_only, buffer: Vec::new() }
    }

    /// Steps to the next row; false at the end, and again false when called after the end.
    ///
    /// # Errors
    /// `Corrupt` naming the key, `Io`, `Stale`.
    pub fn advance(&mut self) -> Result<bool> {
        told(self.cursor.advance())
    }

    /// Goes to the first row at or after `key` in the scan's direction, within its range; false if there is none. The
    /// limit counts anew from there.
    ///
    /// # Errors
    /// `Corrupt` naming the key, `Io`, `Stale`.
    pub fn seek(&mut self, key: &[u8]) -> Result<bool> {
        told(self.cursor.seek(user_key(key, &mut self.buffer)))
    }

    /// The current key; empty when there is no current row.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        logical_key(self.cursor.key())
    }

    /// The current value; empty when there is no current row, and for keys-only scans.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        if self.keys_only { &[] } else { self.cursor.value() }
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
