//! LMDB by hand.

use std::hint::black_box;
use std::path::Path;

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvOpenOptions, WithoutTls};
use persist_api::BeatHeader;

use crate::rows::Row;
use crate::side::{Result, Side, text};

/// An environment with a database of records and one of the header.
pub(crate) struct Lmdb {
    env: &'static Env<WithoutTls>,
    records: Database<'static, Bytes, Bytes>,
    header: Database<'static, Bytes, Bytes>,
}

impl Lmdb {
    /// Creates the environment.
    #[allow(
        unsafe_code,
        reason = "heed marks opening an environment unsafe: the file must not be changed by others"
    )]
    pub(crate) fn create(home: &Path) -> Result<Self> {
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(1 << 32).max_dbs(2);
        // SAFETY: the directory is a fresh temporary one of this process alone.
        let env = unsafe { options.open(home) }.map_err(text)?;
        // A database borrows its environment; the benchmark's lives as long as the process.
        let env: &'static Env<WithoutTls> = Box::leak(Box::new(env));
        let txn = env.write_txn().map_err(text)?;
        let (records, header) = env
            .create_databases_and_commit(txn, |create, txn| {
                let records = create.create_database(txn, Some("records"))?;
                let header = create.create_database(txn, Some("header"))?;
                Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit((records, header)))
            })
            .map_err(text)?
            .unwrap_commit();
        Ok(Self { env, records, header })
    }
}

impl Side for Lmdb {
    fn beat(&mut self, rows: &[Row]) -> Result<()> {
        let mut txn = self.env.write_txn().map_err(text)?;
        for (key, value) in rows {
            self.records.put(&mut txn, key, value).map_err(text)?;
        }
        self.header.put(&mut txn, b"header", &BeatHeader::default().encode()).map_err(text)?;
        txn.commit().map_err(text)
    }

    fn gets(&mut self, keys: &[Vec<u8>]) -> Result<u64> {
        let txn = self.env.read_txn().map_err(text)?;
        let mut bytes = 0;
        for key in keys {
            if let Some(value) = self.records.get(&txn, key).map_err(text)? {
                bytes += black_box(value).len() as u64;
            }
        }
        Ok(bytes)
    }

    fn scans(&mut self, times: u32) -> Result<(u64, u64)> {
        let txn = self.env.read_txn().map_err(text)?;
        let (mut rows, mut bytes) = (0, 0);
        for _ in 0..times {
            for row in self.records.iter(&txn).map_err(text)? {
                let (key, value) = row.map_err(text)?;
                rows += 1;
                bytes += (black_box(key).len() + black_box(value).len()) as u64;
            }
        }
        Ok((rows, bytes))
    }
}
