//! What each of SQLite's result codes means to a caller.

use persist_api::{Error, ErrorKind};
use rusqlite::ffi;

use crate::driver::SCHEME;

/// The kind of a result code, primary or extended.
pub(crate) fn kind_of(code: i32) -> ErrorKind {
    match code {
        ffi::SQLITE_BUSY_SNAPSHOT | ffi::SQLITE_ABORT_ROLLBACK => return ErrorKind::Conflict,
        // The header of the file says what SQLite has no support for, or damage made it say so.
        ffi::SQLITE_IOERR_CORRUPTFS | ffi::SQLITE_IOERR_DATA => return ErrorKind::Corrupt,
        ffi::SQLITE_ERROR_SNAPSHOT => return ErrorKind::Stale,
        _ => {}
    }
    match code & 0xff {
        ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED => ErrorKind::Busy,
        ffi::SQLITE_FULL => ErrorKind::Full,
        // ERROR is what a text gives that SQLite cannot compile. All texts are constants of ours, so what is wrong is the
        // schema in the file.
        ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB | ffi::SQLITE_FORMAT | ffi::SQLITE_ERROR => {
            ErrorKind::Corrupt
        }
        ffi::SQLITE_TOOBIG => ErrorKind::TooLarge,
        ffi::SQLITE_INTERRUPT => ErrorKind::Cancelled,
        ffi::SQLITE_MISUSE
        | ffi::SQLITE_RANGE
        | ffi::SQLITE_MISMATCH
        | ffi::SQLITE_CONSTRAINT
        | ffi::SQLITE_AUTH => ErrorKind::Invalid,
        // The medium, the operating system, or memory: IOERR and its many reasons, CANTOPEN, READONLY, PERM, PROTOCOL
        // (shared memory locks), NOMEM, NOLFS; SCHEMA, ABORT and INTERNAL, where reopening is the remedy too.
        _ => ErrorKind::Io,
    }
}

/// True for codes after which nothing that this handle wrote can be trusted to be, or to become, durable.
fn is_fatal(code: i32) -> bool {
    matches!(
        code,
        ffi::SQLITE_IOERR_WRITE
            | ffi::SQLITE_IOERR_FSYNC
            | ffi::SQLITE_IOERR_DIR_FSYNC
            | ffi::SQLITE_IOERR_TRUNCATE
            | ffi::SQLITE_IOERR_CLOSE
            | ffi::SQLITE_IOERR_SEEK
            | ffi::SQLITE_IOERR_COMMIT_ATOMIC
            | ffi::SQLITE_READONLY_DBMOVED
            | ffi::SQLITE_IOERR_VNODE
    )
}

/// SQLite's own code of an error, where it has one.
fn code_of(error: &rusqlite::Error) -> Option<i32> {
    match error {
        // The second is the first with the place in the text.
        rusqlite::Error::SqliteFailure(error, _) | rusqlite::Error::SqlInputError { error, .. } => {
            Some(error.extended_code)
        }
        _ => None,
    }
}

/// Turns an error of SQLite's into ours.
pub(crate) fn map_error(op: &'static str, error: rusqlite::Error) -> Error {
    let code = code_of(&error);
    let kind = match (&error, code) {
        (_, Some(code)) => kind_of(code),
        // What is stored has another type than what was put.
        (
            rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..)
            | rusqlite::Error::QueryReturnedNoRows,
            None,
        ) => ErrorKind::Corrupt,
        _ => ErrorKind::Invalid,
    };
    let mapped = Error::new(kind, op, error.to_string()).with_engine(SCHEME).with_source(error);
    match code {
        Some(code) => mapped.with_engine_code(i64::from(code)),
        None => mapped,
    }
}

/// True when an error that [`map_error`] made says that a write or a sync failed.
pub(crate) fn write_failed(error: &Error) -> bool {
    error.engine_code().and_then(|code| i32::try_from(code).ok()).is_some_and(is_fatal)
}

/// For `map_err`: `map_err(during("scan"))`.
pub(crate) fn during(op: &'static str) -> impl Fn(rusqlite::Error) -> Error {
    move |error| map_error(op, error)
}

/// Stored bytes that this engine never wrote.
pub(crate) fn corrupt(op: &'static str, what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, op, what).with_engine(SCHEME)
}

#[cfg(test)]
mod tests;
