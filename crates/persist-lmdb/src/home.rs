//! What lies in a directory, told from names and headers alone, and how a data file gets there whole.

use std::path::{Path, PathBuf};

use persist_api::{BeatHeader, Error, ErrorKind, Result};
use persist_io::{Disk, EntryKind, FileMode, LOCK_FILE};

use crate::driver::SCHEME;
use crate::error::corrupt;
use crate::layout::{Meta, find_in_main, looks_like_lmdb, read_metas};

/// The data file, named by LMDB.
pub(crate) const DATA: &str = "data.mdb";
/// LMDB's table of readers and its writer lock. While LMDB has it open we never open it: closing it would drop LMDB's own
/// lock on it.
pub(crate) const READERS: &str = "lock.mdb";
/// A data file is made in here and then renamed to its place; a leftover is an unfinished creation, compaction or backup.
pub(crate) const NEW: &str = "new";

/// Key of the main tree that says what the file is.
pub(crate) const FORMAT_KEY: &[u8] = b"persist.format";
/// Its value: the name and number of the layout.
pub(crate) const FORMAT: &[u8] = b"persist-lmdb 1";
/// Key of the main tree under which the header of the newest beat is stored.
pub(crate) const BEAT_KEY: &[u8] = b"persist.beat";
/// Name of the tree that holds the records.
pub(crate) const RECORDS: &str = "persist.records";

/// What a directory holds.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing, or the remains of a creation that did not finish.
    Empty,
    /// A store of ours.
    Mine,
    /// A store of ours that cannot be read.
    Damaged(Error),
    /// Somebody else's files.
    Foreign(String),
}

/// A directory as it was found.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) found: Found,
    /// An unfinished data file is there.
    pub(crate) leftover: bool,
}

/// Looks at a directory: the names in it, both meta pages of the data file, and its topmost page.
pub(crate) fn look(disk: &dyn Disk, home: &Path) -> Result<Home> {
    let entries = disk.list(home)?.unwrap_or_default();
    let mut names = Vec::with_capacity(entries.len());
    for entry in &entries {
        let name = entry.name.to_string_lossy().into_owned();
        let ours = match entry.kind {
            EntryKind::File => [DATA, READERS, LOCK_FILE].contains(&name.as_str()),
            EntryKind::Dir => name == NEW && holds_only_data(disk, &home.join(NEW))?,
            EntryKind::Other => false,
        };
        if !ours {
            return Ok(Home {
                found: Found::Foreign(format!("{name} is not of this engine")),
                leftover: false,
            });
        }
        names.push(name);
    }
    let has = |name: &str| names.iter().any(|known| known == name);
    let found = match (has(DATA), has(READERS)) {
        (true, _) => look_at_data(disk, &home.join(DATA), has(LOCK_FILE))?,
        // The table of readers is made after the data file.
        (false, true) => Found::Damaged(corrupt("open", format!("{DATA} is missing")).with_path(home)),
        (false, false) => Found::Empty,
    };
    Ok(Home { found, leftover: has(NEW) })
}

fn holds_only_data(disk: &dyn Disk, dir: &Path) -> Result<bool> {
    let entries = disk.list(dir)?.unwrap_or_default();
    Ok(entries.iter().all(|entry| {
        entry.kind == EntryKind::File && (entry.name.as_os_str() == DATA || entry.name.as_os_str() == READERS)
    }))
}

/// A broken file is called damaged only where our lock file says that it was ours.
fn look_at_data(disk: &dyn Disk, path: &Path, locked_by_us: bool) -> Result<Found> {
    let file = disk.open(path, FileMode::Read)?;
    let format = read_metas(&*file).and_then(|[newest, _]| find_in_main(&*file, &newest, FORMAT_KEY));
    match format {
        Ok(Some(format)) if format.value == FORMAT => Ok(Found::Mine),
        Ok(Some(format)) => {
            let format = String::from_utf8_lossy(&format.value).into_owned();
            Ok(Found::Foreign(format!("{DATA} is of format {format:?}")))
        }
        Ok(None) => Ok(Found::Foreign(format!("{DATA} is an LMDB file of another program"))),
        Err(error) if error.kind() != ErrorKind::Corrupt => Err(error),
        Err(error) if locked_by_us => Ok(Found::Damaged(error.with_path(path))),
        Err(error) if looks_like_lmdb(&*file)? => {
            Ok(Found::Foreign(format!("{DATA} is an LMDB file that cannot be read: {}", error.context())))
        }
        Err(_) => Ok(Found::Foreign(format!("{DATA} is not an LMDB file"))),
    }
}

/// The newest meta page and the beat header of a data file, read without LMDB.
pub(crate) fn read_newest(disk: &dyn Disk, path: &Path) -> Result<(Meta, BeatHeader)> {
    let file = disk.open(path, FileMode::Read)?;
    let [newest, _] = read_metas(&*file)?;
    let header = find_in_main(&*file, &newest, BEAT_KEY)?
        .ok_or_else(|| corrupt("read_header", "the beat header is missing").with_path(path))?;
    let header =
        BeatHeader::decode(&header.value).map_err(|error| error.with_engine(SCHEME).with_path(path))?;
    Ok((newest, header))
}

/// Where in the data file the value under [`FORMAT_KEY`] lies, in bytes from its beginning.
pub(crate) fn format_offset(disk: &dyn Disk, path: &Path) -> Result<u64> {
    let file = disk.open(path, FileMode::Read)?;
    let [newest, _] = read_metas(&*file)?;
    let format = find_in_main(&*file, &newest, FORMAT_KEY)?;
    format.map(|format| format.offset).ok_or_else(|| corrupt("open", "the format is missing").with_path(path))
}

/// A data file in the making, in a directory of its own below the one that it is for.
pub(crate) struct Draft<'d> {
    disk: &'d dyn Disk,
    home: &'d Path,
}

impl<'d> Draft<'d> {
    /// Clears what an earlier draft left and starts a new one.
    pub(crate) fn begin(disk: &'d dyn Disk, home: &'d Path) -> Result<Self> {
        let draft = Self { disk, home };
        draft.discard()?;
        disk.create_dir(&draft.dir())?;
        Ok(draft)
    }

    /// Removes a draft, finished or not; no draft is no error. Removes files of known names only.
    pub(crate) fn clear(disk: &dyn Disk, home: &Path) -> Result<()> {
        Draft { disk, home }.discard()
    }

    /// The directory of the draft.
    pub(crate) fn dir(&self) -> PathBuf {
        self.home.join(NEW)
    }

    /// The data file of the draft.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir().join(DATA)
    }

    /// Puts the data file, which must be whole, in its place: before, the old one is there (or none), after a crash at
    /// any point either, and after this returns the new one.
    pub(crate) fn finish(self) -> Result<()> {
        self.disk.open(&self.data(), FileMode::Read)?.sync_data()?;
        self.disk.rename(&self.data(), &self.home.join(DATA))?;
        self.discard()?;
        self.disk.sync_dir(self.home)
    }

    /// Gives the draft up.
    pub(crate) fn discard(&self) -> Result<()> {
        let dir = self.dir();
        if self.disk.list(&dir)?.is_some() {
            self.disk.remove_file(&dir.join(DATA))?;
            self.disk.remove_file(&dir.join(READERS))?;
            self.disk.remove_dir(&dir)?;
        }
        Ok(())
    }
}
