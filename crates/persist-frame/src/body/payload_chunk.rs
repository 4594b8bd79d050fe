//! `payload_chunk`: one piece of a cell's payload.

use crate::aead::AeadMode;
use crate::cursor::Cursor;
use crate::error::{ErrorClass, FrameError};
use crate::merkle::Digest;
use crate::varint;

/// What a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PayloadKind {
    /// 0: a value; also where there is no data.
    #[default]
    Value,
    /// 1: data.
    Data,
    /// 2: a handle.
    Handle,
    /// 3: a stream.
    Stream,
}

impl PayloadKind {
    /// The number on the wire.
    pub fn number(self) -> u8 {
        match self {
            Self::Value => 0,
            Self::Data => 1,
            Self::Handle => 2,
            Self::Stream => 3,
        }
    }

    /// The kind of a number; `None` for numbers that are not defined.
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Value,
            1 => Self::Data,
            2 => Self::Handle,
            3 => Self::Stream,
            _ => return None,
        })
    }
}

/// One piece of a payload, in clear, sealed by the frame's writer, or the whole of a pre-sealed payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadChunk<'a> {
    /// What the payload is.
    pub payload_kind: PayloadKind,
    /// Bytes of the whole payload (plaintext, or stored bytes if pre-sealed).
    pub total_size: u64,
    /// Where this piece begins.
    pub chunk_offset: u64,
    /// Bytes of this piece, never 0.
    pub chunk_size: u64,
    /// The payload's fingerprint.
    pub fingerprint: Option<u64>,
    /// How the piece is encrypted.
    pub aead_mode: AeadMode,
    /// As long as the mode demands.
    pub nonce: &'a [u8],
    /// BLAKE3 of the record key; of path and fingerprint if pre-sealed.
    pub aad_hash: &'a Digest,
    /// The bytes as stored, tag included.
    pub data: &'a [u8],
}

impl<'a> PayloadChunk<'a> {
    /// Decodes a body. Errors have the `chunk_*` classes; where in its payload the chunk lies is not looked at.
    pub fn decode(body: &'a [u8]) -> Result<Self, FrameError> {
        Self::read_checked(Cursor::new(body, 0, ErrorClass::ChunkLength))
    }

    /// Reads a body to its end and compares the stored bytes with the announced ones.
    pub(crate) fn read_checked(cursor: Cursor<'a>) -> Result<Self, FrameError> {
        let chunk = Self::read(cursor)?;
        chunk.check_stored_len()?;
        Ok(chunk)
    }

    /// Reads a body to its end. What is left after the fields is the data, however long.
    pub(crate) fn read(mut cursor: Cursor<'a>) -> Result<Self, FrameError> {
        let at = cursor.offset();
        let kind = cursor.u8("payload kind")?;
        let payload_kind = PayloadKind::from_number(kind).ok_or_else(|| {
            FrameError::at(ErrorClass::ChunkLength, at, format!("payload kind {kind} is not defined"))
        })?;
        let total_size = cursor.varint("total size")?;
        let chunk_offset = cursor.varint("chunk offset")?;
        let chunk_size = cursor.varint("chunk size")?;
        let fingerprint = read_fingerprint(&mut cursor, ErrorClass::ChunkFingerprint)?;
        let (aead_mode, nonce) = read_nonce(&mut cursor)?;
        let aad_hash = cursor.take(32, "aad hash")?;
        let Some(aad_hash) = aad_hash.first_chunk() else {
            return Err(cursor.error(ErrorClass::ChunkLength, "no aad hash"));
        };
        let data = cursor.rest();
        Ok(Self {
            payload_kind,
            total_size,
            chunk_offset,
            chunk_size,
            fingerprint,
            aead_mode,
            nonce,
            aad_hash,
            data,
        })
    }

    /// The data must be the chunk, or the chunk and its tag, or a pre-sealed payload.
    pub(crate) fn check_stored_len(&self) -> Result<(), FrameError> {
        let expected = self.chunk_size.checked_add(self.aead_mode.overhead() as u64);
        if expected == Some(self.data.len() as u64) || self.is_presealed() {
            return Ok(());
        }
        let message = format!("chunk of {} bytes with {} stored bytes", self.chunk_size, self.data.len());
        Err(FrameError::new(ErrorClass::ChunkLength, message))
    }

    /// Whether this is a whole payload that was encrypted before it came into the frame: the stored bytes are
    /// exactly as many as the chunk and the payload say, with no room for another tag.
    pub fn is_presealed(&self) -> bool {
        self.aead_mode != AeadMode::None
            && self.chunk_offset == 0
            && self.chunk_size == self.total_size
            && self.data.len() as u64 == self.chunk_size
    }

    /// The body's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.data.len().saturating_add(96));
        self.append(&mut out);
        out
    }

    pub(crate) fn append(&self, out: &mut Vec<u8>) {
        out.push(self.payload_kind.number());
        varint::encode(self.total_size, out);
        varint::encode(self.chunk_offset, out);
        varint::encode(self.chunk_size, out);
        append_fingerprint(self.fingerprint, out);
        out.push(self.aead_mode.number());
        varint::encode(self.nonce.len() as u64, out);
        out.extend_from_slice(self.nonce);
        out.extend_from_slice(self.aad_hash);
        out.extend_from_slice(self.data);
    }
}

/// A fingerprint: absent, or 8 bytes. Another length is an error of class `other_length`.
pub(crate) fn read_fingerprint(
    cursor: &mut Cursor<'_>,
    other_length: ErrorClass,
) -> Result<Option<u64>, FrameError> {
    let at = cursor.offset();
    let bytes = cursor.prefixed("fingerprint")?;
    match (bytes.len(), bytes.first_chunk()) {
        (0, _) => Ok(None),
        (8, Some(bytes)) => Ok(Some(u64::from_le_bytes(*bytes))),
        (len, _) => Err(FrameError::at(other_length, at, format!("fingerprint of {len} bytes"))),
    }
}

pub(crate) fn append_fingerprint(fingerprint: Option<u64>, out: &mut Vec<u8>) {
    match fingerprint {
        Some(value) => {
            varint::encode(8, out);
            out.extend_from_slice(&value.to_le_bytes());
        }
        None => varint::encode(0, out),
    }
}

fn read_nonce<'a>(cursor: &mut Cursor<'a>) -> Result<(AeadMode, &'a [u8]), FrameError> {
    let at = cursor.offset();
    let number = cursor.u8("encryption mode")?;
    let mode = AeadMode::from_number(number)
        .ok_or_else(|| FrameError::at(ErrorClass::ChunkAead, at, format!("encryption mode {number}")))?;
    let len = cursor.varint("nonce length")?;
    if len != mode.nonce_len() as u64 {
        let message = format!("nonce of {len} bytes instead of {}", mode.nonce_len());
        return Err(FrameError::at(ErrorClass::ChunkAead, at, message));
    }
    Ok((mode, cursor.take(len, "nonce")?))
}
