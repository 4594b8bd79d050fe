//! Damaged files: typed errors and findings, never a panic.

#![allow(clippy::disallowed_methods, reason = "damages files")]

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use persist_api::{Durability, Error, ErrorKind, KeyRange, OpenMode, OpenOptions, Scan};

use crate::kit::{Place, close, commit, open, options, put, rows, verify};

/// A store of some hundred pages, closed.
fn filled() -> Place {
    let place = Place::new();
    let engine = place.open();
    commit(engine.as_ref(), Durability::Buffered, |beat| {
        (0_u32..2000).try_for_each(|at| {
            beat.put_record(&at.to_be_bytes(), &vec![7; if at % 50 == 0 { 3000 } else { 100 }])
        })
    })
    .unwrap();
    close(engine);
    place
}

#[test]
fn any_damaged_page_gives_typed_errors_or_findings() {
    let place = filled();
    let path = place.home().join("data.db");
    let whole = std::fs::read(&path).unwrap();
    let mut noticed = 0;
    let pages = whole.len() / 4096;
    for page in (0..pages).step_by(7) {
        let mut bytes = whole.clone();
        // The head of a page: its kind, its cells. Past the file header on the first one.
        let at = page * 4096 + if page == 0 { 100 } else { 0 };
        bytes[at..at + 40].fill(0xa5);
        std::fs::write(&path, &bytes).unwrap();
        match open(&place.home(), &OpenOptions::default()) {
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Mismatch), "{error}");
                noticed += 1;
            }
            Ok(engine) => {
                noticed += u32::from(!verify(engine.as_ref()).1.is_empty());
                if let Ok(view) = engine.view() {
                    let done = view.scan(Scan::all(), &mut |_, _| std::ops::ControlFlow::Continue(()));
                    assert!(done.is_ok() || done.unwrap_err().kind() == ErrorKind::Corrupt);
                }
            }
        }
        let _ = std::fs::remove_file(place.home().join("data.db-wal"));
    }
    // Some pages are overflow pages: plain bytes of a value, which SQLite cannot check.
    assert!(noticed > 5, "{noticed} of {pages} pages");
}

/// What a caller meets who uses every verb once.
fn use_all(home: &Path) -> Result<(), Error> {
    let engine = open(home, &OpenOptions { mode: OpenMode::MustExist, ..OpenOptions::default() })?;
    let view = engine.view()?;
    view.get_record(b"short")?;
    view.get_record(b"long")?;
    view.scan(Scan::all(), &mut |_, _| ControlFlow::Continue(()))?;
    let header = view.header().next(1, Durability::Buffered, None)?;
    drop(view);
    let mut beat = engine.begin_beat(header)?;
    beat.put_record(b"short", &[1; 10])?;
    beat.put_record(b"long", &[2; 3000])?;
    beat.delete_record(b"other")?;
    beat.delete_range(KeyRange::prefix(b"r"))?;
    beat.commit_beat()?;
    engine.checkpoint().map(drop)
}

#[test]
fn a_flipped_bit_in_the_schema_is_damage_and_not_a_wrong_call() {
    let place = Place::new();
    let engine = place.open();
    for (key, len) in [("short", 10), ("long", 3000), ("other", 10), ("range", 3000)] {
        put(engine.as_ref(), key.as_bytes(), &vec![7; len]);
    }
    close(engine);
    let path = place.home().join("data.db");
    let whole = std::fs::read(&path).unwrap();
    // The header, and the schema, which fills the first page from its end.
    let schema = whole[..4096].windows(9).position(|bytes| bytes == b"tablebeat").unwrap();
    let mut kinds = BTreeMap::<&str, u32>::new();
    for at in (0..100).chain(schema - 10..4096) {
        for file in ["data.db-wal", "data.db-shm"] {
            let _ = std::fs::remove_file(place.home().join(file));
        }
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at * 3 % 8);
        std::fs::write(&path, &bytes).unwrap();
        if let Err(error) = use_all(&place.home()) {
            assert_ne!(error.kind(), ErrorKind::Invalid, "byte {at}: {error}");
            *kinds.entry(error.kind().name()).or_default() += 1;
        }
    }
    assert!(kinds["corrupt"] > 100, "{kinds:?}");
}

