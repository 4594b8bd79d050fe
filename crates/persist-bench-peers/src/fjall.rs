//! fjall by hand.

use std::path::Path;

use fjall::config::CompressionPolicy;
use fjall::{
    CompressionType, Database, Iter, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot,
};
use persist_bench::contender::{Ack, Contender, Reader, Result, Seen, Settings, text};
use persist_bench::rows::{Key, Prefix, Row};

/// An open database with one keyspace.
pub(crate) struct Fjall {
    db: Database,
    records: Keyspace,
}

impl Fjall {
    /// Opens or creates the database.
    pub(crate) fn open(home: &Path, settings: &Settings) -> Result<Self> {
        let db = Database::builder(home).cache_size(settings.cache_bytes).open().map_err(text)?;
        let options = || {
            let none = CompressionPolicy::all(CompressionType::None);
            KeyspaceCreateOptions::default().data_block_compression_policy(none)
        };
        let records = db.keyspace("records", options).map_err(text)?;
        Ok(Self { db, records })
    }
}

impl Contender for Fjall {
    fn commit(&self, rows: &[Row], ack: Ack) -> Result<()> {
        let mode = (ack != Ack::Unsynced).then_some(PersistMode::SyncData);
        let mut batch = self.db.batch().durability(mode);
        for row in rows {
            batch.insert(&self.records, row.key.as_slice(), &*row.value);
        }
        batch.commit().map_err(text)
    }

    fn sync(&self) -> Result<()> {
        self.db.persist(PersistMode::SyncData).map_err(text)
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(FjallReader { snapshot: self.db.snapshot(), records: &self.records }))
    }

    fn checkpoint(&self) -> Result<()> {
        self.records.rotate_memtable_and_wait().map_err(text)
    }

    fn settle(&self) -> Result<()> {
        self.checkpoint()?;
        self.records.major_compact().map_err(text)
    }

    fn compact(self: Box<Self>) -> Result<Box<dyn Contender>> {
        self.settle()?;
        Ok(self)
    }
}

struct FjallReader<'d> {
    snapshot: Snapshot,
    records: &'d Keyspace,
}

fn rows(iter: Iter, seen: &mut Seen) -> Result<()> {
    for row in iter {
        let (key, value) = row.into_inner().map_err(text)?;
        seen.row(&key, &value);
    }
    Ok(())
}

impl Reader for FjallReader<'_> {
    fn gets(&mut self, keys: &[Key]) -> Result<Seen> {
        let mut seen = Seen::default();
        for key in keys {
            if let Some(value) = self.snapshot.get(self.records, key).map_err(text)? {
                seen.value(&value);
            }
        }
        Ok(seen)
    }

    fn scan(&mut self) -> Result<Seen> {
        let mut seen = Seen::default();
        rows(self.snapshot.iter(self.records), &mut seen)?;
        Ok(seen)
    }

    fn prefixes(&mut self, prefixes: &[Prefix]) -> Result<Seen> {
        let mut seen = Seen::default();
        for prefix in prefixes {
            rows(self.snapshot.prefix(self.records, prefix), &mut seen)?;
        }
        Ok(seen)
    }

    fn value(&mut self, key: &Key) -> Result<Option<Vec<u8>>> {
        Ok(self.snapshot.get(self.records, key).map_err(text)?.map(|value| value.to_vec()))
    }
}
