//! Key files.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use persist_api::{Error, ErrorKind, Result};
use persist_store::KeyRing;
use zeroize::Zeroizing;

/// Longest key file, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Reads the keys of a file that only its owner can read (`docs/layers.md`).
///
/// # Errors
/// `Invalid` for a file that others can read, and for one that is no key file; `Io`.
pub fn read_key_file(path: &Path) -> Result<KeyRing> {
    let failed = |error: std::io::Error| Error::io("read_key", path, error);
    let invalid = |what: String| Error::new(ErrorKind::Invalid, "read_key", what).with_path(path);
    // To open what is not a file can block for ever.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(invalid("this is not a file".to_owned()));
    }
    let file = File::open(path).map_err(failed)?;
    let facts = file.metadata().map_err(failed)?;
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::MetadataExt::mode(&facts) & 0o777;
        if mode & 0o077 != 0 {
            let what = format!("others can read or change this key file (mode {mode:03o}); make it 600");
            return Err(invalid(what));
        }
    }
    // Room for all of it at once, so that no copy is left behind; of what is too long, room for what is read.
    let len = usize::try_from(facts.len().min(FILE_BYTES_MAX)).unwrap_or(0);
    let mut text = Zeroizing::new(String::with_capacity(len.saturating_add(1)));
    file.take(FILE_BYTES_MAX.saturating_add(1)).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(invalid(format!("longer than a key file can be, {FILE_BYTES_MAX} bytes")));
    }
    KeyRing::parse(&text).map_err(|error| error.with_path(path))
}
