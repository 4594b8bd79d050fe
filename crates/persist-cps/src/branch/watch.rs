//! Progress of a survey or an import, and the way to stop it also within one large frame.

use std::cell::Cell;

use persist_api::{Observer, Progress, Result};

use super::import::OP;

/// So many bytes are read between two questions whether to go on.
const ASK_EVERY: u64 = 1 << 20;

/// An observer that is asked again for every so many bytes that are read, wherever that happens.
pub(super) struct Watch<'w> {
    seen: &'w dyn Observer,
    /// What was said last, to be said again.
    last: Cell<Progress>,
    /// Bytes read since.
    read: Cell<u64>,
}

impl<'w> Watch<'w> {
    pub(super) fn new(seen: &'w dyn Observer) -> Self {
        let last = Progress { phase: "verify branch", done: 0, total: None, unit: "bytes" };
        Self { seen, last: Cell::new(last), read: Cell::new(0) }
    }

    /// Reports progress.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(super) fn step(&self, progress: Progress) -> Result<()> {
        self.last.set(progress);
        self.read.set(0);
        self.seen.step(OP, progress)
    }

    /// Counts bytes that are about to be read; now and then, asks whether to go on.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(super) fn read(&self, bytes: u64) -> Result<()> {
        let read = self.read.get().saturating_add(bytes);
        self.read.set(read);
        if read >= ASK_EVERY { self.step(self.last.get()) } else { Ok(()) }
    }
}
