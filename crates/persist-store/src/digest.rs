//! The digest of a store's content.

use std::fmt;
use std::ops::ControlFlow;

use persist_api::{Error, Observer, Progress, Result, Scan, View, Visit};

use crate::layers::{logical_key, user_scan};
use crate::view::StoreView;

/// How many rows pass between two reports of progress.
pub(crate) const ROWS_PER_STEP: u64 = 4096;

/// The digest of users' records at one beat: equal content, equal digest, on every engine and under every layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoreDigest {
    /// BLAKE3 over every record in key order, as `docs/format.md` says.
    pub blake3: [u8; 32],
    /// How many records.
    pub records: u64,
    /// Bytes of their logical keys and values.
    pub bytes: u64,
}

impl fmt::Display for StoreDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(blake3::Hash::from(self.blake3).to_hex().as_str())
    }
}

/// Builds a [`StoreDigest`] record by record, in key order.
#[derive(Debug, Clone, Default)]
pub struct DigestBuilder {
    hasher: blake3::Hasher,
    records: u64,
    bytes: u64,
}

impl DigestBuilder {
    /// A builder without records.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next record: length of the key (u64, little-endian), key, length of the value (u64), value.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        for part in [key, value] {
            self.hasher.update(&(part.len() as u64).to_le_bytes());
            self.hasher.update(part);
        }
        self.records = self.records.saturating_add(1);
        self.bytes = self.bytes.saturating_add((key.len() + value.len()) as u64);
    }

    /// How many records were added.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// The digest of what was added.
    #[must_use]
    pub fn finish(&self) -> StoreDigest {
        let blake3 = *self.hasher.finalize().as_bytes();
        StoreDigest { blake3, records: self.records, bytes: self.bytes }
    }
}

pub(crate) fn of_view(view: &StoreView, seen: &dyn Observer) -> Result<StoreDigest> {
    of_rows(seen, ("digest", "digest"), |visit| view.scan(Scan::all().without_fill_cache(), visit))
}

/// The digest of users' records in a view of an engine under its layers.
pub(crate) fn of_engine(view: &dyn View, seen: &dyn Observer) -> Result<StoreDigest> {
    let scan = user_scan(Scan::all().without_fill_cache());
    of_rows(seen, ("digest", "digest"), |visit| {
        view.scan(scan, &mut |key, value| visit(logical_key(key), value))
    })
}

/// The digest of the rows of a scan, reported to `seen` as this verb and phase.
pub(crate) fn of_rows(
    seen: &dyn Observer,
    (verb, phase): (&'static str, &'static str),
    scan: impl FnOnce(&mut Visit<'_>) -> Result<()>,
) -> Result<StoreDigest> {
    let mut builder = DigestBuilder::new();
    let mut stopped: Option<Error> = None;
    scan(&mut |key, value| {
        let done = builder.records();
        if done.is_multiple_of(ROWS_PER_STEP) {
            let progress = Progress { phase, done, total: None, unit: "records" };
            if let Err(error) = seen.step(verb, progress) {
                stopped = Some(error);
                return ControlFlow::Break(());
            }
        }
        builder.add(key, value);
        ControlFlow::Continue(())
    })?;
    stopped.map_or_else(|| Ok(builder.finish()), Err)
}
