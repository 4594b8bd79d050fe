//! swap, migrate.

use persist::{Quiet, Store, SwapOptions, SwapTarget};
use serde_json::json;

use crate::kit::{Place, assert_fields};

const REPORT: &str = "swap_id state from_engine from_epoch from_home to_engine to_epoch to_home beat commit digest \
                      digest_commit records bytes records_now copy_us followed fences_down pause_us durability \
                      change_in_config";
const STATUS: &str = "swap_id state engine other_engine other_epoch other_place held_by records bytes all_copied \
                      commit behind goes_on change_in_config";

#[test]
fn engines_are_swapped_finished_and_rolled_back() {
    let place = Place::with("flatfile");
    place.run(&["put", "key", "value"]).ok();
    let none = place.run(&["swap", "--status", "--json"]).ok().object(STATUS);
    assert_eq!((&none["state"], &none["engine"]), (&json!("none"), &json!("flatfile")));
    place.run(&["swap", "--finish"]).fails(1, "no swap");
    place.run(&["swap", "--to", "memory"]).fails(4, "memory");
    place.run(&["swap", "--to", "nosuch"]).fails(7, "nosuch");

    let report = place.run(&["swap", "--to", "lmdb", "--follow-back", "--json"]).ok().objects().remove(0);
    assert_fields(&report, REPORT);
    assert_eq!(
        (&report["from_engine"], &report["to_engine"], &report["to_epoch"]),
        (&json!("flatfile"), &json!("lmdb"), &json!(2))
    );
    assert_eq!(report["records"], 1);
    assert_eq!(place.run(&["get", "key"]).ok().text(), "value\n");
    place.run(&["put", "later", "1"]).ok();
    place.run(&["swap", "--to", "sqlite"]).fails(6, "finish it first").fails(6, "change the call");
    let back = place.run(&["swap", "--rollback", "--json"]).ok().objects().remove(0);
    assert_eq!(
        (&back["to_engine"], &back["records_now"], &back["to_epoch"]),
        (&json!("flatfile"), &json!(0), &json!(3))
    );
    assert_eq!(place.run(&["get", "later"]).ok().text(), "1\n");
    let done = place.run(&["swap", "--finish", "--json"]).ok().object(STATUS);
    assert_eq!((&done["state"], &done["engine"]), (&json!("none"), &json!("flatfile")));
    assert!(place.run(&["swap", "--to", "sqlite"]).ok().text().contains("flatfile -> sqlite"));
    assert!(place.run(&["swap", "--status"]).ok().text().contains("flatfile (here) is kept"));
    let done = place.run(&["swap", "--finish"]).ok();
    assert_eq!(done.text(), "removed flatfile (here)\nthe engine is sqlite; no swap is under way\n");
    place.run(&["verify"]).ok();
}

#[test]
fn the_store_of_a_swap_and_of_an_export_can_be_an_argument() {
    let place = Place::with("sqlite");
    place.run(&["put", "key", "value"]).ok();
    place.run(&["migrate", "./store", "flatfile:./moved"]).ok();
    place.run(&["swap", "moved", "--finish"]).ok();
    let swapped = place.run(&["swap", "moved", "--to", "lmdb"]).ok().text().to_owned();
    assert!(swapped.contains("flatfile -> lmdb") && swapped.contains("records a second"), "{swapped}");
    place.run(&["export", "moved", "a.bundle"]).ok();
    place.run(&["export", "b.bundle", "--store", "moved"]).ok();
    let read = |name| std::fs::read(place.path().join(name)).unwrap();
    assert_eq!(read("a.bundle"), read("b.bundle"));
    place.run(&["export", "moved", "c.bundle", "--store", "moved"]).fails(2, "named twice");
    place.run(&["swap", "moved", "--store", "store", "--status"]).fails(2, "named twice");
}

