//! doctor.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::kit::{Place, Run, assert_fields};

const COMPLAINT: &str = "state severity trouble remedy file offset len frames beats records keys what";
const SUMMARY: &str = "ok verdict engine dir beat runs frames records values closed left_out aside repaired";

/// A store with a run, a large value and frames behind the run.
fn patient() -> Place {
    let place = Place::with("flatfile");
    place.write("big", &vec![7; 100_000]);
    place.run(&["put", "key", "value"]).ok();
    place.run(&["put", "large", "--file", "big"]).ok();
    place.run(&["checkpoint"]).ok();
    place.run(&["put", "behind", "the run"]).ok();
    place
}

fn engine(place: &Place) -> PathBuf {
    place.path().join("store/engine-1")
}

fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_file()).map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// Flips a bit of the first file of a kind; answers its name.
fn flip(place: &Place, stem: &str, at: usize) -> String {
    let (path, mut bytes) = files(&engine(place))
        .into_iter()
        .find(|(path, _)| path.file_name().unwrap().to_str().unwrap().starts_with(stem))
        .unwrap();
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_whole_store_is_called_whole_and_left_alone() {
    let place = patient();
    let before = files(&engine(&place));
    let summary = place.run(&["doctor", "--json"]).ok().object(SUMMARY);
    assert_eq!(
        (&summary["ok"], &summary["verdict"], &summary["beat"]),
        (&json!(true), &json!("whole"), &json!("3"))
    );
    assert_eq!((&summary["runs"], &summary["frames"], &summary["values"]), (&json!(1), &json!(1), &json!(1)));
    assert!(place.run(&["doctor"]).ok().text().contains("no damage"));
    let repaired = place.run(&["doctor", "--repair", "--accept-loss"]).ok();
    assert!(repaired.text().contains("no file was changed"), "{}", repaired.text());
    assert_eq!(files(&engine(&place)), before);
    // The engine's directory alone does as well.
    place.run(&["doctor", "--store", "store/engine-1"]).ok();
}

#[test]
fn damage_that_costs_nothing_is_told_and_repaired() {
    let place = patient();
    let name = flip(&place, "branch.ckp.", 60);
    let damaged = files(&engine(&place))[&engine(&place).join(&name)].clone();
    let run = place.run(&["doctor", "--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (5, ""), "{}", run.text());
    let objects = run.objects();
    let [complaint, .., summary] = objects.as_slice() else { panic!("{}", run.text()) };
    assert_fields(complaint, COMPLAINT);
    assert_eq!(
        (&complaint["file"], &complaint["offset"], &complaint["trouble"], &complaint["remedy"]),
        (&json!(name), &json!(0), &json!("run_structure"), &json!("repair"))
    );
    assert_eq!((&summary["verdict"], &summary["repaired"]), (&json!("repairable"), &json!(null)));
    let text = place.run(&["doctor"]);
    assert!(text.text().contains("--repair makes it anew without losing anything"), "{}", text.text());

    let summary = place.run(&["doctor", "--repair", "--json"]).ok().objects().pop().unwrap();
    assert_fields(&summary["repaired"], "verdict_before kept_in kept rebuilt given_up restored");
    assert_eq!((&summary["verdict"], &summary["repaired"]["rebuilt"]), (&json!("whole"), &json!([name])));
    let kept = place.path().join(summary["repaired"]["kept_in"].as_str().unwrap());
    assert_eq!(std::fs::read(kept.join(&name)).unwrap(), damaged);
    assert_eq!(place.run(&["get", "key"]).ok().text(), "value\n");
    place.run(&["verify"]).ok();
}

#[test]
fn a_loss_is_given_up_only_when_told() {
    let place = patient();
    let name = flip(&place, "branch.dat.", 50_000);
    place.run(&["get", "large"]).fails(5, "checksum").fails(5, "`persist doctor` says what is lost");
    let run = place.run(&["doctor"]);
    assert_eq!(run.code, 5);
    for part in [name.as_str(), "key large", "--repair --accept-loss", "something is lost"] {
        assert!(run.text().contains(part), "{part}: {}", run.text());
    }
    assert_eq!(place.run(&["doctor", "--repair"]).code, 5, "nothing that could be made anew");
    place.run(&["get", "large"]).fails(5, "checksum");
    assert_eq!(place.run(&["doctor", "--accept-loss"]).code, 2);

    let run = place.run(&["doctor", "--repair", "--accept-loss", "--json"]).ok();
    let objects = run.objects();
    let given_up: Vec<_> = objects.iter().filter(|object| object["state"] == "given_up").collect();
    assert_eq!(given_up.len(), 1, "{}", run.text());
    assert_eq!(given_up[0]["keys"]["start_hex"], "016c61726765");
    assert_eq!(objects.last().unwrap()["repaired"]["given_up"], 1);
    place.run(&["get", "large"]).fails(8, "large");
    assert_eq!(place.run(&["get", "behind"]).ok().text(), "the run\n");
    place.run(&["verify"]).ok();
}

#[test]
fn one_lost_frame_costs_what_it_may_have_written_and_no_more() {
    let place = Place::with("flatfile");
    for n in 1..=30 {
        place.run(&["put", &format!("k{n}"), &format!("value {n}")]).ok();
    }
    let segment = engine(&place).join("branch.idx.00000001");
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = bytes.windows(8).position(|bytes| bytes == b"value 15").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).unwrap();

    assert_eq!(place.run(&["get", "k20"]).ok().text(), "value 20\n");
    let lost = place.run(&["get", "k3"]).fails(5, "what beat 15 wrote is lost");
    lost.fails(5, "[branch.idx.00000001]").fails(5, "`persist doctor` says what is lost");
    place.run(&["put", "k3", "anew"]).ok();
    assert_eq!(place.run(&["get", "k3"]).ok().text(), "anew\n");
    place.run(&["stats"]).ok();
    place.run(&["export", "a.bundle"]).fails(5, "what beat 15 wrote is lost");
    let verified = place.run(&["verify"]);
    assert_eq!((verified.code, verified.stderr.as_str()), (5, ""), "{}", verified.text());
    for part in ["branch.idx.00000001", "result            DAMAGE", "`persist doctor` says what is lost"] {
        assert!(verified.text().contains(part), "{part}: {}", verified.text());
    }

    for args in [&["doctor"][..], &["doctor", "--repair"]] {
        let told = place.run(args);
        assert!(told.code == 5 && told.text().contains("the rest can be read"), "{}", told.text());
        assert_eq!(place.run(&["get", "k20"]).ok().text(), "value 20\n");
        place.run(&["get", "k4"]).fails(5, "what beat 15 wrote is lost");
    }
    place.run(&["doctor", "--repair", "--accept-loss"]).ok();
    assert_eq!(place.run(&["get", "k4"]).ok().text(), "value 4\n");
    place.run(&["get", "k15"]).fails(8, "k15");
    place.run(&["verify"]).ok();
    place.run(&["export", "a.bundle"]).ok();
}

#[test]
fn a_store_opens_without_its_own_records_and_a_repair_writes_them_again() {
    for store in ["store", "store/engine-1"] {
        let place = patient();
        // The only data block of the run, with the engine's copy of the format grant.
        flip(&place, "branch.ckp.", 310);
        assert_eq!(place.run(&["get", "behind"]).ok().text(), "the run\n");
        let format = |place: &Place| place.run(&["verify"]).text().contains("x00format");
        assert!(format(&place), "verify says that the copy of the format grant is lost");
        place.run(&["get", "key"]).fails(5, "checksum");
        let run = place.run(&["doctor", "--repair", "--json", "--store", store]);
        let summary = run.objects().pop().unwrap();
        assert_eq!((&summary["verdict"], &summary["repaired"]["restored"]), (&json!("lossy"), &json!(1)));
        assert!(!format(&place), "it was written again");
        place.run(&["get", "key"]).fails(5, "[branch.ckp.00000001]");
        assert_eq!(place.run(&["get", "behind"]).ok().text(), "the run\n");
        let repair = ["doctor", "--repair", "--accept-loss", "--json", "--store", store];
        let summary = place.run(&repair).ok().objects().pop().unwrap();
        assert_eq!((&summary["verdict"], &summary["repaired"]["restored"]), (&json!("whole"), &json!(0)));
        place.run(&["get", "key"]).fails(8, "key");
        assert_eq!(place.run(&["get", "behind"]).ok().text(), "the run\n");
        place.run(&["put", "key", "again"]).ok();
        place.run(&["verify"]).ok();
    }
}

#[test]
fn a_lost_or_damaged_stamp_is_told_alike_and_the_engine_can_be_examined() {
    let place = patient();
    let stamp = place.path().join("store/persist.stamp");
    let look = "`persist doctor --store ./store/engine-1` examines what is there";
    let mut bytes = std::fs::read(&stamp).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&stamp, bytes).unwrap();
    place.run(&["doctor"]).fails(5, "the check line does not fit").fails(5, look);
    std::fs::remove_file(&stamp).unwrap();
    for args in [&["get", "key"][..], &["doctor"], &["stats", "--watch"]] {
        place.run(args).fails(5, "engine-1 is here but persist.stamp is missing: put the stamp back");
    }
    place.run(&["doctor"]).fails(5, look);
    let examined = place.run(&["doctor", "--store", "./store/engine-1"]).ok();
    assert!(examined.text().contains("persist.stamp beside it is missing or damaged"), "{}", examined.text());
}

#[test]
fn a_store_of_which_only_the_stamp_is_left_is_lost() {
    let place = patient();
    let engine = engine(&place);
    for path in files(&engine).into_keys() {
        std::fs::remove_file(path).unwrap();
    }
    place.run(&["get", "key"]).fails(5, "its files are gone");
    let run = place.run(&["doctor", "--json"]);
    assert_eq!((run.code, run.stderr.as_str()), (5, ""), "{}", run.text());
    let objects = run.objects();
    let [.., complaint, summary] = objects.as_slice() else { panic!("{}", run.text()) };
    assert_eq!(
        (&complaint["file"], &complaint["trouble"], &complaint["remedy"]),
        (&json!("persist.stamp"), &json!("contradiction"), &json!("backup"))
    );
    assert_eq!((&summary["ok"], &summary["verdict"]), (&json!(false), &json!("unreadable")));
    let text = place.run(&["doctor"]);
    assert!(text.code == 5 && text.text().contains("restore a backup"), "{}", text.text());
    place.run(&["doctor", "--repair", "--accept-loss"]).fails(5, "there is nothing to save");
    let lock = persist_io::lock_dir(&persist_io::RealDisk, &place.path().join("store")).unwrap();
    place.run(&["doctor"]).fails(13, "the store is open");
    drop(lock);
    // Zeros of a segment are not a store either, also where the engine alone is named.
    std::fs::write(engine.join("branch.idx.00000001"), [0; 4096]).unwrap();
    for store in ["store", "store/engine-1"] {
        let run = place.run(&["doctor", "--json", "--store", store]);
        assert_eq!(
            (run.code, &run.objects().pop().unwrap()["verdict"]),
            (5, &json!("unreadable")),
            "{store}"
        );
    }
    let moved = engine.with_file_name("elsewhere");
    std::fs::rename(&engine, &moved).unwrap();
    place.run(&["doctor"]).fails(5, "its engine has no directory");
    std::fs::rename(&moved, &engine).unwrap();
    // The same is nothing lost where nothing was finished.
    let stamp = place.path().join("store/persist.stamp");
    let mut text = std::fs::read_to_string(&stamp).unwrap().replace("state = ready", "state = creating");
    text.truncate(text.rfind("blake3 = ").unwrap());
    let check = blake3::hash(text.as_bytes()).to_hex();
    std::fs::write(&stamp, format!("{text}blake3 = {check}\n")).unwrap();
    assert_eq!(place.run(&["doctor", "--json"]).ok().objects().pop().unwrap()["verdict"], "empty");
}

#[test]
fn what_the_doctor_cannot_look_at_is_refused() {
    let place = Place::with("sqlite");
    place.run(&["doctor"]).fails(7, "persist verify");
    place.run(&["doctor", "--store", "nowhere"]).fails(1, "there is no store here");
    let place = patient();
    let url = place.path().join("store").display().to_string();
    let held = persist::open(&url).unwrap().negotiate(&persist::default_request()).unwrap();
    place.run(&["doctor"]).fails(13, "the store is open");
    place.run(&["doctor", "--repair"]).fails(13, "the store is open");
    drop(held);
    place.run(&["doctor"]).ok();
}

#[test]
fn every_command_closes_its_store() {
    let place = Place::with("flatfile");
    let frame = crate::kit::fixtures().join("frames/payload_ref_inline.frame").display().to_string();
    let fine: [&[&str]; 12] = [
        &["stats"],
        &["put", "key", "value"],
        &["get", "key"],
        &["scan"],
        &["ingest", &frame],
        &["emit", "2", "--out", "again.frame"],
        &["del", "other"],
        &["verify"],
        &["checkpoint"],
        &["compact"],
        &["backup", "copy"],
        &["demo", "--dir", "store", "--records", "10"],
    ];
    let failing: [&[&str]; 2] = [&["get", "missing"], &["emit", "77", "--out", "none"]];
    let closed = |after: &[&str]| {
        let doctor = place.run(&["doctor", "--json"]).ok().objects().remove(0);
        assert_eq!(doctor["closed"], true, "after {after:?}: {doctor}");
    };
    closed(&["init"]);
    for args in fine {
        place.run(args).ok();
        closed(args);
    }
    for args in failing {
        assert_ne!(place.run(args).code, 0);
        closed(args);
    }
}

/// Runs a command on the place where nothing can be written: below a read-only mount of its own where this user may make one, or
/// else without the right to write. `None` where neither can be had.
fn run_read_only(place: &Place, args: &[&str]) -> Option<Run> {
    let mount = "mount --bind . . && mount -o remount,bind,ro . && cd \"$PWD\" && exec \"$@\"";
    let persist = place.command(args);
    let mut below = Command::new("unshare");
    below.args(["--mount", "sh", "-c", mount, "sh"]).arg(persist.get_program()).args(args);
    let below = below.current_dir(place.path()).env_remove("PERSIST_STORE").output();
    match below {
        Ok(output) if !String::from_utf8_lossy(&output.stderr).contains("mount") => Some(Run::of(output)),
        _ => {
            let chmod =
                |mode: &str| Command::new("chmod").args(["-R", mode, "."]).current_dir(place.path()).status();
            assert!(chmod("a-w").unwrap().success());
            let refused = std::fs::write(place.path().join("store/lock"), "").is_err();
            let run = refused.then(|| place.run(args));
            assert!(chmod("u+w").unwrap().success());
            run
        }
    }
}

/// That the doctor asks for nothing that is refused here is checked in its own tests, too, where no right is needed.
#[test]
fn a_read_only_store_is_examined_and_other_verbs_say_what_to_do() {
    let place = patient();
    let Some(whole) = run_read_only(&place, &["doctor", "--json"]) else { return };
    assert_eq!(whole.ok().object(SUMMARY)["verdict"], "whole");
    for verb in
        [&["get", "key"][..], &["verify"], &["export", "/nowhere/bundle"], &["stats"], &["put", "a", "b"]]
    {
        let failed = run_read_only(&place, verb).unwrap();
        failed.fails(3, "`persist doctor` examines a store of flatfile where it is");
    }
    let name = flip(&place, "branch.ckp.", 60);
    let told = run_read_only(&place, &["doctor"]).unwrap();
    assert!(told.code == 5 && told.text().contains(&name), "{} {}", told.text(), told.stderr);
    let before = files(&engine(&place));
    let failed = run_read_only(&place, &["doctor", "--repair"]).unwrap();
    failed.fails(3, "copy the store to where you may write");
    assert_eq!(files(&engine(&place)), before);
}
