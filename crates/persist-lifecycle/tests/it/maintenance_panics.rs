//! Upkeep with engines and listeners that panic.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use persist_api::{ErrorKind, Quiet};
use persist_lifecycle::Maintenance;
use persist_lifecycle::config::{Bytes, MaintenanceConfig, Trigger};
use persist_lifecycle::maintenance::{Reason, Task, UpkeepRun};

use crate::kept::{Kept, NONE};
use crate::kit::{HandClock, ToldDriver, config, open};

const KEYS: &str = "checkpoint_bytes = 10\nretry_after = '10 s'";

/// The same store under another name, so that it comes after the first.
fn add_another(kept: &Kept) {
    let soon = MaintenanceConfig { checkpoint_bytes: Trigger::at(Bytes(10)), ..MaintenanceConfig::default() };
    kept.maintenance.add("b", &kept.store, &soon).unwrap();
}

#[test]
fn a_run_that_panics_has_failed_and_harms_no_other() {
    let (kept, told) = Kept::told(KEYS);
    add_another(&kept);
    kept.put("key", 10);
    *told.meanwhile.lock() = Some(Box::new(|| panic!("a slip in the engine")));
    let done = (Task::Checkpoint, Reason::Bytes, Ok(()));
    assert_eq!(kept.step(), [(Task::Checkpoint, Reason::Bytes, Err(ErrorKind::Poisoned)), done]);
    let stats = kept.maintenance.stats()["a"].clone();
    assert_eq!((stats.running, stats.checkpoint.failed, stats.checkpoint.failed_in_a_row), (None, 1, 1));
    let error = stats.checkpoint.last.unwrap().outcome.unwrap_err();
    assert!(error.context().contains("a slip in the engine"), "{error}");
    assert_eq!(kept.after(9), NONE);
    assert_eq!(kept.after(1), [done]);
    // Also when somebody asks.
    *told.meanwhile.lock() = Some(Box::new(|| panic!("a slip in the engine")));
    let run = kept.maintenance.run("b", Task::Compact, &Quiet).unwrap();
    assert_eq!(run.outcome.unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(kept.maintenance.stats()["b"].running, None);
}

#[test]
fn a_look_that_panics_harms_no_other() {
    let (kept, told) = Kept::told(KEYS);
    add_another(&kept);
    kept.put("key", 10);
    *told.on_stats.lock() = Some(Box::new(|| panic!("a slip in the engine")));
    let done = (Task::Checkpoint, Reason::Bytes, Ok(()));
    assert_eq!(kept.step(), [done], "b only");
    assert_eq!(kept.maintenance.stats()["a"].checkpoint.done, 0);
    assert_eq!(kept.step(), [done], "and now a");
    assert_eq!(kept.maintenance.stats()["a"].checkpoint.done, 1);
    // After a run: what the next one counts from is not known, and so this one is done again.
    let there = Arc::clone(&told);
    let panics = move || *there.on_stats.lock() = Some(Box::new(|| panic!("a slip in the engine")));
    *told.meanwhile.lock() = Some(Box::new(panics));
    let asked = || kept.maintenance.run("a", Task::Checkpoint, &Quiet).unwrap().outcome;
    assert_eq!(asked().unwrap(), 7);
    assert_eq!(kept.maintenance.stats()["a"].checkpoint.failed_in_a_row, 1);
    assert_eq!(asked().unwrap(), 7);
    assert_eq!(kept.maintenance.stats()["a"].checkpoint.failed_in_a_row, 0);
}

#[test]
fn who_is_told_may_panic() {
    let (driver, _told) = ToldDriver::pair();
    let text = format!(
        "[stores.a]\nengine = 'told'\nrequest.durability_may_pend = true\n[stores.a.maintenance]\n{KEYS}"
    );
    let config = config(Path::new("/nowhere"), &text);
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let hears = Arc::clone(&heard);
    let listener = move |run: &UpkeepRun| {
        hears.lock().push(run.store.clone());
        panic!("a slip in the service");
    };
    let clock = Arc::new(HandClock::default());
    let maintenance = Maintenance::new(clock, config.maintenance.look_every, listener);
    let (_writer, store) = open(&config, &[driver]);
    for name in ["a", "b"] {
        maintenance.add(name, &store, &config.stores["a"].maintenance).unwrap();
    }
    crate::kit::commit(&store, "key", 10, persist_api::Durability::Durable);
    assert_eq!(maintenance.step().len(), 2);
    assert!(maintenance.run("a", Task::Compact, &Quiet).unwrap().outcome.is_ok());
    assert_eq!(*heard.lock(), ["a", "b", "a"]);
}
