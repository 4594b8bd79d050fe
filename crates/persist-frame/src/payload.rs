//! The payloads of a frame: its chunks, gathered.

use crate::aead::{self, AeadKey, AeadMode};
use crate::body::PayloadChunk;
use crate::chunks::{ChunkTracker, read_chunk};
use crate::error::{ErrorClass, FrameError};
use crate::reader::Frame;
use crate::record::{Record, RecordKind};

/// One payload and its chunks, in order.
#[derive(Debug, Clone)]
pub struct Payload<'f> {
    base_key: &'f [u8],
    chunks: Vec<(Record<'f>, PayloadChunk<'f>)>,
}

impl<'f> Payload<'f> {
    /// The chunks' key without the ordinal.
    pub fn base_key(&self) -> &'f [u8] {
        self.base_key
    }

    /// The chunks, each with its record.
    pub fn chunks(&self) -> &[(Record<'f>, PayloadChunk<'f>)] {
        &self.chunks
    }

    /// Bytes of the payload (plaintext, or stored bytes if pre-sealed).
    pub fn total_size(&self) -> u64 {
        self.chunks.first().map_or(0, |(_, chunk)| chunk.total_size)
    }

    /// How the first chunk is encrypted.
    pub fn aead_mode(&self) -> AeadMode {
        self.chunks.first().map(|(_, chunk)| chunk.aead_mode).unwrap_or_default()
    }

    /// Whether the payload was encrypted before it came into the frame.
    pub fn is_presealed(&self) -> bool {
        self.chunks.first().is_some_and(|(_, chunk)| chunk.is_presealed())
    }

    /// The plaintext. A key is needed if chunks are sealed; a pre-sealed payload is opened with
    /// [`aead::open_presealed`] instead.
    pub fn open(&self, key: Option<&AeadKey>) -> Result<Vec<u8>, FrameError> {
        let mut plaintext = Vec::new();
        for (record, chunk) in &self.chunks {
            match (chunk.aead_mode, key) {
                (AeadMode::None, _) => plaintext.extend_from_slice(chunk.data),
                (_, Some(key)) => plaintext.extend_from_slice(&aead::open_chunk(chunk, record.key(), key)?),
                (_, None) => {
                    return Err(FrameError::new(
                        ErrorClass::Aead,
                        "the payload is sealed and no key is given",
                    ));
                }
            }
        }
        Ok(plaintext)
    }
}

impl Frame<'_> {
    /// The payloads, in order of their first chunks. Payload history is not among them: nothing in the format
    /// promises that it is complete.
    pub fn payloads(&self) -> Result<Vec<Payload<'_>>, FrameError> {
        let mut tracker = ChunkTracker::default();
        let mut payloads: Vec<Payload<'_>> = Vec::new();
        for record in self.records().filter(|record| record.kind() == RecordKind::PAYLOAD_CHUNK) {
            let chunk = read_chunk(&record)?;
            let index = tracker.accept(record.key(), &chunk)?;
            match payloads.get_mut(index as usize) {
                Some(payload) => payload.chunks.push((record, chunk)),
                None => {
                    payloads.push(Payload { base_key: tracker.base(index), chunks: vec![(record, chunk)] });
                }
            }
        }
        Ok(payloads)
    }
}
