//! The ceiling of a store, for which RocksDB has no setting of its own.

use std::path::Path;

use persist_api::{Error, ErrorKind, Result};

use crate::driver::SCHEME;
use crate::home;

/// What a record in the log costs beyond its batch, rounded up.
const LOG_OVERHEAD: u64 = 64;

/// Keeps account of the bytes on the medium and measures only when the account is full: files shrink by compaction, and
/// measuring them costs more than a beat.
#[derive(Debug)]
pub(crate) struct Ceiling {
    max: u64,
    known: u64,
}

impl Ceiling {
    pub(crate) fn new(max: u64) -> Self {
        // The first beat measures.
        Self { max, known: max }
    }

    /// Takes the room for a batch.
    ///
    /// # Errors
    /// `Full` when the files are too big to take it.
    pub(crate) fn take(&mut self, home: &Path, batch_bytes: u64) -> Result<()> {
        if self.max == u64::MAX {
            return Ok(());
        }
        let needed = batch_bytes.saturating_add(LOG_OVERHEAD);
        if self.known.saturating_add(needed) > self.max {
            self.known = home::size_of(home, &|_| true)?;
        }
        let bytes = self.known.saturating_add(needed);
        if bytes > self.max {
            let context = format!("{bytes} bytes with this beat; the ceiling of this store is {}", self.max);
            return Err(Error::new(ErrorKind::Full, "commit_beat", context).with_engine(SCHEME));
        }
        self.known = bytes;
        Ok(())
    }
}
