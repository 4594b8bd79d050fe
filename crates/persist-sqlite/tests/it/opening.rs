//! Recognising, creating, and what a half-made home looks like.

use persist_api::{Driver as _, ErrorKind, OpenMode, OpenOptions, Probe};
use persist_sqlite::SqliteDriver;

use crate::kit::{Place, close, open, options, put};

fn probe(place: &Place) -> Probe {
    SqliteDriver.probe(&place.home()).unwrap()
}

fn files(place: &Place) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(place.home())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_new_store_is_ours_and_a_closed_one_leaves_one_file() {
    let place = Place::new();
    assert_eq!(probe(&place), Probe::Empty);
    let engine = place.open();
    put(engine.as_ref(), b"key", b"value");
    assert_eq!(files(&place), ["data.db", "data.db-shm", "data.db-wal", "lock"]);
    close(engine);
    assert_eq!(files(&place), ["data.db", "lock"]);
    assert_eq!(probe(&place), Probe::Mine { needs_recovery: false });
    let raw = place.raw();
    let mark: i64 = raw.query_row("PRAGMA application_id", [], |row| row.get(0)).unwrap();
    assert_eq!(mark, i64::from(u32::from_be_bytes(*b"prst")));
    let mode: String = raw.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
}

#[test]
#[allow(clippy::disallowed_methods, reason = "makes the leftovers that a crash leaves")]
fn an_unfinished_creation_is_made_again() {
    let place = Place::new();
    std::fs::create_dir(place.home()).unwrap();
    for name in ["lock", "data.db.new", "data.db.new-journal", "data.db.new-wal"] {
        std::fs::write(place.home().join(name), b"half").unwrap();
    }
    assert_eq!(probe(&place), Probe::Empty);
    let error = open(&place.home(), &OpenOptions { mode: OpenMode::MustExist, ..OpenOptions::default() })
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let engine = place.open();
    put(engine.as_ref(), b"key", b"value");
    close(engine);
    assert_eq!(files(&place), ["data.db", "lock"]);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "makes foreign files")]
fn foreign_databases_and_files_are_left_alone() {
    type Make = fn(&std::path::Path);
    let cases: [(&str, Make); 5] = [
        ("another application's database", |home| {
            let raw = rusqlite::Connection::open(home.join("data.db")).unwrap();
            raw.execute_batch("PRAGMA application_id = 7; CREATE TABLE t(x);").unwrap();
        }),
        ("a later format", |home| {
            close(open(home, &OpenOptions::default()).unwrap());
            let raw = rusqlite::Connection::open(home.join("data.db")).unwrap();
            raw.execute_batch("PRAGMA user_version = 2;").unwrap();
        }),
        ("no database", |home| std::fs::write(home.join("data.db"), [7; 4096]).unwrap()),
        ("a WAL alone", |home| std::fs::write(home.join("data.db-wal"), [7; 4096]).unwrap()),
        ("somebody's file", |home| std::fs::write(home.join("letter.txt"), b"dear").unwrap()),
    ];
    for (what, make) in cases {
        let place = Place::new();
        std::fs::create_dir(place.home()).unwrap();
        make(&place.home());
        let content = || {
            files(&place)
                .into_iter()
                .map(|name| std::fs::read(place.home().join(name)).unwrap())
                .collect::<Vec<_>>()
        };
        let before = (files(&place), content());
        assert!(matches!(probe(&place), Probe::Foreign { .. }), "{what}");
        let error = open(&place.home(), &OpenOptions::default()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Mismatch, "{what}: {error}");
        assert!((files(&place), content()) == before, "{what} was touched");
    }
}

#[test]
fn knobs_are_checked_before_anything_is_made() {
    for (name, text) in [
        ("page_bytes", "1024"),
        ("page_bytes", "5000"),
        ("page_bytes", "131072"),
        ("page_bytes", "much"),
        ("mmap_bytes", "-1"),
        ("wal_bytes", "18446744073709551615"),
        ("sync", "off"),
    ] {
        let place = Place::new();
        let error = open(&place.home(), &options(&[(name, text)])).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{name}={text}");
        assert!(error.context().contains(name), "{error}");
        assert!(!place.home().exists());
    }
    let place = Place::new();
    let small = OpenOptions { store_bytes_max: Some(1000), ..OpenOptions::default() };
    assert_eq!(open(&place.home(), &small).err().unwrap().kind(), ErrorKind::Invalid);
    assert!(!place.home().exists());
}

#[test]
fn every_page_size_works() {
    for page in ["4096", "8192", "65536"] {
        let place = Place::new();
        let engine =
            open(&place.home(), &options(&[("page_bytes", page), ("mmap_bytes", "1048576")])).unwrap();
        for len in [10, 1000, 4000, 16_000, 70_000] {
            put(engine.as_ref(), format!("{len}").as_bytes(), &vec![5; len]);
        }
        let stats = engine.stats().unwrap();
        assert!(stats.engine.contains(&("page_bytes", page.parse().unwrap())));
        assert_eq!(crate::kit::verify(engine.as_ref()).1, []);
        let view = engine.view().unwrap();
        assert_eq!(view.get_record(b"70000").unwrap().as_deref(), Some(vec![5; 70_000].as_slice()));
    }
}

#[test]
fn extreme_settings_work() {
    for cache_bytes in [0, u64::MAX] {
        for wal in ["0", "9223372036854775807"] {
            let place = Place::new();
            let options = OpenOptions { cache_bytes: Some(cache_bytes), ..options(&[("wal_bytes", wal)]) };
            let engine = open(&place.home(), &options).unwrap();
            for at in 0..20_u8 {
                put(engine.as_ref(), &[at], &[at; 3000]);
            }
            let views: Vec<_> = (0..12).map(|_| engine.view().unwrap()).collect();
            for view in &views {
                assert_eq!(view.get_record(&[19]).unwrap().as_deref(), Some([19; 3000].as_slice()));
            }
            drop(views);
            assert_eq!(crate::kit::verify(engine.as_ref()).1, []);
        }
    }
}

#[test]
fn a_home_named_like_a_uri_is_a_directory() {
    let place = Place::new();
    let home = place.other("file:x?mode=memory&cache=shared");
    let engine = open(&home, &OpenOptions::default()).unwrap();
    put(engine.as_ref(), b"key", b"value");
    close(engine);
    assert!(home.join("data.db").is_file());
}
