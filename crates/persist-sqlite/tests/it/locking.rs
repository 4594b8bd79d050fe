//! One holder, across processes, and what SQLite's own locks are worth.

#[cfg(target_os = "linux")]
use std::collections::BTreeSet;
#[cfg(target_os = "linux")]
use std::path::Path;
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

/// The POSIX locks this process holds on the database file: mode and range of each.
///
/// Asked of this process' own descriptors, because `/proc/locks` tells of every process of the
/// machine, knows files by numbers that two file systems share, and changes while it is read.
#[cfg(target_os = "linux")]
fn locks(place: &Place) -> BTreeSet<String> {
    let file = place.home().join("data.db").canonicalize().unwrap();
    let mut found = BTreeSet::new();
    for descriptor in std::fs::read_dir("/proc/self/fd").unwrap() {
        let descriptor = descriptor.unwrap();
        if std::fs::read_link(descriptor.path()).is_ok_and(|target| target == file) {
            let info = Path::new("/proc/self/fdinfo").join(descriptor.file_name());
            // Another test's thread may have closed it since.
            let info = std::fs::read_to_string(info).unwrap_or_default();
            found.extend(info.lines().filter(|line| line.contains("POSIX")).map(str::to_owned));
        }
    }
    found
}

/// Any descriptor of the file that is closed in this process takes SQLite's locks with it.
#[cfg(target_os = "linux")]
#[test]
fn looking_at_an_open_store_does_not_drop_its_locks() {
    let place = Place::new();
    let engine = place.open();
    put(engine.as_ref(), b"key", b"value");
    let held = locks(&place);
    assert!(!held.is_empty(), "SQLite holds no lock");
    assert_eq!(SqliteDriver.probe(&place.home()).unwrap(), Probe::Mine { needs_recovery: true });
    engine.stats().unwrap();
    open(&place.home(), &OpenOptions::default()).err().unwrap();
    engine.backup(&place.other("copy"), &persist_api::Quiet).unwrap();
    let now = locks(&place);
    assert!(held.is_subset(&now), "held {held:?}, now {now:?}");
    close(engine);
    assert_eq!(locks(&place), BTreeSet::new());
    assert_eq!(SqliteDriver.probe(&place.home()).unwrap(), Probe::Mine { needs_recovery: false });
}
