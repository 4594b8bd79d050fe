//! Addresses, and engines that are not there.

use std::path::Path;

use persist::{Address, ErrorKind, KNOWN_ENGINES, OpenMode, Options, STAMP_FILE, drivers};

use crate::kit::{durable_places, fails};

const PRESENT: [&str; 2] = ["memory", "sqlite"];

#[test]
fn addresses_are_read_as_documented() {
    let cases = [
        ("sqlite:./dir", Some("sqlite"), "./dir"),
        ("sqlite:/abs/dir", Some("sqlite"), "/abs/dir"),
        ("sqlite:a:b", Some("sqlite"), "a:b"),
        ("memory:", Some("memory"), ""),
        ("memory:name", Some("memory"), "name"),
        ("./dir", None, "./dir"),
        ("dir", None, "dir"),
        ("./like:this", None, "./like:this"),
        ("/a/b:c", None, "/a/b:c"),
        ("Upper:case", None, "Upper:case"),
        (":x", None, ":x"),
        ("", None, ""),
    ];
    for (url, scheme, path) in cases {
        let address = Address::parse(url, &PRESENT).unwrap();
        assert_eq!((address.scheme, address.path), (scheme, Path::new(path)), "{url}");
    }
    fails(Address::parse("sqlite://dir", &PRESENT), ErrorKind::Invalid, &["sqlite:path"]);
    fails(
        Address::parse("nosuch:dir", &PRESENT),
        ErrorKind::Unsupported,
        &["nosuch", "memory, sqlite", "./nosuch:dir"],
    );
    fails(
        Address::parse("lmdb:dir", &PRESENT),
        ErrorKind::Unsupported,
        &["the engine lmdb is not in this build; enable feature `lmdb`"],
    );
}

#[test]
fn the_tables_of_engines_agree() {
    let present: Vec<_> =
        KNOWN_ENGINES.iter().filter(|engine| engine.present).map(|engine| engine.scheme).collect();
    let drivers: Vec<_> = drivers().iter().map(|driver| driver.scheme()).collect();
    assert_eq!(drivers, present);
    assert_eq!(present[0], "memory");
    for driver in persist::drivers() {
        assert_eq!(driver.offer(&persist::OpenOptions::default()).engine, driver.scheme());
    }
}

#[test]
fn an_engine_that_is_not_in_this_build_names_its_feature() {
    // Whatever this build has: as a build with memory alone would say it.
    for engine in KNOWN_ENGINES.iter().filter(|engine| engine.scheme != "memory") {
        let feature = format!(
            "the engine {} is not in this build; enable feature `{}`",
            engine.scheme,
            engine.feature.unwrap()
        );
        let url = format!("{}:dir", engine.scheme);
        fails(Address::parse(&url, &["memory"]), ErrorKind::Unsupported, &[&feature]);
    }
    for engine in KNOWN_ENGINES.iter().filter(|engine| !engine.present) {
        let words =
            [engine.scheme, "not in this build", &format!("enable feature `{}`", engine.feature.unwrap())];
        let dir = tempfile::tempdir().unwrap();
        let url = format!("{}:{}", engine.scheme, dir.path().display());
        fails(persist::open(&url), ErrorKind::Unsupported, &words);
    }
}

/// A store of `engine`, as its stamp says.
fn stamped(home: &Path, engine: &str) {
    let stamp = persist::Stamp {
        store: persist::StoreId::random().unwrap(),
        state: persist::StampState::Ready,
        engine: engine.to_owned(),
        engine_format: 1,
        epoch: 1,
        origin: None,
        swap: None,
        format: persist::FormatGrant::default(),
    };
    std::fs::write(home.join(STAMP_FILE), stamp.to_text()).unwrap();
}

#[test]
fn a_store_of_an_engine_that_is_not_here_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let url = dir.path().to_str().unwrap();
    for engine in KNOWN_ENGINES.iter().filter(|engine| !engine.present) {
        stamped(dir.path(), engine.scheme);
        let feature = format!("enable feature `{}`", engine.feature.unwrap());
        fails(persist::open(url), ErrorKind::Unsupported, &[engine.scheme, &feature]);
    }
    stamped(dir.path(), "strange");
    fails(persist::open(url), ErrorKind::Unsupported, &["strange", "memory"]);
}

#[test]
fn a_path_without_a_store_needs_an_engine() {
    let dir = tempfile::tempdir().unwrap();
    fails(persist::open(dir.path().to_str().unwrap()), ErrorKind::Invalid, &["no store here"]);
    fails(persist::open(""), ErrorKind::Invalid, &["path"]);
    for place in durable_places() {
        fails(persist::open(&format!("{}:", place.scheme)), ErrorKind::Invalid, &["path"]);
        let mut options = Options::default();
        options.engine.mode = OpenMode::MustExist;
        fails(persist::open_with(&place.url(), &options), ErrorKind::Invalid, &["no store"]);
        assert!(!Path::new(&place.path()).exists());
    }
}
