//! Maintenance with a clock that stands still.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use parking_lot::Mutex;
use persist_api::{Durability, ErrorKind, Quiet};
use persist_lifecycle::Maintenance;
use persist_lifecycle::maintenance::{Reason, Task, UpkeepRun};

use crate::kept::{Kept, NONE};
use crate::kit::{HandClock, Stop, ToldDriver, commit, config, drivers, open};

#[test]
fn checkpoints_are_due_by_time_once_something_was_committed() {
    for engine in ["flatfile", "sqlite"] {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::at(dir.path(), engine, "checkpoint_after = '60 s'");
        assert_eq!(kept.after(1000), NONE, "{engine}: nothing was committed");
        kept.put("key", 100);
        assert_eq!(kept.step(), NONE, "{engine}");
        let next = kept.maintenance.stats()["a"].checkpoint.next_by_time;
        assert_eq!(next, Some(Duration::from_secs(1060)), "{engine}: from the first look that saw it");
        assert_eq!(kept.after(59), NONE, "{engine}");
        assert_eq!(kept.after(1), [(Task::Checkpoint, Reason::Time, Ok(()))], "{engine}");
        assert_eq!(kept.after(1000), NONE, "{engine}: nothing since");
        kept.put("key", 200);
        assert_eq!(kept.step(), NONE, "{engine}");
        assert_eq!(kept.after(60), [(Task::Checkpoint, Reason::Time, Ok(()))], "{engine}");
        let stats = kept.maintenance.stats()["a"].checkpoint.clone();
        assert_eq!((stats.done, stats.failed, stats.busy, stats.next_by_time), (2, 0, 0, None), "{engine}");
        let last = stats.last.unwrap();
        assert_eq!((last.store.as_str(), last.began), ("a", Duration::from_secs(2120)), "{engine}");
        assert_eq!(kept.runs.lock().len(), 2, "{engine}: each run is told");
    }
}

#[test]
fn checkpoints_are_due_by_bytes_and_bound_the_next_open() {
    let dir = tempfile::tempdir().unwrap();
    let kept = Kept::at(dir.path(), "flatfile", "checkpoint_bytes = 10_000\ncheckpoint_after = 'never'");
    kept.put("a", 5000);
    assert_eq!(kept.after(100_000), NONE);
    kept.put("b", 5000);
    assert_eq!(kept.step(), [(Task::Checkpoint, Reason::Bytes, Ok(()))]);
    assert_eq!(kept.figure("runs"), 1);
    assert_eq!(kept.step(), NONE);
    kept.put("c", 9999);
    kept.put("d", 1);
    assert_eq!(kept.step(), [(Task::Checkpoint, Reason::Bytes, Ok(()))], "keys count too");
    drop(kept);
    let kept = Kept::at(dir.path(), "flatfile", "");
    assert_eq!(kept.figure("recovered_frames"), 0);
}

#[test]
fn a_store_that_was_not_new_gets_a_first_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let kept = Kept::at(dir.path(), "flatfile", "");
    kept.put("key", 100);
    drop(kept);
    let kept = Kept::at(dir.path(), "flatfile", "");
    assert_eq!(kept.after(299), NONE);
    assert_eq!(kept.after(1), [(Task::Checkpoint, Reason::Time, Ok(()))]);
    assert_eq!(kept.after(10_000), NONE);
}

