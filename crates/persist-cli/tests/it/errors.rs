//! Exit codes and messages.

use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::kit::{Place, Run, assert_fields};

fn error(stderr: &str) -> Value {
    let error: Value = serde_json::from_str(stderr).unwrap();
    let error = error["error"].clone();
    assert_fields(&error, "kind code op message engine engine_code path beat advice");
    error
}

#[test]
fn errors_are_one_line_with_advice_or_one_object() {
    let place = Place::new();
    place.run(&["get", "key"]).fails(1, "`persist init` creates one").fails(1, "change the call");
    let run = place.run(&["get", "key", "--json"]);
    let shown = error(&run.stderr);
    assert_eq!(
        (&shown["kind"], &shown["code"], &shown["path"]),
        (&json!("invalid"), &json!(-1), &json!(place.path().join("store")))
    );
    place.run(&["init"]).ok();
    let shown = error(&place.run(&["get", "key", "--json"]).stderr);
    assert_eq!(
        (&shown["kind"], &shown["code"], &shown["message"]),
        (&json!("not_found"), &json!(-8), &json!("key"))
    );
}

#[test]
fn nobody_listening_to_errors_keeps_the_exit_code() {
    let place = Place::with("sqlite");
    for json in [&[][..], &["--json"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let status = place.command(&["get", "nothing"]).args(json).stderr(full).status().unwrap();
        assert_eq!(status.code(), Some(8));
    }
}

#[test]
fn an_engine_that_does_not_exist_is_no_directory() {
    let place = Place::new();
    place.run(&["init", "--store", "sqlit:./store"]).fails(7, "there is no engine sqlit");
    let engine_alone = place.run(&["init", "--store", "sqlit:"]).fails(7, "there is no engine sqlit");
    assert!(!engine_alone.stderr.contains("colon"), "no path, no advice on paths");
    place.run(&["init", "--store", "sqlit:./store", "--engine", "sqlite"]).fails(2, "two engines");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    place.run(&["init", "--store", "./sqlit:store"]).ok();
    place.run(&["stats", "--store", "./sqlit:store"]).ok();
}

#[test]
fn writing_a_file_harms_no_other() {
    let place = Place::with("sqlite");
    place.run(&["put", "key", "value"]).ok();
    std::fs::create_dir(place.path().join("dir")).unwrap();
    place.run(&["get", "key", "--out", "dir"]).fails(1, "a directory");
    place.write("back.new", b"theirs");
    place.run(&["get", "key", "--out", "back"]).fails(1, ".new is taken");
    assert_eq!(std::fs::read(place.path().join("back.new")).unwrap(), b"theirs");
    place.run(&["get", "key", "--out", "other"]).ok();
    let mut names: Vec<_> =
        std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["back.new", "dir", "other", "store"]);
}

#[test]
fn where_a_path_is_the_trouble_another_one_is_asked_for() {
    let place = Place::with("flatfile");
    place.write("file", b"text");
    let path = |args: &[&str], code: i32, what: &str| {
        place.run(args).fails(code, what).fails(code, "; choose another path");
    };
    for args in [
        &["get", "a"][..],
        &["init"],
        &["stats"],
        &["stats", "--watch"],
        &["doctor"],
        &["verify"],
        &["import", "a.bundle"],
    ] {
        path(&[args, &["--store", "file"]].concat(), 3, "this is a file, not a directory");
    }
    path(&["demo", "--dir", "file"], 3, "this is a file, not a directory");
    path(&["init", "--store", "file/below"], 3, "a file, not a directory");
    path(&["init"], 6, "a store exists here");
    path(&["get", "a", "--key-file", "nokey"], 3, "nokey");
    path(&["import", "file", "--dry-run"], 14, "this is no bundle");
    path(&["import", "file", "copy"], 14, "this is no bundle");
    path(&["export", "b.bundle", "--since", "file"], 14, "this is no bundle");
    place.write("conf.toml", b"[stores.a]\npath = \"a\"\nengine = \"flatfile\"\nkey_file = \"nokey\"\n");
    path(&["get", "a", "--config", "conf.toml"], 3, "nokey");
    if cfg!(target_os = "linux") {
        path(&["init", "--store", "/proc/x"], 3, "/proc/x");
    }
}

