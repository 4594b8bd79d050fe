//! The block: what every byte of a run lies in.
//!
//! ```text
//! 0   magic        2   50 52 ("PR")
//! 2   kind         1   1 head, 2 data, 3 filter, 4 index, 5 ranges, 6 headers, 7 top, 8 foot
//! 3   zero         1
//! 4   length       4   bytes of payload
//! 8   before       8   how many records the data blocks before this block hold
//! 16  count        4   entries of this block, by kind
//! 20  crc          4   CRC-32C over: number of the run (4), offset of this block in the file (8), bytes 0..20, payload
//! 24  payload
//! ```
//!
//! All numbers are little-endian. A block begins at a multiple of 8 (a filter at 40 beyond a multiple of 64, so that its
//! lines are lines of the cache); the bytes between two blocks are zero. Number and offset are part of the checksum, so
//! that a block that was written to the wrong place, or belongs to another run, does not verify.

use crate::coding::{u32_at, u64_at};

/// Bytes of a block's header.
pub(super) const HEADER: usize = 24;
/// Blocks begin at multiples of this.
pub(super) const ALIGN: u64 = 8;
const MAGIC: [u8; 2] = *b"PR";
const CHECKED: usize = 20;

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Head = 1,
    Data = 2,
    Filter = 3,
    Index = 4,
    Ranges = 5,
    Headers = 6,
    Top = 7,
    Foot = 8,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Head,
        Self::Data,
        Self::Filter,
        Self::Index,
        Self::Ranges,
        Self::Headers,
        Self::Top,
        Self::Foot,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Head => "head block",
            Self::Data => "data block",
            Self::Filter => "filter block",
            Self::Index => "index block",
            Self::Ranges => "block of range deletions",
            Self::Headers => "block of beat headers",
            Self::Top => "top index block",
            Self::Foot => "foot block",
        }
    }
}

/// The header of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) len: u32,
    pub(super) before: u64,
    pub(super) count: u32,
}

/// A block that verified.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block<'r> {
    pub(super) header: Header,
    pub(super) payload: &'r [u8],
    /// Where it ends, without the padding.
    pub(super) end: u64,
}

impl Header {
    /// The header as stored, for a block of run `number` at `offset`.
    pub(super) fn encode(&self, number: u32, offset: u64, payload: &[u8]) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[..2].copy_from_slice(&MAGIC);
        out[2] = self.kind as u8;
        out[4..8].copy_from_slice(&self.len.to_le_bytes());
        out[8..16].copy_from_slice(&self.before.to_le_bytes());
        out[16..CHECKED].copy_from_slice(&self.count.to_le_bytes());
        let crc = checksum(number, offset, &out[..CHECKED], payload);
        out[CHECKED..].copy_from_slice(&crc.to_le_bytes());
        out
    }
}

fn checksum(number: u32, offset: u64, header: &[u8], payload: &[u8]) -> u32 {
    let mut place = [0; 12];
    place[..4].copy_from_slice(&number.to_le_bytes());
    place[4..].copy_from_slice(&offset.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c::crc32c(&place), header), payload)
}

/// Reads and checks the block of run `number` at `offset` of `file`.
pub(super) fn read(file: &[u8], number: u32, offset: u64) -> Result<Block<'_>, &'static str> {
    let past = "the file ends inside the block";
    let from = usize::try_from(offset).ok().and_then(|at| file.get(at..)).ok_or(past)?;
    let (header, rest) = from.split_at_checked(HEADER).ok_or(past)?;
    let (Some(&[m0, m1, kind, zero]), Some(len), Some(before), Some(count), Some(crc)) = (
        header.first_chunk(),
        u32_at(header, 4),
        u64_at(header, 8),
        u32_at(header, 16),
        u32_at(header, CHECKED),
    ) else {
        return Err(past);
    };
    let kind = Kind::ALL.into_iter().find(|known| *known as u8 == kind);
    let (Some(kind), [m0, m1], 0) = (kind, [m0, m1], zero) else {
        return Err("no block begins here");
    };
    if [m0, m1] != MAGIC {
        return Err("no block begins here");
    }
    let payload = usize::try_from(len).ok().and_then(|len| rest.get(..len)).ok_or(past)?;
    if checksum(number, offset, header.get(..CHECKED).unwrap_or_default(), payload) != crc {
        return Err("checksum differs");
    }
    let end = offset.saturating_add(HEADER as u64).saturating_add(u64::from(len));
    Ok(Block { header: Header { kind, len, before, count }, payload, end })
}

/// The next multiple of [`ALIGN`].
pub(super) const fn aligned(offset: u64) -> u64 {
    offset.saturating_add(ALIGN - 1) & !(ALIGN - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_verifies_only_whole_and_in_its_place() {
        let header = Header { kind: Kind::Index, len: 5, before: 9, count: 2 };
        let mut file = vec![0; 8];
        file.extend(header.encode(7, 8, b"hello"));
        file.extend(b"hello");
        let block = read(&file, 7, 8).unwrap();
        assert_eq!((block.header, block.payload, block.end), (header, b"hello".as_slice(), 37));
        assert_eq!(read(&file, 8, 8).err(), Some("checksum differs"), "another run");
        let mut moved = vec![0; 8];
        moved.extend(&file);
        assert_eq!(read(&moved, 7, 16).err(), Some("checksum differs"), "another place");
        for bit in 64..file.len() * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&flipped, 7, 8).is_err(), "bit {bit}");
        }
        for len in 0..file.len() {
            assert!(read(&file[..len], 7, 8).is_err(), "cut to {len}");
        }
        assert!(read(&file, 7, u64::MAX).is_err());
    }
}
