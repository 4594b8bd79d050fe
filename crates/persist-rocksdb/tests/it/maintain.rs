//! Checkpoint, backup, compaction, verification, figures.

use std::cell::RefCell;
use std::ops::ControlFlow;

use persist_api::Driver;
use persist_api::{CompactScope, Durability, ErrorKind, Probe, Progress, Quiet};
use persist_conformance::listing;
use persist_rocksdb::RocksDbDriver;

use crate::kit::{commit, home, open, put, records};

fn fill(engine: &dyn persist_api::Engine, rounds: u8) {
    for round in 0..rounds {
        commit(engine, Durability::Buffered, |beat| {
            for n in 0..500_u32 {
                beat.put_record(&n.to_be_bytes(), &[round; 200]).unwrap();
            }
        });
    }
}

#[test]
fn a_backup_opens_by_itself_and_shows_one_beat() {
    let (_guard, home) = home();
    let engine = open(&home);
    fill(&*engine, 3);
    let into = home.with_file_name("copy");
    let stat = engine.backup(&into, &Quiet).unwrap();
    assert_eq!(stat.beat.0, 3);
    let held = records(&*engine);
    put(&*engine, b"later", b"1");
    assert_eq!(RocksDbDriver.probe(&into).unwrap(), Probe::Mine { needs_recovery: false });
    // Nothing is shared: what happens to the files of the store does not reach the backup.
    for file in crate::kit::files(&into, "") {
        assert_eq!(std::os::unix::fs::MetadataExt::nlink(&file.metadata().unwrap()), 1, "{}", file.display());
    }
    let copy = open(&into);
    assert_eq!(copy.view().unwrap().header().beat, stat.beat);
    assert_eq!(records(&*copy), held);
    put(&*copy, b"own way", b"2");
    let found = RefCell::new(Vec::new());
    let stat = copy.verify(&mut |finding| found.borrow_mut().push(finding), &Quiet).unwrap();
    assert_eq!((stat.records, stat.damaged), (501, 0), "{found:?}");
    assert!(!records(&*engine).contains_key(b"own way".as_slice()));
}

#[test]
fn backups_under_a_running_writer_hold_whole_beats() {
    let (_guard, home) = home();
    let engine = open(&home);
    fill(&*engine, 1);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| fill(&*engine, 60));
        for n in 0..3 {
            let into = home.with_file_name(format!("copy{n}"));
            let stat = engine.backup(&into, &Quiet).unwrap();
            let copy = open(&into);
            assert_eq!(copy.view().unwrap().header().beat, stat.beat);
            let values: std::collections::BTreeSet<_> = records(&*copy).into_values().collect();
            assert_eq!(values.len(), 1, "records of different beats");
        }
        writer.join().unwrap();
    });
}

#[test]
fn a_backup_refuses_what_holds_anything_and_cleans_up_when_stopped() {
    let (_guard, home) = home();
    let engine = open(&home);
    put(&*engine, b"a", b"1");
    let into = home.with_file_name("copy");
    std::fs::create_dir(&into).unwrap();
    std::fs::write(into.join("mine"), b"precious").unwrap();
    assert_eq!(engine.backup(&into, &Quiet).unwrap_err().kind(), ErrorKind::Mismatch);
    assert_eq!(listing(&into).unwrap().into_values().collect::<Vec<_>>(), [Some(b"precious".to_vec())]);
    std::fs::remove_file(into.join("mine")).unwrap();
    let steps = std::cell::Cell::new(0);
    let count = |_: Progress| {
        steps.set(steps.get() + 1);
        ControlFlow::Continue(())
    };
    engine.backup(&home.with_file_name("counted"), &count).unwrap();
    assert!(steps.get() >= 3);
    for at in 1..=steps.replace(0) {
        let stop = |_: Progress| {
            steps.set(steps.get() + 1);
            if steps.get() == at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        assert_eq!(engine.backup(&into, &stop).unwrap_err().kind(), ErrorKind::Cancelled);
        assert!(std::fs::read_dir(&into).unwrap().next().is_none(), "stopped at {at}");
        steps.set(0);
    }
    engine.backup(&into, &Quiet).unwrap();
}

#[test]
fn checkpoint_empties_the_log() {
    let (_guard, home) = home();
    let engine = open(&home);
    fill(&*engine, 3);
    let held = records(&*engine);
    let stat = engine.checkpoint().unwrap();
    assert_eq!(stat.beat.0, 3);
    assert!(stat.bytes > 0);
    drop(engine);
    assert_eq!(RocksDbDriver.probe(&home).unwrap(), Probe::Mine { needs_recovery: false });
    assert_eq!(records(&*open(&home)), held);
}

#[test]
fn compaction_gives_space_back_and_changes_nothing() {
    let (_guard, home) = home();
    let engine = open(&home);
    for _ in 0..4 {
        fill(&*engine, 2);
        engine.checkpoint().unwrap();
    }
    let held = records(&*engine);
    let view = engine.view().unwrap();
    let stat = engine.compact(CompactScope::default(), &Quiet).unwrap();
    assert!(stat.reclaimed() > 200 * 500, "{stat:?}");
    assert_eq!(records(&*engine), held);
    drop(view);
    let again = engine.compact(CompactScope::default(), &Quiet).unwrap();
    assert!(again.bytes_after <= again.bytes_before, "{again:?}");
    let stopped = engine.compact(CompactScope::default(), &|_: Progress| ControlFlow::Break(()));
    assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(records(&*engine), held);
}

#[test]
fn verify_counts_and_can_be_stopped() {
    let (_guard, home) = home();
    let engine = open(&home);
    fill(&*engine, 2);
    engine.checkpoint().unwrap();
    put(&*engine, b"in the log only", b"12345");
    let last = RefCell::new(0);
    let watch = |progress: Progress| {
        assert!(progress.done >= last.replace(progress.done));
        ControlFlow::Continue(())
    };
    let stat = engine.verify(&mut |finding| panic!("{finding:?}"), &watch).unwrap();
    assert_eq!((stat.records, stat.damaged), (501, 0));
    assert_eq!(stat.bytes, 500 * 204 + 20);
    let stopped = engine.verify(&mut |_| {}, &|_: Progress| ControlFlow::Break(()));
    assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Cancelled);
    put(&*engine, b"files are dropped again", b"");
    engine.compact(CompactScope::default(), &Quiet).unwrap();
}

#[test]
fn figures_are_right() {
    let (_guard, home) = home();
    let engine = open(&home);
    fill(&*engine, 2);
    let view = engine.view().unwrap();
    fill(&*engine, 1);
    let stats = engine.stats().unwrap();
    assert_eq!((stats.beat.0, stats.views_open), (3, 1));
    assert_eq!(stats.oldest_view_beat, Some(view.header().beat));
    assert_eq!(stats.records, None);
    // Three beats of 500 records in the log, and little else.
    assert!((3 * 500 * 204..400_000).contains(&stats.bytes_on_disk), "{stats:?}");
    let names: Vec<_> = stats.engine.iter().map(|(name, _)| *name).collect();
    assert!(names.contains(&"compaction_debt_bytes"), "{names:?}");
}