#[test]
fn compactions_are_due_by_growth_and_give_back() {
    for engine in ["flatfile", "sqlite"] {
        let dir = tempfile::tempdir().unwrap();
        let keys = "checkpoint_bytes = 'never'\ncheckpoint_after = 'never'\ncompact_growth_percent = 50\n\
                    compact_bytes_min = '1 MiB'\ncompact_keep_beats = 0";
        let kept = Kept::at(dir.path(), engine, keys);
        for round in 0..8 {
            kept.put(&format!("large-{round}"), 400_000);
        }
        for round in 0..7 {
            kept.put(&format!("large-{round}"), 0);
        }
        let before = kept.store.stats().unwrap().engine.bytes_on_disk;
        let runs = kept.maintenance.step();
        assert_eq!(runs.len(), 1, "{engine}: {runs:?}");
        assert_eq!((runs[0].task, runs[0].why), (Task::Compact, Reason::Growth), "{engine}");
        let given = *runs[0].outcome.as_ref().unwrap();
        let after = kept.store.stats().unwrap().engine.bytes_on_disk;
        assert!(given > 1_000_000 && after < before, "{engine}: {given} of {before}, left {after}");
        assert_eq!(kept.maintenance.stats()["a"].compact.bytes, given, "{engine}");
        // What is left is the new base.
        assert_eq!(kept.after(100_000), NONE, "{engine}");
        assert_eq!(kept.store.view().unwrap().get(b"large-7").unwrap().unwrap().len(), 400_000, "{engine}");
    }
}

#[test]
fn compactions_are_due_by_time_where_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let kept = Kept::at(dir.path(), "sqlite", "checkpoint_after = 'never'\ncompact_after = '1 h'");
    assert_eq!(kept.after(4000), NONE, "nothing was committed");
    kept.put("key", 10);
    assert_eq!(kept.step(), [(Task::Compact, Reason::Time, Ok(()))]);
    kept.put("key", 10);
    assert_eq!(kept.after(3599), NONE);
    assert_eq!(kept.after(1), [(Task::Compact, Reason::Time, Ok(()))]);
}

#[test]
fn a_busy_store_is_tried_again_soon_and_that_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let kept = Kept::at(dir.path(), "sqlite", "checkpoint_after = 'never'\ncompact_after = '1 h'");
    kept.put("key", 10);
    let view = kept.store.view().unwrap();
    assert_eq!(kept.after(3600), [(Task::Compact, Reason::Time, Err(ErrorKind::Busy))]);
    assert_eq!(kept.step(), NONE, "not at once");
    assert_eq!(kept.after(1), [(Task::Compact, Reason::Time, Err(ErrorKind::Busy))]);
    drop(view);
    assert_eq!(kept.after(1), [(Task::Compact, Reason::Time, Ok(()))]);
    let stats = kept.maintenance.stats()["a"].compact.clone();
    assert_eq!((stats.done, stats.busy, stats.failed, stats.failed_in_a_row), (1, 2, 0, 0));
    assert!(kept.runs.lock().iter().all(|run| !run.failed()));
}

#[test]
fn nothing_runs_beside_a_backup_or_a_compaction() {
    for verb in ["backup", "compact"] {
        let dir = tempfile::tempdir().unwrap();
        let kept = Kept::at(dir.path(), "flatfile", "checkpoint_after = '60 s'\nbusy_after = '5 s'");
        kept.put("key", 10);
        kept.step();
        kept.clock.advance(60);
        let seen: Mutex<VecDeque<_>> = Mutex::default();
        let observer = |_| {
            seen.lock().push_back(kept.step());
            std::ops::ControlFlow::Continue(())
        };
        assert_eq!(kept.store.stats().unwrap().long_verbs, 0);
        if verb == "backup" {
            kept.store.backup(&dir.path().join("copy"), &observer).unwrap();
        } else {
            kept.store.compact(persist_api::CompactScope::default(), &observer).unwrap();
        }
        let first = seen.lock().pop_front().expect("the verb reported");
        assert_eq!(first, [(Task::Checkpoint, Reason::Time, Err(ErrorKind::Busy))], "{verb}");
        assert_eq!(kept.store.stats().unwrap().long_verbs, 0, "{verb}");
        assert_eq!(kept.after(5), [(Task::Checkpoint, Reason::Time, Ok(()))], "{verb}");
    }
}

