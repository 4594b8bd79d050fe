//! Short words for long calls.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use persist_api::{Beat, BeatHeader, Driver, Durability, Engine, OpenOptions, Quiet, Result, Scan, View};
use persist_rocksdb::RocksDbDriver;
use tempfile::TempDir;

pub(crate) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// A home that does not exist yet, in a directory that goes with the guard.
pub(crate) fn home() -> (TempDir, PathBuf) {
    let guard = tempfile::tempdir().unwrap();
    let home = guard.path().join("home");
    (guard, home)
}

pub(crate) fn open(home: &Path) -> Box<dyn Engine> {
    open_with(home, &OpenOptions::default()).unwrap()
}

pub(crate) fn open_with(home: &Path, options: &OpenOptions) -> Result<Box<dyn Engine>> {
    RocksDbDriver.open(home, options, &Quiet)
}

pub(crate) fn with_knob(name: &str, value: u64) -> OpenOptions {
    OpenOptions { knobs: [(name.to_owned(), value.to_string())].into(), ..OpenOptions::default() }
}

/// Commits the next beat.
pub(crate) fn commit(
    engine: &dyn Engine,
    durability: Durability,
    fill: impl FnOnce(&mut dyn Beat),
) -> BeatHeader {
    try_commit(engine, durability, fill).unwrap()
}

pub(crate) fn try_commit(
    engine: &dyn Engine,
    durability: Durability,
    fill: impl FnOnce(&mut dyn Beat),
) -> Result<BeatHeader> {
    let next = engine.view()?.header().next(1, durability, None)?;
    let mut beat = engine.begin_beat(next)?;
    fill(&mut *beat);
    Ok(beat.commit_beat()?.header)
}

/// Commits one record durably.
pub(crate) fn put(engine: &dyn Engine, key: &[u8], value: &[u8]) {
    commit(engine, Durability::Durable, |beat| beat.put_record(key, value).unwrap());
}

pub(crate) fn rows(view: &dyn View, scan: Scan<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    view.scan(scan, &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    })
    .unwrap();
    rows
}

pub(crate) fn records(engine: &dyn Engine) -> Records {
    rows(&*engine.view().unwrap(), Scan::all()).into_iter().collect()
}

/// The files of RocksDB whose names end so, by name.
pub(crate) fn files(home: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(home.join("db")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.file_name().unwrap().to_string_lossy().ends_with(ending)).collect();
    files.sort();
    files
}

/// Copies a directory, as a crash would leave it. A file of no use any more, which RocksDB removes meanwhile, may be missing.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            match std::fs::copy(entry.path(), target) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                copied => drop(copied.unwrap()),
            }
        }
    }
}
