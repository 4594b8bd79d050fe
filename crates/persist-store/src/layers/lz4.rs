//! Layer `lz4`: values that get shorter by it are stored as an LZ4 block, all others as they are, one byte longer.

use lz4_flex::block::{CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size};

/// Last byte of a value that is stored as it is.
const RAW: u8 = 0;
/// Last byte of a value that is stored as a block; before it, the length of the value, u32.
const PACKED: u8 = 1;
/// Bytes that a value may grow by.
pub(super) const LZ4_OVERHEAD: usize = 1;
/// Bytes behind a block.
const TAIL: usize = 5;
/// Shorter values are not tried: a block has nothing to refer back to.
const TRIED_MIN: usize = 32;
/// Longest value that the block format takes.
const BLOCK_VALUE_MAX: usize = 0x7E00_0000;
/// One byte of a block stands for at most so many bytes of a value.
const EXPANSION_MAX: usize = 255;

/// What was stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stored<'b> {
    /// The value itself.
    Raw(&'b [u8]),
    /// A block, and the length of what it stands for: not more than [`EXPANSION_MAX`] times its own.
    Packed(&'b [u8], usize),
}

/// Appends the stored form of a value.
pub(super) fn append(value: &[u8], table: &mut CompressTable, out: &mut Vec<u8>) {
    let start = out.len();
    if (TRIED_MIN..=BLOCK_VALUE_MAX).contains(&value.len()) {
        out.resize(start.saturating_add(get_maximum_output_size(value.len())), 0);
        let packed = compress_into_with_table(value, out.get_mut(start..).unwrap_or_default(), table);
        let shorter = packed.ok().filter(|packed| packed + TAIL < value.len() + LZ4_OVERHEAD);
        if let (Some(packed), Ok(len)) = (shorter, u32::try_from(value.len())) {
            out.truncate(start.saturating_add(packed));
            out.extend_from_slice(&len.to_le_bytes());
            out.push(PACKED);
            return;
        }
        out.truncate(start);
    }
    out.extend_from_slice(value);
    out.push(RAW);
}

/// Reads the tail. Nothing is allocated yet.
///
/// # Errors
/// What does not fit, in words.
pub(super) fn read(stored: &[u8]) -> Result<Stored<'_>, &'static str> {
    let (mark, rest) = stored.split_last().ok_or("it is too short to say how it is stored")?;
    match *mark {
        RAW => Ok(Stored::Raw(rest)),
        PACKED => {
            let (block, len) = rest.split_last_chunk().ok_or("it is too short to say its length")?;
            let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
            if len > BLOCK_VALUE_MAX.min(block.len().saturating_mul(EXPANSION_MAX)) {
                return Err("it says to be longer than its block can make it");
            }
            Ok(Stored::Packed(block, len))
        }
        _ => Err("its last byte does not say how it is stored"),
    }
}

/// Makes `out` the value of a block.
///
/// # Errors
/// What does not fit, in words.
pub(super) fn unpack(block: &[u8], len: usize, out: &mut Vec<u8>) -> Result<(), &'static str> {
    out.clear();
    out.resize(len, 0);
    match decompress_into(block, out) {
        Ok(made) if made == len => Ok(()),
        Ok(_) => Err("its block is shorter than it says"),
        Err(_) => Err("its block cannot be unpacked"),
    }
}