#[test]
fn failures_are_told_and_waited_after_twice_as_long_each_time() {
    let (kept, told) =
        Kept::told("checkpoint_after = '60 s'\nretry_after = '10 s'\nretry_after_max = '35 s'");
    told.next.lock().extend([ErrorKind::Full, ErrorKind::Io, ErrorKind::Io, ErrorKind::Poisoned]);
    kept.put("key", 10);
    kept.step();
    let failed = |kind| [(Task::Checkpoint, Reason::Time, Err(kind))];
    assert_eq!(kept.after(60), failed(ErrorKind::Full));
    for (wait, kind) in [(10, ErrorKind::Io), (20, ErrorKind::Io), (35, ErrorKind::Poisoned)] {
        assert_eq!(kept.after(wait - 1), NONE);
        assert_eq!(kept.after(1), failed(kind), "after {wait} s");
    }
    let stats = kept.maintenance.stats()["a"].checkpoint.clone();
    assert_eq!((stats.done, stats.failed, stats.failed_in_a_row), (0, 4, 4));
    let last = stats.last.unwrap();
    assert!(last.failed() && last.outcome.unwrap_err().context() == "as told");
    assert_eq!(stats.next_by_time, Some(kept.now() + Duration::from_secs(35)));
    assert_eq!(kept.after(35), [(Task::Checkpoint, Reason::Time, Ok(()))]);
    let stats = kept.maintenance.stats()["a"].checkpoint.clone();
    assert_eq!((stats.done, stats.failed_in_a_row, stats.bytes), (1, 0, 7));
    assert_eq!(kept.runs.lock().iter().filter(|run| run.failed()).count(), 4);
    // And the next failure waits the short time again.
    told.next.lock().push_back(ErrorKind::Io);
    kept.put("key", 10);
    kept.step();
    assert_eq!(kept.after(60), failed(ErrorKind::Io));
    assert_eq!(kept.after(10), [(Task::Checkpoint, Reason::Time, Ok(()))]);
}

#[test]
fn no_checkpoint_keeps_a_compaction_from_being_done() {
    let keys = "checkpoint_after = '60 s'\ncompact_after = '60 s'\nretry_after = '10 s'\nretry_after_max = '10 s'\n\
                busy_after = '10 s'";
    let (kept, told) = Kept::told(keys);
    kept.put("key", 10);
    kept.step();
    kept.clock.advance(50);
    // Each look comes so late that the checkpoint is due again, and ends no better.
    for kind in [ErrorKind::Io, ErrorKind::Full, ErrorKind::Busy, ErrorKind::Cancelled] {
        told.next.lock().push_back(kind);
        let runs = kept.after(10);
        assert_eq!(runs[0], (Task::Checkpoint, Reason::Time, Err(kind)));
        assert_eq!(runs[1..], [(Task::Compact, Reason::Time, Ok(()))], "after {kind:?}");
        kept.put("key", 10);
        kept.step();
        kept.clock.advance(50);
    }
    assert_eq!(kept.maintenance.stats()["a"].compact.bytes, 4 * 6);
}

#[test]
fn a_checkpoint_that_is_due_again_at_once_lets_a_compaction_go_before() {
    let (kept, told) = Kept::told("checkpoint_bytes = 1000\ncompact_after = '60 s'");
    kept.clock.advance(60);
    kept.put("key", 1000);
    let store = kept.store.clone();
    *told.meanwhile.lock() = Some(Box::new(move || commit(&store, "key", 1000, Durability::Durable)));
    let both = [(Task::Checkpoint, Reason::Bytes, Ok(())), (Task::Compact, Reason::Time, Ok(()))];
    assert_eq!(kept.step(), both);
    assert_eq!(kept.step(), both[..1]);
    assert_eq!(kept.step(), NONE);
}

#[test]
fn what_was_not_granted_is_never_tried() {
    let text = "[stores.a]\nengine = 'memory'\nrequest.durability_may_pend = true\nmaintenance.checkpoint_after = '1 s'";
    let kept = Kept::over(&config(Path::new("/nowhere"), text), &drivers());
    kept.put("key", 10);
    kept.step();
    assert_eq!(kept.after(1_000_000), NONE);
    assert_eq!(kept.maintenance.stats()["a"].checkpoint.next_by_time, None);
}

