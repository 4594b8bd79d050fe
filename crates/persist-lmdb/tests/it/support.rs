//! Shorthands of all tests.

use std::ops::ControlFlow;
use std::path::Path;

use persist_api::{
    Beat, BeatNo, BeatReceipt, Driver, Durability, Engine, Error, OpenOptions, Quiet, Result, Scan, View,
};
use persist_lmdb::LmdbDriver;

pub(crate) type Rows = Vec<(Vec<u8>, Vec<u8>)>;

pub(crate) fn open_with(home: &Path, options: &OpenOptions) -> Result<Box<dyn Engine>> {
    LmdbDriver::new().open(home, options, &Quiet)
}

pub(crate) fn open(home: &Path) -> Box<dyn Engine> {
    open_with(home, &OpenOptions::default()).unwrap()
}

/// The error of an open that must fail.
pub(crate) fn refused(home: &Path, options: &OpenOptions) -> Error {
    match open_with(home, options) {
        Ok(_) => panic!("the open succeeded"),
        Err(error) => error,
    }
}

pub(crate) fn with_knob(name: &str, value: &str) -> OpenOptions {
    OpenOptions { knobs: [(name.to_owned(), value.to_owned())].into(), ..OpenOptions::default() }
}

pub(crate) fn try_commit(
    engine: &dyn Engine,
    durability: Durability,
    change: impl FnOnce(&mut dyn Beat) -> Result<()>,
) -> Result<BeatReceipt> {
    let header = engine.view()?.header().next(1, durability, Some([7; 32]))?;
    let mut beat = engine.begin_beat(header)?;
    change(&mut *beat)?;
    beat.commit_beat()
}

pub(crate) fn commit(engine: &dyn Engine, change: impl FnOnce(&mut dyn Beat) -> Result<()>) -> BeatNo {
    try_commit(engine, Durability::Buffered, change).unwrap().header.beat
}

/// Commits `count` records of `bytes` each, under eight-byte keys from `from` on.
pub(crate) fn fill(engine: &dyn Engine, from: u64, count: u64, bytes: usize) -> BeatNo {
    commit(engine, |beat| {
        (from..from + count).try_for_each(|n| beat.put_record(&n.to_be_bytes(), &vec![n as u8; bytes]))
    })
}

pub(crate) fn rows(view: &dyn View, scan: Scan<'_>) -> Rows {
    let mut rows = Rows::new();
    view.scan(scan, &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    })
    .unwrap();
    rows
}

pub(crate) fn all(engine: &dyn Engine) -> Rows {
    rows(&*engine.view().unwrap(), Scan::all())
}

/// Names of the files in a directory, sorted.
pub(crate) fn names(home: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(home)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
