//! Where a large value lies.

use crate::coding::{u32_at, u64_at};

/// A value in a payload segment (`branch.dat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PayloadRef {
    /// Number of the segment.
    pub(crate) segment: u32,
    /// CRC-32C of the value.
    pub(crate) crc: u32,
    /// Where its first byte lies in the file.
    pub(crate) offset: u64,
    /// Its length in bytes.
    pub(crate) len: u64,
}

impl PayloadRef {
    /// Length of the encoded form.
    pub(crate) const ENCODED_LEN: usize = 24;

    /// The stored form: the four fields in order.
    pub(crate) fn encode(&self) -> [u8; Self::ENCODED_LEN] {
        let mut out = [0; Self::ENCODED_LEN];
        out[..4].copy_from_slice(&self.segment.to_le_bytes());
        out[4..8].copy_from_slice(&self.crc.to_le_bytes());
        out[8..16].copy_from_slice(&self.offset.to_le_bytes());
        out[16..].copy_from_slice(&self.len.to_le_bytes());
        out
    }

    /// Reads the stored form at `at`; `None` when it is cut off.
    pub(crate) fn decode(bytes: &[u8], at: usize) -> Option<Self> {
        Some(Self {
            segment: u32_at(bytes, at)?,
            crc: u32_at(bytes, at.checked_add(4)?)?,
            offset: u64_at(bytes, at.checked_add(8)?)?,
            len: u64_at(bytes, at.checked_add(16)?)?,
        })
    }
}
