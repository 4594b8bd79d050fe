//! redb by hand.

use std::path::Path;

use persist_bench::contender::{Ack, Contender, Reader, Result, Seen, Settings, after, text};
use persist_bench::rows::{Key, Prefix, Row};
use redb::{Database, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable, TableDefinition};

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");

/// An open database.
pub(crate) struct Redb {
    db: Database,
}

impl Redb {
    /// Opens or creates the database.
    pub(crate) fn open(home: &Path, settings: &Settings) -> Result<Self> {
        let cache_bytes = usize::try_from(settings.cache_bytes).map_err(text)?;
        let db =
            Database::builder().set_cache_size(cache_bytes).create(home.join("db.redb")).map_err(text)?;
        let txn = db.begin_write().map_err(text)?;
        txn.open_table(TABLE).map_err(text)?;
        txn.commit().map_err(text)?;
        Ok(Self { db })
    }

    fn write(&self, rows: &[Row], durability: Durability) -> Result<()> {
        let mut txn = self.db.begin_write().map_err(text)?;
        txn.set_durability(durability).map_err(text)?;
        {
            let mut table = txn.open_table(TABLE).map_err(text)?;
            for row in rows {
                table.insert(row.key.as_slice(), &*row.value).map_err(text)?;
            }
        }
        txn.commit().map_err(text)
    }
}

impl Contender for Redb {
    fn commit(&self, rows: &[Row], ack: Ack) -> Result<()> {
        self.write(rows, if ack == Ack::Unsynced { Durability::None } else { Durability::Immediate })
    }

    fn sync(&self) -> Result<()> {
        self.write(&[], Durability::Immediate)
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        let txn = self.db.begin_read().map_err(text)?;
        Ok(Box::new(RedbReader(txn.open_table(TABLE).map_err(text)?)))
    }

    fn compact(self: Box<Self>) -> Result<Box<dyn Contender>> {
        let mut this = *self;
        this.db.compact().map_err(text)?;
        Ok(Box::new(this))
    }
}

struct RedbReader(ReadOnlyTable<&'static [u8], &'static [u8]>);

fn rows(range: redb::Range<'_, &'static [u8], &'static [u8]>, seen: &mut Seen) -> Result<()> {
    for row in range {
        let (key, value) = row.map_err(text)?;
        seen.row(key.value(), value.value());
    }
    Ok(())
}

impl Reader for RedbReader {
    fn gets(&mut self, keys: &[Key]) -> Result<Seen> {
        let mut seen = Seen::default();
        for key in keys {
            if let Some(value) = self.0.get(key.as_slice()).map_err(text)? {
                seen.value(value.value());
            }
        }
        Ok(seen)
    }

    fn scan(&mut self) -> Result<Seen> {
        let mut seen = Seen::default();
        rows(self.0.iter().map_err(text)?, &mut seen)?;
        Ok(seen)
    }

    fn prefixes(&mut self, prefixes: &[Prefix]) -> Result<Seen> {
        let mut seen = Seen::default();
        for prefix in prefixes {
            let start = prefix.as_slice();
            let range = match after(*prefix) {
                Some(end) => self.0.range::<&[u8]>(start..end.as_slice()),
                None => self.0.range::<&[u8]>(start..),
            };
            rows(range.map_err(text)?, &mut seen)?;
        }
        Ok(seen)
    }

    fn value(&mut self, key: &Key) -> Result<Option<Vec<u8>>> {
        Ok(self.0.get(key.as_slice()).map_err(text)?.map(|value| value.value().to_vec()))
    }
}