#[test]
fn a_truncated_file_gives_typed_errors() {
    let place = filled();
    let path = place.home().join("data.db");
    let whole = std::fs::read(&path).unwrap();
    for len in [0, 1, 50, 99, 100, 512, 4096, 5000, whole.len() / 2] {
        std::fs::write(&path, &whole[..len]).unwrap();
        match open(&place.home(), &OpenOptions::default()) {
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Mismatch), "{len}: {error}");
            }
            Ok(engine) => assert_ne!(verify(engine.as_ref()).1, [], "{len} bytes went unnoticed"),
        }
        let _ = std::fs::remove_file(place.home().join("data.db-wal"));
    }
}

#[test]
fn a_damaged_wal_costs_only_what_was_not_checkpointed() {
    let place = Place::new();
    let engine = place.open();
    put(engine.as_ref(), b"1", b"one");
    engine.checkpoint().unwrap();
    put(engine.as_ref(), b"2", b"two");
    put(engine.as_ref(), b"3", b"three");
    let copy = place.other("copy");
    std::fs::create_dir(&copy).unwrap();
    let data = std::fs::read(place.home().join("data.db")).unwrap();
    let wal = std::fs::read(place.home().join("data.db-wal")).unwrap();
    for cut in (0..wal.len()).step_by(997).chain([wal.len()]) {
        let _ = std::fs::remove_dir_all(&copy);
        std::fs::create_dir(&copy).unwrap();
        std::fs::write(copy.join("data.db"), &data).unwrap();
        std::fs::write(copy.join("data.db-wal"), &wal[..cut]).unwrap();
        let engine = open(&copy, &OpenOptions::default()).unwrap();
        let view = engine.view().unwrap();
        let beat = view.header().beat.0;
        assert!((1..=3).contains(&beat), "{beat} from {cut} bytes");
        assert_eq!(rows(view.as_ref(), Scan::all()).len() as u64, beat);
        assert!(cut < wal.len() || beat == 3);
    }
}

#[test]
fn records_that_we_never_wrote_are_findings_and_errors() {
    for (damage, what) in [
        ("INSERT INTO record VALUES(x'61', 7)", "there is no body 7"),
        ("INSERT INTO record VALUES(x'61', 'text')", "a value is Text"),
        ("INSERT INTO record VALUES('text', x'61')", "of type Text"),
        ("INSERT INTO record VALUES(x'', x'61')", "a key that cannot be"),
        ("INSERT INTO body(bytes) VALUES(x'61')", "1 bodies for 0 records"),
        ("UPDATE beat SET header = x'00'", "beat header"),
        ("DELETE FROM beat", "there is no beat header"),
    ] {
        let place = Place::new();
        let engine = place.open();
        place.raw().execute_batch(damage).unwrap();
        let (stat, findings) = verify(engine.as_ref());
        assert!(findings.iter().any(|finding| finding.what.contains(what)), "{damage}: {findings:?}");
        assert_eq!(stat.damaged, findings.len() as u64);
        match engine.view() {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{damage}: {error}"),
            Ok(view) => {
                let read = view.get_record(b"a").map(|_| ());
                let scan = view.scan(Scan::all(), &mut |_, _| std::ops::ControlFlow::Continue(()));
                let mut cursor = view.cursor(Scan::all()).unwrap();
                let walk = (0..3).try_for_each(|_| cursor.advance().map(|_| ()));
                for error in [read, scan, walk].into_iter().filter_map(Result::err) {
                    assert_eq!(error.kind(), ErrorKind::Corrupt, "{damage}: {error}");
                }
                if what.contains("no body") || what.contains("value is") {
                    // It keeps failing, until it is sent elsewhere.
                    assert!(cursor.advance().is_err() && cursor.advance().is_err());
                    assert!(!cursor.seek(b"b").unwrap());
                }
            }
        }
    }
}

#[test]
fn m_04_what_rots_under_an_open_engine_is_found() {
    let place = filled();
    for knobs in [&[][..], &[("mmap_bytes", "1000000000")]] {
        let path = place.home().join("data.db");
        let whole = std::fs::read(&path).unwrap();
        let engine = open(&place.home(), &options(knobs)).unwrap();
        // Everything is read, and so in the cache of the reader that the next view would take.
        assert_eq!(rows(engine.view().unwrap().as_ref(), Scan::all()).len(), 2000);
        assert_eq!(verify(engine.as_ref()).1, []);
        let at = whole.len() / 4096 / 2 * 4096;
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&[0xa5; 40], at as u64).unwrap();
        assert_ne!(verify(engine.as_ref()).1, [], "{knobs:?}");
        file.write_all_at(&whole[at..at + 40], at as u64).unwrap();
        assert_eq!(verify(engine.as_ref()).1, []);
    }
}
