use std::cell::RefCell;
use std::ops::ControlFlow;

use persist_api::{CompactScope, Durability, ErrorKind, KeyRange, OpenOptions, Progress, Quiet, Severity};

use crate::support::*;

#[test]
fn a_backup_opens_by_itself_while_writers_go_on() {
    let home = tempfile::tempdir().unwrap();
    let engine = open(home.path());
    fill(&*engine, 0, 2000, 500);
    let before = all(&*engine);
    let header = engine.view().unwrap().header().next(1, Durability::Durable, None).unwrap();
    let mut beat = engine.begin_beat(header).unwrap();
    beat.put_record(b"later", b"").unwrap();
    let root = tempfile::tempdir().unwrap();
    let into = root.path().join("a/b");
    // On the thread that has a beat open: the copy must not ask for LMDB's writer lock.
    let stat = engine.backup(&into, &Quiet).unwrap();
    beat.commit_beat().unwrap();
    assert_eq!((stat.beat.0, stat.bytes), (1, into.join("data.mdb").metadata().unwrap().len()));
    assert_eq!(names(&into), ["data.mdb"]);
    let copy = open(&into);
    assert_eq!(all(&*copy), before);
    assert_eq!(fill(&*copy, 5000, 1, 1).0, 2);
    let error = engine.backup(&into, &Quiet).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    assert_eq!(all(&*engine).len(), 2001);
}

