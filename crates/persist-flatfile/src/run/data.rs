//! The data block: records in order, and two tables to find them by.
//!
//! ```text
//! records     one after the other: by key ascending, of one key the newest version first
//! offsets     count × 2 bytes (4 when `wide`): where each record begins, from the start of the payload
//! tags        count × 1 byte: the lowest byte of the hash of each record's key
//! trailer     4 bytes: count << 1 | wide
//! ```
//!
//! A record is `varint(key length << 2 | kind)`, then by kind
//!
//! ```text
//! 0  inline value at or below the floor: varint(value length), key, value
//! 1  inline value                      : varint(value length), varint(beat - floor), key, value
//! 2  large value                       : varint(beat - floor), key, 24 bytes that point to it
//! 3  deleted                           : varint(beat - floor), key
//! ```
//!
//! where `beat - floor` is 0 for beats at or below the floor. Kind 1 never has 0 there. A block holds at least one record. It is
//! `wide` only when its records need more than 65535 bytes.

use persist_api::BeatNo;

use super::version::{Row, Stored, Version};
use crate::coding::{put_varint, u32_at, varint};
use crate::payload_ref::PayloadRef;

const INLINE_OLD: u64 = 0;
const INLINE: u64 = 1;
const LARGE: u64 = 2;
const DELETED: u64 = 3;
const TRAILER: usize = 4;

/// A verified data block, taken apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct DataBlock<'r> {
    records: &'r [u8],
    offsets: &'r [u8],
    tags: &'r [u8],
    floor: u64,
    pub(super) count: usize,
    wide: bool,
}

/// What a search for one key found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found<'r> {
    Hit(Version<'r>),
    /// The key is here, but only with versions that are too new.
    TooNew,
    Absent,
}

/// Decodes the record that `bytes` begin with; also what is behind it. `None` when it is malformed.
#[inline]
pub(super) fn decode(bytes: &[u8], floor: u64) -> Option<(Row<'_>, &[u8])> {
    // Nearly all records: a short value under a short key, at or little above the floor.
    if let [first, value_len @ 0..0x80, rest @ ..] = bytes
        && first & 0x82 == 0
        && let Some((newer @ 0..0x80, rest)) = if u64::from(first & 3) == INLINE_OLD {
            Some((0, rest))
        } else {
            rest.split_first().map(|(newer, rest)| (*newer, rest))
        }
    {
        let (key, rest) = rest.split_at_checked(usize::from(first >> 2))?;
        let (value, rest) = rest.split_at_checked(usize::from(*value_len))?;
        let beat = BeatNo(floor.checked_add(u64::from(newer))?);
        return Some(((key, Version { beat, stored: Stored::Inline(value) }), rest));
    }
    decode_any(bytes, floor)
}

#[inline(never)]
fn decode_any(bytes: &[u8], floor: u64) -> Option<(Row<'_>, &[u8])> {
    let (first, at) = varint(bytes, 0)?;
    let kind = first & 3;
    let (value_len, at) = if kind <= INLINE { varint(bytes, at)? } else { (0, at) };
    let (newer, at) = if kind == INLINE_OLD { (0, at) } else { varint(bytes, at)? };
    let (key, rest) = bytes.get(at..)?.split_at_checked(usize::try_from(first >> 2).ok()?)?;
    let (stored, rest) = match kind {
        INLINE_OLD | INLINE => {
            let (value, rest) = rest.split_at_checked(usize::try_from(value_len).ok()?)?;
            (Stored::Inline(value), rest)
        }
        LARGE => {
            let payload = PayloadRef::decode(rest, 0)?;
            (Stored::Large(payload), rest.get(PayloadRef::ENCODED_LEN..)?)
        }
        _ => (Stored::Deleted, rest),
    };
    let beat = BeatNo(floor.checked_add(newer)?);
    Some(((key, Version { beat, stored }), rest))
}

