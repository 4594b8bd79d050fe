//! Ctrl-C.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};

use crate::kit::Place;

#[test]
fn ctrl_c_ends_a_command_that_waits_for_input() {
    let place = Place::with("sqlite");
    let mut command = place.command(&["put", "key", "--stdin"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Held open to the end: a closed input is an input that was read.
    let input = child.stdin.take();
    // It holds the store once the lock file names it; from then on it listens to signals.
    let holder = format!("process {} ", child.id());
    while !std::fs::read_to_string(place.path().join("store/lock")).unwrap().starts_with(&holder) {
        std::thread::yield_now();
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(17));
    drop(input);
    assert_eq!(place.state().0, "0");
}

#[test]
fn ctrl_c_stops_with_17_and_leaves_the_store_whole() {
    let place = Place::new();
    let mut child = place
        .command(&["demo", "--records", "100000000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.starts_with("created ./demo-store"), "{line}");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let status = child.wait().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(17), "{said}");
    assert!(said.contains("cancelled") && said.lines().count() == 1, "{said}");
    place.run(&["--store", "demo-store", "verify"]).ok();
    place.run(&["demo", "--records", "10"]).ok();
}

/// Threads commit, read and follow while engines change, at whatever step the signal comes.
#[test]
fn ctrl_c_in_the_middle_of_swaps_stops_with_17_and_loses_nothing() {
    let place = Place::new();
    let engines = ["sqlite,flatfile"; 100].join(",");
    let mut child = place
        .command(&["demo", "--records", "3000", "--swap", &format!("flatfile,{engines}")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("flatfile -> sqlite")));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    // What it still says is read, so that it can say it.
    lines.for_each(drop);
    let said = child.wait_with_output().unwrap();
    assert_eq!(said.status.code(), Some(17), "{}", String::from_utf8_lossy(&said.stderr));
    place.run(&["--store", "demo-store", "verify"]).ok();
    let status = place.run(&["--store", "demo-store", "swap", "--status", "--json"]).ok().objects().remove(0);
    if status["state"] == serde_json::json!("copying") {
        place.run(&["--store", "demo-store", "swap", "--abort"]).ok();
    }
    place.run(&["demo", "--records", "10"]).ok();
}

/// Waits until the process handles SIGTERM itself.
#[cfg(target_os = "linux")]
fn wait_until_it_listens(id: u32) {
    let listens = || {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        u64::from_str_radix(caught.trim(), 16).unwrap() >> 14 & 1 == 1
    };
    while !listens() {
        std::thread::yield_now();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn every_wait_for_input_ends_with_17() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let place = Place::with("sqlite");
    mknodat(CWD, place.path().join("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    for args in [
        &["frame", "show", "-"][..],
        &["frame", "show", "pipe"],
        &["frame", "verify", "pipe"],
        &["ingest", "pipe"],
        &["put", "key", "--file", "pipe"],
    ] {
        let mut command = place.command(args);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take();
        wait_until_it_listens(child.id());
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        assert_eq!(child.wait_with_output().unwrap().status.code(), Some(17), "{args:?}");
        drop(input);
    }
    assert_eq!(place.state().0, "0");
}

/// A bundle is read twice, so that no pipe can give one.
#[cfg(target_os = "linux")]
#[test]
fn a_bundle_from_a_pipe_is_refused_and_not_waited_for() {
    use std::io::Write;

    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let place = Place::with("sqlite");
    mknodat(CWD, place.path().join("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    // Who reads all the same reads this, and does not wait for ever.
    let mut pipe =
        std::fs::OpenOptions::new().read(true).write(true).open(place.path().join("pipe")).unwrap();
    pipe.write_all(&[b'x'; 8192]).unwrap();
    for args in [
        &["import", "pipe", "new"][..],
        &["import", "pipe", "--dry-run"],
        &["import", "pipe", "--apply"],
        &["export", "next.bundle", "--since", "pipe"],
    ] {
        place.run(args).fails(1, "no regular file").fails(1, "choose another path");
    }
    assert!(!place.path().join("new").exists());
}
