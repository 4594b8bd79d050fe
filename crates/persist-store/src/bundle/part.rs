//! The parts of a bundle: their names, and their lines in the manifest.

use std::fmt;

use crate::cas::BlobName;

/// Name of the part that holds the records of a whole store.
const RECORDS: &str = "records";
/// Name of the part that holds the commits of an increment.
const COMMITS: &str = "commits";
/// Longest name that a part can have, in bytes.
pub(super) const NAME_BYTES_MAX: usize = 80;

/// What a part is called, in the order of the names' bytes. There are no other names, so that none can lead out of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PartName {
    /// A blob.
    Blob(BlobName),
    /// Every commit after the base: the last part of an increment.
    Commits,
    /// Every record, in key order: the last part of a whole store.
    Records,
}

impl PartName {
    /// Reads exactly what `Display` writes.
    pub(super) fn parse(name: &[u8]) -> Option<Self> {
        match std::str::from_utf8(name).ok()? {
            RECORDS => Some(Self::Records),
            COMMITS => Some(Self::Commits),
            text => BlobName::parse(text).map(Self::Blob),
        }
    }
}

impl fmt::Display for PartName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob(name) => name.fmt(f),
            Self::Commits => f.write_str(COMMITS),
            Self::Records => f.write_str(RECORDS),
        }
    }
}

/// A part that is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) name: PartName,
    pub(super) bytes: u64,
    pub(super) blake3: [u8; 32],
}

impl fmt::Display for Part {
    /// Its line in the manifest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "part = {} {} {}", self.name, self.bytes, blake3::Hash::from(self.blake3).to_hex())
    }
}

/// The BLAKE3 and length of the manifest's lines of parts, built line by line: a reader of any number of parts needs no
/// memory for them.
#[derive(Debug, Clone, Default)]
pub(super) struct PartLines {
    hasher: blake3::Hasher,
    bytes: u64,
}

impl PartLines {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.bytes == other.bytes && self.hasher.finalize() == other.hasher.finalize()
    }
}
