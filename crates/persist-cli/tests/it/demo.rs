//! The demo.

use std::os::unix::ffi::OsStrExt as _;

use persist::{Quiet, SwapOptions, SwapTarget};
use serde_json::json;

use crate::kit::Place;

const FIELDS: &str = "engine library home continued caps layers durability frames frame_records generated \
                      beats_this_run beat records bytes bytes_on_disk beat_root digest damaged unchecked \
                      milliseconds steps";

#[test]
fn the_demo_works_again_and_again_on_every_engine() {
    for engine in ["flatfile", "sqlite", "lmdb"] {
        let place = Place::new();
        let run = |args: &[&str]| {
            place.run(&[&["demo", "--json", "--records", "1200"], args].concat()).ok().object(FIELDS)
        };
        let first = run(&["--engine", engine]);
        assert_eq!((&first["engine"], &first["continued"]), (&json!(engine), &json!(false)));
        // 1200 records in three beats, three frames in one each; a frame record, a record and a cell for each frame.
        assert_eq!((&first["beat"], &first["records"]), (&json!("6"), &json!(1209)));
        // LMDB has no checksums of its own; those of the layer cover it.
        assert_eq!((&first["damaged"], &first["unchecked"]), (&json!(0), &json!(0)));
        let second = run(&[]);
        assert_eq!((&second["continued"], &second["beat"]), (&json!(true), &json!("12")));
        assert_eq!((&second["engine"], &second["records"]), (&json!(engine), &json!(1215)));
        assert_ne!(first["digest"], second["digest"]);
        let verify = place.run(&["--store", "demo-store", "verify", "--json"]).ok().objects();
        assert_eq!(verify.last().unwrap()["digest"], second["digest"]);
    }
}

#[test]
fn the_demo_goes_where_it_is_told() {
    let place = Place::new();
    for _ in 0..2 {
        let text = place.run(&["demo", "--records", "10", "--dir", "odd:name"]).ok();
        assert!(text.text().contains("persist --store ./odd:name verify"), "{}", text.text());
    }
    place.run(&["--store", "./odd:name", "verify"]).ok();
    let not_text = std::ffi::OsStr::from_bytes(b"bad\xFF");
    let refused = place.command(&["demo", "--dir"]).arg(not_text).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn the_demo_says_what_it_did_and_where() {
    let place = Place::new();
    let text = place.run(&["demo", "--records", "600", "--dir", "here"]).ok();
    for part in [
        "created here (flatfile)",
        "payload_ref_inline.frame",
        "Merkle root",
        "the same after reopening",
        "lies in here",
    ] {
        assert!(text.text().contains(part), "{part}: {}", text.text());
    }
    place.run(&["demo", "--dir", "here", "--engine", "lmdb"]).fails(14, "choose another --dir");
    place.run(&["demo", "--dir", "there", "--engine", "memory"]).fails(4, "keeps nothing");
}

#[test]
fn engines_change_under_a_subsystem_that_does_not_notice() {
    let place = Place::new();
    let args = ["demo", "--json", "--records", "3000", "--swap", "flatfile,sqlite,lmdb,flatfile"];
    let done =
        place.run(&args).ok().object("home engine generated commits reads followed milliseconds swaps");
    assert_eq!((&done["engine"], &done["generated"]), (&json!("flatfile"), &json!(3000)));
    let swaps = done["swaps"].as_array().unwrap();
    let ways: Vec<_> = swaps.iter().map(|swap| (swap["from"].as_str(), swap["to"].as_str())).collect();
    let way = |from, to| (Some(from), Some(to));
    assert_eq!(ways, [way("flatfile", "sqlite"), way("sqlite", "lmdb"), way("lmdb", "flatfile")]);
    for swap in swaps {
        assert!(swap["records"].as_u64() >= Some(3000), "{swap}");
        for wrong in ["reader_errors", "writer_errors", "feed_gaps", "feed_repeats"] {
            assert_eq!(swap[wrong], json!(0), "{swap}");
        }
    }
    assert!(done["commits"].as_u64() > Some(0) && done["reads"].as_u64() > Some(0), "{done}");
    assert!(done["followed"].as_u64() >= done["commits"].as_u64(), "{done}");
    let verify = place.run(&["--store", "demo-store", "verify", "--json"]).ok().objects();
    assert_eq!(verify.last().unwrap()["damaged"], json!(0));
}

#[test]
fn a_demo_to_an_engine_that_is_not_there_says_so() {
    let place = Place::new();
    place.run(&["demo", "--records", "10", "--swap", "flatfile,nosuch"]).fails(7, "nosuch");
    assert!(!place.path().join("demo-store").exists(), "nothing is made for it");
}

#[test]
fn the_demo_begins_in_memory_and_goes_to_disk() {
    let place = Place::new();
    let swap = |engines: &str| place.run(&["demo", "--json", "--records", "500", "--swap", engines]);
    for refused in ["memory", "flatfile,memory", "memory,memory", "memory,flatfile,memory"] {
        swap(refused).fails(4, "only be the first");
    }
    assert!(!place.path().join("demo-store").exists());
    let done = swap("memory,flatfile,lmdb").ok().objects().remove(0);
    assert_eq!(done["engine"], json!("lmdb"));
    let swaps = done["swaps"].as_array().unwrap();
    let ways: Vec<_> = swaps.iter().map(|swap| (swap["from"].as_str(), swap["to"].as_str())).collect();
    assert_eq!(ways, [(Some("memory"), Some("flatfile")), (Some("flatfile"), Some("lmdb"))]);
    for swap in swaps {
        assert!(swap["records"].as_u64() >= Some(500), "{swap}");
        for wrong in ["reader_errors", "writer_errors", "feed_gaps", "feed_repeats"] {
            assert_eq!(swap[wrong], json!(0), "{swap}");
        }
    }
    let verify = place.run(&["--store", "demo-store", "verify", "--json"]).ok().objects();
    assert_eq!(verify.last().unwrap()["damaged"], json!(0));
    swap("memory,flatfile").fails(2, "begins with nothing");
}

#[test]
fn a_demo_over_a_swap_that_was_stopped_says_how_to_end_that() {
    let place = Place::new();
    place.run(&["demo", "--records", "10"]).ok();
    let opened = persist::open(place.path().join("demo-store").to_str().unwrap()).unwrap();
    let (writer, store) = opened.negotiate(&persist::default_request()).unwrap();
    drop(store.begin_swap(&SwapTarget::here("sqlite"), &SwapOptions::default(), &Quiet).unwrap());
    drop((writer, store));
    let again = ["demo", "--records", "10", "--swap", "flatfile,lmdb"];
    let abort = "persist --store ./demo-store swap --abort";
    place.run(&again).fails(6, abort);
    place.run(&abort.split(' ').skip(1).collect::<Vec<_>>()).ok();
    place.run(&again).ok();
}

#[test]
fn the_demo_has_a_directory_of_its_own() {
    let place = Place::new();
    place.run(&["demo", "--store", "mine"]).fails(2, "the demo takes --dir, not --store");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    let run = place.command(&["demo", "--records", "10"]).env("PERSIST_STORE", "mine").output().unwrap();
    assert_eq!(run.status.code(), Some(0));
    let names: Vec<_> =
        std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["demo-store"]);
}
