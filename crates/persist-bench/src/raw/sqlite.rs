//! SQLite by hand.

use std::hint::black_box;
use std::path::Path;

use persist_api::{BeatHeader, Durability};
use rusqlite::Connection;

use crate::rows::Row;
use crate::side::{Result, Side, text};

/// A writer and a reader connection in WAL mode.
pub(crate) struct Sqlite {
    writer: Connection,
    reader: Connection,
    last: BeatHeader,
}

impl Sqlite {
    /// Creates the database.
    pub(crate) fn create(home: &Path) -> Result<Self> {
        let open = || -> Result<Connection> {
            let connection = Connection::open(home.join("raw.sqlite")).map_err(text)?;
            connection
                .execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cell_size_check=ON; PRAGMA cache_size=-65536;")
                .map_err(text)?;
            connection.set_prepared_statement_cache_capacity(16);
            Ok(connection)
        };
        let writer = open()?;
        writer
            .execute_batch(
                "CREATE TABLE record (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
                 CREATE TABLE beat (id INTEGER PRIMARY KEY, header BLOB NOT NULL);",
            )
            .map_err(text)?;
        Ok(Self { writer, reader: open()?, last: BeatHeader::default() })
    }
}

impl Side for Sqlite {
    fn beat(&mut self, rows: &[Row]) -> Result<()> {
        // SQLite skips the page when a row is overwritten with what it holds, so the header differs from beat to beat.
        self.last = self.last.next(1, Durability::Durable, None).map_err(text)?;
        let run = |sql: &str| {
            self.writer.prepare_cached(sql).and_then(|mut statement| statement.execute([])).map_err(text)
        };
        run("BEGIN IMMEDIATE")?;
        {
            let mut put = self
                .writer
                .prepare_cached("REPLACE INTO record (key, value) VALUES (?1, ?2)")
                .map_err(text)?;
            for (key, value) in rows {
                put.execute((key, value)).map_err(text)?;
            }
        }
        self.writer
            .prepare_cached("REPLACE INTO beat (id, header) VALUES (0, ?1)")
            .and_then(|mut put| put.execute([self.last.encode().as_slice()]))
            .map_err(text)?;
        run("COMMIT").map(drop)
    }

    fn settle(&mut self) -> Result<()> {
        self.writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(text)
    }

    fn gets(&mut self, keys: &[Vec<u8>]) -> Result<u64> {
        let txn = self.reader.unchecked_transaction().map_err(text)?;
        let mut get = self.reader.prepare_cached("SELECT value FROM record WHERE key = ?1").map_err(text)?;
        let mut bytes = 0;
        for key in keys {
            let mut found = get.query([key]).map_err(text)?;
            if let Some(row) = found.next().map_err(text)? {
                let value = row.get_ref(0).map_err(text)?.as_blob().map_err(text)?;
                bytes += black_box(value).len() as u64;
            }
        }
        drop(get);
        txn.commit().map_err(text)?;
        Ok(bytes)
    }

    fn scans(&mut self, times: u32) -> Result<(u64, u64)> {
        let mut all =
            self.reader.prepare_cached("SELECT key, value FROM record ORDER BY key").map_err(text)?;
        let (mut rows, mut bytes) = (0, 0);
        for _ in 0..times {
            let mut found = all.query([]).map_err(text)?;
            while let Some(row) = found.next().map_err(text)? {
                let key = row.get_ref(0).map_err(text)?.as_blob().map_err(text)?;
                let value = row.get_ref(1).map_err(text)?.as_blob().map_err(text)?;
                rows += 1;
                bytes += (black_box(key).len() + black_box(value).len()) as u64;
            }
        }
        Ok((rows, bytes))
    }
}