impl<'r> DataBlock<'r> {
    /// Takes a payload apart; `None` when it is malformed.
    #[inline]
    pub(super) fn parse(payload: &'r [u8], floor: u64) -> Option<Self> {
        let (rest, trailer) = payload.split_last_chunk::<TRAILER>()?;
        let trailer = u32::from_le_bytes(*trailer);
        let count = usize::try_from(trailer >> 1).ok()?;
        let wide = trailer & 1 == 1;
        let (rest, tags) = rest.split_at_checked(rest.len().checked_sub(count)?)?;
        let table = count.checked_mul(if wide { 4 } else { 2 })?;
        let (records, offsets) = rest.split_at_checked(rest.len().checked_sub(table)?)?;
        (count > 0).then_some(Self { records, offsets, tags, floor, count, wide })
    }

    #[inline]
    fn offset(&self, row: usize) -> Option<usize> {
        if self.wide {
            usize::try_from(u32_at(self.offsets, row.checked_mul(4)?)?).ok()
        } else {
            let at = self.offsets.get(row.checked_mul(2)?..)?;
            at.first_chunk().map(|bytes| usize::from(u16::from_le_bytes(*bytes)))
        }
    }

    /// Record `row`, counted from 0.
    #[inline]
    pub(super) fn row(&self, row: usize) -> Option<Row<'r>> {
        decode(self.records.get(self.offset(row)?..)?, self.floor).map(|(row, _)| row)
    }

    /// The records from `row` on, in order, without the table: `None` ends them early when one is malformed.
    #[inline]
    pub(super) fn rows_from(&self, row: usize) -> RowsFrom<'r> {
        let rest = self.offset(row).and_then(|at| self.records.get(at..)).unwrap_or_default();
        let left = self.count.saturating_sub(row);
        RowsFrom { records: self.records.len(), rest, left, floor: self.floor }
    }

    /// The number of records for which `before` is true; they come first.
    pub(super) fn partition(&self, mut before: impl FnMut(&Row<'r>) -> bool) -> Option<usize> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low.midpoint(high);
            if before(&self.row(middle)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Some(low)
    }

    /// The newest version of `key` at or below `at`. `None` when a record is malformed.
    #[inline]
    pub(super) fn find(&self, key: &[u8], tag: u8, at: BeatNo) -> Option<Found<'r>> {
        const LOW: u64 = 0x0101_0101_0101_0101;
        const HIGH: u64 = 0x8080_8080_8080_8080;
        let mut found = Found::Absent;
        let mut look = |row: usize| -> Option<bool> {
            let (have, version) = self.row(row)?;
            if have != key {
                return Some(false);
            }
            let hit = version.beat <= at;
            found = if hit { Found::Hit(version) } else { Found::TooNew };
            Some(hit)
        };
        let (words, rest) = self.tags.as_chunks::<8>();
        for (word, row) in words.iter().zip((0..).step_by(8)) {
            // Zero bytes of `differs` are candidates. The test may also name a byte above one; the key decides.
            let differs = u64::from_le_bytes(*word) ^ (u64::from(tag) * LOW);
            let mut marks = differs.wrapping_sub(LOW) & !differs & HIGH;
            while marks != 0 {
                if look(row + marks.trailing_zeros() as usize / 8)? {
                    return Some(found);
                }
                marks &= marks - 1;
            }
        }
        for (have, row) in rest.iter().zip(words.len() * 8..) {
            if *have == tag && look(row)? {
                break;
            }
        }
        Some(found)
    }

    pub(super) fn tag(&self, row: usize) -> Option<u8> {
        self.tags.get(row).copied()
    }

    /// True if offset `row` is `at`, and `at` lies among the records.
    pub(super) fn begins_at(&self, row: usize, at: usize) -> bool {
        self.offset(row) == Some(at) && at < self.records.len()
    }
}

/// Records of a block in order.
pub(super) struct RowsFrom<'r> {
    /// Bytes of all records.
    records: usize,
    rest: &'r [u8],
    pub(super) left: usize,
    floor: u64,
}

impl RowsFrom<'_> {
    /// Where the next record begins.
    pub(super) fn at(&self) -> usize {
        self.records.saturating_sub(self.rest.len())
    }

    /// True when the records are used up exactly.
    pub(super) fn is_at_end(&self) -> bool {
        self.left == 0 && self.rest.is_empty()
    }
}

impl<'r> Iterator for RowsFrom<'r> {
    type Item = Row<'r>;

    #[inline]
    fn next(&mut self) -> Option<Row<'r>> {
        if self.left == 0 {
            return None;
        }
        let (row, rest) = decode(self.rest, self.floor)?;
        self.rest = rest;
        self.left -= 1;
        Some(row)
    }
}

