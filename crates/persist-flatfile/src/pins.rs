//! Memtables that became runs while views still read them: memory that only the views can give back, so it has a limit.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use persist_api::{Error, ErrorKind, Result};

use crate::memtable::Memtable;

/// So much may be held however small memtables are.
const LEAST: u64 = 16 << 20;

/// The list of them.
#[derive(Debug)]
pub(crate) struct Pins {
    most: u64,
    tables: Mutex<Vec<(Weak<Memtable>, u64)>>,
}

impl Pins {
    /// With as much again as the memtables of the store may take.
    pub(crate) fn new(memtable_bytes: u64) -> Self {
        Self { most: memtable_bytes.saturating_mul(4).max(LEAST), tables: Mutex::default() }
    }

    /// Notes a memtable that is a run now.
    pub(crate) fn add(&self, table: &Arc<Memtable>) {
        let mut tables = self.tables.lock();
        tables.retain(|(table, _)| table.strong_count() > 0);
        tables.push((Arc::downgrade(table), table.bytes()));
    }

    /// Bytes that are still held.
    pub(crate) fn bytes(&self) -> u64 {
        let mut tables = self.tables.lock();
        tables.retain(|(table, _)| table.strong_count() > 0);
        tables.iter().fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }

    /// Whether there may be one more view.
    ///
    /// # Errors
    /// `Busy`.
    pub(crate) fn check(&self) -> Result<()> {
        let bytes = self.bytes();
        if bytes < self.most {
            return Ok(());
        }
        let context = format!(
            "open views hold {bytes} bytes of records in memory that are on disk by now, and {} is the most; drop old views",
            self.most
        );
        Err(Error::new(ErrorKind::Busy, "view", context))
    }
}

#[cfg(test)]
mod tests {
    use persist_api::BeatHeader;

    use super::*;

    #[test]
    fn what_views_hold_counts_until_they_go() {
        let pins = Pins::new(4096);
        let held: Vec<_> = (0..4)
            .map(|_| {
                let table = Arc::new(Memtable::new(0, &Arc::default()));
                assert!(table.push(BeatHeader::default(), 1, (vec![0; 5 << 20], 0..0), 0, false));
                pins.add(&table);
                table
            })
            .collect();
        assert_eq!(pins.check().unwrap_err().kind(), ErrorKind::Busy);
        drop(held);
        assert_eq!(pins.bytes(), 0);
        pins.check().unwrap();
    }
}
