//! Values too large for a frame, in files of their own: `branch.dat.<number>`.
//!
//! ```text
//! file     = header (64 bytes) { padding value }
//! header:   0  magic "PBD1"                   12  u32 number of the segment
//!           4  u32 CRC-32C of bytes 8..64     16  u64 store tag
//!           8  u32 format version, 1          24  zeros
//! value:   raw bytes, beginning at a multiple of 8
//! ```
//!
//! Values have no frame of their own: a reference ([`PayloadRef`]) in a frame or a run says segment, offset, length and CRC-32C.
//! Bytes that no reference names are dead: padding, values of beats that were aborted or never became durable, values
//! that were overwritten later. What lies behind the end that the newest frame states is written over.
//!
//! [`PayloadWriter`] appends, [`Payloads`] reads; every read checks the whole value.

mod writer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crc32c::crc32c;
use persist_api::Result;
use persist_io::{Disk, DiskFile, EntryKind, FileMode, Mapping};

use crate::coding::{u32_at, u64_at};
use crate::error::corrupt;
use crate::names::{Kind, parse};
use crate::payload_ref::PayloadRef;

pub(crate) use writer::PayloadWriter;

/// Length of a segment's header: where the first value lies.
pub(crate) const PAYLOAD_HEADER: u64 = 64;
const HEADER: usize = 64;
/// Values begin at multiples of this.
const ALIGN: u64 = 8;
const MAGIC: u32 = u32::from_le_bytes(*b"PBD1");
const VERSION: u32 = 1;

/// A value in place. It stays readable when the segment is removed.
pub(crate) type Payload = Mapping;

/// The header of a segment.
pub(crate) fn header(number: u32, store: u64) -> [u8; HEADER] {
    let mut out = [0; HEADER];
    out[..4].copy_from_slice(&MAGIC.to_le_bytes());
    out[8..12].copy_from_slice(&VERSION.to_le_bytes());
    out[12..16].copy_from_slice(&number.to_le_bytes());
    out[16..24].copy_from_slice(&store.to_le_bytes());
    let crc = crc32c(&out[8..]);
    out[4..8].copy_from_slice(&crc.to_le_bytes());
    out
}

/// An open payload segment.
pub(crate) struct PayloadFile {
    number: u32,
    path: PathBuf,
    file: Box<dyn DiskFile>,
}

impl PayloadFile {
    /// Opens segment `number`.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn open(disk: &dyn Disk, dir: &Path, number: u32, mode: FileMode) -> Result<Self> {
        let path = dir.join(Kind::Payload.name(number));
        let file = disk.open(&path, mode)?;
        Ok(Self { number, path, file })
    }

    /// Its number.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Length of the file in bytes.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn len(&self) -> Result<u64> {
        self.file.len()
    }

    /// Checks the header. Values verify without it; this is for a full verification.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub(crate) fn check_header(&self, store: u64) -> Result<()> {
        let mut bytes = [0; HEADER];
        let got = self.file.read_at(0, &mut bytes)?;
        let good = header(self.number, store);
        if got == HEADER && bytes == good {
            return Ok(());
        }
        let valid = u32_at(&bytes, 0) == Some(MAGIC) && u32_at(&bytes, 4) == bytes.get(8..).map(crc32c);
        let other = valid && u64_at(&bytes, 16) != Some(store);
        let what = if other {
            "a payload segment of another store"
        } else {
            "the header of the segment does not verify"
        };
        Err(corrupt("read_payload", &self.path, 0, what))
    }

    /// The value at `place`, checked.
    ///
    /// # Errors
    /// `Corrupt` naming file and offset, `Io`.
    pub(crate) fn read(&self, place: &PayloadRef) -> Result<Payload> {
        let damaged = |what| corrupt("read_payload", &self.path, place.offset, what);
        let end = place.offset.checked_add(place.len);
        if end.is_none_or(|end| place.offset < PAYLOAD_HEADER || self.file.len().is_ok_and(|len| end > len)) {
            return Err(damaged("the value lies beyond the end of the file"));
        }
        let value = self.file.map(place.offset, place.len)?;
        if crc32c(&value) != place.crc {
            return Err(damaged("the checksum of the value differs"));
        }
        Ok(value)
    }
}

/// The payload segments that a state of the store refers to, open. Clones share the files, so that a view reads on
/// from segments that were removed meanwhile.
#[derive(Clone, Default)]
pub(crate) struct Payloads {
    files: BTreeMap<u32, Arc<PayloadFile>>,
}

impl Payloads {
    /// Opens every payload segment in `dir`.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn open(disk: &dyn Disk, dir: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        for entry in disk.list(dir)?.unwrap_or_default() {
            if let Some((Kind::Payload, number)) =
                parse(&entry.name).filter(|_| entry.kind == EntryKind::File)
            {
                files.insert(number, Arc::new(PayloadFile::open(disk, dir, number, FileMode::Write)?));
            }
        }
        Ok(Self { files })
    }

    /// This set and one more segment.
    #[must_use]
    pub(crate) fn with(&self, file: Arc<PayloadFile>) -> Self {
        let mut files = self.files.clone();
        files.insert(file.number, file);
        Self { files }
    }

    /// This set without some segments.
    #[must_use]
    pub(crate) fn without(&self, numbers: &[u32]) -> Self {
        let mut files = self.files.clone();
        files.retain(|number, _| !numbers.contains(number));
        Self { files }
    }

    /// The segments, by number.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<PayloadFile>> {
        self.files.values()
    }

    /// One segment.
    pub(crate) fn get(&self, number: u32) -> Option<&Arc<PayloadFile>> {
        self.files.get(&number)
    }

    /// The greatest number; 0 without a segment.
    pub(crate) fn greatest(&self) -> u32 {
        self.files.last_key_value().map_or(0, |(&number, _)| number)
    }

    /// The value at `place`, checked.
    ///
    /// # Errors
    /// `Corrupt` naming file and offset, `Io`.
    pub(crate) fn read(&self, place: &PayloadRef) -> Result<Payload> {
        if let Some(file) = self.files.get(&place.segment) {
            return file.read(place);
        }
        let name = PathBuf::from(Kind::Payload.name(place.segment));
        Err(corrupt("read_payload", &name, place.offset, "the payload segment is missing"))
    }
}

#[cfg(test)]
mod tests;
