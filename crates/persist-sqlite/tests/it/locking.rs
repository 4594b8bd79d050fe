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

/// How many POSIX locks this machine knows on the database file.
#[cfg(target_os = "linux")]
fn locks(place: &Place) -> usize {
    use std::os::unix::fs::MetadataExt;
    let inode = std::fs::metadata(place.home().join("data.db")).unwrap().ino();
    let all = std::fs::read_to_string("/proc/locks").unwrap();
    all.lines().filter(|line| line.contains("POSIX") && line.contains(&format!(":{inode} "))).count()
}

/// Any descriptor of the file that is closed in this process takes SQLite's locks with it.
#[cfg(target_os = "linux")]
#[test]
fn looking_at_an_open_store_does_not_drop_its_locks() {
    let place = Place::new();
    let engine = place.open();
    put(engine.as_ref(), b"key", b"value");
    let held = locks(&place);
    assert!(held > 0, "SQLite holds no lock");
    assert_eq!(SqliteDriver.probe(&place.home()).unwrap(), Probe::Mine { needs_recovery: true });
    engine.stats().unwrap();
    open(&place.home(), &OpenOptions::default()).err().unwrap();
    engine.backup(&place.other("copy"), &persist_api::Quiet).unwrap();
    assert_eq!(locks(&place), held);
    close(engine);
    assert_eq!(locks(&place), 0);
    assert_eq!(SqliteDriver.probe(&place.home()).unwrap(), Probe::Mine { needs_recovery: false });
}
