//! Making a frame: the operations of a beat are staged in the bytes that will be written.

use std::ops::{Bound, Range};

use crc32c::crc32c_append;
use persist_api::{BeatHeader, Error, ErrorKind, Result};

use super::frame::{
    END_MAGIC, FOOTER_CRC, FRAME_ALIGN, FRAME_FOOTER, FRAME_HEADER, FRAME_MAGIC, Footer, PayloadEnd, Place,
    digest, frame_len,
};
use super::record;
use super::segment_header::SEGMENT_HEADER;
use crate::error::SCHEME;
use crate::memtable::{Buffers, LEAST, suits};
use crate::payload_ref::PayloadRef;

/// Where a frame begins in a [`FrameBuilder`]'s bytes: behind room for a segment header.
pub(crate) const BUILT_AT: usize = SEGMENT_HEADER;
/// Room that a builder keeps from beat to beat; what a larger beat took is given back.
const KEEP: usize = 4 << 20;

/// What the footer and header of a frame say besides its body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seal<'a> {
    /// Number of the frame.
    pub(crate) frame: u64,
    /// The newest frame known durable.
    pub(crate) durable_through: u64,
    /// Digest of the footer before.
    pub(crate) chain: u64,
    /// Where payloads end.
    pub(crate) payload_end: PayloadEnd,
    /// The header of the beat.
    pub(crate) header: &'a BeatHeader,
}

/// Collects the operations of a beat and makes a frame of them, in one buffer that is used again and again.
#[derive(Debug)]
pub(crate) struct FrameBuilder {
    /// Room for a segment header, room for a frame header, body; once sealed also footer and padding.
    bytes: Vec<u8>,
    ops: u64,
    body_len: u64,
    sealed: bool,
}

impl Default for FrameBuilder {
    fn default() -> Self {
        Self { bytes: vec![0; BUILT_AT + FRAME_HEADER], ops: 0, body_len: 0, sealed: false }
    }
}

