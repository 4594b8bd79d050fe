//! Upkeep of a store whose engine is swapped.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use persist_api::{Caps, Driver, ErrorKind, Quiet};
use persist_lifecycle::maintenance::{Reason, Task};
use persist_store::{SwapOptions, SwapTarget};

use crate::kept::{Kept, NONE};
use crate::kit::{ToldDriver, config, drivers};

fn swap(kept: &Kept, target: &SwapTarget, may_lose: Caps) {
    let options = SwapOptions { may_lose, ..SwapOptions::default() };
    kept.store.swap(target, &options, &Quiet).unwrap();
}

#[test]
fn a_store_that_moves_from_memory_to_disk_is_kept_in_shape_from_then_on() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[stores.a]\nengine = 'memory'\nrequest.durability_may_pend = true\n[stores.a.maintenance]\n\
                checkpoint_after = '60 s'\ncompact_after = '1 h'";
    let kept = Kept::over(&config(Path::new("/nowhere"), text), &drivers());
    kept.put("key", 10);
    assert_eq!(kept.after(10_000), NONE, "memory has nothing to keep in shape");
    swap(&kept, &SwapTarget::at("flatfile", dir.path().join("home")), Caps::ZERO_COPY);
    assert_eq!(kept.step(), NONE);
    let next = kept.maintenance.stats()["a"].checkpoint.next_by_time;
    assert_eq!(next, Some(Duration::from_secs(10_060)), "as of a store that was opened at this look");
    assert_eq!(kept.after(60), [(Task::Checkpoint, Reason::Time, Ok(()))]);
    kept.put("key", 20);
    assert_eq!(kept.step(), NONE);
    assert_eq!(kept.after(60), [(Task::Checkpoint, Reason::Time, Ok(()))]);
    assert_eq!(kept.after(3600 - 120), [(Task::Compact, Reason::Time, Ok(()))]);
}

#[test]
fn growth_is_counted_from_the_engine_that_a_swap_brought() {
    let dir = tempfile::tempdir().unwrap();
    let keys = "checkpoint_bytes = 'never'\ncheckpoint_after = 'never'\ncompact_growth_percent = 50\n\
                compact_bytes_min = '1 MiB'";
    let kept = Kept::at(dir.path(), "sqlite", keys);
    kept.put("large", 2_000_000);
    swap(&kept, &SwapTarget::here("flatfile"), Caps::all());
    assert_eq!(kept.step(), NONE, "it is the first look at this engine");
    kept.put("small", 10);
    assert_eq!(kept.step(), NONE);
    let now = kept.store.stats().unwrap().engine.bytes_on_disk;
    assert!(now > 2_000_000, "{now}");
    kept.put("more", usize::try_from(now).unwrap());
    assert_eq!(kept.step(), [(Task::Compact, Reason::Growth, Ok(()))]);
}

#[test]
fn what_a_swap_has_lost_is_never_tried_again() {
    let (driver, told) = ToldDriver::pair();
    let mut all: Vec<Arc<dyn Driver>> = drivers();
    all.push(driver);
    let text = "[stores.a]\nengine = 'told'\nrequest.durability_may_pend = true\n[stores.a.maintenance]\n\
                checkpoint_after = '60 s'\ncompact_after = '60 s'";
    let kept = Kept::over(&config(Path::new("/nowhere"), text), &all);
    told.next.lock().push_back(ErrorKind::Io);
    kept.put("key", 10);
    kept.step();
    assert_eq!(kept.after(60)[0], (Task::Checkpoint, Reason::Time, Err(ErrorKind::Io)));
    let lost = Caps::CHECKPOINT | Caps::COMPACTION | Caps::ZERO_COPY;
    swap(&kept, &SwapTarget::here("memory"), lost);
    kept.put("key", 20);
    assert_eq!(kept.step(), NONE);
    assert_eq!(kept.after(1_000_000), NONE);
    let stats = kept.maintenance.stats()["a"].clone();
    assert_eq!((stats.checkpoint.next_by_time, stats.compact.next_by_time), (None, None));
    assert_eq!((stats.checkpoint.failed, stats.checkpoint.failed_in_a_row), (1, 0), "of this engine");
}
