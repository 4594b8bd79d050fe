//! Compaction beside an open beat, and when the disk fails under it.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use persist_api::{CompactScope, Driver, Durability, OpenOptions, Progress, Quiet};
use persist_flatfile::FlatfileDriver;
use persist_io::sim::{Fault, Forgot, Op, SimDisk, When};

use crate::feed::{opened, put};

#[test]
fn an_open_beat_keeps_its_large_values_through_two_compactions() {
    let dir = tempfile::tempdir().unwrap();
    let engine = opened(&dir);
    put(&*engine, &[1; 1000]);
    let header = engine.view().unwrap().header().next(1, Durability::Durable, None).unwrap();
    let mut beat = engine.begin_beat(header).unwrap();
    beat.put_record(b"other", &[2; 1000]).unwrap();
    for _ in 0..2 {
        engine.compact(CompactScope { keep_beats: 0 }, &Quiet).unwrap();
    }
    beat.commit_beat().unwrap();
    for (key, value) in [(b"key".as_slice(), 1), (b"other", 2)] {
        let view = engine.view().unwrap();
        assert_eq!(view.get_record(key).unwrap().as_deref(), Some(&[value; 1000][..]));
    }
}

#[test]
fn after_a_failed_sync_of_a_compaction_that_made_room_nothing_is_acknowledged() {
    let options = OpenOptions { store_bytes_max: Some(256 << 10), ..super::tiny::options() };
    let fill = |disk: &SimDisk| {
        let driver = FlatfileDriver::new(Arc::new(disk.clone()));
        let engine = driver.open(Path::new("/home"), &options, &Quiet).unwrap();
        let mut refused = None;
        for n in 0..400_u32 {
            let header = engine.view().unwrap().header().next(1, Durability::Durable, None).unwrap();
            let done = engine.begin_beat(header).and_then(|mut beat| {
                beat.put_record(&(n % 10).to_be_bytes(), &[7; 2000])?;
                beat.commit_beat()
            });
            match (done, &refused) {
                (Ok(_), None) => {}
                (Ok(receipt), Some(error)) => panic!("{receipt:?} after {error}"),
                (Err(error), _) => refused = Some(error),
            }
        }
        refused
    };
    let calm = SimDisk::new(1);
    assert!(fill(&calm).is_none());
    // Late enough that room has to be made again and again.
    let late = calm.operations() * 3 / 4;
    let syncs: Vec<u64> = calm
        .trace()
        .operations()
        .filter(|(n, op)| *n > late && *op == Op::SyncFile)
        .map(|(n, _)| n)
        .collect();
    for at in &syncs {
        let disk = SimDisk::new(1);
        disk.plan(When::At(*at), Fault::SyncForgets(Forgot::All));
        assert!(fill(&disk).is_some(), "operation {at}");
    }
    assert!(syncs.len() > 10, "{syncs:?}");
}

#[test]
fn commits_go_on_beside_a_compaction_however_long_it_takes() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = crate::tiny::options();
    options.knobs.remove("maintenance");
    let engine = FlatfileDriver::default().open(&dir.path().join("home"), &options, &Quiet).unwrap();
    for n in 0..50 {
        put(&*engine, &[n; 100]);
    }
    let (begun, wait_for_beginning) = mpsc::channel();
    let (done, wait_for_commits) = mpsc::channel();
    let (begun, wait_for_commits) = (Mutex::new(Some(begun)), Mutex::new(wait_for_commits));
    thread::scope(|scope| {
        let engine = &*engine;
        scope.spawn(move || {
            wait_for_beginning.recv().unwrap();
            // Enough for more runs than may wait for a merge.
            for n in 0..=255 {
                (0..6).for_each(|_| put(engine, &[n; 120]));
            }
            done.send(()).unwrap();
        });
        let hold = |progress: Progress| {
            if let Some(begun) = begun.lock().unwrap().take_if(|_| progress.phase == "merge") {
                begun.send(()).unwrap();
                let minute = Duration::from_secs(60);
                assert!(wait_for_commits.lock().unwrap().recv_timeout(minute).is_ok(), "commits wait");
            }
            ControlFlow::Continue(())
        };
        engine.compact(CompactScope { keep_beats: 0 }, &hold).unwrap();
    });
    let view = engine.view().unwrap();
    assert_eq!(view.get_record(b"key").unwrap().as_deref(), Some(&[255; 120][..]));
    drop(view);
    assert_eq!(engine.verify(&mut |_| (), &Quiet).unwrap().damaged, 0);
}
