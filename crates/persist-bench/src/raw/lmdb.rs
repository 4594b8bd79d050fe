//! LMDB by hand.

use std::path::{Path, PathBuf};

use heed::types::Bytes;
use heed::{CommitOrAbort, CompactionOption, Database, Env, EnvFlags, EnvOpenOptions, RoTxn, WithoutTls};
use persist_api::BeatHeader;
use persist_io::{Disk, RealDisk};

use crate::contender::{Ack, Contender, Reader, Result, Seen, Settings, text};
use crate::rows::{Key, Prefix, Row};

type Table = Database<'static, Bytes, Bytes>;

/// An environment with a database of records and one of the header.
pub(crate) struct Lmdb {
    env: Env<WithoutTls>,
    records: Table,
    header: Table,
    home: PathBuf,
    settings: Settings,
}

impl Lmdb {
    /// Opens or creates the environment.
    pub(crate) fn open(home: &Path, settings: &Settings) -> Result<Self> {
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        // Under valgrind, which counts both sides of a comparison, there is not room for more.
        options.map_size(if settings.with_header { 1 << 32 } else { 1 << 36 }).max_dbs(2);
        if settings.bulk {
            #[allow(unsafe_code, reason = "heed marks every flag as unsafe")]
            // SAFETY: without syncs a crash may destroy the file; it is a temporary one, synced at the end of the load.
            unsafe {
                options.flags(EnvFlags::NO_SYNC)
            };
        }
        #[allow(unsafe_code, reason = "heed demands it: the file must not be changed by others")]
        // SAFETY: the directory is a temporary one that no other process knows.
        let env = unsafe { options.open(home) }.map_err(text)?;
        let txn = env.write_txn().map_err(text)?;
        let (records, header) = env
            .create_databases_and_commit(txn, |create, txn| {
                let records = create.create_database(txn, Some("records"))?;
                let header = create.create_database(txn, Some("header"))?;
                Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit((records, header)))
            })
            .map_err(text)?
            .unwrap_commit();
        Ok(Self { env, records, header, home: home.to_path_buf(), settings: *settings })
    }
}

impl Contender for Lmdb {
    fn commit(&self, rows: &[Row], _ack: Ack) -> Result<()> {
        let mut txn = self.env.write_txn().map_err(text)?;
        for row in rows {
            self.records.put(&mut txn, &row.key, &row.value).map_err(text)?;
        }
        if self.settings.with_header {
            self.header.put(&mut txn, b"header", &BeatHeader::default().encode()).map_err(text)?;
        }
        txn.commit().map_err(text)
    }

    fn sync(&self) -> Result<()> {
        self.env.force_sync().map_err(text)
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        Ok(Box::new(LmdbReader { records: self.records, txn: self.env.read_txn().map_err(text)? }))
    }

    fn compact(self: Box<Self>) -> Result<Box<dyn Contender>> {
        let Self { env, home, settings, .. } = *self;
        let copy = home.join("compacted");
        env.copy_to_path(&copy, CompactionOption::Enabled).map_err(text)?.sync_all().map_err(text)?;
        env.prepare_for_closing().wait();
        RealDisk.rename(&copy, &home.join("data.mdb")).map_err(text)?;
        Ok(Box::new(Self::open(&home, &settings)?))
    }
}

struct LmdbReader<'e> {
    records: Table,
    txn: RoTxn<'e, WithoutTls>,
}

impl Reader for LmdbReader<'_> {
    fn gets(&mut self, keys: &[Key]) -> Result<Seen> {
        let mut seen = Seen::default();
        for key in keys {
            if let Some(value) = self.records.get(&self.txn, key).map_err(text)? {
                seen.value(value);
            }
        }
        Ok(seen)
    }

    fn scan(&mut self) -> Result<Seen> {
        let mut seen = Seen::default();
        for row in self.records.iter(&self.txn).map_err(text)? {
            let (key, value) = row.map_err(text)?;
            seen.row(key, value);
        }
        Ok(seen)
    }

    fn prefixes(&mut self, prefixes: &[Prefix]) -> Result<Seen> {
        let mut seen = Seen::default();
        for prefix in prefixes {
            for row in self.records.prefix_iter(&self.txn, prefix).map_err(text)? {
                let (key, value) = row.map_err(text)?;
                seen.row(key, value);
            }
        }
        Ok(seen)
    }

    fn value(&mut self, key: &Key) -> Result<Option<Vec<u8>>> {
        Ok(self.records.get(&self.txn, key).map_err(text)?.map(<[u8]>::to_vec))
    }
}
