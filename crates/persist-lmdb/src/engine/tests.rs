//! What can be seen only from within.

#![allow(clippy::disallowed_methods, reason = "copies the file of a store, as a crash leaves it")]

use std::sync::Arc;
use std::time::Duration;

use persist_api::{Durability, Engine as _, ErrorKind, OpenOptions, Quiet};
use persist_io::sim::{Crash, Fault, Forgot, SimDisk, When};
use persist_io::{Disk, FileMode, RealDisk};

use super::LmdbEngine;
use crate::driver::open_engine;

const MEDIUM: &str = "/data.mdb";

fn commit(engine: &LmdbEngine, durability: Durability) {
    let header = engine.view().unwrap().header().next(1, durability, None).unwrap();
    let mut beat = engine.begin_beat(header).unwrap();
    beat.put_record(&header.beat.0.to_be_bytes(), b"value").unwrap();
    beat.commit_beat().unwrap();
}

/// The beat that a data file shows, opened somewhere else.
fn shown(data: &[u8]) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("data.mdb"), data).unwrap();
    let engine = open_engine(&RealDisk, dir.path(), &OpenOptions::default(), &Quiet).unwrap();
    engine.view().unwrap().header().beat.0
}

#[test]
fn d_03_what_an_open_shows_after_a_failed_sync_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let open = |disk: &dyn Disk| open_engine(disk, &home, &OpenOptions::default(), &Quiet);
    let data = || std::fs::read(home.join("data.mdb")).unwrap();
    let engine = open(&RealDisk).unwrap();
    commit(&engine, Durability::Durable);
    commit(&engine, Durability::Durable);
    let durable = data();
    commit(&engine, Durability::Buffered);
    let seen = data();
    // Its pages were synced, its meta page was not: and now that sync fails.
    let medium = SimDisk::new(1);
    assert!(medium.put(MEDIUM, &[&durable[..8192], &seen[8192..]].concat()));
    let file = medium.open(MEDIUM.as_ref(), FileMode::Write).unwrap();
    file.write_at(0, &seen[..8192]).unwrap();
    medium.plan(When::From(1), Fault::SyncForgets(Forgot::All));
    assert!(file.sync_data().is_err());
    let after_power_cut = || shown(&medium.crash_image(&Crash::Nothing).bytes(MEDIUM).unwrap());
    assert_eq!((shown(&seen), after_power_cut()), (3, 2));
    drop(engine);
    let above = medium.below_files("data.mdb");
    assert_eq!(open(&above).err().unwrap().kind(), ErrorKind::Io);
    medium.unplan();
    let engine = open(&above).unwrap();
    assert_eq!(engine.view().unwrap().header().beat.0, 3);
    assert_eq!(engine.sync().unwrap().0, 3);
    assert_eq!(after_power_cut(), 3);
}

#[test]
fn v_06_a_view_lets_the_directory_go_before_it_counts_as_closed() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open_engine(&RealDisk, dir.path(), &OpenOptions::default(), &Quiet).unwrap();
    for _ in 0..500 {
        let view = engine.open_view().unwrap();
        std::thread::scope(|scope| {
            // Somebody has to be told, which takes a moment, and in that moment the lock is looked at.
            scope.spawn(|| engine.ledger.wait_until_closed(Duration::from_secs(60)).unwrap());
            scope.spawn(move || drop(view));
            while engine.ledger.count() > 0 {
                std::hint::spin_loop();
            }
            assert_eq!(Arc::strong_count(&engine.lock), 1, "the view holds it still");
        });
    }
}
