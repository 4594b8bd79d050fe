//! Short ways to say what the tests need.

use std::path::{Path, PathBuf};

use persist_api::{
    Beat, BeatHeader, BeatReceipt, Driver as _, Durability, Engine, Error, Finding, OpenOptions, Quiet, Scan,
    VerifyStat, View,
};
use persist_sqlite::SqliteDriver;
use tempfile::TempDir;

/// A directory that goes with the test, and the home in it.
pub(crate) struct Place {
    dir: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    pub(crate) fn other(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn open(&self) -> Box<dyn Engine> {
        open(&self.home(), &OpenOptions::default()).unwrap()
    }

    pub(crate) fn raw(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.home().join("data.db")).unwrap()
    }
}

pub(crate) fn open(home: &Path, options: &OpenOptions) -> Result<Box<dyn Engine>, Error> {
    SqliteDriver.open(home, options, &Quiet)
}

pub(crate) fn options(knobs: &[(&str, &str)]) -> OpenOptions {
    let knobs = knobs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    OpenOptions { knobs, ..OpenOptions::default() }
}

pub(crate) fn next(engine: &dyn Engine, durability: Durability) -> BeatHeader {
    engine.view().unwrap().header().next(1, durability, None).unwrap()
}

pub(crate) fn commit(
    engine: &dyn Engine,
    durability: Durability,
    fill: impl FnOnce(&mut dyn Beat) -> Result<(), Error>,
) -> Result<BeatReceipt, Error> {
    let mut beat = engine.begin_beat(next(engine, durability))?;
    fill(beat.as_mut())?;
    beat.commit_beat()
}

pub(crate) fn put(engine: &dyn Engine, key: &[u8], value: &[u8]) {
    commit(engine, Durability::Buffered, |beat| beat.put_record(key, value)).unwrap();
}

pub(crate) fn rows(view: &dyn View, scan: Scan<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    view.scan(scan, &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    rows
}

pub(crate) fn verify(engine: &dyn Engine) -> (VerifyStat, Vec<Finding>) {
    let mut findings = Vec::new();
    let stat = engine.verify(&mut |finding| findings.push(finding), &Quiet).unwrap();
    (stat, findings)
}

pub(crate) fn close(engine: Box<dyn Engine>) {
    engine.close().map_err(|(_, error)| error).unwrap();
}
