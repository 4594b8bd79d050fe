//! tail.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::kit::{Place, assert_fields};

#[test]
fn commits_are_printed_from_the_first_hold_on_and_once() {
    for engine in ["flatfile", "sqlite", "lmdb"] {
        let place = Place::with(engine);
        place.run(&["put", "before", "x"]).ok();
        place.run(&["tail"]).fails(12, "--hold NAME");
        assert_eq!(place.run(&["tail", "--hold", "mirror"]).ok().text(), "");
        place.run(&["put", "key", "value"]).ok();
        place.run(&["del", "key", "--prefix", "be"]).ok();
        let all = "commit 3, beat 3: 1 operation\n  put\tkey\tvalue\n\
                   commit 4, beat 4: 2 operations\n  delete\tkey\n  delete range\tfrom be\tbefore bf\n";
        assert_eq!(place.run(&["tail"]).ok().text(), all);
        assert_eq!(place.run(&["tail", "--after", "2"]).ok().text(), all, "without a hold nothing is moved");
        place
            .run(&["tail", "--after", "1"])
            .fails(12, "commit 2 is not kept, holds keep them from commit 3 on");
        place.run(&["tail", "--after", "4"]).ok();
        place.run(&["tail", "--after", "5"]).fails(1, "the newest commit is 4; --follow");
        assert_eq!(place.run(&["tail", "--hold", "mirror"]).ok().text(), all);
        assert_eq!(place.run(&["tail"]).ok().text(), "commit 5, beat 5: 0 operations\n", "the hold's own");
        place.run(&["put", "other", "\u{1}"]).ok();
        let rest = place.run(&["tail", "--hold", "mirror", "--release"]).ok();
        assert_eq!(
            rest.text(),
            "commit 5, beat 5: 0 operations\ncommit 6, beat 6: 1 operation\n  put\tother\t0x01\n"
        );
        place.run(&["tail"]).fails(12, "nobody holds");
        // Only a table that cannot be read is given up.
        place.run(&["tail", "--hold", "mirror"]).ok();
        assert_eq!(place.run(&["tail", "--forget-holds"]).ok().text(), "");
        place.run(&["put", "more", "x"]).ok();
        assert!(place.run(&["tail"]).ok().text().contains("more"));
        place.run(&["verify"]).ok();
    }
}

#[test]
fn a_hold_that_is_not_there_is_not_given_up_and_stats_names_those_that_are() {
    let holds = |place: &Place| place.run(&["stats", "--json"]).ok().objects()[0]["holds"].clone();
    for engine in ["flatfile", "sqlite", "lmdb"] {
        let place = Place::with(engine);
        place.run(&["put", "before", "x"]).ok();
        assert_eq!(holds(&place), json!([]));
        assert!(place.run(&["stats"]).ok().text().contains("holds             none\n"));
        place
            .run(&["tail", "--hold", "mirror", "--release"])
            .fails(1, "no hold mirror to give up (there is none)");
        place.run(&["tail", "--hold", "mirror"]).ok();
        place.run(&["tail", "--hold", "other"]).ok();
        let before = place.state();
        place
            .run(&["tail", "--hold", "miror", "--release"])
            .fails(1, "no hold miror to give up; did you mean mirror? (there are: mirror, other)");
        assert_eq!(place.state(), before, "nothing is made");
        let all = holds(&place);
        let mirror = json!({"name": "mirror", "position": "2", "commits": 1, "bytes": all[0]["bytes"],
            "commits_max": 1 << 20, "bytes_max": 256 << 20, "stale": false});
        assert_eq!(all[0], mirror);
        assert!(all[0]["bytes"].as_u64().unwrap() > 0, "the commit that made the other");
        assert_eq!(
            (&all[1]["name"], &all[1]["position"], &all[1]["bytes"]),
            (&json!("other"), &json!("3"), &json!(0))
        );
        assert!(
            place.run(&["stats"]).ok().text().contains("hold              mirror at commit 2, 1 behind: ")
        );
        place.run(&["tail", "--hold", "mirror", "--release"]).ok();
        assert_eq!(holds(&place)[0]["name"], "other");
    }
}

#[test]
fn json_has_every_operation() {
    let place = Place::with("sqlite");
    place.run(&["tail", "--hold", "mirror"]).ok();
    place.run(&["put", "key", "value"]).ok();
    place.run(&["del", "key", "--prefix", ""]).ok();
    let commits = place.run(&["tail", "--json"]).ok().objects();
    assert_eq!(commits.len(), 2);
    for commit in &commits {
        assert_fields(commit, "commit beat beat_commits durability beat_root operations");
    }
    assert_eq!((&commits[0]["commit"], &commits[0]["beat"]), (&json!("2"), &json!("2")));
    assert_eq!((&commits[0]["beat_commits"], &commits[0]["durability"]), (&json!(1), &json!("durable")));
    assert_eq!(commits[0]["beat_root"].as_str().unwrap().len(), 64);
    let put = json!([{"op": "put", "key": "key", "key_hex": "6b6579", "value": "value", "value_hex": "76616c7565"}]);
    assert_eq!(commits[0]["operations"], put);
    let none = json!({"bound": "none", "key_hex": null});
    let from = json!({"bound": "included", "key_hex": ""});
    let operations = commits[1]["operations"].as_array().unwrap();
    assert_eq!(operations[0], json!({"op": "delete", "key": "key", "key_hex": "6b6579"}));
    assert_eq!(operations[1]["op"], "delete_range");
    assert!(operations[1]["from"] == none || operations[1]["from"] == from, "{}", operations[1]);
    assert_eq!(operations[1]["to"], none);
}

