//! Opening, creating, refusing.

use persist_api::{Caps, Driver, Durability, ErrorKind, OpenMode, OpenOptions, Probe};
use persist_conformance::listing;
use persist_rocksdb::RocksDbDriver;

use crate::kit::{commit, copy, files, home, open, open_with, put, records, with_knob};

#[test]
fn driver_and_engine_offer_the_same() {
    let (_guard, home) = home();
    let options =
        OpenOptions { views_max: Some(3), store_bytes_max: Some(1 << 30), ..OpenOptions::default() };
    let offer = RocksDbDriver.offer(&options);
    assert_eq!(open_with(&home, &options).unwrap().offer(), &offer);
    assert_eq!(offer.engine, RocksDbDriver.scheme());
    assert_eq!((offer.limits.views_max, offer.limits.store_bytes_max), (3, 1 << 30));
    assert!(offer.caps.contains(Caps::CRC32C | Caps::ZERO_COPY | Caps::DELETE_RANGE));
    assert!(!offer.caps.intersects(Caps::READ_OWN | Caps::HISTORY | Caps::MULTI_PROCESS));
    assert!(Caps::offerable().contains(offer.caps));
}

#[test]
fn the_library_named_in_the_offer_is_the_one_linked() {
    let (_guard, home) = home();
    drop(open(&home));
    let options =
        files(&home, "").into_iter().find(|path| path.to_string_lossy().contains("OPTIONS-")).unwrap();
    let text = std::fs::read_to_string(options).unwrap();
    let version = text.lines().find_map(|line| line.trim().strip_prefix("rocksdb_version=")).unwrap();
    assert_eq!(RocksDbDriver.offer(&OpenOptions::default()).library, format!("RocksDB {version}"));
    // And it took the one setting that goes in as text.
    assert!(text.contains("track_and_verify_wals=true"), "{text}");
    assert!(text.contains("checksum=kCRC32c"), "{text}");
}

#[test]
fn probe_tells_empty_mine_and_unclean_apart() {
    let (_guard, home) = home();
    let probe = || RocksDbDriver.probe(&home).unwrap();
    assert_eq!(probe(), Probe::Empty);
    std::fs::create_dir(&home).unwrap();
    assert_eq!(probe(), Probe::Empty);
    let engine = open(&home);
    put(&*engine, b"a", b"1");
    drop(engine);
    assert_eq!(probe(), Probe::Mine { needs_recovery: true });
    let engine = open(&home);
    engine.close().map_err(|(_, error)| error).unwrap();
    assert_eq!(probe(), Probe::Mine { needs_recovery: false });
    assert_eq!(records(&*open(&home)), [(b"a".to_vec(), b"1".to_vec())].into());
}

#[test]
fn foreign_directories_are_refused_and_untouched() {
    let ours = || {
        let (guard, home) = home();
        drop(open(&home));
        (guard, home)
    };
    for name in ["notes.txt", "data.mdb", "db/LOG", "db/notes", "db.new.x", "CURRENT"] {
        let (_guard, home) = ours();
        std::fs::write(home.join(name), b"precious").unwrap();
        let before = listing(&home).unwrap();
        assert!(matches!(RocksDbDriver.probe(&home).unwrap(), Probe::Foreign { .. }), "{name}");
        let error = open_with(&home, &OpenOptions::default()).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Mismatch, "{name}: {error}");
        assert_eq!(listing(&home).unwrap(), before, "{name}");
    }
    let (_guard, home) = ours();
    std::fs::rename(home.join("db"), home.join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", home.join("db")).unwrap();
    assert!(matches!(RocksDbDriver.probe(&home).unwrap(), Probe::Foreign { .. }));
}

#[test]
fn modes_and_knobs_refuse_before_anything_is_created() {
    let (_guard, home) = home();
    let mode = |mode| OpenOptions { mode, ..OpenOptions::default() };
    let refused = |options: &OpenOptions| open_with(&home, options).err().unwrap();
    assert_eq!(refused(&mode(OpenMode::MustExist)).kind(), ErrorKind::Invalid);
    for (name, value) in [("no_such_knob", 1), ("background_jobs", 0)] {
        let error = refused(&with_knob(name, value));
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.context().contains(name), "{error}");
    }
    assert!(!home.exists());
    drop(open_with(&home, &mode(OpenMode::MustCreate)).unwrap());
    assert_eq!(refused(&mode(OpenMode::MustCreate)).kind(), ErrorKind::Conflict);
    drop(open_with(&home, &mode(OpenMode::MustExist)).unwrap());
}

#[test]
fn a_creation_cut_short_is_made_again() {
    let (_guard, whole) = home();
    drop(open(&whole));
    // Everything up to the last step: the new database without its name.
    let (_guard, half) = home();
    std::fs::create_dir(&half).unwrap();
    copy(&whole.join("db"), &half.join("db.new"));
    std::fs::create_dir(half.join("db.new.tmp")).unwrap();
    std::fs::write(half.join("db.new").join("000099.dbtmp"), b"half").unwrap();
    assert_eq!(RocksDbDriver.probe(&half).unwrap(), Probe::Empty);
    let engine =
        open_with(&half, &OpenOptions { mode: OpenMode::MustCreate, ..OpenOptions::default() }).unwrap();
    put(&*engine, b"a", b"1");
    assert!(!half.join("db.new").exists() && !half.join("db.new.tmp").exists());
}

#[test]
fn second_open_in_this_process_is_locked_until_the_last_view_goes() {
    let (_guard, home) = home();
    let engine = open(&home);
    let view = engine.view().unwrap();
    let locked = || open_with(&home, &OpenOptions::default()).err().map(|error| error.kind());
    assert_eq!(locked(), Some(ErrorKind::Locked));
    drop(engine);
    assert_eq!(locked(), Some(ErrorKind::Locked));
    drop(view);
    assert_eq!(locked(), None);
}

#[test]
fn a_holder_that_goes_around_the_lock_is_seen() {
    let (_guard, home) = home();
    let engine = open(&home);
    // Somebody removed the lock file; RocksDB's own lock still stands.
    std::fs::remove_file(home.join("lock")).unwrap();
    let error = open_with(&home, &OpenOptions::default()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    put(&*engine, b"a", b"1");
}

#[test]
fn reopening_many_times_keeps_the_beats() {
    let (_guard, home) = home();
    for n in 1..=6_u64 {
        let engine = open(&home);
        let level = if n % 2 == 0 { Durability::Durable } else { Durability::Buffered };
        let header = commit(&*engine, level, |beat| beat.put_record(&n.to_be_bytes(), b"v").unwrap());
        assert_eq!(header.beat.0, n);
        if n % 3 == 0 {
            engine.close().map_err(|(_, error)| error).unwrap();
        }
    }
    assert_eq!(records(&*open(&home)).len(), 6);
}
