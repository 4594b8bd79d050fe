use std::fs;

use persist_api::{Driver, ErrorKind, OpenMode, OpenOptions, Probe, Quiet, Result};
use persist_lmdb::LmdbDriver;

use crate::support::*;

fn probe(home: &std::path::Path) -> Result<Probe> {
    LmdbDriver::new().probe(home)
}

#[test]
fn a_home_holds_three_files() {
    let home = tempfile::tempdir().unwrap();
    assert_eq!(probe(&home.path().join("missing")).unwrap(), Probe::Empty);
    let engine = open(home.path());
    assert_eq!(names(home.path()), ["data.mdb", "lock", "lock.mdb"]);
    assert_eq!(probe(home.path()).unwrap(), Probe::Mine { needs_recovery: false });
    assert_eq!(engine.view().unwrap().header().beat.0, 0);
    drop(engine);
    assert_eq!(names(home.path()), ["data.mdb", "lock", "lock.mdb"]);
}

#[test]
fn the_file_stays_small_under_the_default_ceiling() {
    let home = tempfile::tempdir().unwrap();
    let engine = open(home.path());
    let stats = engine.stats().unwrap();
    let figure = |name| stats.engine.iter().find(|(known, _)| *known == name).unwrap().1;
    assert!(stats.bytes_on_disk < 64 << 10, "{} bytes", stats.bytes_on_disk);
    assert!(figure("map_bytes") > 1 << 30, "{} bytes of map", figure("map_bytes"));
    assert_eq!(stats.bytes_on_disk, fs::metadata(home.path().join("data.mdb")).unwrap().len());
}

#[test]
fn an_unfinished_creation_is_made_again() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("new")).unwrap();
    fs::write(home.path().join("new/data.mdb"), b"half").unwrap();
    fs::write(home.path().join("new/lock.mdb"), b"").unwrap();
    fs::write(home.path().join("lock"), b"").unwrap();
    assert_eq!(probe(home.path()).unwrap(), Probe::Empty);
    let must = OpenOptions { mode: OpenMode::MustExist, ..OpenOptions::default() };
    assert_eq!(refused(home.path(), &must).kind(), ErrorKind::Invalid);
    let engine = open(home.path());
    fill(&*engine, 0, 3, 10);
    assert_eq!(all(&*engine).len(), 3);
    assert!(!home.path().join("new").exists());
}

#[test]
fn a_leftover_compaction_is_removed_and_the_store_kept() {
    let home = tempfile::tempdir().unwrap();
    fill(&*open(home.path()), 0, 3, 10);
    fs::create_dir(home.path().join("new")).unwrap();
    fs::write(home.path().join("new/data.mdb"), b"half").unwrap();
    assert_eq!(probe(home.path()).unwrap(), Probe::Mine { needs_recovery: true });
    assert_eq!(all(&*open(home.path())).len(), 3);
    assert!(!home.path().join("new").exists());
}

/// Every way of being foreign, each left exactly as it was.
#[test]
fn strangers_are_left_alone() {
    let lmdb = tempfile::tempdir().unwrap();
    {
        let engine = open(lmdb.path());
        fill(&*engine, 0, 1, 1);
    }
    let ours = fs::read(lmdb.path().join("data.mdb")).unwrap();
    let replaced = |from: &[u8], to: &[u8]| {
        let mut bytes = ours.clone();
        while let Some(at) = bytes.windows(from.len()).position(|window| window == from) {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
        bytes
    };
    let cases: [(&str, &str, Vec<u8>); 6] = [
        ("another file", "readme.txt", b"hello".to_vec()),
        ("not LMDB", "data.mdb", b"hello".to_vec()),
        ("zeros", "data.mdb", vec![0; 40000]),
        ("no format", "data.mdb", replaced(b"persist.format", b"another.format")),
        ("another format", "data.mdb", replaced(b"persist-lmdb 1", b"persist-lmdb 2")),
        ("cut LMDB", "data.mdb", ours[..5000].to_vec()),
    ];
    for (what, name, bytes) in cases {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join(name), &bytes).unwrap();
        assert!(matches!(probe(home.path()).unwrap(), Probe::Foreign { .. }), "{what}");
        assert_eq!(refused(home.path(), &OpenOptions::default()).kind(), ErrorKind::Mismatch, "{what}");
        assert_eq!(names(home.path()), [name], "{what}");
        assert_eq!(fs::read(home.path().join(name)).unwrap(), bytes, "{what}");
    }
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("new")).unwrap();
    fs::write(home.path().join("new/thesis.doc"), b"years of work").unwrap();
    assert_eq!(refused(home.path(), &OpenOptions::default()).kind(), ErrorKind::Mismatch);
    assert!(home.path().join("new/thesis.doc").exists());
}

#[test]
fn modes_and_knobs_are_checked_before_anything_is_made() {
    let root = tempfile::tempdir().unwrap();
    let home = root.path().join("deep/home");
    let must = OpenOptions { mode: OpenMode::MustExist, ..OpenOptions::default() };
    for options in [must, with_knob("sync", "off"), with_knob("check_bytes", "many")] {
        assert_eq!(refused(&home, &options).kind(), ErrorKind::Invalid);
        assert!(!root.path().join("deep").exists());
    }
    open(&home);
    let create = OpenOptions { mode: OpenMode::MustCreate, ..OpenOptions::default() };
    assert_eq!(refused(&home, &create).kind(), ErrorKind::Conflict);
    assert!(open_with(&home, &with_knob("readahead", "off")).is_ok());
}

#[test]
fn the_offer_is_what_the_engine_says() {
    let home = tempfile::tempdir().unwrap();
    let options =
        OpenOptions { store_bytes_max: Some(1 << 20), views_max: Some(3), ..OpenOptions::default() };
    let engine = open_with(home.path(), &options).unwrap();
    assert_eq!(*engine.offer(), LmdbDriver::new().offer(&options));
    assert_eq!(engine.offer().limits.key_bytes_max, 511);
    assert!(engine.offer().library.starts_with("LMDB "));
}

/// heed refuses to open a path twice; a view that outlives its engine must not make the next open fail once it is gone.
#[test]
fn closing_frees_the_directory_at_once() {
    let home = tempfile::tempdir().unwrap();
    for round in 0..20 {
        let engine = open(home.path());
        let view = engine.view().unwrap();
        drop(engine);
        assert_eq!(refused(home.path(), &OpenOptions::default()).kind(), ErrorKind::Locked);
        assert_eq!(view.header().beat.0, round);
        std::thread::spawn(move || drop(view)).join().unwrap();
        fill(&*open(home.path()), 0, 1, 1);
    }
}

#[test]
fn an_open_can_be_stopped_while_it_checks() {
    let home = tempfile::tempdir().unwrap();
    fill(&*open(home.path()), 0, 100, 100);
    let stop = |_: persist_api::Progress| std::ops::ControlFlow::Break(());
    let error = LmdbDriver::new().open(home.path(), &OpenOptions::default(), &stop).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(LmdbDriver::new().open(home.path(), &OpenOptions::default(), &Quiet).is_ok());
}
