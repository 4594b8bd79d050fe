//! One beat in the timeline: a frame, written in one go.
//!
//! ```text
//! frame  = header body footer padding       padding: zeros up to a multiple of 8
//!
//! header, 32 bytes                          footer, 120 bytes
//!   0  magic "PBT1"                           0  u64 operations in the body
//!   4  u32 CRC of bytes 8..32                 8  u64 newest frame known durable when this one was written
//!   8  u64 frame number                      16  u64 chain: digest of the footer of the frame before, 0 = none
//!  16  u64 beat number                       24  u64 payload end: offset in the payload segment
//!  24  u64 body length                       32  u32 payload end: number of the payload segment, 0 = none
//!                                            36  u32 zero
//!                                            40  beat header, 72 bytes (BeatHeader::encode)
//!                                           112  u32 CRC of header, body and footer before it
//!                                           116  magic "PBTE"
//! ```
//!
//! Numbers are little-endian. CRC is CRC-32C (Castagnoli) of the *place* of the frame followed by the bytes named; the
//! place is 20 bytes: u64 store tag, u32 number of the segment, u64 offset of the frame in its file. So a frame that
//! lies where it was not written, a frame of another store, or a copy of one inside somebody's value never verifies.
//!
//! The digest of a footer takes its 15 words in turn: `s = rotate_left((s ^ word) * 0x9e3779b97f4a7c15, 29)`, beginning with
//! `s = 0x70655f636861696e`, and is `s ^ (s >> 32)`. It ties a frame to the whole of the one before it, whose CRC it covers.
//!
//! The padding is outside the CRC; readers report bytes there that are not zero, and use the frame.

use std::ops::Range;

use crc32c::{crc32c, crc32c_append};
use persist_api::BeatHeader;

use crate::coding::{u32_at, u64_at};
use crate::options::BEAT_BYTES_MAX;

/// Bytes before the body.
pub(crate) const FRAME_HEADER: usize = 32;
/// Bytes after the body, without the padding.
pub(crate) const FRAME_FOOTER: usize = 120;
/// Frames begin at multiples of this.
pub(crate) const FRAME_ALIGN: u64 = 8;

/// Longest body. What a beat may stage takes the most room as puts of nothing under keys of one byte: three bytes for each.
pub(crate) const BODY_BYTES_MAX: u64 = 3 * BEAT_BYTES_MAX;

/// The first bytes of a frame.
pub(crate) const FRAME_MAGIC: u32 = u32::from_le_bytes(*b"PBT1");
pub(super) const END_MAGIC: u32 = u32::from_le_bytes(*b"PBTE");
/// Where the CRC lies in the footer.
pub(super) const FOOTER_CRC: usize = 112;

/// Where a frame lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Tag of the store.
    pub(crate) store: u64,
    /// Number of the segment.
    pub(crate) segment: u32,
    /// Offset in its file.
    pub(crate) offset: u64,
}

impl Place {
    /// The CRC that all CRCs of a frame at this place go on from.
    #[inline]
    pub(crate) fn seed(&self) -> u32 {
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&self.store.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.segment.to_le_bytes());
        bytes[12..].copy_from_slice(&self.offset.to_le_bytes());
        crc32c(&bytes)
    }
}

/// Where appended payloads end. Ordered as they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct PayloadEnd {
    /// Number of the payload segment; 0 before the first.
    pub(crate) segment: u32,
    /// Offset in it.
    pub(crate) offset: u64,
}

/// Length of a frame with its padding; `None` beyond `u64`.
#[inline]
pub(crate) fn frame_len(body_len: u64) -> Option<u64> {
    body_len.checked_add((FRAME_HEADER + FRAME_FOOTER) as u64)?.checked_next_multiple_of(FRAME_ALIGN)
}

/// The header of a frame, verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHead {
    /// Number of the frame.
    pub(crate) frame: u64,
    /// Number of its beat.
    pub(crate) beat: u64,
    /// Length of its body.
    pub(crate) body_len: u64,
    /// Length of the whole frame, padding included.
    pub(crate) len: u64,
}

