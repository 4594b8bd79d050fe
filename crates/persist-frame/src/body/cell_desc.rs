//! `cell_desc`: what the frame's cell is, and where its payload is.

use super::payload_chunk::{append_fingerprint, read_fingerprint};
use super::{Marks, PayloadKind, Revision, defined};
use crate::aead::AeadMode;
use crate::cursor::Cursor;
use crate::error::{ErrorClass, FrameError};
use crate::merkle::Digest;
use crate::varint;

const HASH_BLAKE3_256: u8 = 1;
const HASH_LEN: u64 = 32;

/// What a cell is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum CellType {
    /// 0: nothing yet.
    #[default]
    Void,
    /// 1: an ordinary cell.
    Normal,
    /// 2: a proxy.
    Proxy,
    /// 3: a link to another cell.
    Link,
}

impl CellType {
    /// The number on the wire.
    pub fn number(self) -> u8 {
        match self {
            Self::Void => 0,
            Self::Normal => 1,
            Self::Proxy => 2,
            Self::Link => 3,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Void,
            1 => Self::Normal,
            2 => Self::Proxy,
            3 => Self::Link,
            _ => return None,
        })
    }
}

/// Where the payload's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefKind {
    /// 0: in this frame, inline or in chunks.
    Inline,
    /// 1: in the content-addressed store.
    Cas,
}

impl RefKind {
    /// The number on the wire.
    pub fn number(self) -> u8 {
        match self {
            Self::Inline => 0,
            Self::Cas => 1,
        }
    }
}

/// How the referenced bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PayloadCodec {
    /// 0: not.
    None,
    /// 1: as a zlib stream.
    Deflate,
}

impl PayloadCodec {
    /// The number on the wire.
    pub fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Deflate => 1,
        }
    }
}

/// The payload by size and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadRef<'a> {
    /// Where its bytes are.
    pub kind: RefKind,
    /// How they are compressed there.
    pub codec: PayloadCodec,
    /// How chunks of it are encrypted.
    pub aead_mode: AeadMode,
    /// Bytes of the plaintext (of the stored bytes for secured payloads; nothing says which).
    pub payload_size: u64,
    /// BLAKE3-256 of those same bytes.
    pub hash: &'a Digest,
}

impl<'a> PayloadRef<'a> {
    fn read(mut cursor: Cursor<'a>) -> Result<Self, FrameError> {
        let kind = defined(&mut cursor, "reference kind", |number| match number {
            0 => Some(RefKind::Inline),
            1 => Some(RefKind::Cas),
            _ => None,
        })?;
        defined(&mut cursor, "hash algorithm", |number| (number == HASH_BLAKE3_256).then_some(()))?;
        let codec = defined(&mut cursor, "codec", |number| match number {
            0 => Some(PayloadCodec::None),
            1 => Some(PayloadCodec::Deflate),
            _ => None,
        })?;
        let aead_mode = defined(&mut cursor, "encryption mode", AeadMode::from_number)?;
        let payload_size = cursor.varint("payload size")?;
        let hash = cursor.prefixed("payload hash")?;
        let hash = match hash.first_chunk() {
            Some(digest) if hash.len() as u64 == HASH_LEN => digest,
            _ => return Err(cursor.error(ErrorClass::Body, format!("payload hash of {} bytes", hash.len()))),
        };
        cursor.finish(ErrorClass::Body, "payload reference")?;
        Ok(Self { kind, codec, aead_mode, payload_size, hash })
    }

    fn append(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[
            self.kind.number(),
            HASH_BLAKE3_256,
            self.codec.number(),
            self.aead_mode.number(),
        ]);
        varint::encode(self.payload_size, out);
        varint::encode(HASH_LEN, out);
        out.extend_from_slice(self.hash);
    }
}

/// The description of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CellDesc<'a> {
    /// What the cell is.
    pub cell_type: CellType,
    /// Organiser in the high byte, storage in the low one; 0 without a store.
    pub store_descriptor: u16,
    /// Operation stamp of the creation.
    pub created: u64,
    /// Operation stamp of the latest change.
    pub latest: u64,
    /// Revision of the cell.
    pub revision: Revision,
    /// What the payload is; `Value` also without one.
    pub payload_kind: PayloadKind,
    /// Fingerprint of the payload.
    pub fingerprint: Option<u64>,
    /// The payload itself if it is a small value.
    pub inline: &'a [u8],
    /// The payload by size and hash; present whenever there is one.
    pub payload_ref: Option<PayloadRef<'a>>,
    /// A reserved block, always empty in real frames.
    pub namepool_map_ref: &'a [u8],
    /// Tombstone and veil.
    pub marks: Marks,
}

impl<'a> CellDesc<'a> {
    /// Decodes a body.
    pub fn decode(body: &'a [u8]) -> Result<Self, FrameError> {
        let mut cursor = Cursor::new(body, 0, ErrorClass::Body);
        let cell_type = defined(&mut cursor, "cell type", CellType::from_number)?;
        let store_descriptor = cursor.u16("store descriptor")?;
        let created = cursor.varint("created")?;
        let latest = cursor.varint("latest")?;
        let revision = cursor.array("revision")?;
        let payload_kind = defined(&mut cursor, "payload kind", PayloadKind::from_number)?;
        let fingerprint = read_fingerprint(&mut cursor, ErrorClass::Body)?;
        let inline = cursor.prefixed("inline payload")?;
        let block_len = cursor.varint("payload reference")?;
        let block_at = cursor.offset();
        let block = cursor.take(block_len, "payload reference")?;
        let payload_ref = if block.is_empty() {
            None
        } else {
            Some(PayloadRef::read(Cursor::new(block, block_at, ErrorClass::Body))?)
        };
        let namepool_map_ref = cursor.prefixed("name pool map")?;
        let marks = Marks::read(&mut cursor)?;
        cursor.finish(ErrorClass::Body, "cell description")?;
        Ok(Self {
            cell_type,
            store_descriptor,
            created,
            latest,
            revision,
            payload_kind,
            fingerprint,
            inline,
            payload_ref,
            namepool_map_ref,
            marks,
        })
    }

    /// The body's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.inline.len().saturating_add(96));
        out.push(self.cell_type.number());
        out.extend_from_slice(&self.store_descriptor.to_le_bytes());
        varint::encode(self.created, &mut out);
        varint::encode(self.latest, &mut out);
        out.extend_from_slice(&self.revision);
        out.push(self.payload_kind.number());
        append_fingerprint(self.fingerprint, &mut out);
        varint::encode(self.inline.len() as u64, &mut out);
        out.extend_from_slice(self.inline);
        let mut block = Vec::new();
        if let Some(reference) = &self.payload_ref {
            reference.append(&mut block);
        }
        varint::encode(block.len() as u64, &mut out);
        out.extend_from_slice(&block);
        varint::encode(self.namepool_map_ref.len() as u64, &mut out);
        out.extend_from_slice(self.namepool_map_ref);
        out.extend_from_slice(&self.marks.mask().to_le_bytes());
        out
    }
}
