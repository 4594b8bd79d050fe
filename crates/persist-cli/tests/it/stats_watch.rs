//! `stats --watch`.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::kit::{Place, Run, assert_fields};

const FIELDS: &str = "at engine home store_id epoch held holder bytes bytes_per_second files";

#[test]
fn a_store_that_another_process_holds_is_watched_and_ctrl_c_is_a_good_end() {
    let place = Place::with("sqlite");
    // It waits for input and holds the store meanwhile.
    let mut command = place.command(&["put", "key", "--stdin"]);
    let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let named = format!("process {} ", holder.id());
    while !std::fs::read_to_string(place.path().join("store/lock")).unwrap().starts_with(&named) {
        std::thread::yield_now();
    }
    let mut command = place.command(&["stats", "--watch", "0.02", "--json"]);
    let mut watcher = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watcher.stdout.take().unwrap()).lines();
    let mut next = || -> Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    let first = next();
    assert_fields(&first, FIELDS);
    assert_eq!((first["engine"].as_str(), first["epoch"].as_u64()), (Some("sqlite"), Some(1)));
    assert_eq!(first["home"].as_str().unwrap(), place.path().join("store").display().to_string());
    assert!(first["bytes"].as_u64().unwrap() > 0 && first["bytes_per_second"].is_null());
    if cfg!(target_os = "linux") {
        assert_eq!(first["held"].as_bool(), Some(true));
        assert!(first["holder"].as_str().unwrap().starts_with(&named));
    }
    // The holder commits and goes: it was not kept waiting.
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    let mut later = next();
    while cfg!(target_os = "linux") && later["held"].as_bool() != Some(false) {
        later = next();
    }
    assert!(later["bytes_per_second"].is_number() && later["at"].as_f64() > first["at"].as_f64());
    kill_process(Pid::from_child(&watcher), Signal::INT).unwrap();
    assert_eq!(watcher.wait().unwrap().code(), Some(0));
    assert_eq!(place.state().0, "1");
}

#[test]
fn where_there_is_no_store_nothing_is_made_and_the_error_says_so() {
    let place = Place::new();
    place.run(&["stats", "--watch", "1"]).fails(1, "persist init");
    place.run(&["--store", "memory:", "stats", "--watch"]).fails(1, "keeps nothing");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    assert_eq!(place.run(&["stats", "--watch", "0"]).code, 2);
}

#[test]
fn a_store_that_moves_away_is_followed_no_further() {
    let place = Place::with("sqlite");
    let mut command = place.command(&["stats", "--watch", "0.02", "--json"]);
    let mut watcher = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watcher.stdout.take().unwrap()).lines().map(Result::unwrap);
    lines.next().unwrap();
    place.run(&["swap", "--to", "lmdb:other"]).ok();
    for line in lines.take(500) {
        let look: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(look["engine"], "sqlite");
    }
    let other = place.path().join("other");
    // It has ended by itself, or does now.
    let _ = kill_process(Pid::from_child(&watcher), Signal::INT);
    Run::of(watcher.wait_with_output().unwrap()).fails(14, &format!("lives in {} now", other.display()));
    place.run_unread(&["stats", "--watch"]).fails(14, "lives in");
}

#[test]
fn files_that_cannot_be_read_are_no_empty_store() {
    let place = Place::with("flatfile");
    std::fs::rename(place.path().join("store/engine-1"), place.path().join("aside")).unwrap();
    place.run_unread(&["stats", "--watch"]).fails(3, "engine-1");
    std::fs::write(place.path().join("store/engine-1"), "x").unwrap();
    place.run_unread(&["stats", "--watch"]).fails(3, "engine-1");
}

#[test]
fn a_lock_that_is_a_pipe_is_waited_for_by_nobody() {
    let place = Place::with("flatfile");
    let lock = place.path().join("store/lock");
    std::fs::remove_file(&lock).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&lock).status().unwrap().success());
    let mut command = place.command(&["stats", "--watch", "0.02", "--json"]);
    let mut watcher = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watcher.stdout.take().unwrap()).lines().map(Result::unwrap);
    let look: Value = serde_json::from_str(&lines.next().unwrap()).unwrap();
    assert!(look["holder"].is_null(), "{look}");
    kill_process(Pid::from_child(&watcher), Signal::INT).unwrap();
    drop(lines);
    Run::of(watcher.wait_with_output().unwrap());
}