impl FrameHead {
    /// Reads a header; `None` unless all of it verifies at the place that `seed` stands for, and a beat may have what it claims: nobody
    /// takes memory for more.
    #[inline]
    pub(crate) fn read(bytes: &[u8], seed: u32) -> Option<Self> {
        let bytes: &[u8; FRAME_HEADER] = bytes.first_chunk()?;
        if u32_at(bytes, 0)? != FRAME_MAGIC || u32_at(bytes, 4)? != crc32c_append(seed, bytes.get(8..)?) {
            return None;
        }
        let body_len = u64_at(bytes, 24).filter(|len| *len <= BODY_BYTES_MAX)?;
        Some(Self { frame: u64_at(bytes, 8)?, beat: u64_at(bytes, 16)?, body_len, len: frame_len(body_len)? })
    }
}

/// The footer of a frame, verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Footer {
    /// Operations in the body.
    pub(crate) ops: u64,
    /// The newest frame known durable when this one was written.
    pub(crate) durable_through: u64,
    /// Digest of the footer of the frame before; 0 when there is none or it is lost.
    pub(crate) chain: u64,
    /// Where payloads end.
    pub(crate) payload_end: PayloadEnd,
    /// The header of the beat.
    pub(crate) header: BeatHeader,
    /// Digest of this footer: the chain of the next frame.
    pub(crate) digest: u64,
}

impl Footer {
    /// Bytes of the footer that the frame's CRC covers.
    pub(crate) const CHECKED: usize = FOOTER_CRC;

    /// Reads a footer whose frame is known to have the CRC `crc` (of place, header, body and [`Self::CHECKED`] bytes of
    /// the footer).
    ///
    /// # Errors
    /// What does not fit.
    pub(crate) fn read(bytes: &[u8; FRAME_FOOTER], head: &FrameHead, crc: u32) -> Result<Self, &'static str> {
        let read = || {
            Some((
                u32_at(bytes, FOOTER_CRC)?,
                u32_at(bytes, 116)?,
                u32_at(bytes, 36)?,
                Self {
                    ops: u64_at(bytes, 0)?,
                    durable_through: u64_at(bytes, 8)?,
                    chain: u64_at(bytes, 16)?,
                    payload_end: PayloadEnd { segment: u32_at(bytes, 32)?, offset: u64_at(bytes, 24)? },
                    header: BeatHeader::decode(bytes.get(40..FOOTER_CRC)?).ok()?,
                    digest: digest(bytes),
                },
            ))
        };
        if u32_at(bytes, FOOTER_CRC) != Some(crc) {
            return Err("the checksum of the frame differs");
        }
        match read() {
            Some((_, END_MAGIC, 0, footer)) if footer.header.beat.0 == head.beat => Ok(footer),
            _ => Err("the footer of the frame is not of this format"),
        }
    }
}

/// Checks a frame whose header was read: `bytes` are all of it, padding included.
///
/// # Errors
/// What does not verify.
#[inline]
pub(crate) fn check_frame(bytes: &[u8], head: &FrameHead, seed: u32) -> Result<Footer, &'static str> {
    let short = "the frame is cut off";
    let footer_at = body_range(head.body_len).ok_or(short)?.end;
    let (covered, rest) = bytes.split_at_checked(footer_at).ok_or(short)?;
    let footer: &[u8; FRAME_FOOTER] = rest.first_chunk().ok_or(short)?;
    let crc = crc32c_append(seed, covered);
    Footer::read(footer, head, crc32c_append(crc, footer.get(..Footer::CHECKED).ok_or(short)?))
}

/// Where the body lies in a frame.
pub(crate) fn body_range(body_len: u64) -> Option<Range<usize>> {
    let end = usize::try_from(body_len).ok()?.checked_add(FRAME_HEADER)?;
    Some(FRAME_HEADER..end)
}

/// True when the padding of a frame is zero.
pub(crate) fn padding_is_zero(frame: &[u8], head: &FrameHead) -> bool {
    body_range(head.body_len)
        .and_then(|body| frame.get(body.end.checked_add(FRAME_FOOTER)?..))
        .is_some_and(|padding| padding.iter().all(|&byte| byte == 0))
}

/// The digest that ties a frame to the one before it (see the module).
#[inline]
pub(super) fn digest(footer: &[u8; FRAME_FOOTER]) -> u64 {
    let state = footer.chunks_exact(8).fold(0x7065_5f63_6861_696e, |state: u64, word| {
        let word = word.first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        (state ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
    });
    state ^ (state >> 32)
}

#[cfg(test)]
#[path = "frame_tests.rs"]
pub(crate) mod tests;
