//! One holder, across processes, and what SQLite's own locks are worth.

use std::process::{Command, Stdio};

use persist_api::{Driver as _, ErrorKind, OpenOptions, Probe};
use persist_sqlite::SqliteDriver;

use crate::kit::{Place, close, open, put};

const CHILD_HOME: &str = "PERSIST_SQLITE_TEST_HOME";

/// Not a test by itself: what the child process of the next test does.
#[test]
fn child_tries_to_open() {
    let Some(home) = std::env::var_os(CHILD_HOME) else { return };
    match open(home.as_ref(), &OpenOptions::default()) {
        Ok(_) => println!("opened"),
        Err(error) => println!("refused {} {}", error.kind(), error.context()),
    }
}

fn child(place: &Place) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "locking::child_tries_to_open", "--nocapture"])
        .env(CHILD_HOME, place.home())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_second_process_gets_locked_and_the_holder() {
    let place = Place::new();
    let engine = place.open();
    let said = child(&place);
    assert!(said.contains(&format!("refused locked held by process {}", std::process::id())), "{said}");
    let error = open(&place.home(), &OpenOptions::default()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Locked);
    // A view keeps it.
    let view = engine.view().unwrap();
    drop(engine);
    assert!(child(&place).contains("refused locked"));
    drop(view);
    assert!(child(&place).contains("opened"));
}

/// Whether another process could take SQLite's exclusive lock on the database, that is, finds it abandoned.
const PROBE: &str = "PERSIST_SQLITE_TEST_EXCLUSIVE";

#[test]
fn child_tries_the_exclusive_lock() {
    let Some(home) = std::env::var_os(PROBE) else { return };
    let raw = rusqlite::Connection::open(std::path::Path::new(&home).join("data.db")).unwrap();
    raw.busy_timeout(std::time::Duration::ZERO).unwrap();
    // Leaving WAL mode needs to be the only one.
    let mode: Result<String, _> = raw.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0));
    println!("mode {mode:?}");
}

#[test]
fn probing_an_open_store_does_not_drop_its_locks() {
    let place = Place::new();
    let engine = place.open();
    put(engine.as_ref(), b"key", b"value");
    assert_eq!(SqliteDriver.probe(&place.home()).unwrap(), Probe::Mine { needs_recovery: true });
    let _ = engine.stats().unwrap();
    let _ = open(&place.home(), &OpenOptions::default()).err().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "locking::child_tries_the_exclusive_lock", "--nocapture"])
        .env(PROBE, place.home())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("DatabaseBusy"), "{said}");
    put(engine.as_ref(), b"key", b"value 2");
    close(engine);
    assert_eq!(SqliteDriver.probe(&place.home()).unwrap(), Probe::Mine { needs_recovery: false });
}
