//! Every result code that the library defines, with what it means here.

use persist_api::ErrorKind;
use persist_api::ErrorKind::{Busy, Cancelled, Conflict, Corrupt, Full, Invalid, Io, Stale, TooLarge};
use rusqlite::ffi;

use super::{is_fatal, kind_of, map_error, write_failed};

macro_rules! table {
    ($( $kind:ident: $($code:ident)+; )+) => {
        &[$( $( (stringify!($code), ffi::$code, $kind), )+ )+]
    };
}

const TABLE: &[(&str, i32, ErrorKind)] = table! {
    Invalid: SQLITE_MISUSE SQLITE_RANGE SQLITE_MISMATCH SQLITE_CONSTRAINT SQLITE_AUTH SQLITE_AUTH_USER
        SQLITE_CONSTRAINT_CHECK SQLITE_CONSTRAINT_COMMITHOOK SQLITE_CONSTRAINT_FOREIGNKEY
        SQLITE_CONSTRAINT_FUNCTION SQLITE_CONSTRAINT_NOTNULL SQLITE_CONSTRAINT_PRIMARYKEY
        SQLITE_CONSTRAINT_TRIGGER SQLITE_CONSTRAINT_UNIQUE SQLITE_CONSTRAINT_VTAB SQLITE_CONSTRAINT_ROWID
        SQLITE_CONSTRAINT_PINNED SQLITE_CONSTRAINT_DATATYPE;
    Stale: SQLITE_ERROR_SNAPSHOT;
    Conflict: SQLITE_BUSY_SNAPSHOT SQLITE_ABORT_ROLLBACK;
    Busy: SQLITE_BUSY SQLITE_LOCKED SQLITE_BUSY_RECOVERY SQLITE_BUSY_TIMEOUT SQLITE_LOCKED_SHAREDCACHE
        SQLITE_LOCKED_VTAB;
    Full: SQLITE_FULL;
    Corrupt: SQLITE_ERROR SQLITE_ERROR_MISSING_COLLSEQ SQLITE_ERROR_RETRY SQLITE_CORRUPT SQLITE_NOTADB SQLITE_FORMAT SQLITE_CORRUPT_VTAB SQLITE_CORRUPT_SEQUENCE
        SQLITE_CORRUPT_INDEX SQLITE_IOERR_CORRUPTFS SQLITE_IOERR_DATA;
    TooLarge: SQLITE_TOOBIG;
    Cancelled: SQLITE_INTERRUPT;
    Io: SQLITE_INTERNAL SQLITE_PERM SQLITE_ABORT SQLITE_NOMEM SQLITE_READONLY SQLITE_IOERR SQLITE_NOTFOUND
        SQLITE_CANTOPEN SQLITE_PROTOCOL SQLITE_EMPTY SQLITE_SCHEMA SQLITE_NOLFS SQLITE_NOTICE SQLITE_WARNING
        SQLITE_IOERR_READ SQLITE_IOERR_SHORT_READ SQLITE_IOERR_WRITE SQLITE_IOERR_FSYNC SQLITE_IOERR_DIR_FSYNC
        SQLITE_IOERR_TRUNCATE SQLITE_IOERR_FSTAT SQLITE_IOERR_UNLOCK SQLITE_IOERR_RDLOCK SQLITE_IOERR_DELETE
        SQLITE_IOERR_BLOCKED SQLITE_IOERR_NOMEM SQLITE_IOERR_ACCESS SQLITE_IOERR_CHECKRESERVEDLOCK
        SQLITE_IOERR_LOCK SQLITE_IOERR_CLOSE SQLITE_IOERR_DIR_CLOSE SQLITE_IOERR_SHMOPEN SQLITE_IOERR_SHMSIZE
        SQLITE_IOERR_SHMLOCK SQLITE_IOERR_SHMMAP SQLITE_IOERR_SEEK SQLITE_IOERR_DELETE_NOENT SQLITE_IOERR_MMAP
        SQLITE_IOERR_GETTEMPPATH SQLITE_IOERR_CONVPATH SQLITE_IOERR_VNODE SQLITE_IOERR_AUTH
        SQLITE_IOERR_BEGIN_ATOMIC SQLITE_IOERR_COMMIT_ATOMIC SQLITE_IOERR_ROLLBACK_ATOMIC
        SQLITE_CANTOPEN_NOTEMPDIR SQLITE_CANTOPEN_ISDIR SQLITE_CANTOPEN_FULLPATH SQLITE_CANTOPEN_CONVPATH
        SQLITE_CANTOPEN_DIRTYWAL SQLITE_CANTOPEN_SYMLINK SQLITE_READONLY_RECOVERY SQLITE_READONLY_CANTLOCK
        SQLITE_READONLY_ROLLBACK SQLITE_READONLY_DBMOVED SQLITE_READONLY_CANTINIT SQLITE_READONLY_DIRECTORY
        SQLITE_NOTICE_RECOVER_WAL SQLITE_NOTICE_RECOVER_ROLLBACK SQLITE_WARNING_AUTOINDEX;
};

