//! init, engines, stats, verify, checkpoint, backup, compact, completions, man.

use std::os::unix::fs::FileExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::kit::{Place, assert_fields, fixtures};

#[test]
fn engines_are_listed_with_their_limits() {
    let place = Place::new();
    let engines = place.run(&["engines", "--json"]).ok().objects();
    let names: Vec<_> = engines.iter().map(|engine| engine["engine"].as_str().unwrap()).collect();
    assert_eq!(names, ["memory", "flatfile", "sqlite", "lmdb", "rocksdb"]);
    for engine in &engines {
        assert_fields(engine, "engine about present feature library format durability caps limits");
    }
    assert_eq!(engines[3]["limits"]["key_bytes_max"], 511);
    assert_eq!(
        (&engines[0]["durability"], &engines[1]["durability"]),
        (&json!("volatile"), &json!("durable"))
    );
    let text = place.run(&["engines"]).ok();
    assert!(text.text().contains("LONG_KEYS") && text.text().contains("511 B"), "{}", text.text());
}

#[test]
fn a_store_is_created_once_and_described() {
    let place = Place::new();
    let made = place.run(&["init", "--json"]).ok();
    let made = made.object("engine home store_id caps layers durability");
    assert_eq!((&made["engine"], &made["home"]), (&json!("flatfile"), &json!(place.path().join("store"))));
    place.run(&["init"]).fails(6, "a store exists here");
    let stats = place.run(&["stats", "--json"]).ok();
    let stats = stats.object(
        "engine home store_id epoch origin_id beat commit beat_root records bytes_on_disk caps emulated layers \
         durability limits engine_stats holds digest digest_records digest_bytes",
    );
    assert_eq!((&stats["store_id"], &stats["beat"]), (&made["store_id"], &json!("0")));
    assert!(stats["digest"].is_null());
    assert!(place.run(&["stats"]).ok().text().contains("prefix/1"));

    let lmdb = place.run(&["init", "--store", "lmdb:other", "--json"]).ok();
    assert_eq!(lmdb.objects()[0]["engine"], "lmdb");
    place.run(&["init", "--store", "lmdb:third", "--engine", "sqlite"]).fails(2, "two engines");
    place.run(&["stats", "--store", "sqlite:other"]).fails(14, "belongs to engine lmdb");
}

#[test]
fn backups_open_by_themselves_with_the_same_content() {
    for engine in ["flatfile", "sqlite", "lmdb"] {
        let place = Place::with(engine);
        place.run(&["put", "key", "value"]).ok();
        let frame = fixtures().join("frames/payload_ref_inline.frame").display().to_string();
        place.run(&["ingest", &frame]).ok();
        let backup = place.run(&["backup", "copy", "--json"]).ok();
        let backup = backup.object("into store_id origin_id beat bytes blobs blob_bytes");
        assert_eq!(backup["beat"], "2");
        place.run(&["backup", "copy"]).fails(14, "not empty");
        place.run(&["put", "key", "changed"]).ok();
        let at_copy = |args: &[&str]| place.run(&[args, &["--store", "copy"]].concat()).ok();
        assert_eq!(at_copy(&["get", "key"]).text(), "value\n");
        let stats = at_copy(&["stats", "--json"]).objects().remove(0);
        assert_eq!((&stats["store_id"], &stats["origin_id"]), (&backup["store_id"], &backup["origin_id"]));
        at_copy(&["verify"]);
    }
}

#[test]
fn checkpoint_and_compact_change_no_record() {
    for engine in ["flatfile", "sqlite", "lmdb"] {
        let place = Place::with(engine);
        place.write("big", &vec![7; 300_000]);
        place.run(&["put", "big", "--file", "big"]).ok();
        place.run(&["put", "key", "value"]).ok();
        place.run(&["del", "big"]).ok();
        let before = place.state();
        let checkpoint = place.run(&["checkpoint", "--json"]).ok();
        assert_eq!(checkpoint.object("beat bytes")["beat"], "3");
        let compact = place.run(&["compact", "--json"]).ok().object("bytes_before bytes_after reclaimed");
        assert!(compact["bytes_after"].as_u64() <= compact["bytes_before"].as_u64(), "{compact}");
        assert_eq!(place.state(), before);
        place.run(&["checkpoint"]).ok();
        place.run(&["compact"]).ok();
    }
}

#[test]
fn verify_says_what_it_checked_what_it_could_not_and_what_is_damaged() {
    let place = Place::with("sqlite");
    let frame = fixtures().join("frames/payload_ref_inline.frame").display().to_string();
    place.run(&["ingest", &frame]).ok();
    place.run(&["put", "marker-key", "marker-value-of-some-length"]).ok();
    let run = place.run(&["verify", "--json"]).ok();
    let mut objects = run.objects();
    let summary = objects.pop().unwrap();
    assert_fields(
        &summary,
        "ok beat records engine_records engine_bytes damaged unchecked frames frame_records cells beat_root digest",
    );
    assert_eq!(
        (&summary["ok"], &summary["records"], &summary["frames"]),
        (&json!(true), &json!(4), &json!(1))
    );
    // The newest beat brought no frame, so its root cannot be made anew, and verify says so.
    assert_eq!((&summary["beat_root"], objects.len()), (&json!("unchecked"), 1));
    assert_fields(&objects[0], "severity code what place");
    assert_eq!(
        (&objects[0]["severity"], &objects[0]["code"]),
        (&json!("unchecked"), &json!("root_not_computed"))
    );

    damage(&place.path().join("store"), b"marker-value-of-some-length");
    let run = place.run(&["verify", "--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (5, ""));
    let objects = run.objects();
    let is_damage = |object: &Value| object["severity"] == "damage" && object["code"] == "record";
    assert!(objects.iter().any(is_damage), "{}", run.text());
    assert_eq!(objects.last().unwrap()["ok"], false);
    assert!(place.run(&["verify"]).text().contains("DAMAGE in"));
    place.run(&["get", "marker-key"]).fails(5, "checksum");
}

/// Flips a bit of the last place where these bytes lie, in every file below.
fn damage(dir: &Path, bytes: &[u8]) {
    let mut hits = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            damage(&path, bytes);
            continue;
        }
        let content = std::fs::read(&path).unwrap();
        for (at, _) in content.windows(bytes.len()).enumerate().filter(|(_, window)| *window == bytes) {
            let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
            file.write_all_at(&[bytes[0] ^ 1], at as u64).unwrap();
            hits += 1;
        }
    }
    assert!(hits > 0 || dir.file_name().is_none_or(|name| name != "engine-1"), "nothing to damage");
}

#[test]
fn completions_and_manual_pages_name_the_commands() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(place.run(&["completions", shell]).ok().text().contains("ingest"), "{shell}");
    }
    let page = place.run(&["man"]).ok();
    assert!(page.text().contains(".TH persist") && page.text().contains("backup"), "{}", page.text());
    let page = place.run(&["man", "frame", "verify"]).ok();
    assert!(
        page.text().contains(".TH persist\\-frame\\-verify")
            || page.text().contains(".TH persist-frame-verify")
    );
    place.run(&["man", "nothing"]).fails(2, "there is no command");
}
