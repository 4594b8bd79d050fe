//! RocksDB's record format, which its manifests and its logs share: blocks of 32 KiB filled with records, each a masked
//! CRC-32C over type and payload (4 bytes), a length (2 bytes), a type (1 byte) and the payload. What does not fit into a
//! block is cut into a first, middle and last part. All numbers are little-endian. The format is RocksDB's (`log_format.h`).

use persist_api::Result;
use persist_io::DiskFile;

const BLOCK: usize = 32 << 10;
const HEADER: usize = 7;
const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;
/// Notes which log came before: its number, length and last sequence number.
const PREDECESSOR: u8 = 130;

/// What a file of records holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Walk {
    /// Up to this length, there are only whole records. What follows is part of one, or no record at all: a power loss
    /// leaves both of a write that was not synced.
    pub(crate) whole: u64,
    /// There are whole records behind bytes that are none.
    pub(crate) damaged: bool,
}

/// A record, or a part of one that was cut.
struct Piece<'b> {
    kind: u8,
    payload: &'b [u8],
}

/// The piece at the start of some bytes, if its checksum says that it is one.
fn piece(rest: &[u8]) -> Option<Piece<'_>> {
    let (&[c0, c1, c2, c3, l0, l1, kind], body) = rest.split_first_chunk::<HEADER>()?;
    let payload = body.get(..usize::from(u16::from_le_bytes([l0, l1])))?;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&[kind]), payload);
    let right = u32::from_le_bytes([c0, c1, c2, c3]) == crc.rotate_right(15).wrapping_add(0xa282_ead8);
    right.then_some(Piece { kind, payload })
}

/// Walks a file to its end, one block in memory at a time.
pub(crate) fn walk(file: &dyn DiskFile) -> Result<Walk> {
    let mut block = vec![0; BLOCK];
    let mut start = 0_u64;
    let mut walk = Walk { whole: 0, damaged: false };
    let mut in_parts = false;
    let mut bad = false;
    loop {
        let got = file.read_at(start, &mut block)?;
        let mut rest = block.get(..got).unwrap_or_default();
        // Fewer bytes than a header are padding at the end of a block, and a cut header at the end of the file.
        while rest.len() >= HEADER {
            // After bytes that are no record the length cannot be trusted: the next block is where records begin again.
            let Some(Piece { kind, payload }) = piece(rest) else {
                bad = true;
                break;
            };
            walk.damaged |= bad;
            bad |= !matches!(kind, FULL..=LAST) || matches!(kind, MIDDLE | LAST) != in_parts;
            in_parts = matches!(kind, FIRST | MIDDLE);
            rest = rest.get(HEADER + payload.len()..).unwrap_or_default();
            if !bad && !in_parts {
                walk.whole = start.saturating_add((got - rest.len()) as u64);
            }
        }
        if got < BLOCK {
            return Ok(walk);
        }
        start = start.saturating_add(BLOCK as u64);
    }
}

/// The last sequence number of the log before this one, where this one begins with a note on it.
pub(crate) fn sequence_before(file: &dyn DiskFile) -> Result<Option<u64>> {
    let mut start = [0; HEADER + 24];
    let got = file.read_at(0, &mut start)?;
    Ok(match piece(start.get(..got).unwrap_or_default()) {
        Some(Piece { kind: PREDECESSOR, payload }) => {
            payload.last_chunk::<8>().map(|sequence| u64::from_le_bytes(*sequence))
        }
        _ => None,
    })
}