#[test]
fn every_code_has_its_kind() {
    for (name, code, kind) in TABLE {
        assert_eq!(kind_of(*code), *kind, "{name}");
        let error = map_error("put_record", rusqlite::Error::SqliteFailure(ffi::Error::new(*code), None));
        assert_eq!(error.kind(), *kind, "{name}");
        assert_eq!(error.engine_code(), Some(i64::from(*code)), "{name}");
        assert_eq!(error.engine(), Some("sqlite"));
        assert_eq!(error.op(), "put_record");
    }
}

#[test]
fn the_table_is_complete() {
    // Primary codes are 1 to 28; extended ones count from 1 without gaps, per primary code.
    for primary in 1..=28 {
        assert!(TABLE.iter().any(|(_, code, _)| *code == primary), "primary code {primary} is missing");
        let mut extended: Vec<_> = TABLE
            .iter()
            .filter(|(_, code, _)| code & 0xff == primary && *code > 0xff)
            .map(|row| row.1 >> 8)
            .collect();
        extended.sort_unstable();
        // ABORT_ROLLBACK is the second of a pair whose first was never made.
        let first = if primary == ffi::SQLITE_ABORT { 2 } else { 1 };
        let want: Vec<_> = (first..).take(extended.len()).collect();
        assert_eq!(extended, want, "extended codes of {primary}");
    }
}

#[test]
fn failed_writes_and_syncs_are_fatal_and_nothing_else() {
    let fatal = [
        "SQLITE_IOERR_WRITE",
        "SQLITE_IOERR_FSYNC",
        "SQLITE_IOERR_DIR_FSYNC",
        "SQLITE_IOERR_TRUNCATE",
        "SQLITE_IOERR_CLOSE",
        "SQLITE_IOERR_SEEK",
        "SQLITE_IOERR_VNODE",
        "SQLITE_IOERR_COMMIT_ATOMIC",
        "SQLITE_READONLY_DBMOVED",
    ];
    for (name, code, _) in TABLE {
        assert_eq!(is_fatal(*code), fatal.contains(name), "{name}");
        let error = map_error("commit_beat", rusqlite::Error::SqliteFailure(ffi::Error::new(*code), None));
        assert_eq!(write_failed(&error), fatal.contains(name), "{name}");
    }
}

#[test]
fn errors_that_are_not_of_sqlite_have_kinds_too() {
    let corrupt = rusqlite::Error::InvalidColumnType(0, "value".to_owned(), rusqlite::types::Type::Text);
    assert_eq!(map_error("scan", corrupt).kind(), Corrupt);
    assert_eq!(map_error("scan", rusqlite::Error::QueryReturnedNoRows).kind(), Corrupt);
    assert_eq!(map_error("scan", rusqlite::Error::InvalidParameterCount(1, 2)).kind(), Invalid);
}
