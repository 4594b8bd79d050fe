//! The medium refuses: a child process whose files may not grow beyond a limit.

use std::path::Path;
use std::process::Command;

use persist_api::{Durability, ErrorKind, Quiet};

use crate::kit::{commit, home, open, records};

const HOME: &str = "PERSIST_ROCKSDB_TEST_FAILING_HOME";
/// Bytes that the child may write into one file.
const LIMIT: u64 = 2 << 20;
/// A record takes 11 bytes in the log and some 20 in a table: the log stays below the limit, the table would not.
const RECORDS: u64 = 140_000;

/// Not a test of its own: without its environment it does nothing.
#[test]
fn child_backs_up_what_it_cannot_flush() {
    let Some(home) = std::env::var_os(HOME) else { return };
    let home = Path::new(&home);
    let engine = open(home);
    for n in 0..RECORDS / 1000 {
        commit(&*engine, Durability::Buffered, |beat| {
            for n in n * 1000..(n + 1) * 1000 {
                // Scattered, so that neighbours have no beginning in common.
                beat.put_record(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes(), b"").unwrap();
            }
        });
    }
    let next = engine.view().unwrap().header().next(1, Durability::Durable, None).unwrap();
    let error = engine.backup(&home.with_file_name("copy"), &Quiet).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    assert_eq!(engine.begin_beat(next).err().unwrap().kind(), ErrorKind::Poisoned);
    assert_eq!(engine.sync().unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(records(&*engine).len() as u64, RECORDS);
}

#[test]
fn d_05_a_flush_that_fails_in_a_backup_poisons_and_loses_nothing() {
    let (_guard, home) = home();
    // Blocks of 512 bytes, as POSIX has it.
    let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", LIMIT / 512);
    let output = Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "failures::child_backs_up_what_it_cannot_flush", "--nocapture"])
        .env(HOME, &home)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    assert_eq!(records(&*open(&home)).len() as u64, RECORDS);
}
