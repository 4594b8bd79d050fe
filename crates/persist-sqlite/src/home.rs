//! The files of a home: which are ours, what a header says, and how a database comes to be.
//!
//! A database is built under [`NEW`], synced, and then renamed to [`DATA`]: a home either has a whole database or none.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use persist_api::{BeatHeader, Error, Probe, Result};
use persist_io::{Disk, EntryKind, FileMode, LOCK_FILE, RealDisk};
use rusqlite::{Connection, OpenFlags};

use crate::connection;
use crate::error::during;
use crate::settings::{FORMAT, Settings};
use crate::sql;

/// The database.
pub(crate) const DATA: &str = "data.db";
/// A database that is being made.
pub(crate) const NEW: &str = "data.db.new";
const WAL: &str = "data.db-wal";
const SHM: &str = "data.db-shm";
const NEW_SIDES: [&str; 3] = ["data.db.new-journal", "data.db.new-wal", "data.db.new-shm"];

/// `application_id` of our databases: "prst".
const APPLICATION_ID: u32 = u32::from_be_bytes(*b"prst");

const HEADER_BYTES: usize = 100;
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The database files that are open in this process, by device and inode.
///
/// SQLite's locks are POSIX record locks, which the kernel drops as soon as *any* descriptor of the file is closed in the
/// process. So a database that is open here must not be opened and closed by anybody else here, not even to probe it:
/// another program (the sqlite3 shell, say) would then take the store for abandoned.
static LIVE: Mutex<BTreeSet<(u64, u64)>> = Mutex::new(BTreeSet::new());

/// Says that a database file is open in this process, until dropped.
#[derive(Debug)]
pub(crate) struct LiveMark((u64, u64));

impl LiveMark {
    /// Marks the file at `path`. The caller holds the lock of its directory.
    pub(crate) fn new(path: &Path) -> Result<Self> {
        let metadata = std::fs::metadata(path).map_err(|error| Error::io("open", path, error))?;
        let id = (metadata.dev(), metadata.ino());
        LIVE.lock().insert(id);
        Ok(Self(id))
    }
}

impl Drop for LiveMark {
    fn drop(&mut self) {
        LIVE.lock().remove(&self.0);
    }
}

/// Path of the WAL of a home.
pub(crate) fn wal_path(home: &Path) -> PathBuf {
    home.join(WAL)
}

/// Bytes of a file; 0 when there is none. Asks for the length without opening (see [`LIVE`]).
pub(crate) fn len_of(path: &Path) -> Result<u64> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(Error::io("stats", path, error)),
    }
}

/// Bytes of all files of a home.
pub(crate) fn size_of(home: &Path) -> Result<u64> {
    [DATA, WAL, SHM, LOCK_FILE]
        .into_iter()
        .try_fold(0_u64, |sum, name| Ok(sum.saturating_add(len_of(&home.join(name))?)))
}

/// Says what lies in `home`.
pub(crate) fn probe(home: &Path) -> Result<Probe> {
    let Some(entries) = RealDisk.list(home)? else {
        return Ok(Probe::Empty);
    };
    let mut has_data = false;
    let mut has_sides = false;
    for entry in &entries {
        let name = entry.name.to_str().unwrap_or_default();
        has_data |= name == DATA;
        has_sides |= name == WAL || name == SHM;
        let known = [DATA, WAL, SHM, LOCK_FILE, NEW].contains(&name) || NEW_SIDES.contains(&name);
        if !known || entry.kind != EntryKind::File {
            return Ok(Probe::Foreign { what: format!("{} is not ours", entry.name.to_string_lossy()) });
        }
    }
    if !has_data {
        // An interrupted creation leaves its lock and an unfinished file, never the sides of a database that is not there.
        return Ok(if has_sides {
            Probe::Foreign { what: format!("{WAL} without {DATA}") }
        } else {
            Probe::Empty
        });
    }
    if let Some(what) = foreign_header(&home.join(DATA))? {
        return Ok(Probe::Foreign { what });
    }
    Ok(Probe::Mine { needs_recovery: len_of(&wal_path(home))? > 0 })
}

/// Why the database file is not ours, by its header; `None` if it is.
fn foreign_header(path: &Path) -> Result<Option<String>> {
    let live = LIVE.lock();
    let metadata = std::fs::metadata(path).map_err(|error| Error::io("probe", path, error))?;
    if live.contains(&(metadata.dev(), metadata.ino())) {
        return Ok(None);
    }
    let mut header = [0_u8; HEADER_BYTES];
    // Opened, read and closed while the registry is locked, so that nobody opens the database in between.
    let got = RealDisk.open(path, FileMode::Read)?.read_at(0, &mut header)?;
    drop(live);
    let word = |at: usize| {
        let bytes = header.get(at..at.saturating_add(4)).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_be_bytes)
    };
    let (user_version, application_id) = (word(60), word(68));
    let what = if got < HEADER_BYTES || !header.starts_with(MAGIC) {
        format!("{DATA} is no SQLite database")
    } else if application_id != APPLICATION_ID {
        format!("{DATA} is an SQLite database with application id {application_id:#010x}")
    } else if user_version != FORMAT {
        format!("{DATA} has format {user_version}; this engine reads {FORMAT}")
    } else {
        return Ok(None);
    };
    Ok(Some(what))
}

/// Removes what an interrupted creation or backup left. The caller holds the lock of the directory.
pub(crate) fn clear_unfinished(home: &Path) -> Result<()> {
    NEW_SIDES.into_iter().chain([NEW]).try_for_each(|name| RealDisk.remove_file(&home.join(name)))
}

/// Gives the finished database its name, durably.
pub(crate) fn publish(home: &Path) -> Result<()> {
    RealDisk.open(&home.join(NEW), FileMode::Write)?.sync_data()?;
    RealDisk.rename(&home.join(NEW), &home.join(DATA))?;
    RealDisk.sync_dir(home)
}

/// Makes an empty database in `home`, whose lock the caller holds. It is durable when the call returns.
pub(crate) fn create(home: &Path, settings: &Settings) -> Result<()> {
    clear_unfinished(home)?;
    build(&home.join(NEW), settings.page_bytes).map_err(during("open"))?;
    publish(home)
}

fn build(path: &Path, page_bytes: u64) -> rusqlite::Result<()> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    connection::harden(&conn)?;
    // Nothing is at stake yet, and `publish` syncs the file.
    conn.execute_batch(&format!(
        "PRAGMA page_size = {page_bytes}; PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; \
         BEGIN; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT}; {} COMMIT;",
        sql::SCHEMA
    ))?;
    conn.execute(sql::INSERT_HEADER, [BeatHeader::default().encode().as_slice()])?;
    conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    conn.close().map_err(|(_, error)| error)
}