#[test]
fn a_store_is_migrated_to_another_directory() {
    let place = Place::with("sqlite");
    place.run(&["put", "key", "value"]).ok();
    let report = place.run(&["migrate", "./store", "flatfile:./moved", "--json"]).ok().objects().remove(0);
    assert_fields(&report, REPORT);
    place.run(&["get", "key"]).fails(14, "lives in");
    assert_eq!(place.run(&["get", "key", "--store", "moved"]).ok().text(), "value\n");
    place.run(&["migrate", "moved", "lmdb:./moved/inside"]).fails(6, "finish it first");
    let finished = place.run(&["swap", "--finish", "--store", "moved"]).ok();
    let said = format!(
        "removed sqlite ({}); the persist.stamp that is left there says where the store is\n",
        place.path().join("store").display()
    );
    assert!(finished.text().starts_with(&said), "{}", finished.text());
    place.run(&["migrate", "moved", "lmdb:./moved/inside"]).fails(1, "own directory");
    // Whoever asks there is told where it is, until that is no longer wanted.
    let told = format!("lives in {} now", place.path().join("moved").display());
    for verb in [
        &["get", "key"][..],
        &["init"],
        &["stats"],
        &["stats", "--watch"],
        &["swap", "--status"],
        &["doctor"],
        &["doctor", "--repair"],
    ] {
        place.run(verb).fails(14, &told).fails(14, "choose another path");
    }
    place.run(&["get", "key"]).fails(14, "for a new store here, remove the file persist.stamp");
    std::fs::remove_file(place.path().join("store/persist.stamp")).unwrap();
    place.run(&["get", "key"]).fails(1, "no store here");
    place.run(&["init"]).ok();
}

#[test]
fn a_swap_says_what_to_change_in_the_configuration_and_its_verbs_work_before_that() {
    let place = Place::new();
    let file = "[stores.users]\nengine = 'flatfile'\nknobs.history_beats = 3\n";
    place.write("a.toml", file.as_bytes());
    let at = |args: &[&str]| place.run(&[&["--config", "a.toml", "--store", "@users"], args].concat());
    at(&["init"]).ok();
    at(&["put", "key", "value"]).ok();
    let told = at(&["swap", "--to", "lmdb"]).ok();
    let path = place.path().join("a.toml").canonicalize().unwrap();
    let change = format!("change `engine`, `knobs` of users in {}: its engine is lmdb now\n", path.display());
    assert!(told.text().ends_with(&change), "{}", told.text());
    // What a service would meet, and by which key.
    for refused in [&["get", "key"][..], &["stats"], &["maintain", "users"]] {
        at(refused)
            .fails(14, "`engine = \"flatfile\"`")
            .fails(14, "belongs to engine lmdb")
            .fails(14, "change that key");
    }
    let status = at(&["swap", "--status", "--json"]).ok().object(STATUS);
    assert_eq!((&status["state"], &status["engine"]), (&json!("flipped"), &json!("lmdb")));
    assert_eq!(status["change_in_config"], json!(["engine", "knobs"]));
    let back = at(&["swap", "--rollback", "--json"]).ok().objects().remove(0);
    assert_fields(&back, REPORT);
    assert_eq!(back["change_in_config"], json!([]));
    assert_eq!(at(&["get", "key"]).ok().text(), "value\n");
    at(&["swap", "--finish"]).ok();
    let moved = at(&["migrate", "@users", "sqlite:elsewhere", "--json"]).ok().objects().remove(0);
    assert_eq!(moved["change_in_config"], json!(["engine", "path", "knobs"]));
    let elsewhere = place.path().join("elsewhere").canonicalize().unwrap();
    for refused in [&["get", "key"][..], &["maintain", "users"]] {
        at(refused)
            .fails(14, &format!("`path = {:?}` and `engine = \"sqlite\"`", elsewhere.to_str().unwrap()))
            .fails(14, "`knobs` only those of sqlite");
    }
    // The verbs of the swap find it before that.
    let status = at(&["swap", "--status", "--json"]).ok().object(STATUS);
    assert_eq!((&status["engine"], &status["other_engine"]), (&json!("sqlite"), &json!("flatfile")));
    assert_eq!(status["change_in_config"], json!(["engine", "path", "knobs"]));
    at(&["swap", "--rollback"]).ok();
    at(&["get", "key"]).ok();
    at(&["swap", "--finish"]).ok();
    at(&["swap", "--to", "sqlite:elsewhere"]).ok();
    let told = at(&["swap", "--finish"]).ok();
    let change = format!(
        "`engine`, `path`, `knobs` of users in {}: its engine is sqlite now, in {}\n",
        path.display(),
        elsewhere.display()
    );
    assert!(told.text().ends_with(&change), "{}", told.text());
    // No store is made where it was, and the verbs of a swap find it as before.
    for refused in [&["init"][..], &["put", "key", "lost"], &["maintain", "users"]] {
        at(refused)
            .fails(14, &format!("`path = {:?}` and `engine = \"sqlite\"`", elsewhere.to_str().unwrap()))
            .fails(14, "for a new one here, remove the file persist.stamp");
    }
    let status = at(&["swap", "--status", "--json"]).ok().object(STATUS);
    assert_eq!((&status["state"], &status["engine"]), (&json!("none"), &json!("sqlite")));
    at(&["swap", "--to", "lmdb"]).ok();
    at(&["maintain", "users"]).fails(14, "`engine = \"lmdb\"`");
    at(&["swap", "--rollback"]).ok();
    at(&["swap", "--finish"]).ok();
    // Another store in its place is not taken for it.
    let (there, away) = (place.path().join("elsewhere"), place.path().join("away"));
    std::fs::rename(&there, &away).unwrap();
    place.run(&["init", "--store", "sqlite:elsewhere"]).ok();
    at(&["swap", "--to", "lmdb"]).fails(14, "a swap has moved the store that was here");
    std::fs::remove_dir_all(&there).unwrap();
    std::fs::rename(&away, &there).unwrap();
    // In the right engine's name and without a wrong knob it opens again.
    place.write("a.toml", b"[stores.users]\nengine = 'sqlite'\npath = '../elsewhere'\n");
    assert_eq!(at(&["get", "key"]).ok().text(), "value\n");
}