#[test]
fn following_shows_what_others_commit_and_ends_with_ctrl_c() {
    let place = Place::with("flatfile");
    place.run(&["put", "key", "1"]).ok();
    let mut child = place
        .command(&["tail", "--follow", "--hold", "mirror", "--every", "20", "--json", "--quiet"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    // Both may find the store taken by the other: a put is repeated until it gets through.
    let put = |value: &str| {
        loop {
            let run = place.run(&["put", "key", value]);
            match run.code {
                0 => return,
                code => assert_eq!(code, 13, "{}", run.stderr),
            }
        }
    };
    let (mut seen, mut numbers) = (Vec::new(), Vec::<u64>::new());
    for value in 2.. {
        put(&value.to_string());
        // Until it has made its hold there is nothing to see.
        if place.run(&["tail"]).code == 0 {
            break;
        }
    }
    // What another hold makes is empty, and so is what moving a hold makes: each is a commit all the same.
    let hold_beside = || while place.run(&["tail", "--hold", "beside"]).code != 0 {};
    put("before");
    hold_beside();
    for value in ["middle", "last"] {
        put(value);
        while seen.last().is_none_or(|seen| seen != value) {
            let mut line = String::new();
            out.read_line(&mut line).unwrap();
            let commit: serde_json::Value = serde_json::from_str(&line).unwrap();
            numbers.push(commit["commit"].as_str().unwrap().parse().unwrap());
            let values = commit["operations"].as_array().unwrap().iter();
            seen.extend(values.map(|op| op["value"].as_str().unwrap().to_owned()));
        }
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), String::from_utf8(ended.stderr).unwrap().as_str()), (Some(0), ""));
    let each_once: Vec<_> = (numbers[0]..).take(numbers.len()).collect();
    assert_eq!(numbers, each_once, "{seen:?}");
    // What was printed is passed, also at the end.
    let again = place.run(&["tail", "--hold", "mirror", "--json"]).ok().objects();
    assert!(again.iter().all(|commit| commit["operations"] == json!([])), "{again:?}");
}

#[test]
fn the_store_is_left_to_others_while_nobody_reads_what_is_printed() {
    let place = Place::with("flatfile");
    place.run(&["tail", "--hold", "mirror"]).ok();
    // More than a pipe takes.
    place.write("large", &b"x".repeat(400_000));
    place.run(&["put", "key", "--file", "large"]).ok();
    let mut command = place.command(&["tail", "--follow", "--hold", "mirror", "--every", "20"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 1];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    place.run(&["put", "key", "small"]).ok();
    child.kill().unwrap();
    child.wait().unwrap();
    // It was not read to its end, so it comes again.
    let rest = place.run(&["tail", "--hold", "mirror"]).ok();
    assert!(rest.text().contains("xxxx") && rest.text().contains("small"));
}

/// Returns when a process has gone to sleep so many times more.
#[cfg(target_os = "linux")]
fn wait_for_looks(process: u32, looks: u64) {
    let slept = || -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
        line.trim().parse().unwrap()
    };
    let end = slept() + looks;
    while slept() < end {
        std::thread::yield_now();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_store_in_which_nothing_happens_is_not_opened() {
    for engine in ["flatfile", "sqlite", "lmdb"] {
        let place = Place::with(engine);
        place.run(&["tail", "--hold", "mirror"]).ok();
        place.run(&["put", "key", "value"]).ok();
        let mut command = place.command(&["tail", "--follow", "--hold", "mirror", "--every", "5"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert_eq!(lines.next().unwrap(), "commit 2, beat 2: 1 operation");
        assert_eq!(lines.next().unwrap(), "  put\tkey\tvalue");
        assert_eq!(lines.next().unwrap(), "commit 3, beat 3: 0 operations", "the hold's own");
        let lock = place.path().join("store/lock");
        let opened = || std::fs::metadata(&lock).unwrap().modified().unwrap();
        let before = opened();
        wait_for_looks(child.id(), 50);
        assert_eq!(opened(), before, "{engine}");
        place.run(&["put", "key", "2"]).ok();
        assert_eq!(lines.next().unwrap(), "commit 4, beat 4: 1 operation");
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn whoever_keeps_the_store_from_a_follower_is_named_once() {
    let place = Place::with("sqlite");
    place.run(&["tail", "--hold", "mirror"]).ok();
    let mut command = place.command(&["put", "key", "--stdin"]);
    let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let named = format!("process {} ", holder.id());
    while !std::fs::read_to_string(place.path().join("store/lock")).unwrap().starts_with(&named) {
        std::thread::yield_now();
    }
    let mut command = place.command(&["tail", "--follow", "--hold", "mirror", "--every", "20", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut notes = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    notes.read_line(&mut line).unwrap();
    let note: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_fields(&note["note"], "kind message path");
    assert_eq!(note["note"]["kind"], "locked");
    let message = note["note"]["message"].as_str().unwrap();
    assert!(message.starts_with(&format!("waiting, the store is held by {named}")), "{message}");
    wait_for_looks(child.id(), 20);
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut commit = String::new();
    out.read_line(&mut commit).unwrap();
    assert!(commit.contains("\"commit\":\"2\""), "{commit}");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    line.clear();
    assert_eq!(notes.read_line(&mut line).unwrap(), 0, "{line}");
}
