//! One record: its layout, the borrowed view of a verified one, and the parts a new one is made of.
//!
//! Layout: kind `u8`, version `u8`, flags `u16`, key length and body length as varints, key, body (all of that is
//! the *span*), then the checksum of the span, `u32`. Everything is little-endian, nothing is padded.

use std::fmt;

use crate::cursor::Cursor;
use crate::error::{ErrorClass, FrameError};
use crate::limits::Limits;
use crate::merkle::Digest;
use crate::varint;

/// The kind (type number) of a record. Any number may occur; seven of them and the trailer have a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKind(pub u8);

impl RecordKind {
    /// Description of the frame's cell.
    pub const CELL_DESC: Self = Self(0x01);
    /// One chunk of the cell's payload.
    pub const PAYLOAD_CHUNK: Self = Self(0x02);
    /// One page of the list of children.
    pub const MANIFEST_DELTA: Self = Self(0x03);
    /// One page of the children's order.
    pub const ORDER_DELTA: Self = Self(0x04);
    /// The text of one name that the frame uses by number.
    pub const NAMEPOOL_DELTA: Self = Self(0x05);
    /// One chunk of an earlier payload.
    pub const PAYLOAD_HISTORY: Self = Self(0x06);
    /// One page of an earlier list of children.
    pub const MANIFEST_HISTORY: Self = Self(0x07);
    /// The last record of every frame.
    pub const TRAILER: Self = Self(0xFF);

    /// The stable name; `None` when this version does not define the number.
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::CELL_DESC => "cell_desc",
            Self::PAYLOAD_CHUNK => "payload_chunk",
            Self::MANIFEST_DELTA => "manifest_delta",
            Self::ORDER_DELTA => "order_delta",
            Self::NAMEPOOL_DELTA => "namepool_delta",
            Self::PAYLOAD_HISTORY => "payload_history",
            Self::MANIFEST_HISTORY => "manifest_history",
            Self::TRAILER => "trailer",
            _ => return None,
        })
    }
}

impl fmt::Display for RecordKind {
    /// The name, or the number as `0x2a`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#04x}", self.0),
        }
    }
}

/// Version of every record this crate defines.
pub const RECORD_VERSION: u8 = 1;

/// What a new record is made of. See [`FrameWriter::push`](crate::FrameWriter::push).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewRecord<'a> {
    /// Any number but the trailer's.
    pub kind: RecordKind,
    /// Any version but 0.
    pub version: u8,
    /// Free for the caller; every known emitter writes 0.
    pub flags: u16,
    /// May be empty.
    pub key: &'a [u8],
    /// May be empty.
    pub body: &'a [u8],
}

impl<'a> NewRecord<'a> {
    /// A record of version 1 without flags.
    pub fn new(kind: RecordKind, key: &'a [u8], body: &'a [u8]) -> Self {
        Self { kind, version: RECORD_VERSION, flags: 0, key, body }
    }

    /// Appends the span: everything but the checksum.
    pub(crate) fn append_span(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.kind.0, self.version]);
        out.extend_from_slice(&self.flags.to_le_bytes());
        varint::encode(self.key.len() as u64, out);
        varint::encode(self.body.len() as u64, out);
        out.extend_from_slice(self.key);
        out.extend_from_slice(self.body);
    }
}

/// Where a record lies in the bare frame. 16 bytes, because hostile input can hold a million of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    start: u32,
    key: u32,
    body: u32,
    span_end: u32,
}

/// Length of the checksum behind a span.
pub(crate) const CHECKSUM_LEN: usize = 4;

