//! Transactions: read, decide, write, and all of it holds or none.
//!
//! A transaction reads a view, so nothing that others commit meanwhile disturbs it and it holds nothing up. What it reads is
//! remembered: keys, also those that were absent, and ranges as far as they were looked at. When its turn in the queue
//! comes, its reads are compared with everything that was committed since its view, earlier commits of the same beat
//! included. If none of it was changed, the transaction is as good as run at this very moment; else it is redone.

mod judge;
mod overlay;
mod reads;
mod recent;
mod scan;
mod spans;
#[cfg(test)]
mod tests;
mod transaction;

use std::fmt;
use std::sync::Arc;

use persist_api::{BeatNo, Caps, Durability, Error, ErrorKind, Result};

pub(crate) use overlay::Overlay;
pub(crate) use reads::Reads;
pub(crate) use recent::Recent;
pub(crate) use scan::scan as scan_over;
pub use transaction::Transaction;

use crate::Store;
use crate::layers::show_key;
use crate::observe::told;
use crate::writer::Receipt;
use transaction::End;

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Transacted<T> {
    /// Its commit is visible and as durable as asked.
    Committed(T, Receipt),
    /// It staged nothing, so there is no commit. What it read was so at this beat.
    Unchanged(T, BeatNo),
    /// Nothing of it was committed.
    Conflict(Conflict),
}

/// Why a transaction was not committed, though nothing failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// What stood against it.
    pub cause: Cause,
    /// The beat that it had read, the last time.
    pub base: BeatNo,
    /// How often it was redone.
    pub redos: u32,
}

/// What stood against a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// Each time, others changed something that it had read; at last, this key.
    Changed(Vec<u8>),
    /// Each time, others changed something that it had read; at last, they deleted a range.
    RangeDeleted,
    /// Each time, more was committed while it ran than is remembered ([`CommitOptions::reads_bytes_max`]).
    ///
    /// [`CommitOptions::reads_bytes_max`]: crate::CommitOptions::reads_bytes_max
    Forgotten,
    /// This key is not as the transaction [expected](Transaction::expect).
    Unexpected(Vec<u8>),
}

impl<T> Transacted<T> {
    /// The value; a conflict becomes an error.
    ///
    /// # Errors
    /// `Conflict`.
    pub fn into_value(self) -> Result<T> {
        match self {
            Self::Committed(value, _) | Self::Unchanged(value, _) => Ok(value),
            Self::Conflict(conflict) => Err(conflict.into()),
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (base, redos) = (self.base, self.redos);
        match &self.cause {
            Cause::Changed(key) => write!(f, "others changed {} since beat {base}", show_key(key)),
            Cause::RangeDeleted => write!(f, "others deleted a range that was read, since beat {base}"),
            Cause::Forgotten => write!(f, "what was committed since beat {base} is not remembered"),
            Cause::Unexpected(key) => return write!(f, "{} is not as expected", show_key(key)),
        }?;
        write!(f, ", after {redos} redos")
    }
}

impl From<Conflict> for Error {
    fn from(conflict: Conflict) -> Self {
        Self::new(ErrorKind::Conflict, "transact", conflict.to_string())
    }
}

impl Store {
    /// Runs a transaction (SNAPSHOT). The closure reads one beat and its own writes; what it stages is committed as one
    /// commit if nothing that it read was changed meanwhile, and else it is called again, on a newer beat, at most
    /// [`CommitOptions::redos_max`] times. So transactions are serialisable: all of them, and all plain commits, are as if
    /// run one after the other in the order of their commits.
    ///
    /// The closure may take its time: it holds nothing but a view. It may be called several times, and should have no
    /// effects but through the transaction. If it fails or panics, nothing of it is committed.
    ///
    /// [`CommitOptions::redos_max`]: crate::CommitOptions::redos_max
    ///
    /// ```
    /// # use persist_api::{Durability, OpenOptions};
    /// # use persist_store::Transacted;
    /// # let drivers: [std::sync::Arc<dyn persist_api::Driver>; 1] = [std::sync::Arc::new(persist_memory::MemoryDriver::new())];
    /// # let disk = std::sync::Arc::new(persist_io::RealDisk);
    /// # let opened = persist_store::open_with(disk, &drivers, "".as_ref(), Some("memory"), &OpenOptions::default())?;
    /// # let (_writer, store) = opened.negotiate(&persist_store::volatile_request())?;
    /// let count = store.transact(Durability::Durable, |tx| {
    ///     let count = tx.get(b"count")?.map_or(0, |value| value[0]) + 1;
    ///     tx.put(b"count", &[count])?;
    ///     Ok(count)
    /// })?;
    /// assert!(matches!(count, Transacted::Committed(1, _)));
    /// # Ok::<(), persist_api::Error>(())
    /// ```
    ///
    /// # Errors
    /// The closure's. `Unsupported` for a durability or a verb that was not granted, `Busy` beyond `limits.views_max` and
    /// as [`commit`](Self::commit), `Poisoned` when the closure ignored an operation of it that failed, `Closed`, `Io`.
    pub fn transact<T>(
        &self,
        durability: Durability,
        work: impl FnMut(&mut Transaction) -> Result<T>,
    ) -> Result<Transacted<T>> {
        told(self.run_and_redo(durability, work))
    }

    fn run_and_redo<T>(
        &self,
        durability: Durability,
        mut work: impl FnMut(&mut Transaction) -> Result<T>,
    ) -> Result<Transacted<T>> {
        let terms = Arc::clone(&self.0.active().terms);
        terms.need("transact", Caps::SNAPSHOT)?;
        terms.durability(durability)?;
        let options = self.commit_options();
        let _live = self.0.recent.enter(options.reads_bytes_max);
        let mut redos = 0;
        loop {
            let mut transaction = Transaction::begin(self, options.reads_bytes_max)?;
            let done = work(&mut transaction);
            if let Some(conflict) = transaction.unexpected(redos) {
                return Ok(Transacted::Conflict(conflict));
            }
            let value = done?;
            match transaction.finish(durability)? {
                End::Committed(receipt) => return Ok(Transacted::Committed(value, receipt)),
                End::Unchanged(beat) => return Ok(Transacted::Unchanged(value, beat)),
                End::Conflict(_) if redos < options.redos_max => {
                    redos += 1;
                    self.0.active().meters.redo();
                }
                End::Conflict(conflict) => return Ok(Transacted::Conflict(Conflict { redos, ..conflict })),
            }
        }
    }
}