impl FrameBuilder {
    /// Forgets the beat, keeps the room.
    pub(crate) fn clear(&mut self) {
        if self.bytes.capacity() > KEEP {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.bytes.resize(BUILT_AT + FRAME_HEADER, 0);
        self.ops = 0;
        self.body_len = 0;
        self.sealed = false;
    }

    /// Adds a put.
    #[inline]
    pub(crate) fn put(&mut self, key: &[u8], value: &[u8]) {
        self.ops += 1;
        record::put(&mut self.bytes, key, value);
    }

    /// Adds a put whose value lies in a payload segment.
    pub(crate) fn put_large(&mut self, key: &[u8], payload: &PayloadRef) {
        self.ops += 1;
        record::put_large(&mut self.bytes, key, payload);
    }

    /// Adds a delete.
    #[inline]
    pub(crate) fn delete(&mut self, key: &[u8]) {
        self.ops += 1;
        record::delete(&mut self.bytes, key);
    }

    /// Adds a delete of a range.
    pub(crate) fn delete_range(&mut self, start: Bound<&[u8]>, end: Bound<&[u8]>) {
        self.ops += 1;
        record::delete_range(&mut self.bytes, start, end);
    }

    /// Operations so far.
    pub(crate) fn ops(&self) -> u64 {
        self.ops
    }

    /// Bytes that the frame takes in the timeline if nothing is added, padding included.
    pub(crate) fn frame_len(&self) -> u64 {
        let body = if self.sealed { self.body_len } else { self.unsealed_body() };
        frame_len(body).unwrap_or(u64::MAX)
    }

    fn unsealed_body(&self) -> u64 {
        self.bytes.len().saturating_sub(BUILT_AT + FRAME_HEADER) as u64
    }

    /// The operations so far, as bytes; for reading a beat's own writes.
    pub(crate) fn body(&self) -> &[u8] {
        let end =
            usize::try_from(self.body_len).unwrap_or(usize::MAX).saturating_add(BUILT_AT + FRAME_HEADER);
        let end = if self.sealed { end } else { self.bytes.len() };
        self.bytes.get(BUILT_AT + FRAME_HEADER..end).unwrap_or_default()
    }

    /// Fills in header and footer for a frame that will lie at `place`; answers the digest of the footer. The builder then takes
    /// no more operations until it is cleared.
    ///
    /// # Errors
    /// `Invalid` when it is sealed already.
    pub(crate) fn seal(&mut self, place: &Place, seal: &Seal<'_>) -> Result<u64> {
        if self.sealed {
            return Err(Error::new(ErrorKind::Invalid, "commit_beat", "the frame is written already")
                .with_engine(SCHEME));
        }
        let seed = place.seed();
        self.body_len = self.unsealed_body();
        self.sealed = true;
        let mut head = [0; FRAME_HEADER];
        head[..4].copy_from_slice(&FRAME_MAGIC.to_le_bytes());
        head[8..16].copy_from_slice(&seal.frame.to_le_bytes());
        head[16..24].copy_from_slice(&seal.header.beat.0.to_le_bytes());
        head[24..].copy_from_slice(&self.body_len.to_le_bytes());
        let crc = crc32c_append(seed, &head[8..]);
        head[4..8].copy_from_slice(&crc.to_le_bytes());
        if let Some(room) = self.bytes.get_mut(BUILT_AT..BUILT_AT + FRAME_HEADER) {
            room.copy_from_slice(&head);
        }
        let mut footer = [0; FRAME_FOOTER];
        footer[..8].copy_from_slice(&self.ops.to_le_bytes());
        footer[8..16].copy_from_slice(&seal.durable_through.to_le_bytes());
        footer[16..24].copy_from_slice(&seal.chain.to_le_bytes());
        footer[24..32].copy_from_slice(&seal.payload_end.offset.to_le_bytes());
        footer[32..36].copy_from_slice(&seal.payload_end.segment.to_le_bytes());
        footer[40..FOOTER_CRC].copy_from_slice(&seal.header.encode());
        let crc = crc32c_append(seed, self.bytes.get(BUILT_AT..).unwrap_or_default());
        let crc = crc32c_append(crc, &footer[..Footer::CHECKED]);
        footer[FOOTER_CRC..116].copy_from_slice(&crc.to_le_bytes());
        footer[116..].copy_from_slice(&END_MAGIC.to_le_bytes());
        self.bytes.extend_from_slice(&footer);
        // Room for a segment header is a multiple of the alignment.
        let padded = self.bytes.len().next_multiple_of(FRAME_ALIGN.to_le_bytes()[0].into());
        self.bytes.resize(padded, 0);
        Ok(digest(&footer))
    }

    /// The body for whoever keeps it, and where it lies in what is answered. A large one is not copied: the builder goes on with
    /// another buffer. The operations are then gone from here.
    pub(crate) fn hand_over(&mut self, buffers: &Buffers) -> (Vec<u8>, Range<usize>) {
        let len = self.body().len();
        if len < LEAST {
            return (self.body().to_vec(), 0..len);
        }
        let needed = self.bytes.len();
        if !suits(self.bytes.capacity(), needed) {
            // The next beat may be as large as this one.
            let mut fitting = buffers.take(needed.saturating_add(needed / 16));
            fitting.extend_from_slice(&self.bytes);
            buffers.give(std::mem::replace(&mut self.bytes, fitting));
        }
        let next = buffers.take(self.bytes.capacity());
        let bytes = std::mem::replace(&mut self.bytes, next);
        let start = BUILT_AT + FRAME_HEADER;
        self.clear();
        (bytes, start..start.saturating_add(len))
    }

    /// The sealed frame, behind room for a segment header.
    pub(super) fn with_segment_header(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The sealed frame: header, body, footer, padding.
    #[cfg(test)]
    pub(crate) fn frame(&self) -> &[u8] {
        self.bytes.get(BUILT_AT..).unwrap_or_default()
    }

    /// Where the body lies in [`Self::frame`].
    #[cfg(test)]
    pub(crate) fn body_in_frame(&self) -> std::ops::Range<usize> {
        FRAME_HEADER..FRAME_HEADER.saturating_add(self.body().len())
    }

    /// Moves the bytes out, the frame beginning at [`BUILT_AT`]: for large beats that are kept. The builder is cleared.
    #[cfg(test)]
    pub(crate) fn take(&mut self) -> Vec<u8> {
        let bytes = std::mem::take(&mut self.bytes);
        self.clear();
        bytes
    }
}
