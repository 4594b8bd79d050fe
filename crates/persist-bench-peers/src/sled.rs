//! sled by hand. It has no snapshots: a reader reads what is there.

use std::path::Path;

use persist_bench::contender::{Ack, Contender, Reader, Result, Seen, Settings, text};
use persist_bench::rows::{Key, Prefix, Row};
use sled::{Batch, Db};

/// An open database.
pub(crate) struct Sled {
    db: Db,
}

impl Sled {
    /// Opens or creates the database.
    pub(crate) fn open(home: &Path, settings: &Settings) -> Result<Self> {
        let config = sled::Config::new().path(home.join("db")).cache_capacity(settings.cache_bytes);
        // By default it flushes every half second in a thread, which would disturb what is measured beside it.
        Ok(Self { db: config.flush_every_ms(None).open().map_err(text)? })
    }
}

impl Contender for Sled {
    fn commit(&self, rows: &[Row], ack: Ack) -> Result<()> {
        if let [row] = rows {
            self.db.insert(row.key, &*row.value).map_err(text)?;
        } else {
            let mut batch = Batch::default();
            for row in rows {
                batch.insert(&row.key, &*row.value);
            }
            self.db.apply_batch(batch).map_err(text)?;
        }
        if ack == Ack::Unsynced { Ok(()) } else { self.sync() }
    }

    fn sync(&self) -> Result<()> {
        self.db.flush().map(drop).map_err(text)
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(SledReader(&self.db)))
    }

    fn compact(self: Box<Self>) -> Result<Box<dyn Contender>> {
        self.sync()?;
        Ok(self)
    }
}

struct SledReader<'d>(&'d Db);

impl Reader for SledReader<'_> {
    fn gets(&mut self, keys: &[Key]) -> Result<Seen> {
        let mut seen = Seen::default();
        for key in keys {
            if let Some(value) = self.0.get(key).map_err(text)? {
                seen.value(&value);
            }
        }
        Ok(seen)
    }

    fn scan(&mut self) -> Result<Seen> {
        let mut seen = Seen::default();
        for row in self.0.iter() {
            let (key, value) = row.map_err(text)?;
            seen.row(&key, &value);
        }
        Ok(seen)
    }

    fn prefixes(&mut self, prefixes: &[Prefix]) -> Result<Seen> {
        let mut seen = Seen::default();
        for prefix in prefixes {
            for row in self.0.scan_prefix(prefix) {
                let (key, value) = row.map_err(text)?;
                seen.row(&key, &value);
            }
        }
        Ok(seen)
    }

    fn value(&mut self, key: &Key) -> Result<Option<Vec<u8>>> {
        Ok(self.0.get(key).map_err(text)?.map(|value| value.to_vec()))
    }
}
