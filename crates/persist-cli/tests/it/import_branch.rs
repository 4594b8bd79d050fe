//! import-branch: the real branches as described, damage told and survived, the source untouched.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::kit::{Place, fixtures};

const FIELDS: &str = "dir ok branch_id checksum head_beat head_frame_id frames records keys checkpoints blobs blob_bytes imported \
                      newest_values repeated_values stale_keys notes unchecked repaired lost findings findings_left_out";

fn branches() -> Vec<(Value, PathBuf)> {
    let root = fixtures().join("generated/branches");
    let known: Value = serde_json::from_slice(&std::fs::read(root.join("branches.json")).unwrap()).unwrap();
    let branches = known["branches"].as_array().unwrap().iter();
    branches.map(|it| (it.clone(), root.join(it["name"].as_str().unwrap()))).collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::write(to, std::fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

/// A copy of a real branch in the place, which may be damaged.
fn damaged(place: &Place, change: impl FnOnce(&Path)) -> String {
    let to = place.path().join("branch");
    copy(&branches()[0].1, &to);
    change(&to);
    "branch".to_owned()
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn the_real_branches_come_in_as_described_on_every_engine() {
    for (known, root) in branches() {
        let dir = root.display().to_string();
        for engine in ["flatfile", "sqlite", "lmdb"] {
            let place = Place::with(engine);
            let report = place.run(&["import-branch", "--json", "--buffered", &dir]).ok().object(FIELDS);
            let frames = known["frames"].as_array().unwrap();
            let records: u64 = frames.iter().map(|frame| frame["record_count"].as_u64().unwrap()).sum();
            assert_eq!((&report["frames"], &report["records"]), (&json!(frames.len()), &json!(records)));
            assert_eq!(report["newest_values"], known["newest_values"]);
            let repeated = report["repeated_values"].as_object().unwrap().len();
            let keys = known["newest_values"].as_object().unwrap().len() + repeated;
            assert_eq!((&report["keys"], &report["ok"]), (&json!(keys), &json!(true)));
            assert_eq!(
                (&report["checksum"], &report["head_beat"]),
                (&known["checksum"], &known["meta"]["last_beat"])
            );
            assert_eq!(
                (&report["lost"], &report["repaired"], &report["unchecked"]),
                (&json!(0), &json!(0), &json!(2))
            );
            let blobs = known["cas"].as_array().unwrap().len();
            assert_eq!(report["imported"]["frames"], json!(frames.len()));
            assert_eq!((&report["blobs"], &report["imported"]["blobs"]), (&json!(blobs), &json!(blobs)));
            place.run(&["verify"]).ok();
            let url = place.path().join("store").display().to_string();
            let store = persist::open(&url).unwrap().negotiate(&persist::default_request()).unwrap().1;
            let view = store.view().unwrap();
            for (key, hash) in known["newest_values"].as_object().unwrap() {
                let key: Vec<u8> = (0..key.len())
                    .step_by(2)
                    .map(|at| u8::from_str_radix(&key[at..at + 2], 16).unwrap())
                    .collect();
                let value = persist_cps::cell_value(&view, &key).unwrap().unwrap();
                let cell = persist_cps::Cell::decode(&value).unwrap();
                assert_eq!(hash, blake3::hash(cell.record.body).to_hex().as_str());
            }
            drop((view, store));
            place.run(&["emit", "1", "--out", "frame"]).fails(7, "branch directory");
            // Once more: nothing is new.
            let before = place.state();
            let again = place.run(&["import-branch", "--json", &dir]).ok().object(FIELDS);
            assert_eq!(again["imported"]["frames_present"], json!(frames.len()));
            assert_eq!(
                (&again["imported"]["frames"], &again["imported"]["first_beat"]),
                (&json!(0), &Value::Null)
            );
            assert_eq!(place.state(), before);
        }
    }
}

#[test]
fn a_store_is_made_where_there_is_none_and_a_dry_run_makes_none() {
    let (_, root) = branches().remove(0);
    let dir = root.display().to_string();
    let place = Place::new();
    let report = place.run(&["import-branch", "--dry-run", "--json", &dir]).ok().object(FIELDS);
    assert_eq!((&report["imported"], &report["ok"]), (&Value::Null, &json!(true)));
    assert!(!place.path().join("store").exists());
    let run = place.run(&["import-branch", "--store", "lmdb:fresh", &dir]).ok();
    assert!(run.text().contains("11 frames and 1 blobs into lmdb:fresh, beats 1 to 12"), "{}", run.text());
    assert!(run.text().contains("nothing is damaged; 2 things could not be checked"), "{}", run.text());
    let stats = place.run(&["stats", "--store", "fresh", "--json"]).ok().objects().remove(0);
    assert_eq!((&stats["engine"], &stats["beat"]), (&json!("lmdb"), &json!("12")));
}

#[test]
fn damage_that_costs_nothing_is_told_and_ends_well() {
    let place = Place::with("sqlite");
    let dir = damaged(&place, |dir| {
        edit(&dir.join("branch.meta"), |bytes| bytes[40] ^= 4);
        edit(&dir.join("branch.frames"), |bytes| bytes.truncate(500));
        edit(&dir.join("branch.ckp"), |bytes| bytes.truncate(600));
        edit(&dir.join("branch.idx"), |bytes| bytes.extend([0xEE; 300]));
        std::fs::write(dir.join("cas/manifest.bin"), []).unwrap();
        std::fs::create_dir_all(dir.join("tmp/frame_9_12")).unwrap();
    });
    let run = place.run(&["import-branch", "--json", &dir]);
    let report = run.object(FIELDS);
    assert_eq!(report["newest_values"], branches()[0].0["newest_values"]);
    let codes: Vec<_> =
        report["findings"].as_array().unwrap().iter().map(|it| it["code"].as_str().unwrap()).collect();
    for code in ["meta_damaged", "frames_partial", "checkpoint_partial", "manifest_damaged", "leftover_stage"]
    {
        assert!(codes.contains(&code), "{code}: {codes:?}");
    }
    assert_eq!(report["imported"]["frames"], json!(11));
    place.run(&["verify"]).ok();
}

#[test]
fn a_lost_frame_is_told_by_exit_code_and_the_others_come_in() {
    let place = Place::with("sqlite");
    let dir = damaged(&place, |dir| edit(&dir.join("branch.idx"), |bytes| bytes[11_700] ^= 1));
    let before = std::fs::read(place.path().join("branch/branch.idx")).unwrap();
    let run = place.run(&["import-branch", "--json", &dir]);
    assert_eq!((run.code, run.stderr.as_str()), (5, ""), "the report itself says what is wrong");
    let report = run.object(FIELDS);
    assert_eq!((&report["ok"], &report["frames"], &report["lost"]), (&json!(false), &json!(10), &json!(1)));
    let findings = report["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["severity"] == "lost").unwrap();
    assert_eq!(finding["code"], "frame_damaged");
    assert_eq!((&finding["file"], &finding["frame_id"]), (&json!("branch.idx"), &json!("11")));
    assert!(!report["stale_keys"].as_array().unwrap().is_empty());
    assert_eq!(std::fs::read(place.path().join("branch/branch.idx")).unwrap(), before);
    place.run(&["verify"]).ok();
    let text = place.run(&["import-branch", "--dry-run", &dir]);
    assert_eq!(text.code, 5);
    assert!(
        text.text().contains("LOST: 1 findings") && text.text().contains("older value"),
        "{}",
        text.text()
    );
}

#[test]
fn what_is_no_branch_or_nothing_but_damage_makes_no_store() {
    let place = Place::new();
    place.run(&["import-branch", "missing"]).fails(1, "not the directory of a branch");
    place.write("file", b"");
    place.run(&["import-branch", "file"]).fails(1, "not the directory of a branch");
    std::fs::create_dir(place.path().join("empty")).unwrap();
    place.run(&["import-branch", "empty"]).fails(1, "not the directory of a branch");
    std::fs::create_dir(place.path().join("noise")).unwrap();
    place.write("noise/branch.idx", &[7; 5000]);
    let run = place.run(&["import-branch", "--json", "noise"]);
    assert_eq!((run.code, &run.object(FIELDS)["imported"]), (5, &Value::Null));
    assert!(!place.path().join("store").exists());
    assert_eq!(place.run(&["import-branch", "--max-frame", "0", "noise"]).code, 2);
}
