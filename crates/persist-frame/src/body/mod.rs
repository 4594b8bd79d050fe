//! The bodies of the seven kinds of records, as borrowed values. Encoding a decoded body gives the same bytes.
//!
//! Decoding is strict: every length within the body, every number one that is defined, nothing left over. The
//! reader of frames does not look inside bodies, except those of payload chunks; whoever ingests a frame does.

mod cell_desc;
mod history;
mod manifest;
mod namepool;
mod order;
mod payload_chunk;

pub use cell_desc::{CellDesc, CellType, PayloadCodec, PayloadRef, RefKind};
pub use history::PayloadHistory;
pub use manifest::{Manifest, ManifestEntries, ManifestEntry};
pub use namepool::NamepoolDelta;
pub use order::{OrderDelta, OrderEntries, OrderEntry};
pub use payload_chunk::{PayloadChunk, PayloadKind};

use crate::cursor::Cursor;
use crate::error::{ErrorClass, FrameError};
use crate::record::{Record, RecordKind};

/// A 16-byte revision id.
pub type Revision = [u8; 16];

/// A decoded body.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body<'a> {
    /// Kind 1.
    CellDesc(CellDesc<'a>),
    /// Kind 2.
    PayloadChunk(PayloadChunk<'a>),
    /// Kind 3.
    ManifestDelta(Manifest<'a>),
    /// Kind 4.
    OrderDelta(OrderDelta<'a>),
    /// Kind 5.
    NamepoolDelta(NamepoolDelta<'a>),
    /// Kind 6.
    PayloadHistory(PayloadHistory<'a>),
    /// Kind 7.
    ManifestHistory(Manifest<'a>),
}

impl<'a> Body<'a> {
    /// Decodes a record's body by its kind. [`ErrorClass::UnsupportedRecord`] for kinds and versions that this
    /// version does not define. Offsets of errors count from the start of the bare frame.
    pub fn decode(record: &Record<'a>) -> Result<Self, FrameError> {
        let unsupported = || {
            let message = format!("record {} of version {}", record.kind(), record.version());
            Err(FrameError::at(ErrorClass::UnsupportedRecord, record.offset(), message))
        };
        if record.version() != crate::record::RECORD_VERSION {
            return unsupported();
        }
        let body = record.body();
        let decoded = match record.kind() {
            RecordKind::CELL_DESC => CellDesc::decode(body).map(Self::CellDesc),
            RecordKind::PAYLOAD_CHUNK => PayloadChunk::decode(body).map(Self::PayloadChunk),
            RecordKind::MANIFEST_DELTA => Manifest::decode(body).map(Self::ManifestDelta),
            RecordKind::ORDER_DELTA => OrderDelta::decode(body).map(Self::OrderDelta),
            RecordKind::NAMEPOOL_DELTA => NamepoolDelta::decode(body).map(Self::NamepoolDelta),
            RecordKind::PAYLOAD_HISTORY => PayloadHistory::decode(body).map(Self::PayloadHistory),
            RecordKind::MANIFEST_HISTORY => Manifest::decode(body).map(Self::ManifestHistory),
            _ => return unsupported(),
        };
        let body_at = record.offset().saturating_add(record.span().len().saturating_sub(body.len()) as u64);
        decoded.map_err(|error| error.shifted(body_at))
    }

    /// The kind of record this is the body of.
    pub fn kind(&self) -> RecordKind {
        match self {
            Self::CellDesc(_) => RecordKind::CELL_DESC,
            Self::PayloadChunk(_) => RecordKind::PAYLOAD_CHUNK,
            Self::ManifestDelta(_) => RecordKind::MANIFEST_DELTA,
            Self::OrderDelta(_) => RecordKind::ORDER_DELTA,
            Self::NamepoolDelta(_) => RecordKind::NAMEPOOL_DELTA,
            Self::PayloadHistory(_) => RecordKind::PAYLOAD_HISTORY,
            Self::ManifestHistory(_) => RecordKind::MANIFEST_HISTORY,
        }
    }

    /// The body's bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::CellDesc(body) => body.encode(),
            Self::PayloadChunk(body) => body.encode(),
            Self::ManifestDelta(body) | Self::ManifestHistory(body) => body.encode(),
            Self::OrderDelta(body) => body.encode(),
            Self::NamepoolDelta(body) => body.encode(),
            Self::PayloadHistory(body) => body.encode(),
        }
    }
}

/// What has happened to a child in a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryOp {
    /// 1: it is there.
    Add,
    /// 2: it is gone.
    Remove,
}

impl EntryOp {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, FrameError> {
        defined(cursor, "entry operation", |number| match number {
            1 => Some(Self::Add),
            2 => Some(Self::Remove),
            _ => None,
        })
    }

    fn number(self) -> u8 {
        match self {
            Self::Add => 1,
            Self::Remove => 2,
        }
    }
}

/// Marks on a cell: bits 0 and 1 of a 16-bit mask whose other bits must be clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Marks {
    /// Bit 0: deleted.
    pub tombstone: bool,
    /// Bit 1: hidden.
    pub veiled: bool,
}

impl Marks {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, FrameError> {
        let at = cursor.offset();
        let mask = cursor.u16("meta mask")?;
        if mask > 3 {
            return Err(FrameError::at(
                ErrorClass::Body,
                at,
                format!("meta mask {mask:#06x} has unknown bits"),
            ));
        }
        Ok(Self { tombstone: mask & 1 != 0, veiled: mask & 2 != 0 })
    }

    /// The mask.
    pub fn mask(self) -> u16 {
        u16::from(self.tombstone) | u16::from(self.veiled) << 1
    }
}

/// A byte that must have a meaning.
fn defined<T>(
    cursor: &mut Cursor<'_>,
    what: &'static str,
    meaning: impl FnOnce(u8) -> Option<T>,
) -> Result<T, FrameError> {
    let at = cursor.offset();
    let number = cursor.u8(what)?;
    meaning(number)
        .ok_or_else(|| FrameError::at(ErrorClass::Body, at, format!("{what} {number} is not defined")))
}