impl Place {
    /// Reads the header of the record at `start` and checks that the record fits. The place of the next one is
    /// [`end`](Self::end).
    #[inline]
    pub(crate) fn read(bytes: &[u8], start: usize, limits: &Limits) -> Result<Self, FrameError> {
        let rest = bytes.get(start..).unwrap_or_default();
        let mut cursor = Cursor::new(rest, start as u64, ErrorClass::Truncated);
        let [kind, ..] = cursor.array::<4>("record header")?;
        let key_len = cursor.varint("key length")?;
        let body_len = cursor.varint("body length")?;
        let needed = key_len.checked_add(body_len).and_then(|sum| sum.checked_add(CHECKSUM_LEN as u64));
        if needed.is_none_or(|needed| needed > cursor.remaining() as u64) {
            let left = cursor.remaining();
            let message = format!("key of {key_len} and body of {body_len} bytes do not fit into {left}");
            return Err(cursor.error(ErrorClass::Truncated, message));
        }
        if key_len > u64::from(limits.key_bytes) && kind != RecordKind::TRAILER.0 {
            let message = format!("key of {key_len} bytes, {} are allowed", limits.key_bytes);
            return Err(FrameError::at(ErrorClass::Limit, start as u64, message));
        }
        let key = cursor.offset();
        let body = key.saturating_add(key_len);
        let span_end = body.saturating_add(body_len);
        let narrow = |offset: u64| {
            u32::try_from(offset).map_err(|_| FrameError::at(ErrorClass::Limit, offset, "beyond 4 GiB"))
        };
        Ok(Self {
            start: narrow(start as u64)?,
            key: narrow(key)?,
            body: narrow(body)?,
            span_end: narrow(span_end)?,
        })
    }

    /// The first byte behind the record and its checksum.
    pub(crate) fn end(self) -> usize {
        self.span_end as usize + CHECKSUM_LEN
    }

    /// Where the record begins.
    pub(crate) fn offset(self) -> u64 {
        u64::from(self.start)
    }

    #[inline]
    pub(crate) fn kind(self, bytes: &[u8]) -> RecordKind {
        RecordKind(bytes.get(self.start as usize).copied().unwrap_or_default())
    }

    pub(crate) fn version(self, bytes: &[u8]) -> u8 {
        bytes.get(self.start as usize + 1).copied().unwrap_or_default()
    }

    #[inline]
    pub(crate) fn key(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.key as usize..self.body as usize).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn view(self, bytes: &[u8]) -> Record<'_> {
        let part = |from: u32, to: u32| bytes.get(from as usize..to as usize).unwrap_or_default();
        Record {
            offset: self.start,
            span: part(self.start, self.span_end),
            key: part(self.key, self.body),
            body: part(self.body, self.span_end),
            checksum: bytes
                .get(self.span_end as usize..)
                .and_then(|rest| rest.first_chunk())
                .map_or(0, |stored| u32::from_le_bytes(*stored)),
        }
    }
}

/// A record inside a frame, borrowed from the frame's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    offset: u32,
    span: &'a [u8],
    key: &'a [u8],
    body: &'a [u8],
    checksum: u32,
}

impl<'a> Record<'a> {
    fn header(&self) -> [u8; 4] {
        self.span.first_chunk().copied().unwrap_or_default()
    }

    /// The kind.
    pub fn kind(&self) -> RecordKind {
        RecordKind(self.header()[0])
    }

    /// The version; 1 for every record this crate can decode.
    pub fn version(&self) -> u8 {
        self.header()[1]
    }

    /// The flags.
    pub fn flags(&self) -> u16 {
        let [_, _, low, high] = self.header();
        u16::from_le_bytes([low, high])
    }

    /// The key. The frame layer gives it no meaning except for payload chunks.
    pub fn key(&self) -> &'a [u8] {
        self.key
    }

    /// The body; [`Body::decode`](crate::body::Body::decode) gives it a type.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Everything the checksum and the leaf cover: the record without its checksum.
    pub fn span(&self) -> &'a [u8] {
        self.span
    }

    /// Offset of the record in the bare frame, in bytes.
    pub fn offset(&self) -> u64 {
        u64::from(self.offset)
    }

    /// The checksum as stored.
    pub fn stored_checksum(&self) -> u32 {
        self.checksum
    }

    /// The Merkle leaf: BLAKE3 of the span.
    pub fn leaf(&self) -> Digest {
        *blake3::hash(self.span).as_bytes()
    }
}

impl<'a> From<Record<'a>> for NewRecord<'a> {
    fn from(record: Record<'a>) -> Self {
        Self {
            kind: record.kind(),
            version: record.version(),
            flags: record.flags(),
            key: record.key,
            body: record.body,
        }
    }
}
