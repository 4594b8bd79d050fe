//! The first 64 bytes of a timeline segment.
//!
//! ```text
//!  0  magic "PBTS"                            24  u64 number of the first frame
//!  4  u32 CRC-32C of bytes 8..64              32  u32 number of the segment before, 0 = none
//!  8  u32 format version, 1                   36  u32 zero
//! 12  u32 number of the segment               40  u64 where the frames of the segment before end, 0 = none
//! 16  u64 store tag                           48  u64 chain: digest of the footer before the first frame, 0 = none
//!                                             56  u64 zero
//! ```
//!
//! It is written together with the first frame, in one write. A segment of zeros only was prepared and not yet used. Frames
//! begin at offset 64 and follow each other without gaps; behind the last one there are zeros up to the end of the file.

use crc32c::crc32c;

use crate::coding::{u32_at, u64_at};

/// Length of a segment header.
pub(crate) const SEGMENT_HEADER: usize = 64;
/// Where the first frame lies.
pub(crate) const FIRST_FRAME_AT: u64 = 64;

const MAGIC: u32 = u32::from_le_bytes(*b"PBTS");
/// The format that this code writes.
pub(crate) const VERSION: u32 = 1;

/// What a segment says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Its number.
    pub(crate) segment: u32,
    /// Tag of the store.
    pub(crate) store: u64,
    /// Number of its first frame.
    pub(crate) first_frame: u64,
    /// Number of the segment before; 0 = none.
    pub(crate) previous: u32,
    /// Where the frames of the segment before end.
    pub(crate) previous_end: u64,
    /// Digest of the footer before the first frame; 0 = none.
    pub(crate) chain: u64,
}

impl SegmentHeader {
    /// The stored form.
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER] {
        let mut out = [0; SEGMENT_HEADER];
        out[..4].copy_from_slice(&MAGIC.to_le_bytes());
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[12..16].copy_from_slice(&self.segment.to_le_bytes());
        out[16..24].copy_from_slice(&self.store.to_le_bytes());
        out[24..32].copy_from_slice(&self.first_frame.to_le_bytes());
        out[32..36].copy_from_slice(&self.previous.to_le_bytes());
        out[40..48].copy_from_slice(&self.previous_end.to_le_bytes());
        out[48..56].copy_from_slice(&self.chain.to_le_bytes());
        let crc = crc32c(&out[8..]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the stored form; `None` unless all of it verifies. A version that this code does not know reads as `Err` with
    /// that version.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Result<Self, u32>> {
        let bytes: &[u8; SEGMENT_HEADER] = bytes.first_chunk()?;
        if u32_at(bytes, 0)? != MAGIC || u32_at(bytes, 4)? != crc32c(bytes.get(8..)?) {
            return None;
        }
        let version = u32_at(bytes, 8)?;
        if version != VERSION {
            return Some(Err(version));
        }
        if u32_at(bytes, 36)? != 0 || u64_at(bytes, 56)? != 0 {
            return None;
        }
        Some(Ok(Self {
            segment: u32_at(bytes, 12)?,
            store: u64_at(bytes, 16)?,
            first_frame: u64_at(bytes, 24)?,
            previous: u32_at(bytes, 32)?,
            previous_end: u64_at(bytes, 40)?,
            chain: u64_at(bytes, 48)?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_and_every_flipped_bit_is_noticed() {
        let header =
            SegmentHeader { segment: 4, store: 9, first_frame: 17, previous: 3, previous_end: 800, chain: 5 };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Some(Ok(header)));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&bad), None, "bit {bit}");
        }
        assert_eq!(SegmentHeader::decode(&bytes[..63]), None);
        let mut newer = bytes;
        newer[8] = 2;
        let crc = crc32c(&newer[8..]);
        newer[4..8].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&newer), Some(Err(2)));
    }
}
