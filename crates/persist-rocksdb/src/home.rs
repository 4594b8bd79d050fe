//! The layout of a home: recognising it, creating it whole or not at all.
//!
//! `lock` is the directory lock, `manifest` a note on RocksDB's manifest, `db/` is RocksDB's directory. A database is made and filled as `db.new/` and gets its
//! name last, so that `db/` is always a whole one; whatever a crash leaves under the other names holds nothing.

use std::path::{Path, PathBuf};

use persist_api::{BeatHeader, Error, Probe, Result};
use persist_io::{Disk, Entry, EntryKind, LOCK_FILE, RealDisk, create_dir_durably, remove_tree};
use rocksdb::{DB, WriteOptions};

use crate::bounds::HEADER_KEY;
use crate::driver::SCHEME;
use crate::error::map_error;
use crate::settings::Settings;

/// How much of which manifest was synced at the last open.
pub(crate) const NOTE_FILE: &str = "manifest";
/// The same while it is written.
const NOTE_TEMPORARY_FILE: &str = "manifest.new";
const DB_DIR: &str = "db";
const NEW_DIR: &str = "db.new";
/// RocksDB writes a checkpoint under this name first.
const NEW_TEMPORARY_DIR: &str = "db.new.tmp";

/// A log of this length or less holds no beat: it begins with a note on the log before it, and the header of a beat alone
/// takes more.
const LOG_PREAMBLE_MAX: u64 = 64;

/// RocksDB's directory in a home.
pub(crate) fn db_dir(home: &Path) -> PathBuf {
    home.join(DB_DIR)
}

/// The directory in which a database is made.
pub(crate) fn new_dir(home: &Path) -> PathBuf {
    home.join(NEW_DIR)
}

/// Says what lies in `home`. Reads names and lengths only.
pub(crate) fn probe(home: &Path) -> Result<Probe> {
    let entries = RealDisk.list(home)?.unwrap_or_default();
    if let Some(entry) = entries.iter().find(|entry| !is_ours(entry)) {
        return Ok(Probe::Foreign { what: format!("{} is not of {SCHEME}", entry.name.display()) });
    }
    if !entries.iter().any(|entry| entry.name == DB_DIR) {
        return Ok(Probe::Empty);
    }
    let inside = db_dir(home);
    let mut needs_recovery = false;
    for entry in RealDisk.list(&inside)?.unwrap_or_default() {
        let name = entry.name.to_string_lossy();
        if entry.kind != EntryKind::File || !is_name_of_rocksdb(&name) {
            return Ok(Probe::Foreign { what: format!("{DB_DIR}/{name} is not a file of RocksDB") });
        }
        let is_log = number_of_log(&name).is_some();
        needs_recovery |= is_log && size_of_file(&inside.join(&entry.name))? > LOG_PREAMBLE_MAX;
    }
    Ok(Probe::Mine { needs_recovery })
}

fn is_ours(entry: &Entry) -> bool {
    match entry.kind {
        EntryKind::File => [LOCK_FILE, NOTE_FILE, NOTE_TEMPORARY_FILE].iter().any(|name| entry.name == *name),
        EntryKind::Dir => [DB_DIR, NEW_DIR, NEW_TEMPORARY_DIR].iter().any(|name| entry.name == *name),
        EntryKind::Other => false,
    }
}

/// The files that this crate's RocksDB writes: numbered tables, logs and temporary files, and a few with names.
fn is_name_of_rocksdb(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((number, kind)) = name.split_once('.') {
        let number = number.strip_prefix("OPTIONS-").unwrap_or(number);
        return is_number(number) && matches!(kind, "sst" | "log" | "dbtmp");
    }
    match name.split_once('-') {
        Some((kind, number)) => matches!(kind, "MANIFEST" | "OPTIONS") && is_number(number),
        None => matches!(name, "CURRENT" | "IDENTITY" | "LOCK"),
    }
}

/// The number in the name of one of RocksDB's logs.
pub(crate) fn number_of_log(name: &str) -> Option<u64> {
    let (number, kind) = name.split_once('.')?;
    if kind == "log" { number.parse().ok() } else { None }
}

/// True for a name that is neither a table's nor a log's.
pub(crate) fn is_not_of_records(name: &str) -> bool {
    name.split_once('.').is_none_or(|(_, kind)| !matches!(kind, "sst" | "log"))
}

/// Makes a store without beats in `home`, which must be locked. It is durable when this returns.
pub(crate) fn create(home: &Path, settings: &Settings) -> Result<()> {
    clear_unfinished(home)?;
    let new = new_dir(home);
    create_dir_durably(&RealDisk, &new)?;
    let mut options = settings.for_writing()?;
    options.create_if_missing(true);
    options.set_error_if_exists(true);
    let fail = |error| map_error("open", error).with_path(home);
    let db = DB::open(&options, &new).map_err(fail)?;
    let mut durably = WriteOptions::default();
    durably.set_sync(true);
    db.put_opt(HEADER_KEY, BeatHeader::default().encode(), &durably).map_err(fail)?;
    drop(db);
    finish(home)
}

/// Gives a finished database its name, durably.
pub(crate) fn finish(home: &Path) -> Result<()> {
    let new = new_dir(home);
    persist_io::sync_tree(&RealDisk, &new)?;
    RealDisk.rename(&new, &db_dir(home))?;
    RealDisk.sync_dir(home)
}

/// Removes what an unfinished creation or backup left.
pub(crate) fn clear_unfinished(home: &Path) -> Result<()> {
    remove_tree(&RealDisk, &home.join(NEW_TEMPORARY_DIR))?;
    remove_tree(&RealDisk, &new_dir(home))
}

/// True for a directory that is missing or without entries.
pub(crate) fn is_vacant(path: &Path) -> Result<bool> {
    Ok(RealDisk.list(path)?.unwrap_or_default().is_empty())
}

/// Bytes of the files below `home` whose names `counts` accepts. Files that go while they are counted count nothing:
/// RocksDB drops what it has replaced at any time.
pub(crate) fn size_of(home: &Path, counts: &dyn Fn(&str) -> bool) -> Result<u64> {
    let mut bytes = 0_u64;
    for dir in [home.to_path_buf(), db_dir(home)] {
        for entry in RealDisk.list(&dir)?.unwrap_or_default() {
            if entry.kind == EntryKind::File && counts(&entry.name.to_string_lossy()) {
                bytes = bytes.saturating_add(size_of_file(&dir.join(&entry.name))?);
            }
        }
    }
    Ok(bytes)
}

/// The length of a file; 0 when there is none.
pub(crate) fn size_of_file(path: &Path) -> Result<u64> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(Error::io("read_len", path, error).with_engine(SCHEME)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rocksdb_are_known_and_others_are_not() {
        let known =
            ["CURRENT", "IDENTITY", "LOCK", "MANIFEST-000005", "OPTIONS-000007", "OPTIONS-000007.dbtmp"];
        for name in known.into_iter().chain(["000004.log", "000012.sst", "1234567.sst", "000001.dbtmp"]) {
            assert!(is_name_of_rocksdb(name), "{name}");
        }
        for name in
            ["LOG", "notes.txt", "000004.blob", ".sst", "a1.log", "MANIFEST-", "MANIFEST-x", "current", ""]
        {
            assert!(!is_name_of_rocksdb(name), "{name}");
        }
    }
}
