//! Stores that are compressed and encrypted.

use std::os::unix::fs::PermissionsExt as _;

use crate::kit::Place;

const ONE: &str = "0101010101010101010101010101010101010101010101010101010101010101";
const TWO: &str = "0202020202020202020202020202020202020202020202020202020202020202";

fn key_file(place: &Place, name: &str, text: &str) -> String {
    place.write(name, text.as_bytes());
    std::fs::set_permissions(place.path().join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    name.to_owned()
}

/// An encrypted store of this engine with the record `word` = `plainly`, and its key in `key`.
fn encrypted(engine: &str) -> Place {
    let place = Place::new();
    key_file(&place, "key", ONE);
    let made =
        place.run(&["init", "--engine", engine, "--compress", "--encrypt", "--key-file", "key", "--json"]);
    let made = made.ok().objects().remove(0);
    let layers: Vec<_> =
        made["layers"].as_array().unwrap().iter().map(|layer| layer.as_str().unwrap()).collect();
    assert_eq!(layers, ["prefix/1", "lz4/1", "xchacha20-poly1305/1", "merkle/1"]);
    let caps = made["caps"].as_array().unwrap();
    assert!(caps.contains(&"AEAD".into()) && caps.contains(&"COMPRESSION".into()));
    assert!(!caps.contains(&"ZERO_COPY".into()));
    place.run(&["put", "word", "plainly", "--key-file", "key"]).ok();
    place
}

#[test]
fn one_lost_frame_does_not_close_an_encrypted_store() {
    let place = encrypted("flatfile");
    let run = |args: &[&str]| place.run(&[args, &["--key-file", "key"]].concat());
    for key in ["lost-key", "later"] {
        run(&["put", key, "value"]).ok();
    }
    let segment = place.path().join("store/engine-1/branch.idx.00000001");
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = bytes.windows(8).position(|bytes| bytes == b"lost-key").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    assert_eq!(run(&["get", "later"]).ok().text(), "value\n");
    run(&["get", "word"]).fails(5, "what beat 2 wrote is lost");
    run(&["put", "word", "anew"]).ok();
    assert_eq!(run(&["get", "word"]).ok().text(), "anew\n");
    run(&["stats"]).ok();
    assert_eq!(run(&["verify"]).code, 5);
}

/// True if any file below the store holds this text.
fn lies_open(place: &Place, text: &str) -> bool {
    let mut dirs = vec![place.path().join("store")];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if std::fs::read(path).unwrap().windows(text.len()).any(|bytes| bytes == text.as_bytes()) {
                return true;
            }
        }
    }
    false
}

#[test]
fn an_encrypted_store_works_on_every_engine() {
    for engine in ["flatfile", "sqlite", "lmdb"] {
        let place = encrypted(engine);
        assert!(lies_open(&place, "word") && !lies_open(&place, "plainly"), "{engine}");
        let get = place.command(&["get", "word"]).env("PERSIST_KEY_FILE", "key").output().unwrap();
        assert_eq!(get.stdout, b"plainly\n", "{engine}");
        for verb in
            [&["scan"][..], &["stats"], &["verify"], &["checkpoint"], &["compact"], &["backup", "copy"]]
        {
            place.run(&[verb, &["--key-file", "key"]].concat()).ok();
        }
        let copied = place.run(&["get", "word", "--store", "copy", "--key-file", "key"]).ok();
        assert_eq!(copied.text(), "plainly\n", "{engine}");
    }
}

#[test]
fn every_verb_says_how_to_give_the_key() {
    let place = encrypted("flatfile");
    for verb in [
        &["get", "word"][..],
        &["put", "word", "x"],
        &["del", "word"],
        &["scan"],
        &["stats"],
        &["verify"],
        &["checkpoint"],
        &["compact"],
        &["backup", "copy"],
    ] {
        place.run(verb).fails(4, "--key-file");
    }
    assert!(!place.path().join("copy").exists());
    place.run(&["init", "--store", "other", "--encrypt"]).fails(2, "--key-file");
    assert!(!place.path().join("other").exists());
}

#[test]
fn bundles_hold_records_in_clear_and_become_encrypted_stores() {
    let mut first = None;
    for engine in ["flatfile", "sqlite", "lmdb"] {
        let place = encrypted(engine);
        place.run(&["export", "a.bundle"]).fails(4, "--key-file");
        place.run(&["export", "a.bundle", "--key-file", "key"]).ok();
        let bytes = std::fs::read(place.path().join("a.bundle")).unwrap();
        assert!(*first.get_or_insert_with(|| bytes.clone()) == bytes, "{engine}");
        assert!(bytes.windows(7).any(|window| window == b"plainly"));
        key_file(&place, "second", TWO);
        let import = ["import", "a.bundle", "--engine", engine, "--store", "store/../copy", "--encrypt"];
        place.run(&import).fails(2, "--key-file");
        assert!(!place.path().join("copy").exists());
        place.run(&[&import[..], &["--compress", "--key-file", "second"]].concat()).ok();
        let at_copy = |key| place.run(&["get", "word", "--store", "copy", "--key-file", key]);
        at_copy("key").fails(4, "key 1 is not the key 1");
        assert_eq!(at_copy("second").ok().text(), "plainly\n", "{engine}");
        std::fs::remove_dir_all(place.path().join("store")).unwrap();
        std::fs::rename(place.path().join("copy"), place.path().join("store")).unwrap();
        assert!(lies_open(&place, "word") && !lies_open(&place, "plainly"), "{engine}");
    }
}

