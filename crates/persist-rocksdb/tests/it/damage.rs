//! Damaged, truncated and missing files: a typed error, a finding, or nothing of it was needed. Never a wrong record.

use std::ops::ControlFlow;
use std::path::Path;

use persist_api::{Durability, Engine, ErrorKind, OpenOptions, Quiet, Result, Scan};

use crate::kit::{Records, commit, copy, files, home, open, open_with, records};

/// A store with tables, a log, and records in both.
fn store(home: &Path) -> Records {
    let engine = open(home);
    for round in 0..4_u8 {
        commit(&*engine, Durability::Durable, |beat| {
            for n in 0..300_u32 {
                beat.put_record(&[&[round], &n.to_be_bytes()[..]].concat(), &[round; 50]).unwrap();
            }
        });
        if round == 1 {
            engine.checkpoint().unwrap();
        }
    }
    records(&*engine)
}

/// Reads everything, or fails typed.
fn read_all(engine: &dyn Engine) -> Result<Records> {
    let view = engine.view()?;
    let mut read = Records::new();
    view.scan(Scan::all(), &mut |key, value| {
        read.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    })?;
    Ok(read)
}

/// What a damaged copy of a store may do.
fn check(home: &Path, whole: &Records, what: &str) {
    let engine = match open_with(home, &OpenOptions::default()) {
        Ok(engine) => engine,
        Err(error) => {
            let kinds = [ErrorKind::Corrupt, ErrorKind::Io, ErrorKind::Mismatch];
            assert!(kinds.contains(&error.kind()), "{what}: {error}");
            return;
        }
    };
    match read_all(&*engine) {
        Ok(read) => {
            // Whole, or whole up to an earlier beat.
            let beats = engine.view().unwrap().header().beat.0;
            assert_eq!(read.len() as u64, beats * 300, "{what}");
            assert!(read.iter().all(|(key, value)| whole.get(key) == Some(value)), "{what}");
        }
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Io), "{what}: {error}");
        }
    }
    let mut findings = 0;
    match engine.verify(&mut |_| findings += 1, &Quiet) {
        Ok(stat) => assert_eq!(stat.damaged, findings, "{what}"),
        Err(error) => assert!(!error.context().is_empty(), "{what}"),
    }
}

#[test]
fn no_file_can_be_damaged_into_a_panic_or_a_wrong_record() {
    let (_guard, home) = home();
    let whole = store(&home);
    let names = files(&home, "");
    assert!(names.iter().any(|path| path.to_string_lossy().ends_with(".sst")));
    for path in names {
        let name = path.file_name().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let mut trials = vec![("emptied".to_owned(), Some(Vec::new())), ("removed".to_owned(), None)];
        for part in [1, 2, 3] {
            trials.push((format!("cut at {part}/4"), Some(bytes[..bytes.len() * part / 4].to_vec())));
        }
        for at in (0..12).map(|n| bytes.len() * n / 12).filter(|at| *at < bytes.len()) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x40;
            trials.push((format!("flipped at {at}"), Some(flipped)));
        }
        for (what, damaged) in trials {
            let (_guard, other) = self::home();
            copy(&home, &other);
            let target = other.join("db").join(name);
            match damaged {
                Some(damaged) => std::fs::write(&target, damaged).unwrap(),
                None => std::fs::remove_file(&target).unwrap(),
            }
            check(&other, &whole, &format!("{} {what}", name.display()));
        }
    }
}

#[test]
fn damage_in_a_table_is_found_by_reading_and_by_verifying() {
    let (_guard, home) = home();
    store(&home);
    let table = files(&home, ".sst").into_iter().max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&table).unwrap();
    bytes[1000] ^= 1;
    std::fs::write(&table, bytes).unwrap();
    let engine = open(&home);
    let error = read_all(&*engine).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert_eq!(error.engine(), Some("rocksdb"));
    let mut findings = Vec::new();
    let stat = engine.verify(&mut |finding| findings.push(finding), &Quiet).unwrap();
    assert_eq!(stat.damaged, 1, "{findings:?}");
    assert!(findings[0].what.contains("checksum"), "{findings:?}");

    // A cursor that failed keeps failing until it is sent elsewhere.
    let view = engine.view().unwrap();
    let mut cursor = view.cursor(Scan::all()).unwrap();
    while let Ok(true) = cursor.advance() {}
    assert_eq!(cursor.advance().unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(cursor.key().is_empty() && cursor.value().is_empty());
    assert!(cursor.seek(&[3]).unwrap());
    assert!(cursor.advance().unwrap());
}

