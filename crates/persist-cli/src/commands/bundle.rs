//! What `export` and `import` say about a bundle.

use std::path::Path;

use persist::{Advice, BundleReport, Error, ErrorKind};
use serde::Serialize;

use crate::out::Out;
use crate::text::{hex, size};

/// A bundle as JSON.
#[derive(Serialize)]
pub(crate) struct BundleJson {
    file: String,
    bundle_id: String,
    base_beat: Option<String>,
    bytes: u64,
    beat: String,
    beat_root: Option<String>,
    digest: String,
    records: u64,
    record_bytes: u64,
    key_bytes_max: u64,
    value_bytes_max: u64,
    blobs: u64,
    blob_bytes: u64,
}

impl BundleJson {
    pub(crate) fn of(file: &Path, report: &BundleReport) -> Self {
        let manifest = &report.manifest;
        Self {
            file: file.display().to_string(),
            bundle_id: hex(&report.id),
            base_beat: manifest.base.map(|base| base.beat.to_string()),
            bytes: report.file_bytes,
            beat: manifest.beat.to_string(),
            beat_root: manifest.root.map(|root| hex(&root)),
            digest: manifest.digest.to_string(),
            records: manifest.digest.records,
            record_bytes: manifest.digest.bytes,
            key_bytes_max: manifest.key_bytes_max,
            value_bytes_max: manifest.value_bytes_max,
            blobs: report.blobs,
            blob_bytes: report.blob_bytes,
        }
    }

    /// For people.
    pub(crate) fn print(&self, out: &mut Out) -> crate::fail::Result<()> {
        out.field("bundle", format_args!("{}, {}", self.file, size(self.bytes)))?;
        out.field("id", &self.bundle_id)?;
        match &self.base_beat {
            None => out.field("beat", &self.beat)?,
            Some(base) => out.field("beats", format_args!("after {base} to {}", self.beat))?,
        }
        out.field("records", format_args!("{}, {}", self.records, size(self.record_bytes)))?;
        if self.blobs > 0 {
            out.field("blobs", format_args!("{}, {}", self.blobs, size(self.blob_bytes)))?;
        }
        out.field("digest", &self.digest)
    }
}

/// What a bundle that cannot be read at all means: a wrong name. The store has nothing to do with it.
pub(crate) fn unreadable(file: &Path, error: Error) -> Error {
    match error.kind() {
        ErrorKind::Io if error.path() == Some(file) => error.with_advice(Advice::FixPath),
        _ => error,
    }
}

/// Checks that a bundle can be read twice, and at once: what is no regular file, as a named pipe, cannot.
///
/// # Errors
/// `Invalid`.
pub(crate) fn check_file(op: &'static str, file: &Path) -> Result<(), Error> {
    match std::fs::metadata(file) {
        Ok(facts) if !facts.is_file() && !facts.is_dir() => {
            let context =
                "this is no regular file, and a bundle is read more than once; save it in one first";
            Err(Error::new(ErrorKind::Invalid, op, context).with_path(file).with_advice(Advice::FixPath))
        }
        _ => Ok(()),
    }
}