#[test]
fn wrong_keys_and_bad_key_files_are_refused() {
    let place = encrypted("sqlite");
    key_file(&place, "wrong", TWO);
    place.run(&["get", "word", "--key-file", "wrong"]).fails(4, "key 1 is not the key 1");
    key_file(&place, "second", &format!("2 {ONE}"));
    place.run(&["get", "word", "--key-file", "second"]).fails(4, "key 1");
    key_file(&place, "short", &ONE[2..]);
    let refused = place.run(&["get", "word", "--key-file", "short"]).fails(1, "64 hexadecimal digits");
    assert!(!refused.stderr.contains("0101"), "{}", refused.stderr);
    place.run(&["get", "word", "--key-file", "missing"]).fails(3, "missing");
    place.run(&["get", "word", "--key-file", "."]).fails(1, "not a file");
    for mode in [0o640, 0o604, 0o620] {
        std::fs::set_permissions(place.path().join("key"), std::fs::Permissions::from_mode(mode)).unwrap();
        place.run(&["get", "word", "--key-file", "key"]).fails(1, "make it 600");
    }
}

#[test]
fn a_key_is_changed_by_adding_one() {
    let place = encrypted("lmdb");
    key_file(&place, "both", &format!("1 {ONE}  # old\n2 {TWO}\n"));
    place.run(&["put", "new", "sealed anew", "--key-file", "both"]).ok();
    assert_eq!(place.run(&["get", "word", "--key-file", "both"]).ok().text(), "plainly\n");
    place.run(&["get", "new", "--key-file", "key"]).fails(4, "key 2");
    key_file(&place, "second", &format!("2 {TWO}"));
    assert_eq!(place.run(&["get", "new", "--key-file", "second"]).ok().text(), "sealed anew\n");
    place.run(&["get", "word", "--key-file", "second"]).fails(4, "key 1");
    place.run(&["put", "word", "plainly", "--key-file", "second"]).ok();
    assert_eq!(place.run(&["scan", "--key-file", "second"]).ok().text().lines().count(), 2);
}

#[test]
fn a_key_file_for_a_store_in_clear_changes_nothing() {
    let place = Place::with("flatfile");
    key_file(&place, "key", ONE);
    place.run(&["put", "word", "plainly", "--key-file", "key"]).ok();
    assert_eq!(place.run(&["get", "word"]).ok().text(), "plainly\n");
}

#[test]
fn stores_of_a_configuration_get_their_keys_from_it_or_from_the_command_line() {
    let place = Place::new();
    let (one, two) = (key_file(&place, "one", ONE), key_file(&place, "two", TWO));
    let store = |name: &str, key: &str| {
        format!(
            "[stores.{name}]\nengine = 'sqlite'\nrequest.required = ['ORDERED', 'SNAPSHOT', 'AEAD']\n{key}\n"
        )
    };
    let text = store("own", &format!("key_file = '{one}'")) + &store("given", "");
    place.write("persist.toml", text.as_bytes());
    let at = |name: &str, args: &[&str]| {
        place.run(&[&["--config", "persist.toml", "--store", name], args].concat())
    };
    place.run(&["config", "check", "persist.toml"]).ok();
    // Keys of the configuration.
    at("@own", &["init"]).ok();
    at("@own", &["put", "word", "plainly"]).ok();
    assert_eq!(at("@own", &["get", "word"]).ok().text(), "plainly\n");
    // Those of the command line go before.
    at("@own", &["get", "word", "--key-file", &two]).fails(4, "key 1 is not the key 1");
    // Those of the command line alone.
    at("@given", &["init"]).fails(4, "AEAD needs a key");
    at("@given", &["init", "--key-file", &two]).ok();
    at("@given", &["put", "word", "secretly", "--key-file", &two]).ok();
    at("@given", &["get", "word"]).fails(4, "--key-file");
    at("@given", &["get", "word", "--key-file", &one]).fails(4, "key 1 is not the key 1");
    assert_eq!(at("@given", &["get", "word", "--key-file", &two]).ok().text(), "secretly\n");
    // And all at once.
    let maintained = place.run(&["maintain", "--config", "persist.toml"]);
    assert_eq!(maintained.code, 4, "{}", maintained.stderr);
    place.run(&["maintain", "--config", "persist.toml", "--key-file", &two]).ok();
}
