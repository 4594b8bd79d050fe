//! A view with the prefix taken off, and the grant enforced. The other layers are the engine's.

use std::cell::RefCell;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use persist_api::{BeatHeader, Caps, Cursor, Observer, Result, Scan, Value, View, Visit};

use crate::StoreDigest;
use crate::cursor::StoreCursor;
use crate::layers::{logical_key, user_key, user_scan};
use crate::observe::told;
use crate::shared::Terms;
use crate::views::{Hold, Ticket};

/// A consistent picture of users' records at one beat. Owned; may be sent to another thread, not shared. It keeps the
/// home locked until dropped.
///
/// A view may stay open for [`ViewOptions::age_max`](crate::ViewOptions::age_max). After that it is recalled, at the latest
/// when the next beat begins: what the engine kept for it is let go, and its reads give `Stale`, those of its cursors and of
/// scans that run included. What was read and is still held stays as it is.
pub struct StoreView {
    header: BeatHeader,
    // The engine's view goes before its place in the list of open views.
    hold: Hold,
    _ticket: Ticket,
    terms: Arc<Terms>,
    /// Where a key gets its prefix, so that a read allocates nothing.
    key: RefCell<Vec<u8>>,
}

impl fmt::Debug for StoreView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreView").field("header", self.header()).finish_non_exhaustive()
    }
}

impl StoreView {
    pub(crate) fn new(header: BeatHeader, (hold, ticket): (Hold, Ticket), terms: Arc<Terms>) -> Self {
        Self { header, hold, _ticket: ticket, terms, key: RefCell::default() }
    }

    /// The header of the beat it shows.
    #[must_use]
    pub fn header(&self) -> &BeatHeader {
        &self.header
    }

    /// Reads one record. The key may be empty.
    ///
    /// # Errors
    /// `Corrupt` naming the key, `Io`, `Stale`.
    #[inline]
    pub fn get(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        let mut buffer = self.key.borrow_mut();
        told(self.hold.get(user_key(key, &mut buffer)))
    }

    /// Visits the records of a scan in order (ORDERED). `Break` ends it without an error. The fast way.
    ///
    /// # Errors
    /// `Unsupported` unless granted; `Corrupt` naming the key (rows visited before it were right), `Io`, `Stale`.
    pub fn scan(&self, scan: Scan<'_>, mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>) -> Result<()> {
        told(self.terms.need("scan", Caps::ORDERED).and_then(|()| self.scan_granted(scan, &mut visit)))
    }

    /// Visits the records whose keys begin with `prefix`, ascending (PREFIX_SCAN).
    ///
    /// # Errors
    /// As [`scan`](Self::scan).
    pub fn scan_prefix(
        &self,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<()> {
        let granted = self.terms.need("scan_prefix", Caps::PREFIX_SCAN);
        told(granted.and_then(|()| self.scan_granted(Scan::prefix(prefix), &mut visit)))
    }

    fn scan_granted(
        &self,
        scan: Scan<'_>,
        visit: &mut impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<()> {
        if scan.range.is_empty() {
            return Ok(());
        }
        let physical = user_scan(scan);
        if physical.keys_only {
            return self.hold.scan(physical, |key, _| visit(logical_key(key), &[]));
        }
        self.hold.scan(physical, |key, value| visit(logical_key(key), value))
    }

    /// Opens a cursor over a scan (ORDERED). The flexible way.
    ///
    /// # Errors
    /// As [`scan`](Self::scan).
    pub fn cursor(&self, scan: Scan<'_>) -> Result<StoreCursor<'_>> {
        let keys_only = scan.keys_only;
        let granted = self.terms.need("cursor", Caps::ORDERED);
        let cursor = told(granted.and_then(|()| self.hold.cursor(user_scan(scan))))?;
        Ok(StoreCursor::new(cursor, keys_only))
    }

    /// The digest of all records (`docs/format.md`).
    ///
    /// # Errors
    /// `Unsupported` without ORDERED, `Corrupt`, `Io`, `Cancelled`.
    pub fn digest(&self, seen: &dyn Observer) -> Result<StoreDigest> {
        told(crate::digest::of_view(self, seen))
    }
}

/// So that code written for any view works on a store's too.
impl View for StoreView {
    fn header(&self) -> &BeatHeader {
        self.header()
    }

    fn get_record(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        self.get(key)
    }

    fn scan(&self, scan: Scan<'_>, visit: &mut Visit<'_>) -> Result<()> {
        self.scan(scan, visit)
    }

    fn cursor<'v>(&'v self, scan: Scan<'v>) -> Result<Box<dyn Cursor + 'v>> {
        Ok(Box::new(self.cursor(scan)?))
    }

    fn scan_prefix(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<()> {
        self.scan_prefix(prefix, visit)
    }
}
