//! Tests: creation, compaction and backup, broken off at every operation on the disk.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use persist_api::{Driver, Durability, Engine, Error, ErrorKind, KeyRange, OpenOptions, Quiet, Result, Scan};
use persist_io::{Call, Disk, Intercept, Intercepted, PassOn, RealDisk, lock_dir};

use crate::LmdbDriver;
use crate::driver::{create, open_engine};
use crate::engine::LmdbEngine;
use crate::live::Live;
use crate::options::Settings;

/// Everything but the taking of locks fails once so many operations were done.
struct Breaking {
    left: AtomicI64,
}

impl Intercept for Breaking {
    fn around(&self, path: &Path, call: Call<'_>, pass_on: &mut PassOn<'_>) -> Result<()> {
        if matches!(call, Call::TryLock) || self.left.fetch_sub(1, Ordering::Relaxed) > 0 {
            return pass_on();
        }
        Err(Error::new(ErrorKind::Io, "test", "broken off").with_path(path))
    }
}

/// Runs `attempt` with ever more operations until it succeeds, and `check` after each; at least `least` must have failed.
fn at_every_step(least: i64, mut attempt: impl FnMut(&dyn Disk) -> Result<()>, check: impl Fn(i64)) {
    for steps in 0..10_000 {
        let disk = Intercepted::new(RealDisk, Breaking { left: AtomicI64::new(steps) });
        let outcome = attempt(&disk);
        check(steps);
        if outcome.is_ok() {
            assert!(steps >= least, "succeeded after {steps} operations");
            return;
        }
    }
    panic!("never succeeded");
}

/// Notes which directories are synced.
#[derive(Default)]
struct Synced(Mutex<Vec<PathBuf>>);

impl Intercept for Synced {
    fn around(&self, path: &Path, call: Call<'_>, pass_on: &mut PassOn<'_>) -> Result<()> {
        if matches!(call, Call::SyncDir) {
            self.0.lock().unwrap().push(path.to_path_buf());
        }
        pass_on()
    }
}

fn put(engine: &dyn Engine, keys: std::ops::Range<u64>) -> Result<()> {
    let header = engine.view()?.header().next(1, Durability::Buffered, None)?;
    let mut beat = engine.begin_beat(header)?;
    keys.clone().try_for_each(|key| beat.put_record(&key.to_be_bytes(), &[7; 900]))?;
    beat.commit_beat().map(|_| ())
}

fn count(engine: &dyn Engine) -> u64 {
    let mut rows = 0;
    let mut each = |_: &[u8], _: &[u8]| {
        rows += 1;
        std::ops::ControlFlow::Continue(())
    };
    engine.view().unwrap().scan(Scan::all(), &mut each).unwrap();
    rows
}

fn reopen(home: &Path) -> Box<dyn Engine> {
    LmdbDriver::new().open(home, &OpenOptions::default(), &Quiet).unwrap()
}

#[test]
fn a_creation_broken_off_is_no_store_or_an_empty_one() {
    let home = tempfile::tempdir().unwrap();
    let settings = Settings::of(&OpenOptions::default()).unwrap();
    let check = |_| {
        let engine = reopen(home.path());
        assert_eq!(engine.view().unwrap().header().beat.0, 0);
        drop(engine);
        RealDisk.remove_file(&home.path().join("data.mdb")).unwrap();
        RealDisk.remove_file(&home.path().join("lock.mdb")).unwrap();
    };
    at_every_step(6, |disk| create(disk, home.path(), &settings), check);
}

/// A creation or compaction that was killed between its rename and its sync has left a name that a power cut takes, and
/// with it all that was committed to the file since.
#[test]
fn d_02_an_opening_makes_the_name_durable_that_a_killed_process_gave() {
    let home = tempfile::tempdir().unwrap();
    drop(reopen(home.path()));
    let disk = Intercepted::new(RealDisk, Synced::default());
    drop(open_engine(&disk, home.path(), &OpenOptions::default(), &Quiet).unwrap());
    assert!(disk.intercept().0.lock().unwrap().contains(&home.path().to_path_buf()));
}

#[test]
fn a_backup_broken_off_is_no_store() {
    let root = tempfile::tempdir().unwrap();
    let engine = reopen(&root.path().join("home"));
    put(&*engine, 0..50).unwrap();
    let settings = Settings::of(&OpenOptions::default()).unwrap();
    drop(engine);
    let live = Live::open(&root.path().join("home"), &settings).unwrap();
    let into = root.path().join("copy");
    let attempt = |disk: &dyn Disk| {
        persist_io::remove_tree(&RealDisk, &into).unwrap();
        crate::copy::backup(disk, &live, &into, &Quiet).map(|_| ())
    };
    let rows = std::cell::Cell::new(0);
    at_every_step(10, attempt, |_| rows.set(count(&*reopen(&into))));
    assert_eq!(rows.get(), 50);
}

/// The store keeps every record, whether or not the compaction got to its end, in the same process and after reopening.
#[test]
fn a_compaction_broken_off_leaves_the_old_file_or_the_new_one() {
    let root = tempfile::tempdir().unwrap();
    let home = root.path().join("home");
    let options = OpenOptions::default();
    let settings = Settings::of(&options).unwrap();
    let attempt = |disk: &dyn Disk| {
        let engine = reopen(&home);
        put(&*engine, 0..200).unwrap();
        let header = engine.view().unwrap().header().next(1, Durability::Durable, None).unwrap();
        let mut beat = engine.begin_beat(header).unwrap();
        beat.delete_range(KeyRange::of::<[u8]>(&9_u64.to_be_bytes()[..]..)).unwrap();
        beat.commit_beat().unwrap();
        drop(engine);
        let lock = Arc::new(lock_dir(&RealDisk, &home).unwrap());
        let live = Live::open(&home, &settings).unwrap();
        let header = live.header(&live.env.read_txn().unwrap()).unwrap();
        let engine = LmdbEngine::new(home.clone(), live, header, settings, &options, lock);
        let outcome = crate::copy::compact(disk, &engine, &Quiet);
        assert_eq!(count(&engine), 9, "{outcome:?}");
        let written = put(&engine, 9..10);
        assert!(written.is_ok() || outcome.is_err(), "{written:?}");
        outcome.map(|stat| assert!(stat.bytes_after < stat.bytes_before))
    };
    at_every_step(12, attempt, |steps| {
        let engine = reopen(&home);
        assert!((9..=10).contains(&count(&*engine)), "after {steps} operations");
        assert!(!home.join("new").exists());
        assert_eq!(engine.verify(&mut |_| {}, &Quiet).unwrap().damaged, 0);
    });
}
