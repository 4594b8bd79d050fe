//! RocksDB's status codes as the contract's kinds.

use persist_api::{Error, ErrorKind};
use rocksdb::ErrorKind as Code;

use crate::driver::SCHEME;

/// The one place where an error of RocksDB becomes one of ours.
pub(crate) fn map_error(op: &'static str, error: rocksdb::Error) -> Error {
    map_status(op, &error.kind(), error.as_ref()).with_source(error)
}

/// The error for a status code and the text that came with it. The text matters where RocksDB puts different accidents
/// under one code; its sub-codes are part of the text.
fn map_status(op: &'static str, code: &Code, text: &str) -> Error {
    let kind = match code {
        Code::Corruption | Code::NotFound => ErrorKind::Corrupt,
        Code::NotSupported => ErrorKind::Unsupported,
        Code::InvalidArgument => ErrorKind::Invalid,
        Code::IOError => kind_of_io(text),
        Code::TimedOut | Code::Busy | Code::TryAgain | Code::MergeInProgress => ErrorKind::Busy,
        Code::ShutdownInProgress | Code::ColumnFamilyDropped => ErrorKind::Closed,
        Code::Aborted | Code::Incomplete | Code::Expired | Code::CompactionTooLarge | Code::Unknown => {
            ErrorKind::Io
        }
    };
    let error = Error::new(kind, op, text.trim_end()).with_engine(SCHEME);
    match number_of(code) {
        Some(number) => error.with_engine_code(number),
        None => error,
    }
}

fn kind_of_io(text: &str) -> ErrorKind {
    const FULL: [&str; 4] =
        ["No space left on device", "Space limit reached", "Disk quota exceeded", "File too large"];
    if FULL.iter().any(|full| text.contains(full)) {
        ErrorKind::Full
    } else if text.contains("While lock file") || text.contains("lock hold by current process") {
        ErrorKind::Locked
    } else if text.contains("No such file or directory") {
        // Only files of the database itself are ever asked for.
        ErrorKind::Corrupt
    } else {
        ErrorKind::Io
    }
}

/// RocksDB's own number of a status code.
fn number_of(code: &Code) -> Option<i64> {
    Some(match code {
        Code::NotFound => 1,
        Code::Corruption => 2,
        Code::NotSupported => 3,
        Code::InvalidArgument => 4,
        Code::IOError => 5,
        Code::MergeInProgress => 6,
        Code::Incomplete => 7,
        Code::ShutdownInProgress => 8,
        Code::TimedOut => 9,
        Code::Aborted => 10,
        Code::Busy => 11,
        Code::Expired => 12,
        Code::TryAgain => 13,
        Code::CompactionTooLarge => 14,
        Code::ColumnFamilyDropped => 15,
        Code::Unknown => return None,
    })
}

/// `Corrupt`, in this engine's name.
pub(crate) fn corrupt(op: &'static str, what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, op, what).with_engine(SCHEME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_rocksdb_has_a_kind() {
        let table = [
            (Code::NotFound, Some(1), ErrorKind::Corrupt),
            (Code::Corruption, Some(2), ErrorKind::Corrupt),
            (Code::NotSupported, Some(3), ErrorKind::Unsupported),
            (Code::InvalidArgument, Some(4), ErrorKind::Invalid),
            (Code::IOError, Some(5), ErrorKind::Io),
            (Code::MergeInProgress, Some(6), ErrorKind::Busy),
            (Code::Incomplete, Some(7), ErrorKind::Io),
            (Code::ShutdownInProgress, Some(8), ErrorKind::Closed),
            (Code::TimedOut, Some(9), ErrorKind::Busy),
            (Code::Aborted, Some(10), ErrorKind::Io),
            (Code::Busy, Some(11), ErrorKind::Busy),
            (Code::Expired, Some(12), ErrorKind::Io),
            (Code::TryAgain, Some(13), ErrorKind::Busy),
            (Code::CompactionTooLarge, Some(14), ErrorKind::Io),
            (Code::ColumnFamilyDropped, Some(15), ErrorKind::Closed),
            (Code::Unknown, None, ErrorKind::Io),
        ];
        for (code, number, kind) in table {
            let error = map_status("get_record", &code, "what happened\n");
            assert_eq!(error.kind(), kind, "{code:?}");
            assert_eq!(error.engine_code(), number, "{code:?}");
            assert_eq!((error.engine(), error.op()), (Some("rocksdb"), "get_record"));
            assert_eq!(error.context(), "what happened");
        }
    }

    #[test]
    fn texts_tell_accidents_of_the_disk_apart() {
        let table = [
            ("IO error: No space left on device: While appending to file: /x/000004.log", ErrorKind::Full),
            ("IO error: Space limit reached: Max allowed space was reached", ErrorKind::Full),
            ("IO error: While appending to file: /x/000004.log: Disk quota exceeded", ErrorKind::Full),
            ("IO error: While appending to file: /x/000004.log: File too large", ErrorKind::Full),
            ("IO error: While lock file: /x/LOCK: Resource temporarily unavailable", ErrorKind::Locked),
            ("IO error: lock hold by current process, acquire time 1: /x/LOCK", ErrorKind::Locked),
            ("IO error: No such file or directory: While open a file: /x/000007.sst", ErrorKind::Corrupt),
            ("IO error: While fdatasync: /x/000004.log: Input/output error", ErrorKind::Io),
        ];
        for (text, kind) in table {
            assert_eq!(map_status("open", &Code::IOError, text).kind(), kind, "{text}");
        }
    }
}
