//! What only a second process can show: the lock, and what a killed writer leaves.
//!
//! The child is this same test program, told by its environment what to be.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use persist_api::{Durability, ErrorKind, OpenOptions};

use crate::kit::{commit, home, open, open_with, records};

const HOME: &str = "PERSIST_ROCKSDB_TEST_HOME";

/// Starts the child and waits for its first line.
fn start(home: &Path) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::child", "--nocapture"])
        .env(HOME, home)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    wait_for_beat(&mut lines, 1);
    (child, lines)
}

/// Reads until the child has said that it committed `beat`.
fn wait_for_beat(lines: &mut impl BufRead, beat: u64) {
    let mut line = String::new();
    loop {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "the child ended");
        if line.trim().strip_prefix("beat ").is_some_and(|number| number.parse::<u64>().unwrap() >= beat) {
            return;
        }
    }
}

/// Not a test of its own: without its environment it does nothing.
#[test]
fn child() {
    let Some(home) = std::env::var_os(HOME) else { return };
    // A small buffer, so that tables and logs are made and dropped while the parent kills.
    let engine = open_with(home.as_ref(), &crate::kit::with_knob("write_buffer_bytes", 64 << 10)).unwrap();
    for n in 1_u64.. {
        commit(&*engine, Durability::Buffered, |beat| {
            beat.put_record(&n.to_be_bytes(), &[7; 1000]).unwrap();
            beat.put_record(b"newest", &n.to_be_bytes()).unwrap();
        });
        println!("beat {n}");
    }
}

#[test]
fn another_process_is_locked_out_and_a_killed_one_loses_nothing_it_committed() {
    let (_guard, home) = home();
    let (mut child, mut lines) = start(&home);
    let error = open_with(&home, &OpenOptions::default()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.context().contains(&child.id().to_string()), "{error}");
    let reached = 300;
    wait_for_beat(&mut lines, reached);
    child.kill().unwrap();
    child.wait().unwrap();
    let engine = open(&home);
    let header = *engine.view().unwrap().header();
    assert!(header.beat.0 >= reached, "beat {} after {reached} were acknowledged", header.beat);
    let records = records(&*engine);
    assert_eq!(records[b"newest".as_slice()], header.beat.0.to_be_bytes());
    assert_eq!(records.len() as u64, header.beat.0 + 1);
}
