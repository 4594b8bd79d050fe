//! export, import.

use std::path::Path;

use serde_json::{Value, json};

use crate::kit::{Place, fixtures};

const BUNDLE: &str = "file bundle_id base_beat bytes beat beat_root digest records record_bytes key_bytes_max value_bytes_max blobs blob_bytes";

/// A store of this engine with a few records and a frame.
fn filled(engine: &str) -> Place {
    let place = Place::with(engine);
    place.run(&["put", "key", "value"]).ok();
    let frame = fixtures().join("frames/payload_ref_inline.frame").display().to_string();
    place.run(&["ingest", &frame]).ok();
    place
}

#[test]
fn a_store_moves_from_engine_to_engine_by_one_file() {
    let mut first: Option<(Value, Vec<u8>)> = None;
    for engine in ["flatfile", "sqlite", "lmdb"] {
        let place = filled(engine);
        let exported = place.run(&["export", "a.bundle", "--json"]).ok().object(BUNDLE);
        let bytes = std::fs::read(place.path().join("a.bundle")).unwrap();
        assert_eq!(exported["bytes"], bytes.len());
        assert_eq!((&exported["beat"], &exported["records"]), (&json!("2"), &json!(4)));
        let first = first.get_or_insert_with(|| (exported.clone(), bytes.clone()));
        assert!(*first == (exported.clone(), bytes), "{engine}");
        for other in ["flatfile", "sqlite", "lmdb"] {
            let home = format!("{other}:{other}-copy");
            let imported = place.run(&["import", "a.bundle", &home, "--json"]).ok();
            let imported = imported
                .object(&format!("{BUNDLE} home engine store_id applied_beats applied_commits rehearsed"));
            assert_eq!(
                (&imported["engine"], &imported["bundle_id"]),
                (&json!(other), &exported["bundle_id"])
            );
            let at_copy =
                |args: &[&str]| place.run(&[args, &["--store", &format!("{other}-copy")]].concat()).ok();
            let stats = at_copy(&["stats", "--digest", "--json"]).objects().remove(0);
            for field in ["digest", "beat", "beat_root"] {
                assert_eq!(stats[field], exported[field], "{other} {field}");
            }
            assert_eq!(stats["store_id"], imported["store_id"]);
            // The root of the newest beat came along, so that it is still computed anew from its frame.
            let verified = at_copy(&["verify", "--json"]).objects().pop().unwrap();
            assert_eq!((&verified["ok"], &verified["beat_root"]), (&json!(true), &json!("verified")));
        }
    }
}

#[test]
fn a_bundle_is_checked_without_a_store() {
    let place = filled("flatfile");
    place.run(&["export", "a.bundle"]).ok();
    let checked = place.run(&["import", "a.bundle", "--dry-run", "--json"]).ok();
    let checked =
        checked.object(&format!("{BUNDLE} home engine store_id applied_beats applied_commits rehearsed"));
    assert!(checked["home"].is_null() && checked["engine"].is_null() && checked["store_id"].is_null());
    assert!(place.run(&["import", "a.bundle", "--dry-run"]).ok().text().contains("nothing was made"));
    let path = place.path().join("a.bundle");
    let good = std::fs::read(&path).unwrap();
    let mut bytes = good.clone();
    bytes[good.len() / 2] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    place.run(&["import", "a.bundle", "--dry-run"]).fails(5, "offset");
    std::fs::write(&path, &good[..good.len() - 1]).unwrap();
    place.run(&["import", "a.bundle", "--dry-run"]).fails(5, "a.bundle");
    std::fs::write(&path, [&good[..], b"x"].concat()).unwrap();
    place.run(&["import", "a.bundle", "--dry-run"]).fails(5, "something follows the end");
}

#[test]
fn increments_bring_a_copy_further() {
    let place = filled("flatfile");
    place.run(&["export", "0.bundle", "--hold", "copies"]).ok();
    place.run(&["import", "0.bundle", "copy", "--engine", "lmdb"]).ok();
    for round in 1..4 {
        let [base, next] = [round - 1, round].map(|n| format!("{n}.bundle"));
        place.run(&["put", "key", &format!("value {round}")]).ok();
        place.run(&["put", &format!("key {round}"), "new"]).ok();
        let made =
            place.run(&["export", &next, "--since", &base, "--hold", "copies", "--json"]).ok().object(BUNDLE);
        let applied = place.run(&["import", &next, "copy", "--apply", "--json"]).ok().objects().remove(0);
        assert_eq!((&applied["digest"], &applied["rehearsed"]), (&made["digest"], &json!(true)));
        let stats = place.run(&["stats", "--store", "copy", "--digest", "--json"]).ok().objects().remove(0);
        assert_eq!((&stats["digest"], &stats["beat"]), (&made["digest"], &made["beat"]));
        place.run(&["import", &next, "copy", "--apply"]).fails(6, "applied already");
    }
    place.run(&["import", "2.bundle", "copy", "--apply"]).fails(6, "goes on from beat");
    place.run(&["import", "0.bundle", "copy", "--apply"]).fails(14, "whole store");
    place.run(&["import", "2.bundle", "other"]).fails(14, "increment");
    place.run(&["export", "4.bundle", "--since", "missing"]).fails(3, "choose another path");
    let refused = place.run(&["export", "4.bundle", "--since", "0.bundle"]);
    refused
        .fails(12, "holds keep them from commit")
        .fails(12, "--hold NAME` first")
        .fails(12, "; change the call");
    let never = filled("lmdb");
    never.run(&["export", "0.bundle"]).ok();
    never.run(&["put", "key", "newer"]).ok();
    never.run(&["export", "1.bundle", "--since", "0.bundle"]).fails(12, "no hold keeps any: `persist export");
}

