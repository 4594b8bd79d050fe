//! A view that a swap pins: users' records as the engine shows them, whatever was granted, and never recalled.

use std::ops::ControlFlow;

use std::sync::Arc;

use persist_api::{BeatHeader, Cursor, Result, Scan, Value, View};

use crate::cursor::StoreCursor;
use crate::layers::{logical_key, user_key, user_scan};
use crate::views::{Ticket, Views};

/// One side of a swap at one beat.
pub(crate) struct Pinned {
    // The engine's view goes before its place in the list of open views.
    view: Box<dyn View>,
    /// None at the target, which is no store yet.
    _ticket: Option<Ticket>,
}

impl Pinned {
    /// A view that nobody counts.
    pub(crate) fn new(view: Box<dyn View>) -> Self {
        Self { view, _ticket: None }
    }

    /// A view of the store's own engine: it counts among the store's views.
    pub(crate) fn counted(view: Box<dyn View>, views: &Arc<Views>) -> Self {
        let ticket = views.count(view.header().beat);
        Self { view, _ticket: Some(ticket) }
    }

    pub(crate) fn header(&self) -> &BeatHeader {
        self.view.header()
    }

    /// The engine's view.
    pub(crate) fn raw(&self) -> &dyn View {
        self.view.as_ref()
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        self.view.get_record(user_key(key, &mut Vec::new()))
    }

    pub(super) fn scan(
        &self,
        scan: &Scan<'_>,
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<()> {
        self.view.scan(user_scan(scan.clone()), &mut |key, value| visit(logical_key(key), value))
    }

    pub(super) fn cursor(&self, scan: &Scan<'_>) -> Result<StoreCursor<'_>> {
        let cursor: Box<dyn Cursor + '_> = self.view.cursor(user_scan(scan.clone()))?;
        Ok(StoreCursor::new(cursor, false))
    }
}
