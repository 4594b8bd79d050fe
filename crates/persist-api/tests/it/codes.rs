//! Names, codes and advice of errors: stable for ever.

use std::collections::BTreeSet;

use persist_api::{Advice, BeatNo, Durability, Error, ErrorKind, Finding, FindingCode, Health};

#[test]
fn the_table_of_kinds_is_pinned() {
    use Advice::{FixCode, FixData, Grow, Migrate, Redo, Reopen, Restore, Retry};
    let golden = [
        (ErrorKind::Unsupported, "unsupported", -7, FixCode),
        (ErrorKind::Refused, "refused", -4, FixCode),
        (ErrorKind::Invalid, "invalid", -1, FixCode),
        (ErrorKind::TooLarge, "too_large", -9, FixData),
        (ErrorKind::Busy, "busy", -10, Retry),
        (ErrorKind::Conflict, "conflict", -6, Redo),
        (ErrorKind::Full, "full", -11, Grow),
        (ErrorKind::Stale, "stale", -12, Redo),
        (ErrorKind::Locked, "locked", -13, Retry),
        (ErrorKind::Mismatch, "mismatch", -14, Migrate),
        (ErrorKind::Corrupt, "corrupt", -5, Restore),
        (ErrorKind::Poisoned, "poisoned", -15, Reopen),
        (ErrorKind::Closed, "closed", -16, Reopen),
        (ErrorKind::Cancelled, "cancelled", -17, Retry),
        (ErrorKind::Io, "io", -3, Reopen),
    ];
    assert_eq!(golden.map(|row| row.0), ErrorKind::ALL);
    for (kind, name, code, advice) in golden {
        assert_eq!((kind.name(), kind.code(), kind.advice()), (name, code, advice));
        let error = Error::new(kind, "verb", "what and where");
        assert_eq!((error.kind(), error.code(), error.advice()), (kind, code, advice));
    }
    let codes: BTreeSet<_> = golden.iter().map(|row| row.2).collect();
    assert_eq!(codes.len(), golden.len(), "one code for each kind");
    assert!(codes.iter().all(|code| *code < 0 && ![-2, -8].contains(code)), "-2 and -8 stay reserved");
}

#[test]
fn an_error_is_one_line_with_all_it_knows() {
    let error = Error::new(ErrorKind::Full, "put_record", "no room")
        .with_engine("lmdb")
        .with_engine_code(-30792)
        .with_path("/data/home")
        .with_beat(BeatNo(7));
    let line = "put_record: no room [/data/home] at beat 7 (full, lmdb code -30792); raise the ceiling or free space, then repeat";
    assert_eq!(error.to_string(), line);
    assert_eq!(
        (error.engine(), error.engine_code(), error.beat()),
        (Some("lmdb"), Some(-30792), Some(BeatNo(7)))
    );
}

#[test]
fn an_error_may_know_better_than_its_kind() {
    let taken = Error::occupied("backup", "there".as_ref());
    assert_eq!((taken.kind(), taken.advice()), (ErrorKind::Mismatch, Advice::FixPath));
    assert_eq!(
        taken.to_string(),
        "backup: the target is not empty; nothing was touched [there] (mismatch); choose another path"
    );
    let absent = Error::new(ErrorKind::Io, "read", "no such file").with_advice(Advice::FixPath);
    assert_eq!((absent.kind(), absent.code(), absent.advice()), (ErrorKind::Io, -3, Advice::FixPath));
}

#[test]
fn a_full_disk_is_full_and_not_io() {
    for (os, kind) in [
        (std::io::ErrorKind::StorageFull, ErrorKind::Full),
        (std::io::ErrorKind::QuotaExceeded, ErrorKind::Full),
        (std::io::ErrorKind::PermissionDenied, ErrorKind::Io),
    ] {
        assert_eq!(Error::io("write_file", "x".as_ref(), os.into()).kind(), kind);
    }
}

#[test]
fn durabilities_are_pinned() {
    let golden = [
        (Durability::Volatile, "volatile", 0),
        (Durability::Buffered, "buffered", 1),
        (Durability::Durable, "durable", 2),
    ];
    for (level, name, byte) in golden {
        assert_eq!((level.name(), level.to_byte()), (name, byte));
        assert_eq!((Durability::from_name(name), Durability::from_byte(byte)), (Some(level), Some(level)));
    }
    assert_eq!((Durability::from_byte(3), Durability::from_name("Durable")), (None, None));
    assert!(Durability::Volatile < Durability::Buffered && Durability::Buffered < Durability::Durable);
    assert_eq!(Durability::default(), Durability::Durable);
}

#[test]
fn codes_of_findings_are_pinned() {
    let names = FindingCode::ALL.map(FindingCode::name);
    let golden = [
        "no_checksums",
        "not_read",
        "root_not_computed",
        "structure",
        "count",
        "header",
        "record",
        "root",
        "unknown",
    ];
    assert_eq!(names, golden);
    assert!(FindingCode::ALL.iter().all(|code| !code.sentence().is_empty()));
    let damage = Finding::damage(FindingCode::Count, "two of three", "records");
    assert_eq!((damage.severity.name(), damage.code.name()), ("damage", "count"));
    assert_eq!(Finding::unchecked(FindingCode::NotRead, "a", "b").severity.name(), "unchecked");
}

#[test]
fn other_words_keep_all_that_an_error_names_but_its_cause() {
    let error = persist_api::Error::io("open", "dir".as_ref(), std::io::Error::other("no"))
        .with_advice(persist_api::Advice::FixPath)
        .with_engine("toy")
        .with_engine_code(7)
        .with_beat(persist_api::BeatNo(3));
    let reworded = error.reworded(error.context());
    assert_eq!(reworded.to_string(), error.to_string());
    assert_eq!((reworded.engine_code(), reworded.beat()), (error.engine_code(), error.beat()));
    assert_eq!((reworded.advice(), reworded.path()), (error.advice(), error.path()));
    assert!(std::error::Error::source(&reworded).is_none() && reworded.tell());
    assert_eq!(error.reworded("why").context(), "why");
}

#[cfg(unix)]
#[test]
fn too_many_open_files_are_no_reason_to_open_again() {
    for (code, advice) in [(23, Advice::RaiseFileLimit), (24, Advice::RaiseFileLimit), (5, Advice::Reopen)] {
        let error = Error::io("open_file", "branch.dat".as_ref(), std::io::Error::from_raw_os_error(code));
        assert_eq!((error.kind(), error.advice()), (ErrorKind::Io, advice), "{error}");
    }
    assert!(Advice::RaiseFileLimit.sentence().contains("ulimit -n"));
}

#[test]
fn a_poisoned_engine_names_what_failed_first() {
    let health = Health::default();
    health.check("get").unwrap();
    health.poison_by(&Error::new(ErrorKind::Io, "sync_file", "the medium failed").with_path("/data/log"));
    health.poison_by(&Error::new(ErrorKind::Io, "write_file", "later"));
    let error = health.check("commit_beat").unwrap_err();
    assert_eq!(
        error.to_string(),
        "commit_beat: an earlier write or sync failed: sync_file: the medium failed [/data/log] (poisoned); close and open again"
    );
    let silent = Health::default();
    silent.poison();
    silent.poison_by(&Error::new(ErrorKind::Io, "write_file", "later"));
    assert_eq!(silent.check("get").unwrap_err().context(), "an earlier write or sync failed");
}
