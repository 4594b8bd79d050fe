//! The one place that turns LMDB's codes into errors of the contract.

use std::path::Path;

use persist_api::{Error, ErrorKind, Result};

use crate::driver::SCHEME;
use crate::room;

const EIO: i32 = rustix::io::Errno::IO.raw_os_error();

/// Maps an error of heed: LMDB's own codes by [`kind_of`], the operating system's by what they mean for a store.
#[cold]
pub(crate) fn map_error(op: &'static str, error: heed::Error) -> Error {
    let mapped = match &error {
        heed::Error::Mdb(code) => {
            Error::new(kind_of(*code), op, code.to_string()).with_engine_code(i64::from(code.to_err_code()))
        }
        heed::Error::Io(os) => {
            let mapped = Error::new(kind_of_os(os.kind()), op, os.to_string());
            match os.raw_os_error() {
                Some(code) => mapped.with_engine_code(i64::from(code)),
                None => mapped,
            }
        }
        // Both databases hold plain bytes, so that nothing is encoded or decoded.
        heed::Error::Encoding(_) | heed::Error::Decoding(_) => {
            Error::new(ErrorKind::Invalid, op, error.to_string())
        }
        heed::Error::EnvAlreadyOpened => {
            Error::new(ErrorKind::Locked, op, "held by this process, outside of this engine")
        }
    };
    mapped.with_engine(SCHEME).with_source(error)
}

/// Maps an error of a verb that writes to the data file in `dir`.
#[cold]
pub(crate) fn map_write_error(op: &'static str, error: heed::Error, dir: &Path) -> Error {
    let code = match &error {
        heed::Error::Io(os) => os.raw_os_error(),
        heed::Error::Mdb(heed::MdbError::Other(os)) => Some(*os),
        _ => None,
    };
    if code == Some(EIO) && room::is_gone(dir) {
        return Error::new(ErrorKind::Full, op, "a write came out short: no room is left")
            .with_engine(SCHEME)
            .with_engine_code(i64::from(EIO))
            .with_path(dir)
            .with_source(error);
    }
    map_error(op, error)
}

/// True when an error of a verb that writes says that the medium refused, so that nobody knows what it holds. A full map is found
/// before a byte is written.
pub(crate) fn write_failed(error: &Error) -> bool {
    let map_full = i64::from(heed::MdbError::MapFull.to_err_code());
    match error.kind() {
        ErrorKind::Io => true,
        ErrorKind::Full => error.engine_code() != Some(map_full),
        _ => false,
    }
}

/// What a caller can do about each code that LMDB defines.
fn kind_of(code: heed::MdbError) -> ErrorKind {
    use heed::MdbError as Code;
    match code {
        Code::MapFull => ErrorKind::Full,
        Code::ReadersFull | Code::TlsFull => ErrorKind::Busy,
        Code::TxnFull => ErrorKind::TooLarge,
        Code::KeyExist | Code::BadValSize | Code::DbsFull => ErrorKind::Invalid,
        Code::VersionMismatch | Code::Incompatible => ErrorKind::Mismatch,
        // A key or page that must be there is not, or a page is not what it should be.
        Code::NotFound
        | Code::PageNotFound
        | Code::Corrupted
        | Code::Invalid
        | Code::CursorFull
        | Code::PageFull => ErrorKind::Corrupt,
        // The handle is of no use any more; the file may be as good as before.
        Code::Panic | Code::MapResized | Code::BadRslot | Code::BadTxn | Code::BadDbi | Code::Problem => {
            ErrorKind::Poisoned
        }
        Code::Other(os) => kind_of_os(std::io::Error::from_raw_os_error(os).kind()),
    }
}

fn kind_of_os(kind: std::io::ErrorKind) -> ErrorKind {
    use std::io::ErrorKind as Os;
    match kind {
        Os::StorageFull | Os::QuotaExceeded | Os::FileTooLarge => ErrorKind::Full,
        Os::WouldBlock | Os::ResourceBusy => ErrorKind::Locked,
        _ => ErrorKind::Io,
    }
}

