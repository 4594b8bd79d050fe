//! Opening after a power loss that tore the manifest.
//!
//! RocksDB appends an edit to its manifest and syncs it before it relies on it. When the power goes in between, and the
//! medium kept the length of the file but not the bytes, RocksDB takes the torn edit for damage and does not open, although
//! nothing that it had promised is missing. Cutting the edit off brings back the state before it: its inputs are still
//! there, because they are dropped only after the sync.
//!
//! Damage to an edit looks the same, and cutting it off must not pass for an older state. So each open notes how much of the
//! manifest was synced by then (the file `manifest`), and nothing of that may be missing, which RocksDB alone would take for
//! a torn end. Behind it, the inputs of an edit that was in force are gone: a missing table is an error of RocksDB's own,
//! and a missing log is noticed here.

use std::path::{Path, PathBuf};

use persist_api::Result;
use persist_io::{Disk, FileMode, RealDisk, read_file, replace};
use rocksdb::DB;

use crate::error::{corrupt, map_error};
use crate::home;
use crate::log::{self, Walk};
use crate::settings::Settings;

/// Longest name that CURRENT can hold.
const CURRENT_MAX: u64 = 256;
/// Longest note.
const NOTE_MAX: u64 = 256;

/// Goes back to the manifest of the last open where CURRENT names one that is not there: an open makes a new manifest, names it,
/// and syncs both names at once, and a power cut may have kept the second alone. RocksDB relies on neither before that, and
/// removes the old manifest after it, so what the old one says is there.
fn mend_current(home: &Path, dir: &Path) -> Result<()> {
    if !dir.join("CURRENT").exists() || manifest(dir)?.is_some() {
        return Ok(());
    }
    let Some((name, length)) = note(home)? else { return Ok(()) };
    let before = dir.join(&name);
    if length == 0 || home::size_of_file(&before)? < length {
        return Ok(());
    }
    // A name that RocksDB clears when it is left.
    let temporary = dir.join("000000.dbtmp");
    let file = RealDisk.open(&temporary, FileMode::OpenOrCreate)?;
    file.truncate(0)?;
    file.write_at(0, format!("{name}\n").as_bytes())?;
    file.sync_data()?;
    RealDisk.rename(&temporary, &dir.join("CURRENT"))?;
    RealDisk.sync_dir(dir)
}

/// Cuts a torn edit off the manifest of `home`, if there is one and the rest is all that is needed.
pub(crate) fn mend_manifest(home: &Path, settings: &Settings) -> Result<()> {
    let dir = &home::db_dir(home);
    mend_current(home, dir)?;
    let Some(path) = manifest(dir)? else {
        return Ok(());
    };
    let file = RealDisk.open(&path, FileMode::Read)?;
    let Walk { whole, damaged } = log::walk(&*file)?;
    if damaged || whole < synced_length(home, &path)? {
        let context = format!("the manifest is damaged behind byte {whole}, in a part that was synced");
        return Err(corrupt("open", context).with_path(path));
    }
    let length = file.len()?;
    if whole == length {
        return Ok(());
    }
    let mut torn = vec![0; usize::try_from(length.saturating_sub(whole)).unwrap_or(usize::MAX)];
    file.read_at(whole, &mut torn)?;
    let file = RealDisk.open(&path, FileMode::Write)?;
    file.truncate(whole)?;
    file.sync_data()?;
    match check(dir, settings) {
        Ok(()) => Ok(()),
        Err(error) => {
            // As it was: for a person who repairs it, each byte counts.
            file.write_at(whole, &torn)?;
            file.sync_data()?;
            Err(error.with_path(path))
        }
    }
}

/// Notes how long the manifest is. RocksDB has just made it, whole and synced.
pub(crate) fn note_manifest(home: &Path) -> Result<()> {
    let Some(path) = manifest(&home::db_dir(home))? else {
        return Ok(());
    };
    let length = RealDisk.open(&path, FileMode::Read)?.len()?;
    let note = format!("{} {length}\n", name_of(&path));
    replace(&RealDisk, &home.join(home::NOTE_FILE), note.as_bytes())
}

/// The noted length of this manifest; 0 where there is no note on it, as in a backup that was never opened.
fn synced_length(home: &Path, manifest: &Path) -> Result<u64> {
    let noted = note(home)?.filter(|(name, _)| *name == name_of(manifest));
    Ok(noted.map_or(0, |(_, length)| length))
}

/// The manifest that was noted, and its length then.
fn note(home: &Path) -> Result<Option<(String, u64)>> {
    let note = read_file(&RealDisk, &home.join(home::NOTE_FILE), NOTE_MAX)?.unwrap_or_default();
    let note = String::from_utf8_lossy(&note);
    let parts = note.trim_end().split_once(' ').filter(|(name, _)| is_manifest(name));
    Ok(parts.map(|(name, length)| (name.to_owned(), length.parse().unwrap_or_default())))
}

/// True for a name that RocksDB gives to manifests.
fn is_manifest(name: &str) -> bool {
    name.strip_prefix("MANIFEST-")
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The manifest that CURRENT names; `None` when it names none, which RocksDB then reports in its own way.
fn manifest(dir: &Path) -> Result<Option<PathBuf>> {
    let Some(current) = read_file(&RealDisk, &dir.join("CURRENT"), CURRENT_MAX)? else {
        return Ok(None);
    };
    let name = String::from_utf8_lossy(&current);
    let name = name.trim_end();
    let is_there =
        is_manifest(name) && RealDisk.list(dir)?.unwrap_or_default().iter().any(|entry| entry.name == name);
    Ok(is_there.then(|| dir.join(name)))
}

/// Opens read-only, which changes nothing, and checks that what the oldest log stands on is there.
fn check(dir: &Path, settings: &Settings) -> Result<()> {
    let db = DB::open_for_read_only(&settings.for_checking()?, dir, false)
        .map_err(|error| map_error("open", error))?;
    let logs = RealDisk.list(dir)?.unwrap_or_default();
    let oldest = logs.iter().filter_map(|entry| {
        let name = entry.name.to_string_lossy();
        home::number_of_log(&name).map(|number| (number, dir.join(&entry.name)))
    });
    let Some((_, oldest)) = oldest.min() else {
        return Ok(());
    };
    match log::sequence_before(&*RealDisk.open(&oldest, FileMode::Read)?)? {
        Some(before) if before > db.latest_sequence_number() => Err(corrupt(
            "open",
            "the last edit of the manifest is damaged, and the log that it replaced is gone",
        )),
        _ => Ok(()),
    }
}