#[test]
fn long_verbs_report_and_stop() {
    let home = tempfile::tempdir().unwrap();
    let engine = open(home.path());
    fill(&*engine, 0, 20_000, 300);
    commit(&*engine, |beat| beat.delete_record(&0_u64.to_be_bytes()));
    let root = tempfile::tempdir().unwrap();
    let seen = RefCell::new(Vec::<Progress>::new());
    let watch = |progress: Progress| {
        seen.borrow_mut().push(progress);
        ControlFlow::Continue(())
    };
    let stat = engine.backup(&root.path().join("whole"), &watch).unwrap();
    let steps = seen.take();
    assert!(steps.len() > 3 && steps.windows(2).all(|pair| pair[0].done <= pair[1].done));
    assert!(steps.iter().all(|step| step.total.is_some_and(|total| total >= step.done)));
    assert_eq!(steps.last().unwrap().done, stat.bytes);
    let stop = |progress: Progress| {
        if progress.done > 1 << 20 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let into = root.path().join("stopped");
    assert_eq!(engine.backup(&into, &stop).unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(!into.exists());
    assert_eq!(engine.compact(CompactScope::default(), &stop).unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(names(home.path()), ["data.mdb", "lock", "lock.mdb"]);
    let never = |_: Progress| ControlFlow::Break(());
    assert_eq!(engine.verify(&mut |_| {}, &never).unwrap_err().kind(), ErrorKind::Cancelled);
    engine.verify(&mut |_| {}, &watch).unwrap();
    assert!(seen.borrow().iter().any(|step| step.phase == "records" && step.total == Some(19_999)));
    assert_eq!(all(&*engine).len(), 19_999);
}

#[test]
fn compaction_gives_space_back_and_the_store_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let engine = open(home.path());
    fill(&*engine, 0, 5000, 1000);
    commit(&*engine, |beat| beat.delete_range(KeyRange::of::<[u8]>(..&7_u64.to_be_bytes()[..])));
    commit(&*engine, |beat| beat.delete_range(KeyRange::of::<[u8]>(&9_u64.to_be_bytes()[..]..)));
    let before = all(&*engine);
    assert_eq!(before.len(), 2);
    let view = engine.view().unwrap();
    let error = engine.compact(CompactScope::default(), &Quiet).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    drop(view);
    let header = engine.view().unwrap().header().next(1, Durability::Durable, None).unwrap();
    let beat = engine.begin_beat(header).unwrap();
    assert_eq!(engine.compact(CompactScope::default(), &Quiet).unwrap_err().kind(), ErrorKind::Busy);
    drop(beat);
    let stat = engine.compact(CompactScope::default(), &Quiet).unwrap();
    assert!(stat.bytes_before > 5_000_000 && stat.bytes_after < 100_000, "{stat:?}");
    assert_eq!(home.path().join("data.mdb").metadata().unwrap().len(), stat.bytes_after);
    assert_eq!(all(&*engine), before);
    assert_eq!(names(home.path()), ["data.mdb", "lock", "lock.mdb"]);
    let again = engine.compact(CompactScope::default(), &Quiet).unwrap();
    assert!(again.bytes_after <= again.bytes_before);
    // Both durabilities work on the environment that was opened anew.
    assert_eq!(fill(&*engine, 50, 1, 1).0, 4);
    let durable = try_commit(&*engine, Durability::Durable, |beat| beat.put_record(b"k", b"v")).unwrap();
    assert_eq!(durable.reached, Durability::Durable);
    drop(engine);
    assert_eq!(all(&*open(home.path())).len(), 4);
}

#[test]
fn verify_counts_and_owns_up() {
    let home = tempfile::tempdir().unwrap();
    let engine = open(home.path());
    for from in 0..20 {
        fill(&*engine, from * 50, 100, 700);
        commit(&*engine, |beat| beat.put_record(&from.to_be_bytes(), &[1; 30_000]));
    }
    let _old = engine.view().unwrap();
    commit(&*engine, |beat| beat.delete_range(KeyRange::of::<[u8]>(&100_u64.to_be_bytes()[..]..)));
    let rows = all(&*engine);
    let mut found = Vec::new();
    let stat = engine.verify(&mut |finding| found.push(finding), &Quiet).unwrap();
    let bytes: usize = rows.iter().map(|(key, value)| key.len() + value.len()).sum();
    assert_eq!((stat.records, stat.bytes, stat.damaged), (rows.len() as u64, bytes as u64, 0));
    assert!(found.iter().all(|finding| finding.severity == Severity::Unchecked));
    assert!(found.iter().any(|finding| finding.what.contains("checksum")));
}

/// Verification pins a snapshot and finds its meta page while beats commit.
#[test]
fn verify_beside_a_writer_finds_no_damage() {
    let home = tempfile::tempdir().unwrap();
    let engine = open(home.path());
    fill(&*engine, 0, 3000, 300);
    std::thread::scope(|scope| {
        let writer =
            scope.spawn(|| (0..100).for_each(|round| assert!(fill(&*engine, round * 7, 300, 200).0 > 0)));
        while !writer.is_finished() {
            let damage = |finding: persist_api::Finding| {
                assert!(finding.severity != Severity::Damage, "{finding:?}");
            };
            match engine.verify(&mut { damage }, &Quiet) {
                Ok(stat) => assert!(stat.records >= 3000),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Busy),
            }
        }
    });
}

/// LMDB keeps the pages of a long value when a shorter one takes its place.
#[test]
fn a_long_value_made_shorter_is_no_damage() {
    let home = tempfile::tempdir().unwrap();
    for bytes in [30_000, 9_000, 5_000, 40_000, 10] {
        let engine = open(home.path());
        commit(&*engine, |beat| beat.put_record(b"k", &vec![1; bytes]));
        assert_eq!(engine.verify(&mut |_| {}, &Quiet).unwrap().damaged, 0, "{bytes} bytes");
        drop(engine);
        assert_eq!(all(&*open(home.path()))[0].1.len(), bytes);
    }
}

#[test]
fn m_05_verify_needs_no_room_for_a_view_and_is_not_counted_as_one() {
    let home = tempfile::tempdir().unwrap();
    let engine =
        open_with(home.path(), &OpenOptions { views_max: Some(1), ..OpenOptions::default() }).unwrap();
    fill(&*engine, 0, 100, 100);
    let only = engine.view().unwrap();
    let counted = RefCell::new(Vec::new());
    let count = |_: Progress| {
        counted.borrow_mut().push(engine.stats().unwrap().views_open);
        ControlFlow::Continue(())
    };
    assert_eq!(engine.verify(&mut |_| {}, &count).unwrap().records, 100);
    drop(only);
    let counted = counted.into_inner();
    assert!(!counted.is_empty() && counted.iter().all(|views| *views == 1), "{counted:?}");
}
