//! Errors that name the file and the place in it.

use std::path::Path;

use persist_api::{Error, ErrorKind};

/// The name of this engine.
pub(crate) const SCHEME: &str = "flatfile";

/// Stored bytes do not verify.
#[cold]
pub(crate) fn corrupt(op: &'static str, path: &Path, offset: u64, what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, op, format!("at offset {offset}: {what}"))
        .with_engine(SCHEME)
        .with_path(path)
}

/// Where an error made by [`corrupt`] says that the damage is; 0 for any other.
pub(crate) fn offset_of(error: &Error) -> u64 {
    let rest = error.context().strip_prefix("at offset ").unwrap_or_default();
    rest.split(':').next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// Whether nothing more may be acknowledged after this error of work on files of its own: the disk failed, or a sync did, for
/// whatever reason. That there was no room for a new file harms nobody.
pub(crate) fn ends_writing(error: &Error) -> bool {
    error.kind() == ErrorKind::Io || is_sync(error)
}

/// Whether there was no room for a new file, which harms nobody. What a sync did not find room for may be anything.
pub(crate) fn is_no_room(error: &Error) -> bool {
    error.kind() == ErrorKind::Full && !is_sync(error)
}

fn is_sync(error: &Error) -> bool {
    error.op().starts_with("sync_")
}
