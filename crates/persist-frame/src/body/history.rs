//! `payload_history`: one chunk of an earlier payload.

use super::PayloadChunk;
use crate::cursor::Cursor;
use crate::error::{ErrorClass, FrameError};
use crate::varint;

/// A chunk of an earlier revision. Ordinals restart at 0 in each revision, and equal revisions give equal keys.
///
/// For values over 16 bytes the upstream writer stores wrong bytes here, so a fingerprint that does not match is no
/// sign of damage on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadHistory<'a> {
    /// Operation stamp of the revision.
    pub beat: u64,
    /// The chunk.
    pub chunk: PayloadChunk<'a>,
}

impl<'a> PayloadHistory<'a> {
    /// Decodes a body.
    pub fn decode(body: &'a [u8]) -> Result<Self, FrameError> {
        let mut cursor = Cursor::new(body, 0, ErrorClass::ChunkLength);
        let beat = cursor.varint("revision beat")?;
        Ok(Self { beat, chunk: PayloadChunk::read_checked(cursor)? })
    }

    /// The body's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.chunk.data.len().saturating_add(106));
        varint::encode(self.beat, &mut out);
        self.chunk.append(&mut out);
        out
    }
}