#[test]
fn a_lost_table_is_corrupt() {
    let (_guard, home) = home();
    store(&home);
    std::fs::remove_file(files(&home, ".sst").remove(0)).unwrap();
    let error = open_with(&home, &OpenOptions::default()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

#[test]
fn a_lost_log_is_corrupt_and_not_an_earlier_beat() {
    let (_guard, home) = home();
    store(&home);
    for log in files(&home, ".log") {
        std::fs::remove_file(log).unwrap();
    }
    let error = open_with(&home, &OpenOptions::default()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

#[test]
fn a_store_without_its_start_is_corrupt_and_not_new() {
    let (_guard, home) = home();
    store(&home);
    std::fs::remove_file(home.join("db").join("CURRENT")).unwrap();
    let error = open_with(&home, &OpenOptions::default()).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

/// Two logs wait to be moved into tables, and the first lost its end to a power loss: nothing behind the hole may show.
#[test]
fn a_hole_between_two_logs_ends_the_recovery() {
    let (_guard, home) = home();
    let (_guard, crashed) = self::home();
    let engine = open(&home);
    let put = |key: &[u8]| commit(&*engine, Durability::Buffered, |beat| beat.put_record(key, key).unwrap());
    put(b"1");
    let first = files(&home, ".log").pop().unwrap();
    let short = std::fs::metadata(&first).unwrap().len();
    put(b"2");
    // The tables and the manifest of this moment, and the log that follows.
    copy(&home, &crashed);
    engine.checkpoint().unwrap();
    put(b"3");
    let second = files(&home, ".log").pop().unwrap();
    assert_ne!(first, second);
    let inside = |path: &Path| crashed.join("db").join(path.file_name().unwrap());
    std::fs::copy(&second, inside(&second)).unwrap();

    let (_guard, whole) = self::home();
    copy(&crashed, &whole);
    assert_eq!(open(&whole).view().unwrap().header().beat.0, 3);

    std::fs::OpenOptions::new().write(true).open(inside(&first)).unwrap().set_len(short).unwrap();
    let recovered = open(&crashed);
    assert_eq!(recovered.view().unwrap().header().beat.0, 1);
    assert_eq!(records(&*recovered), [(b"1".to_vec(), b"1".to_vec())].into());
}

/// The manifest of a store that was closed, and where the part that the last open had synced ends.
fn manifest(home: &Path) -> (std::path::PathBuf, usize) {
    let note = std::fs::read_to_string(home.join("manifest")).unwrap();
    let (name, synced) = note.trim().split_once(' ').unwrap();
    (home.join("db").join(name), synced.parse().unwrap())
}

/// An open that a power cut stopped between the name of its new manifest and the sync of both names.
#[test]
fn o_02_a_manifest_that_has_no_name_yet_gives_way_to_the_one_before() {
    let (_guard, home) = home();
    for beats in 0..2 {
        if beats > 0 {
            let engine = open(&home);
            commit(&*engine, Durability::Durable, |beat| beat.put_record(b"1", b"1").unwrap());
            drop(engine);
        } else {
            drop(open(&home));
        }
        std::fs::write(home.join("db/CURRENT"), "MANIFEST-987654\n").unwrap();
        let engine = open(&home);
        assert_eq!(engine.view().unwrap().header().beat.0, beats);
        assert_eq!(records(&*engine).len() as u64, beats);
        drop(engine);
        // One that was noted is not replaced by anything.
        let (path, _) = manifest(&home);
        let (_guard, image) = self::home();
        copy(&home, &image);
        std::fs::remove_file(manifest(&image).0).unwrap();
        let error = open_with(&image, &OpenOptions::default()).map(drop).unwrap_err();
        assert!(path.exists() && error.kind() == ErrorKind::Corrupt, "{error}");
    }
}

/// An edit that was being written when the power went: its length is there, its bytes are not, nothing is lost.
#[test]
fn a_torn_edit_of_the_manifest_is_cut_off() {
    let (_guard, home) = home();
    let (_guard, crashed) = self::home();
    let engine = open(&home);
    commit(&*engine, Durability::Durable, |beat| beat.put_record(b"1", b"1").unwrap());
    copy(&home, &crashed);
    let (path, synced) = manifest(&crashed);
    let whole = std::fs::read(&path).unwrap();
    assert_eq!(whole.len(), synced);
    engine.checkpoint().unwrap();
    let edit = std::fs::read(home.join("db").join(path.file_name().unwrap())).unwrap().split_off(synced);
    assert!(edit.len() > 20);
    // The table that the edit is about was synced before.
    for table in files(&home, ".sst") {
        std::fs::copy(&table, crashed.join("db").join(table.file_name().unwrap())).unwrap();
    }
    for keep in [0, 1, 6, 7, edit.len() / 2, edit.len() - 1] {
        let (_guard, image) = self::home();
        copy(&crashed, &image);
        let mut torn = whole.clone();
        torn.extend(&edit[..keep]);
        torn.resize(whole.len() + edit.len(), 0);
        std::fs::write(manifest(&image).0, torn).unwrap();
        let engine = open(&image);
        assert_eq!(records(&*engine), [(b"1".to_vec(), b"1".to_vec())].into(), "{keep}");
        assert_eq!(engine.view().unwrap().header().beat.0, 1, "{keep}");
    }
}

/// The same bytes after the edit was in force, and its log is gone, are damage: nothing older may be shown instead.
#[test]
fn a_damaged_edit_of_the_manifest_is_corrupt_and_not_an_earlier_beat() {
    let (_guard, home) = home();
    let engine = open(&home);
    commit(&*engine, Durability::Durable, |beat| beat.put_record(b"1", b"1").unwrap());
    engine.close().map_err(|(_, error)| error).unwrap();
    let (path, synced) = manifest(&home);
    let bytes = std::fs::read(&path).unwrap();
    assert!(bytes.len() > synced);
    for at in (0..bytes.len()).step_by(3) {
        let (_guard, image) = self::home();
        copy(&home, &image);
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        std::fs::write(manifest(&image).0, &damaged).unwrap();
        match open_with(&image, &OpenOptions::default()) {
            Ok(engine) => assert_eq!(engine.view().unwrap().header().beat.0, 1, "byte {at} of {synced}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}: {error}");
                assert!(
                    std::fs::read(manifest(&image).0).unwrap() == damaged,
                    "byte {at} of {synced}: the manifest was changed: {error}"
                );
            }
        }
    }
}
