//! A view: the inner engine's, with the header as the log has it.

use std::sync::Arc;

use persist_api::{BeatHeader, Cursor, Result, Scan, Value, View, ViewLease, Visit};

use super::Held;

pub(crate) struct FiledView {
    pub(crate) inner: Box<dyn View>,
    pub(crate) header: BeatHeader,
    pub(crate) _held: Arc<Held>,
    pub(crate) _lease: ViewLease,
}

impl View for FiledView {
    fn header(&self) -> &BeatHeader {
        &self.header
    }

    fn get_record(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        self.inner.get_record(key)
    }

    fn scan(&self, scan: Scan<'_>, visit: &mut Visit<'_>) -> Result<()> {
        self.inner.scan(scan, visit)
    }

    fn cursor<'v>(&'v self, scan: Scan<'v>) -> Result<Box<dyn Cursor + 'v>> {
        self.inner.cursor(scan)
    }
}
