//! Runs that do not hold everything when they end.

use persist_api::ErrorKind;
use persist_lifecycle::maintenance::{Reason, Task};

use crate::kept::{Kept, NONE};
use crate::kit::Told;

/// Commits so many bytes in the middle of the next run.
fn commit_meanwhile(kept: &Kept, told: &Told, bytes: usize) {
    let store = kept.store.clone();
    let hook = move || crate::kit::commit(&store, "tail", bytes, persist_api::Durability::Durable);
    *told.meanwhile.lock() = Some(Box::new(hook));
}

#[test]
fn what_is_committed_during_a_run_is_left_for_the_next_one() {
    for (task, keys) in [
        (Task::Checkpoint, "checkpoint_after = '60 s'"),
        (Task::Compact, "checkpoint_after = 'never'\ncompact_after = '60 s'"),
    ] {
        let (kept, told) = Kept::told(keys);
        kept.put("key", 10);
        kept.step();
        commit_meanwhile(&kept, &told, 10);
        assert_eq!(kept.after(60), [(task, Reason::Time, Ok(()))]);
        assert_eq!(kept.step(), NONE, "{task}: not at once");
        assert_eq!(kept.after(60), [(task, Reason::Time, Ok(()))], "{task}: nobody committed since");
        assert_eq!(kept.after(1000), NONE, "{task}: this one held everything");
    }
}

#[test]
fn bytes_that_are_committed_during_a_checkpoint_count_for_the_next_one() {
    let (kept, told) = Kept::told("checkpoint_bytes = 10_000\ncheckpoint_after = 'never'");
    kept.put("key", 10_000);
    commit_meanwhile(&kept, &told, 9_000);
    assert_eq!(kept.step(), [(Task::Checkpoint, Reason::Bytes, Ok(()))]);
    assert_eq!(kept.step(), NONE);
    kept.put("key", 1_000);
    assert_eq!(kept.step(), [(Task::Checkpoint, Reason::Bytes, Ok(()))]);
    assert_eq!(kept.step(), NONE);
}

#[test]
fn a_checkpoint_that_a_view_holds_back_is_tried_again_until_it_holds_all() {
    let dir = tempfile::tempdir().unwrap();
    let kept = Kept::at(dir.path(), "sqlite", "checkpoint_after = '60 s'\nbusy_after = '5 s'");
    kept.put("key", 10);
    let view = kept.store.view().unwrap();
    kept.put("key", 20);
    kept.step();
    let busy = [(Task::Checkpoint, Reason::Time, Err(ErrorKind::Busy))];
    assert_eq!(kept.after(60), busy);
    assert_eq!(kept.after(4), NONE);
    assert_eq!(kept.after(1), busy);
    let beat = kept.store.stats().unwrap().engine.beat.0;
    assert!(kept.figure("checkpointed_beat") < beat);
    drop(view);
    // Nobody commits any more.
    assert_eq!(kept.after(5), [(Task::Checkpoint, Reason::Time, Ok(()))]);
    assert_eq!(kept.figure("checkpointed_beat"), beat);
    assert_eq!(kept.after(1000), NONE);
    let stats = kept.maintenance.stats()["a"].checkpoint.clone();
    assert_eq!((stats.done, stats.busy, stats.failed), (1, 2, 0));
    // A view of the newest beat holds nothing back.
    kept.put("key", 30);
    let _view = kept.store.view().unwrap();
    kept.step();
    assert_eq!(kept.after(60), [(Task::Checkpoint, Reason::Time, Ok(()))]);
}
