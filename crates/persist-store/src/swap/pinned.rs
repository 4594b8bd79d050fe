//! A view that a swap pins: users' records as the engine shows them, whatever was granted, and never recalled.

use std::ops::ControlFlow;

use persist_api::{BeatHeader, Cursor, Result, Scan, Value, View};

use crate::cursor::StoreCursor;
use crate::layers::{logical_key, user_key, user_range};

/// One side of a swap at one beat.
pub(crate) struct Pinned(Box<dyn View>);

impl Pinned {
    pub(crate) fn new(view: Box<dyn View>) -> Self {
        Self(view)
    }

    pub(crate) fn header(&self) -> &BeatHeader {
        self.0.header()
    }

    /// The engine's view.
    pub(crate) fn raw(&self) -> &dyn View {
        self.0.as_ref()
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        self.0.get_record(user_key(key, &mut Vec::new()))
    }

    pub(super) fn scan(
        &self,
        scan: &Scan<'_>,
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<()> {
        self.0.scan(physical(scan), &mut |key, value| visit(logical_key(key), value))
    }

    pub(super) fn cursor(&self, scan: &Scan<'_>) -> Result<StoreCursor<'_>> {
        let cursor: Box<dyn Cursor + '_> = self.0.cursor(physical(scan))?;
        Ok(StoreCursor::new(cursor, false))
    }
}

fn physical(scan: &Scan<'_>) -> Scan<'static> {
    Scan { range: user_range(&scan.range), ..*scan }
}