#[test]
fn a_full_disk_behind_standard_output_wants_space() {
    let place = Place::with("flatfile");
    place.run(&["put", "a", "b"]).ok();
    for args in [&["get", "a"][..], &["scan", "--json"], &["stats"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let run = Run::of(place.command(args).stdout(full).output().unwrap());
        run.fails(11, "standard output").fails(11, "free space, then repeat");
    }
}

#[test]
fn wrong_command_lines_give_2() {
    let place = Place::with("sqlite");
    for args in [
        &["nonsense"][..],
        &["put", "key"],
        &["put", "key", "value", "--stdin"],
        &["ingest"],
        &["frame", "verify"],
        &["frame", "verify", "x", "--max-key", "many"],
        &["stats", "--knob", "novalue"],
        &["scan", "--prefix", "a", "--from", "b"],
    ] {
        let run = place.run(args);
        assert_eq!(run.code, 2, "{args:?} {}", run.stderr);
    }
    place.run(&["get", "--hex", "zz"]).fails(2, "not hexadecimal");
    assert_eq!(error(&place.run(&["get", "--hex", "zz", "--json"]).stderr)["kind"], "usage");
}

#[test]
fn engines_that_are_not_here_are_named_with_their_feature() {
    let place = Place::new();
    if !cfg!(feature = "rocksdb") {
        place.run(&["init", "--engine", "rocksdb"]).fails(7, "enable feature `rocksdb`");
        place.run(&["demo", "--engine", "rocksdb"]).fails(7, "enable feature `rocksdb`");
    }
    place.run(&["init", "--engine", "nonsense"]).fails(7, "nonsense");
    place.run(&["init", "--engine", "memory"]).fails(4, "memory keeps nothing when its process ends");
    place.run(&["demo", "--engine", "memory"]).fails(4, "memory keeps nothing when its process ends");
    place.run(&["put", "a", "b", "--store", "memory:"]).fails(4, "name another engine");
    for engine in ["flatfile", "sqlite", "lmdb"] {
        place.run(&["init", "--engine", engine, "--knob", "nonsense=1"]).fails(1, "unknown knob");
    }
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "nothing was created");
}

#[test]
fn a_store_that_another_process_holds_is_locked() {
    for engine in ["flatfile", "sqlite", "lmdb"] {
        let place = Place::with(engine);
        let url = place.path().join("store").display().to_string();
        let held = persist::open(&url).unwrap().negotiate(&persist::default_request()).unwrap();
        let run = place.run(&["put", "key", "value"]).fails(13, "locked");
        assert!(run.stderr.contains(&format!("process {}", std::process::id())), "{}", run.stderr);
        assert_eq!(error(&place.run(&["stats", "--json"]).stderr)["kind"], "locked");
        drop(held);
        place.run(&["put", "key", "value"]).ok();
    }
}

#[test]
fn limits_knobs_and_foreign_directories_are_refused_typed() {
    let place = Place::with("lmdb");
    place.run(&["put", &"k".repeat(511), "value"]).fails(9, "the limit here is 510");
    place.run(&["put", &"k".repeat(510), "value"]).ok();
    place.run(&["stats", "--knob", "nonsense=1"]).fails(1, "unknown knob");
    place.write("note.txt", b"not a store");
    let here = place.path().display().to_string();
    place.run(&["init", "--store", &here]).fails(14, "choose another path");
    for missing in [
        &["put", "key", "--file", "missing"][..],
        &["put", "key", "--file", "store"],
        &["ingest", "missing"],
        &["frame", "show", "missing"],
        &["get", &"k".repeat(510), "--out", "missing/file"],
    ] {
        place.run(missing).fails(3, "choose another path");
    }
    place.run(&["backup", "store/cas"]).fails(1, "lies inside the store");
    place.run(&["backup", "."]).fails(14, "choose another path");
    std::fs::write(place.path().join("store/persist.stamp"), b"garbage").unwrap();
    place.run(&["stats"]).fails(5, "corrupt");
}

#[test]
fn a_closed_pipe_ends_the_scan_quietly() {
    let place = Place::with("sqlite");
    place.write("big", &vec![b'x'; 200_000]);
    for key in ["a", "b", "c"] {
        place.run(&["put", key, "--file", "big"]).ok();
    }
    let mut child = place.command(&["scan"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn a_failure_is_told_by_the_exit_code_also_when_nobody_reads() {
    let place = Place::with("sqlite");
    assert_eq!(place.run_unread(&["ingest", "--json", "nofile"]).code, 3);
    assert_eq!(place.run_unread(&["frame", "verify", "--json", "nofile"]).code, 3);
    place.run_unread(&["scan", "--prefix", "none"]).ok();
    place.run_unread(&["put", "key", "value"]).ok();
    assert_eq!(place.state().0, "1");
    // A frame whose records are lost.
    let span = [1, 1, 0, 0, 1, 0, b'k'];
    place.write("span", &span);
    place.run(&["put", "frame/00000000000000000001/0000000000", "--file", "span"]).ok();
    for args in [&["verify", "--json"][..], &["verify"]] {
        assert_eq!(place.run(args).code, 5);
        assert_eq!(place.run_unread(args).code, 5);
    }
}

#[test]
fn what_is_written_is_written_to_the_end_also_when_nobody_reads() {
    let place = Place::with("flatfile");
    let frame = crate::kit::fixtures().join("frames/payload_ref_inline.frame");
    place.write("frame", &std::fs::read(frame).unwrap());
    // Reports of many times what a pipe and our own buffer take.
    let long = format!("{}frame", "./".repeat(1500));
    let mut args = vec!["ingest", "--json", "--buffered"];
    args.resize(args.len() + 100, &long);
    place.run_unread(&args).ok();
    assert_eq!(place.state().0, "100");
}

#[test]
fn the_store_may_come_from_the_environment() {
    let place = Place::new();
    let elsewhere: PathBuf = place.path().join("elsewhere");
    let run = |args: &[&str]| place.command(args).env("PERSIST_STORE", &elsewhere).output().unwrap().status;
    assert!(run(&["init"]).success() && run(&["put", "key", "value"]).success());
    assert!(elsewhere.join("persist.stamp").exists() && !place.path().join("store").exists());
}
