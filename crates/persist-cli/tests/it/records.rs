//! put, get, del, scan.

use std::io::Write;
use std::process::Stdio;

use crate::kit::{Place, Run, assert_fields};

#[test]
fn what_is_put_is_got() {
    let place = Place::with("sqlite");
    assert_eq!(place.run(&["put", "key", "value"]).ok().text(), "beat 1, durable: survives power loss\n");
    assert_eq!(place.run(&["get", "key"]).ok().text(), "value\n");
    assert_eq!(place.run(&["get", "key", "--raw"]).ok().text(), "value");
    assert_eq!(place.run(&["get", "6b6579", "--hex"]).ok().text(), "76616c7565\n");
    let receipt = place.run(&["put", "key", "", "--buffered", "--json"]).ok();
    let receipt = receipt.object("beat commit reached beat_root");
    assert_eq!((&receipt["beat"], &receipt["commit"]), (&"2".into(), &"2".into()));
    assert_eq!(receipt["beat_root"].as_str().unwrap().len(), 64);
    let record = place.run(&["get", "key", "--json"]).ok();
    let record = record.object("key key_hex value value_hex bytes beat");
    assert_eq!((&record["value"], &record["bytes"], &record["beat"]), (&"".into(), &0.into(), &"2".into()));
}

#[test]
fn binary_values_come_from_files_and_pipes_and_go_back() {
    let place = Place::with("sqlite");
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    place.write("in", &bytes);
    place.run(&["put", "file", "--file", "in"]).ok();
    assert_eq!(place.run(&["get", "file", "--raw"]).ok().stdout, bytes);
    assert_eq!(place.run(&["get", "file", "--out", "back"]).ok().text(), "100000 bytes in back\n");
    assert_eq!(std::fs::read(place.path().join("back")).unwrap(), bytes);
    assert!(place.run(&["get", "file"]).ok().text().starts_with("0x000102"));

    let mut child = place
        .command(&["put", "pipe", "--stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&bytes).unwrap();
    Run::of(child.wait_with_output().unwrap());
    assert_eq!(place.run(&["get", "pipe", "--raw"]).ok().stdout, bytes);
    let json = place.run(&["get", "pipe", "--json"]).ok().objects().remove(0);
    assert!(json["value"].is_null());
    assert_eq!(json["value_hex"].as_str().unwrap().len(), 200_000);
}

#[test]
fn scans_go_both_ways_within_bounds() {
    let place = Place::with("lmdb");
    for key in ["a", "b1", "b2", "c"] {
        place.run(&["put", key, &format!("value of {key}")]).ok();
    }
    place.run(&["put", "--hex", "ff00", "0a"]).ok();
    let keys = |args: &[&str]| {
        let args = [&["scan", "--keys-only"], args].concat();
        place.run(&args).ok().text().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(keys(&[]), ["a", "b1", "b2", "c", "0xff00"]);
    assert_eq!(keys(&["--prefix", "b"]), ["b1", "b2"]);
    assert_eq!(keys(&["--prefix", "b", "--reverse", "--limit", "1"]), ["b2"]);
    assert_eq!(keys(&["--from", "b1", "--to", "c"]), ["b1", "b2"]);
    assert_eq!(keys(&["--reverse", "--limit", "2"]), ["0xff00", "c"]);
    assert_eq!(keys(&["--hex", "--from", "63"]), ["63", "ff00"]);
    assert_eq!(keys(&["--limit", "0"]), [""; 0]);
    assert_eq!(place.run(&["scan", "--limit", "1"]).ok().text(), "a\tvalue of a\n");
    let rows = place.run(&["scan", "--json"]).ok().objects();
    assert_eq!(rows.len(), 5);
    assert_fields(&rows[0], "key key_hex value value_hex");
    assert_eq!((&rows[4]["key"], &rows[4]["key_hex"]), (&serde_json::Value::Null, &"ff00".into()));
    assert_fields(&place.run(&["scan", "--json", "--keys-only"]).ok().objects()[0], "key key_hex");
}

#[test]
fn deletes_are_one_beat_and_absent_keys_no_error() {
    let place = Place::with("sqlite");
    for key in ["a", "b1", "b2", "c"] {
        place.run(&["put", key, "x"]).ok();
    }
    let receipt = place.run(&["del", "a", "absent", "--prefix", "b", "--json"]).ok();
    assert_eq!(receipt.object("beat commit reached beat_root")["beat"], "5");
    assert_eq!(place.run(&["scan", "--keys-only"]).ok().text(), "c\n");
    place.run(&["get", "a"]).fails(8, "no record a");
    place.run(&["put", "number", "-5"]).ok();
    assert_eq!(place.run(&["get", "number"]).ok().text(), "-5\n");
}

#[test]
fn a_file_beyond_the_limit_is_refused_unread() {
    let place = Place::with("sqlite");
    let limit =
        place.run(&["engines", "--json"]).ok().objects()[1]["limits"]["value_bytes_max"].as_u64().unwrap();
    let file = std::fs::File::create(place.path().join("sparse")).unwrap();
    file.set_len(limit + 1).unwrap();
    // Memory for a fraction of it: whoever reads the file to find out how long it is does not get that far.
    let put = "ulimit -v 400000 && exec \"$0\" put key --file sparse";
    let output = std::process::Command::new("sh")
        .args(["-c", put, env!("CARGO_BIN_EXE_persist")])
        .current_dir(place.path())
        .env_remove("PERSIST_STORE")
        .output();
    let refused = Run::of(output.unwrap()).fails(9, "the limit of this store");
    assert!(refused.stderr.contains("sparse"), "{}", refused.stderr);
    place.run(&["get", "key"]).fails(8, "no record");
}
