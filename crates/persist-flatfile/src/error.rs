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
