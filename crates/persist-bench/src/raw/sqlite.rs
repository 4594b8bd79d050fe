//! SQLite by hand.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use persist_api::{BeatHeader, Durability};
use rusqlite::{Connection, OptionalExtension, Params};

use crate::contender::{Ack, Contender, Reader, Result, Seen, Settings, after, text};
use crate::rows::{Key, Prefix, Row};

const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS record (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS beat (id INTEGER PRIMARY KEY, header BLOB NOT NULL);";

/// A writer and a reader connection in WAL mode.
pub(crate) struct Sqlite {
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
    last: Mutex<BeatHeader>,
    with_header: bool,
}

impl Sqlite {
    /// Opens or creates the database.
    pub(crate) fn open(home: &Path, settings: &Settings) -> Result<Self> {
        let cache_kib = settings.cache_bytes / 1024;
        // Our engine does not map the file, so the library under it, compared with it, does not either.
        let mmap_bytes: u64 = if settings.with_header { 0 } else { 1 << 34 };
        let synchronous = if settings.bulk { "NORMAL" } else { "FULL" };
        let open = || -> Result<Connection> {
            let connection = Connection::open(home.join("raw.sqlite")).map_err(text)?;
            let pragmas = format!(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous={synchronous}; PRAGMA cell_size_check=ON;
                 PRAGMA cache_size=-{cache_kib}; PRAGMA mmap_size={mmap_bytes};"
            );
            connection.execute_batch(&pragmas).map_err(text)?;
            connection.set_prepared_statement_cache_capacity(16);
            Ok(connection)
        };
        let writer = open()?;
        writer.execute_batch(TABLES).map_err(text)?;
        Ok(Self {
            writer: Mutex::new(writer),
            reader: Mutex::new(open()?),
            last: Mutex::default(),
            with_header: settings.with_header,
        })
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(connection: &Connection, sql: &str, with: impl Params) -> Result<()> {
    connection.prepare_cached(sql).and_then(|mut it| it.execute(with)).map(drop).map_err(text)
}

impl Contender for Sqlite {
    fn commit(&self, rows: &[Row], _ack: Ack) -> Result<()> {
        let writer = held(&self.writer);
        run(&writer, "BEGIN IMMEDIATE", [])?;
        {
            let mut put =
                writer.prepare_cached("REPLACE INTO record (key, value) VALUES (?1, ?2)").map_err(text)?;
            for row in rows {
                put.execute((&row.key, &*row.value)).map_err(text)?;
            }
        }
        if self.with_header {
            // SQLite skips the page when a row is overwritten with what it holds, so the header differs each time.
            let mut last = held(&self.last);
            *last = last.next(1, Durability::Durable, None).map_err(text)?;
            run(&writer, "REPLACE INTO beat (id, header) VALUES (0, ?1)", [last.encode().as_slice()])?;
        }
        run(&writer, "COMMIT", [])
    }

    fn sync(&self) -> Result<()> {
        self.checkpoint()
    }

    fn reader(&self) -> Result<Box<dyn Reader + '_>> {
        let reader = held(&self.reader);
        run(&reader, "BEGIN", [])?;
        Ok(Box::new(SqliteReader(reader)))
    }

    fn checkpoint(&self) -> Result<()> {
        held(&self.writer).query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(text)
    }

    fn compact(self: Box<Self>) -> Result<Box<dyn Contender>> {
        held(&self.writer).execute_batch("VACUUM").map_err(text)?;
        self.checkpoint()?;
        Ok(self)
    }
}

struct SqliteReader<'c>(MutexGuard<'c, Connection>);

impl Drop for SqliteReader<'_> {
    fn drop(&mut self) {
        // Ending a transaction that only read cannot fail in a way that matters here.
        let _ = run(&self.0, "COMMIT", []);
    }
}

impl SqliteReader<'_> {
    fn rows(&self, sql: &str, with: impl Params, seen: &mut Seen) -> Result<()> {
        let mut some = self.0.prepare_cached(sql).map_err(text)?;
        let mut found = some.query(with).map_err(text)?;
        while let Some(row) = found.next().map_err(text)? {
            let key = row.get_ref(0).map_err(text)?.as_blob().map_err(text)?;
            let value = row.get_ref(1).map_err(text)?.as_blob().map_err(text)?;
            seen.row(key, value);
        }
        Ok(())
    }
}

const GET: &str = "SELECT value FROM record WHERE key = ?1";

impl Reader for SqliteReader<'_> {
    fn gets(&mut self, keys: &[Key]) -> Result<Seen> {
        let mut get = self.0.prepare_cached(GET).map_err(text)?;
        let mut seen = Seen::default();
        for key in keys {
            let mut found = get.query([key]).map_err(text)?;
            if let Some(row) = found.next().map_err(text)? {
                seen.value(row.get_ref(0).map_err(text)?.as_blob().map_err(text)?);
            }
        }
        Ok(seen)
    }

    fn scan(&mut self) -> Result<Seen> {
        let mut seen = Seen::default();
        self.rows("SELECT key, value FROM record ORDER BY key", [], &mut seen)?;
        Ok(seen)
    }

    fn prefixes(&mut self, prefixes: &[Prefix]) -> Result<Seen> {
        let mut seen = Seen::default();
        for prefix in prefixes {
            if let Some(end) = after(*prefix) {
                let sql = "SELECT key, value FROM record WHERE key >= ?1 AND key < ?2 ORDER BY key";
                self.rows(sql, [prefix, &end], &mut seen)?;
            } else {
                let sql = "SELECT key, value FROM record WHERE key >= ?1 ORDER BY key";
                self.rows(sql, [prefix], &mut seen)?;
            }
        }
        Ok(seen)
    }

    fn value(&mut self, key: &Key) -> Result<Option<Vec<u8>>> {
        let mut get = self.0.prepare_cached(GET).map_err(text)?;
        get.query_row([key], |row| row.get(0)).optional().map_err(text)
    }
}