#[test]
fn an_increment_begins_after_a_beat_by_its_number() {
    for engine in ["flatfile", "sqlite", "lmdb"] {
        let place = filled(engine);
        place.run(&["export", "0.bundle", "--hold", "copies"]).ok();
        place.run(&["import", "0.bundle", "copy", "--engine", engine]).ok();
        place.run(&["put", "key", "newer"]).ok();
        place.run(&["export", "1.bundle", "--since", "2"]).fails(12, "earliest to begin after is beat 3");
        place.run(&["export", "1.bundle", "--since", "9"]).fails(6, "there is no beat 9");
        let whole = place.run(&["export", "now.bundle", "--json"]).ok().object(BUNDLE);
        let made = place.run(&["export", "1.bundle", "--since", "3", "--json"]).ok().object(BUNDLE);
        assert_eq!((&made["base_beat"], &made["digest"]), (&json!("3"), &whole["digest"]), "{engine}");
        let apply = |file| place.run(&["import", file, "copy", "--apply", "--json"]);
        let applied = apply("1.bundle").ok().objects().remove(0);
        assert_eq!((&applied["applied_beats"], &applied["rehearsed"]), (&json!(2), &json!(true)));
        apply("1.bundle").fails(6, "goes on from beat 3");
        std::fs::copy(place.path().join("0.bundle"), place.path().join("7")).unwrap();
        place.run(&["export", "4.bundle", "--since", "7"]).fails(6, "there is no beat 7");
        place.run(&["export", "4.bundle", "--since", "./7"]).ok();
    }
}

#[test]
fn what_is_refused_leaves_everything_as_it_was() {
    let place = filled("sqlite");
    place.run(&["export", "a.bundle"]).ok();
    let names = |place: &Place| -> Vec<_> {
        let mut names: Vec<_> =
            std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    place.write("text", b"not a bundle, but a text of some length");
    place.write("cut", &std::fs::read(place.path().join("a.bundle")).unwrap()[..500]);
    let before = names(&place);
    place.run(&["export", "a.bundle"]).fails(14, "never written over");
    place.run(&["export", "store/a.bundle"]).fails(1, "inside the store");
    // At once, whatever else is asked for.
    for dir in ["out/", "out/.", "store", "store/", "./store/cas"] {
        place.run(&["export", dir, "--hold", "copies"]).fails(1, "this names a directory").fails(1, dir);
        place.run(&["export", dir, "--since", "missing"]).fails(1, "this names a directory");
        place.run(&["export", dir, "--store", "nowhere"]).fails(1, "this names a directory");
    }
    place.run(&["export", ".."]).fails(1, "this names no file");
    assert!(
        place.run(&["stats"]).ok().text().lines().any(|line| line.split_whitespace().eq(["holds", "none"]))
    );
    place.run(&["export", "missing/a.bundle"]).fails(1, "no such directory");
    place.run(&["export", "b.bundle", "--store", "nowhere"]).fails(1, "no store here");
    place.run(&["import", "text", "copy"]).fails(14, "no bundle");
    place.run(&["import", "cut", "copy"]).fails(5, "bundle");
    place.run(&["import", "missing", "copy"]).fails(3, "choose another path");
    place.run(&["import", "a.bundle", "--engine", "sqlite"]).fails(6, "a store exists here");
    place.run(&["import", "a.bundle"]).fails(14, "belongs to engine sqlite");
    place.run(&["import", "a.bundle", "nosuch:copy"]).fails(7, "nosuch");
    place.run(&["import", "a.bundle", "lmdb:copy", "--engine", "sqlite"]).fails(2, "two engines");
    place
        .run(&["import", "a.bundle", "copy", "--max-bundle", "0"])
        .fails(9, "at most 0")
        .fails(9, "raise --max-bundle");
    assert_eq!(names(&place), before);
    let told = place.run(&["import", "a.bundle", "copy", "--engine", "lmdb"]).ok();
    let into = format!("imported into {} (lmdb)\n", place.path().join("copy").display());
    assert!(told.text().starts_with(&into), "{}", told.text());
    assert!(Path::new(&place.path().join("copy/persist.stamp")).exists());
}