/// Begins a swap in this process, as one that is killed leaves it.
fn begun(place: &Place, home: &str, target: &SwapTarget, work: impl FnOnce(&Store)) {
    let opened = persist::open(place.path().join(home).to_str().unwrap()).unwrap();
    let (_writer, store) = opened.negotiate(&persist::default_request()).unwrap();
    let mut swap = store.begin_swap(target, &SwapOptions::default(), &Quiet).unwrap();
    swap.copy(&Quiet).unwrap();
    work(&store);
}

#[test]
fn the_status_says_how_far_a_stopped_swap_is_and_who_has_the_store() {
    let place = Place::with("flatfile");
    for n in 0..20 {
        place.run(&["put", &format!("key{n}"), "value"]).ok();
    }
    let status = || place.run(&["swap", "--status", "--json"]).ok().object(STATUS);
    let mut while_held = json!(null);
    begun(&place, "store", &SwapTarget::here("sqlite"), |_| {
        while_held = status();
        let told = place.run(&["swap", "--status"]).ok();
        assert!(told.text().contains("a swap to sqlite (here) was begun\n"), "{}", told.text());
        assert!(told.text().contains("has the store open"), "{}", told.text());
    });
    assert_eq!((&while_held["state"], &while_held["other_engine"]), (&json!("copying"), &json!("sqlite")));
    let named = format!("process {} ", std::process::id());
    assert!(while_held["held_by"].as_str().unwrap().starts_with(&named), "{while_held}");
    assert_eq!((&while_held["records"], &while_held["commit"]), (&json!(null), &json!(null)));

    place.run(&["put", "later", "value"]).ok();
    place.run(&["put", "later still", "value"]).ok();
    let stopped = status();
    assert_eq!((&stopped["state"], &stopped["held_by"]), (&json!("copying"), &json!(null)));
    assert_eq!((&stopped["records"], &stopped["all_copied"]), (&json!(20), &json!(true)));
    assert_eq!((&stopped["behind"], &stopped["goes_on"]), (&json!(2), &json!(true)));
    let told = place.run(&["swap", "--status"]).ok();
    let commit = stopped["commit"].as_str().unwrap();
    let followed = format!("to commit {commit}, 2 behind the store\n");
    assert!(told.text().contains("20 records") && told.text().contains(&followed), "{}", told.text());

    let report = place.run(&["swap", "--resume", "--json"]).ok().objects().remove(0);
    assert_eq!((&report["records"], &report["records_now"]), (&json!(20), &json!(0)));
    assert_eq!(status()["records"], json!(null), "nothing is being copied any more");
}

