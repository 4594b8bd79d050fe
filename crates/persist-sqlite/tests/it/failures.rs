//! The medium refuses: a child process whose files may not grow beyond a limit.

use std::path::Path;
use std::process::Command;

use persist_api::{Durability, ErrorKind, Scan};

use crate::kit::{Place, commit, next, open, options, rows, verify};

const CHILD_HOME: &str = "PERSIST_SQLITE_TEST_FAILING_HOME";
const CHILD_WAL: &str = "PERSIST_SQLITE_TEST_FAILING_WAL";

/// Not a test by itself: commits until the file limit is met, and checks what the engine says then.
#[test]
fn child_writes_until_it_fails() {
    let (Some(home), Ok(wal)) = (std::env::var_os(CHILD_HOME), std::env::var(CHILD_WAL)) else { return };
    let engine = open(Path::new(&home), &options(&[("wal_bytes", &wal)])).unwrap();
    let mut committed = 0_u64;
    let error = loop {
        assert!(committed < 2000, "nothing failed");
        let done = commit(engine.as_ref(), Durability::Durable, |beat| {
            beat.put_record(&committed.to_be_bytes(), &[5; 10_000])
        });
        match done {
            Ok(receipt) => committed = receipt.header.beat.0,
            Err(error) => break error,
        }
    };
    // Whatever failed, a beat or the checkpoint after one: from now on nothing is written, and reads go on.
    assert!(matches!(error.kind(), ErrorKind::Io | ErrorKind::Poisoned), "{error}");
    let again = engine.begin_beat(next(engine.as_ref(), Durability::Buffered)).err().unwrap();
    assert_eq!(again.kind(), ErrorKind::Poisoned);
    assert_eq!(engine.sync().unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(engine.checkpoint().unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(rows(engine.view().unwrap().as_ref(), Scan::all()).len() as u64, committed);
    println!("committed {committed} first {}", error.kind());
}

/// Bytes that the child may write into one file.
const LIMIT: u64 = 2 << 20;

fn child(place: &Place, wal_bytes: &str) -> String {
    let exe = std::env::current_exe().unwrap();
    // Blocks of 512 bytes, as POSIX has it; some shells take 1024, which changes nothing here.
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", LIMIT / 512);
    let output = Command::new("sh")
        .args(["-c", &script])
        .arg(exe)
        .args(["--exact", "failures::child_writes_until_it_fails", "--nocapture"])
        .env(CHILD_HOME, place.home())
        .env(CHILD_WAL, wal_bytes)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

fn committed(said: &str) -> u64 {
    said.split("committed ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_failed_commit_poisons_and_loses_nothing() {
    let place = Place::new();
    let said = child(&place, "1073741824");
    assert!(said.contains("first io"), "{said}");
    // A poisoned engine leaves the WAL to the next open.
    assert!(std::fs::metadata(place.home().join("data.db-wal")).unwrap().len() > 1 << 20);
    let engine = place.open();
    assert_eq!(engine.view().unwrap().header().beat.0, committed(&said));
    assert_eq!(verify(engine.as_ref()).1, []);
}

#[test]
fn a_failed_checkpoint_after_a_commit_poisons_but_the_beat_stands() {
    let place = Place::new();
    let said = child(&place, "262144");
    assert!(said.contains("first poisoned"), "{said}");
    let engine = place.open();
    assert_eq!(engine.view().unwrap().header().beat.0, committed(&said));
    assert_eq!(verify(engine.as_ref()).1, []);
}
