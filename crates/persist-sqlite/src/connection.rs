//! Opening connections, all in the same way.

use std::path::Path;
use std::time::Duration;

use persist_api::{Error, ErrorKind, Result};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::driver::SCHEME;
use crate::error::during;
use crate::settings::Settings;

/// Nothing within one process waits for a lock of SQLite's; this is for people who look at the file with other tools.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Every text of this engine fits: nothing is ever prepared twice by one connection.
const STATEMENTS_KEPT: usize = 64;

/// Less than this is no cache.
pub(crate) const CACHE_KIB_MIN: u64 = 64;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Writer,
    /// A reader in a slot of the pool, or one beyond them.
    Reader {
        slot: Option<usize>,
    },
    /// Reads what is in the files: no pages from before, and no map.
    Checker,
}

/// Opens a connection to the database file at `path`, which exists.
pub(crate) fn open(path: &Path, role: Role, settings: &Settings) -> Result<Connection> {
    // No URI flag: a name is a name. No mutexes: rusqlite's types keep a connection to one thread at a time.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let fail = during("open");
    let conn = Connection::open_with_flags(path, flags).map_err(&fail)?;
    harden(&conn).map_err(&fail)?;
    let cache_bytes = match role {
        Role::Writer => settings.writer_cache_bytes(),
        Role::Reader { slot } => settings.reader_cache_bytes(slot),
        Role::Checker => settings.reader_cache_bytes(None),
    };
    // SQLite takes 32 bits, and none at all for a wish to have its default.
    let cache_kib = (cache_bytes / 1024).clamp(CACHE_KIB_MIN, u64::from(u32::MAX >> 1));
    let mmap_bytes = if role == Role::Checker { 0 } else { settings.mmap_bytes };
    // Checkpoints are ours alone (see upkeep.rs): SQLite's automatic ones hide a failed sync.
    let common = format!(
        "PRAGMA cache_size = -{cache_kib}; PRAGMA mmap_size = {mmap_bytes}; PRAGMA wal_autocheckpoint = 0; \
         PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON;"
    );
    conn.execute_batch(&common).map_err(&fail)?;
    let own = match role {
        Role::Writer => {
            let limit = settings.wal_bytes.saturating_mul(2).min(i64::MAX as u64);
            format!("PRAGMA synchronous = FULL; PRAGMA journal_size_limit = {limit};")
        }
        Role::Reader { .. } | Role::Checker => "PRAGMA query_only = ON;".to_owned(),
    };
    conn.execute_batch(&own).map_err(&fail)?;
    Ok(conn)
}

/// Turns off what we never use and a damaged or forged file could.
pub(crate) fn harden(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    for (config, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
    ] {
        conn.set_db_config(config, on)?;
    }
    conn.execute_batch("PRAGMA cell_size_check = ON;")
}

/// Puts the writer into WAL mode, which the file already says it is in, and bounds the file.
pub(crate) fn prepare_writer(conn: &Connection, settings: &Settings) -> Result<u64> {
    let fail = during("open");
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(&fail)?;
    if mode != "wal" {
        let context = format!("the journal mode is {mode}; this file system may not support shared memory");
        return Err(Error::new(ErrorKind::Io, "open", context).with_engine(SCHEME));
    }
    let page_bytes: u32 = conn.query_row("PRAGMA page_size", [], |row| row.get(0)).map_err(&fail)?;
    let page_bytes = u64::from(page_bytes);
    let pages = settings.store_bytes_max / page_bytes.max(1);
    conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).map_err(&fail)?;
    Ok(page_bytes)
}

/// Runs one of our transaction statements.
pub(crate) fn run(conn: &Connection, text: &'static str) -> rusqlite::Result<()> {
    conn.prepare_cached(text)?.raw_execute().map(drop)
}
