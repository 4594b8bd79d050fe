use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use persist_api::{ErrorKind, OpenOptions};

use crate::support::*;

/// Child: opens the home, says so, and keeps it until its input ends.
#[test]
fn a_second_process_is_told_who_holds_the_directory() {
    if let Ok(home) = std::env::var("PERSIST_LMDB_HOLD") {
        let engine = open(home.as_ref());
        fill(&*engine, 0, 1, 1);
        println!("\nheld");
        std::io::stdin().lines().for_each(drop);
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lock::a_second_process_is_told_who_holds_the_directory", "--nocapture"])
        .env("PERSIST_LMDB_HOLD", home.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "held"));
    let error = refused(home.path(), &OpenOptions::default());
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.context().contains(&format!("process {}", child.id())), "{error}");
    child.stdin.take().unwrap().flush().unwrap();
    lines.for_each(drop);
    assert!(child.wait().unwrap().success());
    assert_eq!(all(&*open(home.path())).len(), 1);
}
