//! swap, migrate.

use serde_json::json;

use crate::kit::{Place, assert_fields};

const REPORT: &str = "swap_id state from_engine from_epoch from_home to_engine to_epoch to_home beat commit digest \
                      digest_commit records bytes records_now copy_us followed fences_down pause_us durability";
const STATUS: &str = "swap_id state engine other_engine other_epoch other_place";

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
fn a_store_is_migrated_to_another_directory() {
    let place = Place::with("sqlite");
    place.run(&["put", "key", "value"]).ok();
    let report = place.run(&["migrate", "./store", "flatfile:./moved", "--json"]).ok().objects().remove(0);
    assert_fields(&report, REPORT);
    place.run(&["get", "key"]).fails(14, "lives in");
    assert_eq!(place.run(&["get", "key", "--store", "moved"]).ok().text(), "value\n");
    place.run(&["migrate", "moved", "lmdb:./moved/inside"]).fails(6, "finish it first");
    place.run(&["swap", "--finish", "--store", "moved"]).ok();
    place.run(&["migrate", "moved", "lmdb:./moved/inside"]).fails(1, "own directory");
    place.run(&["get", "key"]).fails(1, "no store here");
}