#[test]
fn a_store_that_somebody_closed_is_told_and_tried_no_more() {
    let (kept, _) = Kept::told("checkpoint_after = '60 s'");
    kept.put("key", 10);
    kept.step();
    kept.store.close().unwrap();
    assert_eq!(kept.after(60), NONE);
    let blind = kept.maintenance.stats()["a"].blind.clone().unwrap();
    assert_eq!(blind.kind(), ErrorKind::Closed);
}

#[test]
fn tasks_can_be_asked_for() {
    let (kept, told) = Kept::told("");
    let run = kept.maintenance.run("a", Task::Compact, &Quiet).unwrap();
    assert_eq!((run.why, run.outcome.unwrap()), (Reason::Asked, 6));
    let unknown = kept.maintenance.run("b", Task::Compact, &Quiet).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Invalid);
    let (begun, _has_begun) = mpsc::channel();
    *told.endless.lock() = Some(begun);
    let stopped = kept.maintenance.run("a", Task::Compact, &Stop).unwrap();
    assert_eq!(stopped.outcome.as_ref().unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(!stopped.failed());
}

#[test]
fn the_thread_works_when_woken_and_stops_in_the_middle_of_a_compaction() {
    let (mut kept, told) = Kept::told("checkpoint_after = 'never'\ncompact_after = '60 s'");
    let (begun, has_begun) = mpsc::channel();
    *told.endless.lock() = Some(begun);
    kept.put("key", 10);
    kept.step();
    kept.clock.advance(60);
    kept.maintenance.start().unwrap();
    kept.maintenance.start().unwrap();
    kept.maintenance.wake();
    has_begun.recv().unwrap();
    assert!(kept.maintenance.is_running());
    // Figures wait for nobody.
    assert_eq!(kept.maintenance.stats()["a"].running, Some((Task::Compact, Duration::from_secs(60))));
    kept.maintenance.stop().unwrap();
    assert!(!kept.maintenance.is_running());
    let stats = kept.maintenance.stats()["a"].clone();
    assert_eq!((stats.running, stats.compact.done, stats.compact.failed), (None, 0, 0));
    assert_eq!(stats.compact.last.unwrap().outcome.unwrap_err().kind(), ErrorKind::Cancelled);
    // Nothing is begun any more, and the store is free.
    assert_eq!(kept.after(1000), NONE);
    kept.store.close().unwrap();
}

/// Who is told of a run may ask for another one.
#[test]
fn who_is_told_may_use_the_maintenance() {
    let (driver, _told) = ToldDriver::pair();
    let text = "[stores.a]\nengine = 'told'\nrequest.durability_may_pend = true\n[stores.a.maintenance]\ncheckpoint_after = '10s'";
    let config = config(Path::new("/nowhere"), text);
    let clock = Arc::new(HandClock::default());
    let known: Arc<std::sync::OnceLock<Arc<Maintenance>>> = Arc::default();
    let runs = Arc::new(Mutex::new(0));
    let (there, count) = (Arc::clone(&known), Arc::clone(&runs));
    let maintenance = Maintenance::new(clock.clone(), config.maintenance.look_every, move |_: &UpkeepRun| {
        let done = {
            let mut count = count.lock();
            *count += 1;
            *count
        };
        if done % 2 == 1 {
            there.get().unwrap().run("a", Task::Checkpoint, &Quiet).unwrap();
        }
    });
    let (_writer, store) = open(&config, &[driver]);
    maintenance.add("a", &store, &config.stores.values().next().unwrap().maintenance).unwrap();
    let maintenance = known.get_or_init(|| Arc::new(maintenance));
    maintenance.run("a", Task::Checkpoint, &Quiet).unwrap();
    assert_eq!(*runs.lock(), 2);
    commit(&store, "key", 10, Durability::Durable);
    assert!(maintenance.step().is_empty(), "it is seen, and due in ten seconds");
    clock.advance(10);
    assert_eq!(maintenance.step().len(), 1);
    assert_eq!(*runs.lock(), 4);
}