#[test]
fn an_end_says_what_was_not_there() {
    let place = Place::with("flatfile");
    place.run(&["put", "key", "value"]).ok();
    place.run(&["migrate", "store", "lmdb:moved"]).ok();
    let (from, kept) = (place.path().join("store"), place.path().join("kept"));
    std::fs::rename(&from, &kept).unwrap();
    let finished = place.run(&["swap", "--finish", "--store", "moved"]).ok();
    let said = format!("flatfile ({}) was not there; nothing was removed\n", from.display());
    assert!(finished.text().starts_with(&said), "{}", finished.text());
    assert!(kept.join("persist.stamp").exists());

    begun(&place, "moved", &SwapTarget::at("sqlite", place.path().join("new")), |_| ());
    std::fs::rename(place.path().join("new"), place.path().join("away")).unwrap();
    let aborted = place.run(&["swap", "--abort", "--store", "moved"]).ok();
    assert!(aborted.text().contains("which was not there; nothing was removed\n"), "{}", aborted.text());
    begun(&place, "moved", &SwapTarget::here("sqlite"), |_| ());
    place
        .run(&["swap", "--to", "flatfile", "--store", "moved"])
        .fails(6, "`persist swap --abort` gives it up");
    let aborted = place.run(&["swap", "--abort", "--store", "moved"]).ok();
    let said = "gave up the swap to sqlite (here); what was copied there is removed\n";
    assert!(aborted.text().starts_with(said), "{}", aborted.text());
}

/// One that was stopped has removed the engine before, and left what says where the store is.
#[test]
fn an_end_that_is_repeated_says_that_nothing_was_there() {
    let place = Place::with("flatfile");
    place.run(&["migrate", "store", "lmdb:moved"]).ok();
    let from = place.path().join("store");
    std::fs::remove_dir_all(from.join("engine-1")).unwrap();
    let finished = place.run(&["swap", "--finish", "--store", "moved"]).ok();
    let said = format!("flatfile ({}) was not there; nothing was removed\n", from.display());
    assert!(finished.text().starts_with(&said), "{}", finished.text());
    place.run(&["get", "key"]).fails(14, "lives in").fails(14, "remove the file persist.stamp");
}

#[test]
fn what_is_kept_is_taken_back_only_where_the_new_directory_is_lost() {
    let place = Place::with("flatfile");
    place.run(&["put", "key", "value"]).ok();
    let (from, to, away) = (place.path().join("store"), place.path().join("new"), place.path().join("away"));
    let take_back = |more: &[&str]| place.run(&[&["swap", "--take-back"], more].concat());
    take_back(&[]).fails(1, "no swap has moved a store out of this home");
    place.run(&["swap", "--to", "lmdb:new", "--follow-back"]).ok();
    place.run(&["put", "later", "1", "--store", "new"]).ok();
    place.run(&["get", "key"]).fails(14, "can be taken back if that place is lost");
    let back = format!("`persist swap --rollback --store {}`", to.display());
    for more in [&[][..], &["--accept-loss"]] {
        take_back(more).fails(6, "can be read").fails(6, &back).fails(6, "change the call");
    }
    std::fs::rename(&to, &away).unwrap();
    place.run(&["swap", "--status"]).fails(14, "lives in");
    take_back(&[]).fails(1, "must be accepted: --accept-loss");
    let taken = take_back(&["--accept-loss"]).ok();
    let said = format!(
        "{} (flatfile) is the store again, without what was committed in {}\nthe engine is flatfile; no swap is under way\n",
        from.display(),
        to.display()
    );
    assert_eq!(taken.text(), said);
    assert_eq!(place.run(&["get", "key"]).ok().text(), "value\n");
    place.run(&["get", "later"]).fails(8, "later");
    assert!(
        place.run(&["stats"]).ok().text().lines().any(|line| line.split_whitespace().eq(["holds", "none"]))
    );
    take_back(&["--accept-loss"]).fails(1, "no swap has moved");
    assert_eq!(place.run(&["swap", "--abort", "--accept-loss"]).code, 2);

    // By its name, and as an object.
    place.run(&["swap", "--to", "lmdb:new"]).ok();
    let file = format!("[stores.users]\nengine = 'flatfile'\npath = {:?}\n", from.to_str().unwrap());
    place.write("a.toml", file.as_bytes());
    std::fs::remove_dir_all(&to).unwrap();
    let taken = place.run(&[
        "swap",
        "--take-back",
        "--accept-loss",
        "--config",
        "a.toml",
        "--store",
        "@users",
        "--json",
    ]);
    let taken = taken.ok().object(STATUS);
    assert_eq!((&taken["state"], &taken["engine"]), (&json!("none"), &json!("flatfile")));
    assert_eq!(taken["change_in_config"], json!([]));
}