/// `map_error` for results.
pub(crate) trait Mapped<T> {
    fn or_op(self, op: &'static str) -> Result<T>;

    /// For what writes to the data file in `dir`.
    fn or_write(self, op: &'static str, dir: &Path) -> Result<T>;
}

impl<T> Mapped<T> for heed::Result<T> {
    fn or_op(self, op: &'static str) -> Result<T> {
        self.map_err(|error| map_error(op, error))
    }

    fn or_write(self, op: &'static str, dir: &Path) -> Result<T> {
        self.map_err(|error| map_write_error(op, error, dir))
    }
}

/// `Corrupt`, found by this crate and not by LMDB.
#[cold]
pub(crate) fn corrupt(op: &'static str, what: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corrupt, op, what).with_engine(SCHEME)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every code of lmdb.h, by number, and some of the operating system's.
    #[test]
    fn every_code_has_its_kind() {
        let table = [
            (-30799, "MDB_KEYEXIST", ErrorKind::Invalid),
            (-30798, "MDB_NOTFOUND", ErrorKind::Corrupt),
            (-30797, "MDB_PAGE_NOTFOUND", ErrorKind::Corrupt),
            (-30796, "MDB_CORRUPTED", ErrorKind::Corrupt),
            (-30795, "MDB_PANIC", ErrorKind::Poisoned),
            (-30794, "MDB_VERSION_MISMATCH", ErrorKind::Mismatch),
            (-30793, "MDB_INVALID", ErrorKind::Corrupt),
            (-30792, "MDB_MAP_FULL", ErrorKind::Full),
            (-30791, "MDB_DBS_FULL", ErrorKind::Invalid),
            (-30790, "MDB_READERS_FULL", ErrorKind::Busy),
            (-30789, "MDB_TLS_FULL", ErrorKind::Busy),
            (-30788, "MDB_TXN_FULL", ErrorKind::TooLarge),
            (-30787, "MDB_CURSOR_FULL", ErrorKind::Corrupt),
            (-30786, "MDB_PAGE_FULL", ErrorKind::Corrupt),
            (-30785, "MDB_MAP_RESIZED", ErrorKind::Poisoned),
            (-30784, "MDB_INCOMPATIBLE", ErrorKind::Mismatch),
            (-30783, "MDB_BAD_RSLOT", ErrorKind::Poisoned),
            (-30782, "MDB_BAD_TXN", ErrorKind::Poisoned),
            (-30781, "MDB_BAD_VALSIZE", ErrorKind::Invalid),
            (-30780, "MDB_BAD_DBI", ErrorKind::Poisoned),
            (-30779, "MDB_PROBLEM", ErrorKind::Poisoned),
            (2, "No such file", ErrorKind::Io),
            (5, "Input/output error", ErrorKind::Io),
            (11, "Resource temporarily unavailable", ErrorKind::Locked),
            (12, "Cannot allocate memory", ErrorKind::Io),
            (13, "Permission denied", ErrorKind::Io),
            (22, "Invalid argument", ErrorKind::Io),
            (27, "File too large", ErrorKind::Full),
            (28, "No space left on device", ErrorKind::Full),
            (30, "Read-only file system", ErrorKind::Io),
            (122, "quota exceeded", ErrorKind::Full),
        ];
        for (code, text, kind) in table {
            let error = map_error("test", heed::MdbError::from_err_code(code).into());
            assert_eq!(error.kind(), kind, "{text}");
            assert_eq!(error.engine_code(), Some(i64::from(code)), "{text}");
            assert_eq!(error.engine(), Some("lmdb"));
            assert!(error.context().to_lowercase().contains(&text.to_lowercase()), "{error}");
            // The pairs of codes and names above are LMDB's, not ours: an unknown code has no name.
            assert_eq!(kind_of(heed::MdbError::from_err_code(code)), kind, "{text}");
        }
    }

    #[test]
    fn what_is_no_code_is_mapped_too() {
        assert_eq!(map_error("open", heed::Error::EnvAlreadyOpened).kind(), ErrorKind::Locked);
        let odd = std::io::Error::other("odd");
        assert_eq!(map_error("open", heed::Error::Io(odd)).engine_code(), None);
        assert_eq!(map_error("get", heed::Error::Decoding("odd".into())).kind(), ErrorKind::Invalid);
    }
}