/// Builds data blocks, each behind the bytes of an output.
#[derive(Debug, Default)]
pub(super) struct DataBuilder {
    /// Where the payload begins in the output.
    start: usize,
    offsets: Vec<u32>,
    tags: Vec<u8>,
}

impl DataBuilder {
    /// Begins a block whose payload is what follows in `out`.
    pub(super) fn begin(&mut self, out: &[u8]) {
        self.start = out.len();
        self.offsets.clear();
        self.tags.clear();
    }

    pub(super) fn count(&self) -> usize {
        self.tags.len()
    }

    /// Bytes of the payload so far, tables included.
    pub(super) fn len(&self, out: &[u8]) -> usize {
        out.len().saturating_sub(self.start).saturating_add(3 * self.count()).saturating_add(TRAILER)
    }

    /// Appends a record; `newer` is how far its beat lies above the floor.
    #[inline]
    pub(super) fn push(&mut self, out: &mut Vec<u8>, key: &[u8], newer: u64, stored: &Stored<'_>, tag: u8) {
        // The writer refuses records that would bring a block near 4 GiB.
        self.offsets.push(u32::try_from(out.len().saturating_sub(self.start)).unwrap_or(u32::MAX));
        self.tags.push(tag);
        if let (Stored::Inline(value), 0) = (stored, newer)
            && let (Ok(key_len @ 0..0x20), Ok(value_len @ 0..0x80)) =
                (u8::try_from(key.len()), u8::try_from(value.len()))
        {
            out.extend_from_slice(&[key_len << 2, value_len]);
            out.extend_from_slice(key);
            out.extend_from_slice(value);
            return;
        }
        let kind = match stored {
            Stored::Inline(_) if newer == 0 => INLINE_OLD,
            Stored::Inline(_) => INLINE,
            Stored::Large(_) => LARGE,
            Stored::Deleted => DELETED,
        };
        put_varint(out, (key.len() as u64) << 2 | kind);
        if let Stored::Inline(value) = stored {
            put_varint(out, value.len() as u64);
        }
        if kind != INLINE_OLD {
            put_varint(out, newer);
        }
        out.extend_from_slice(key);
        match stored {
            Stored::Inline(value) => out.extend_from_slice(value),
            Stored::Large(payload) => out.extend_from_slice(&payload.encode()),
            Stored::Deleted => {}
        }
    }

    /// Appends the tables. The payload then is what lies in `out` from [`start`](Self::start) on.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        let wide = out.len().saturating_sub(self.start) > usize::from(u16::MAX);
        if wide {
            out.extend(self.offsets.iter().flat_map(|offset| offset.to_le_bytes()));
        } else {
            for offset in &self.offsets {
                let [low, high, ..] = offset.to_le_bytes();
                out.extend_from_slice(&[low, high]);
            }
        }
        out.extend_from_slice(&self.tags);
        let count = u32::try_from(self.tags.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&(count << 1 | u32::from(wide)).to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_way_to_decode_says_what_the_long_way_says() {
        let (key, value) = ([7; 40], [9; 200]);
        for (key_len, value_len, newer) in [0, 1, 31, 32, 40].into_iter().flat_map(|key_len| {
            let sizes = [(0, 0), (127, 1), (128, 127), (5, 128), (127, 0), (200, 300)];
            sizes.map(|(value_len, newer)| (key_len, value_len, newer))
        }) {
            let mut builder = DataBuilder::default();
            let mut bytes = Vec::new();
            builder.begin(&bytes);
            builder.push(&mut bytes, &key[..key_len], newer, &Stored::Inline(&value[..value_len]), 0);
            let whole = decode(&bytes, 50).unwrap();
            let version = Version { beat: BeatNo(50 + newer), stored: Stored::Inline(&value[..value_len]) };
            assert_eq!(whole, ((&key[..key_len], version), [].as_slice()));
            bytes.push(1);
            for floor in [0, u64::MAX] {
                for end in 0..=bytes.len() {
                    let cut = &bytes[..end];
                    assert_eq!(
                        decode(cut, floor),
                        decode_any(cut, floor),
                        "{key_len} {value_len} {newer} {end}"
                    );
                }
            }
        }
    }
}
