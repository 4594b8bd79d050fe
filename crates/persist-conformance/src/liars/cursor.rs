//! The cursor of a lying view.

use persist_api::{Cursor, Result, Scan};

use super::hooks::Hooks;
use super::wrap::LyingView;

/// A cursor on its way through the hooks.
pub(crate) struct LyingCursor<'v> {
    pub(crate) inner: Box<dyn Cursor + 'v>,
    pub(crate) view: &'v LyingView,
    pub(super) hooks: &'static Hooks,
    pub(crate) scan: Scan<'v>,
    /// The how many-th of its view.
    pub(crate) number: u64,
    /// Steps since the beginning or the last seek.
    pub(crate) steps: u64,
    pub(crate) ended: bool,
    pub(crate) sought: bool,
    pub(crate) n: u64,
    /// The last key shown.
    pub(crate) last: Vec<u8>,
}

impl Cursor for LyingCursor<'_> {
    fn advance(&mut self) -> Result<bool> {
        let found = (self.hooks.advance)(self)?;
        self.steps += 1;
        self.after(found);
        Ok(found)
    }

    fn seek(&mut self, key: &[u8]) -> Result<bool> {
        let found = (self.hooks.seek)(self, key)?;
        self.sought = true;
        self.steps = 0;
        self.after(found);
        Ok(found)
    }

    fn key(&self) -> &[u8] {
        (self.hooks.key)(self)
    }

    fn value(&self) -> &[u8] {
        (self.hooks.value)(self)
    }
}

impl LyingCursor<'_> {
    fn after(&mut self, found: bool) {
        self.ended = !found;
        if found {
            self.last = self.inner.key().to_vec();
        }
    }
}
