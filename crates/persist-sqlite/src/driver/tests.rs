//! Opening what a failed sync left.

#![allow(clippy::disallowed_methods, reason = "copies the files of a store, as a crash leaves them")]

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use persist_api::{BeatHeader, Driver as _, Durability, Engine, ErrorKind, OpenOptions, Progress, Quiet};
use persist_io::sim::{Crash, Fault, Forgot, SimDisk, When};
use persist_io::{Disk, FileMode};

use super::{SqliteDriver, open_core};
use crate::engine::SqliteEngine;
use crate::settings::Settings;

const MEDIUM: &str = "/data.db-wal";

/// The real disk, with this medium below its WAL.
fn above(medium: &SimDisk) -> impl Disk {
    medium.below_files("data.db-wal")
}

/// Makes a home of these files.
fn lay(home: &Path, data: &[u8], wal: &[u8]) {
    std::fs::create_dir(home).unwrap();
    std::fs::write(home.join("data.db"), data).unwrap();
    std::fs::write(home.join("data.db-wal"), wal).unwrap();
}

/// The files of a store with two beats, of which the WAL holds the second.
fn two_beats(home: &Path) -> (Vec<u8>, Vec<u8>) {
    let engine = SqliteDriver.open(home, &OpenOptions::default(), &Quiet).unwrap();
    let mut header = BeatHeader::default();
    for (key, value) in [("one", 1), ("two", 2)] {
        header = header.next(1, Durability::Durable, None).unwrap();
        engine.checkpoint().unwrap();
        let mut beat = engine.begin_beat(header).unwrap();
        beat.put_record(key.as_bytes(), &vec![value; 300_000]).unwrap();
        beat.commit_beat().unwrap();
    }
    (std::fs::read(home.join("data.db")).unwrap(), std::fs::read(home.join("data.db-wal")).unwrap())
}

/// A medium that has the name and the length of the WAL, and of its bytes nothing, because the sync failed.
fn forgetful(wal: &[u8]) -> SimDisk {
    let medium = SimDisk::new(1);
    assert!(medium.put(MEDIUM, b""));
    let file = medium.open(MEDIUM.as_ref(), FileMode::Write).unwrap();
    file.write_at(0, wal).unwrap();
    medium.plan(When::From(1), Fault::SyncForgets(Forgot::All));
    assert_eq!(file.sync_data().unwrap_err().kind(), ErrorKind::Io);
    medium.unplan();
    medium
}

fn newest(engine: &dyn Engine) -> u64 {
    engine.view().unwrap().header().beat.0
}

/// Opens what the power cut leaves of the WAL and says which beat it shows.
fn after_power_cut(dir: &Path, data: &[u8], medium: &SimDisk) -> u64 {
    lay(dir, data, &medium.crash_image(&Crash::Nothing).bytes(MEDIUM).unwrap());
    newest(&*SqliteDriver.open(dir, &OpenOptions::default(), &Quiet).unwrap())
}

#[test]
fn d_03_what_an_open_shows_after_a_failed_sync_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let (data, wal) = two_beats(&dir.path().join("home"));
    let medium = forgetful(&wal);
    assert_eq!(after_power_cut(&dir.path().join("before"), &data, &medium), 1);
    let home = dir.path().join("left");
    lay(&home, &data, &wal);
    let options = OpenOptions::default();
    let settings = Settings::of(&options).unwrap();
    let core = open_core(&above(&medium), &home, &options, settings, &Quiet).unwrap();
    let engine = SqliteEngine::new(Arc::new(core), &options);
    assert_eq!(newest(&engine), 2);
    assert_eq!(after_power_cut(&dir.path().join("after"), &data, &medium), 2);
}

#[test]
fn an_open_that_is_stopped_or_fails_leaves_the_wal_to_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let (data, wal) = two_beats(&dir.path().join("home"));
    let medium = forgetful(&wal);
    let home = dir.path().join("left");
    lay(&home, &data, &wal);
    let options = OpenOptions::default();
    let open = |seen: &dyn persist_api::Observer| {
        let settings = Settings::of(&options).unwrap();
        open_core(&above(&medium), &home, &options, settings, seen).map(drop)
    };
    let stop = |_: Progress| ControlFlow::Break(());
    assert_eq!(open(&stop).unwrap_err().kind(), ErrorKind::Cancelled);
    medium.plan(When::From(1), Fault::SyncForgets(Forgot::All));
    assert_eq!(open(&Quiet).unwrap_err().kind(), ErrorKind::Io);
    medium.unplan();
    // A checkpoint of the last connection would have copied frames that are not durable.
    assert_eq!(std::fs::read(home.join("data.db")).unwrap(), data);
    assert_eq!(std::fs::read(home.join("data.db-wal")).unwrap(), wal);
    open(&Quiet).unwrap();
    assert_eq!(after_power_cut(&dir.path().join("after"), &data, &medium), 2);
}
