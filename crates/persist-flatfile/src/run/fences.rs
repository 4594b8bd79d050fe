//! Fences: the sorted keys that part blocks, in index blocks and in the top index block.
//!
//! Entry `i` says where a child begins: all records from fence `i` to fence `i + 1` are in child `i`. Entry 0 has no fence:
//! its child begins at the start. A fence is the shortest key above the last key of the child before it and not above the
//! first key of its own; where both are the same key (its versions go on from one child into the next), it is that key with
//! the beat of the child's first record, and the entry is a *continuation*.
//!
//! ```text
//! first      8             index: how many data blocks lie before child 0; top: 0
//! count      4             entries
//! common     4             length of what all fences begin with
//! prefixes   count × 8     the 8 bytes of the fence behind the common part, zeros where it is shorter, as one number
//!                          whose most significant byte comes first in the key (stored little-endian like all numbers)
//! values     count × w     where the child lies: w = 8 in index blocks, 16 in the top index block
//! ends       count × 4     where each tail ends, from the start of the tails
//! common     the bytes that all fences begin with
//! tails      one an entry: varint(length behind the common part << 1 | continuation),
//!            continuation: varint(beat - floor of the child's first record),
//!            the bytes of the fence behind the common part and the 8 of the prefix
//! ```
//!
//! Entry 0 has prefix 0 and a tail of length 0. An index block's values: how far before this index block the data block lies,
//! in steps of 8 bytes (4), the length of its payload (4). The top index block's values: offset of the index block (8), length of
//! its payload (4), lines of its filter (4); the filter's payload ends where the index block begins. Behind the tails the
//! top index block holds the first and the last key of the run, each as varint(length) and bytes; an empty run has none.

use std::cmp::Ordering;

use persist_api::BeatNo;

use crate::coding::{put_varint, u32_at, u64_at, varint};

const COLUMNS: usize = 16;

/// Bytes of a value in an index block.
pub(super) const INDEX_VALUE: usize = 8;
/// Bytes of a value in the top index block.
pub(super) const TOP_VALUE: usize = 16;

/// Verified fences, taken apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fences<'r> {
    pub(super) first: u64,
    pub(super) count: usize,
    prefixes: &'r [[u8; 8]],
    values: &'r [u8],
    value_width: usize,
    ends: &'r [u8],
    common: &'r [u8],
    tails: &'r [u8],
    floor: u64,
}

/// The end of a fence, and whether it is a continuation.
struct Tail<'r> {
    /// Length of the fence behind the common part.
    len: usize,
    /// The beat of the child's first record, in a continuation.
    continues: Option<BeatNo>,
    /// The bytes behind those of the prefix.
    rest: &'r [u8],
}

impl Tail<'_> {
    /// How its fence stands to a key with the same common part and the same prefix.
    fn order(&self, suffix: &[u8]) -> Ordering {
        match suffix.get(8..) {
            Some(rest) if self.len >= 8 => self.rest.cmp(rest),
            // One of both ends within the 8 bytes; then the longer one only has zeros more.
            _ => self.len.cmp(&suffix.len()),
        }
    }
}

/// The first 8 bytes as a number that sorts like them.
#[inline]
fn prefix_of(bytes: &[u8]) -> u64 {
    if let Some(first) = bytes.first_chunk() {
        return u64::from_be_bytes(*first);
    }
    let shift = 8_usize.saturating_sub(bytes.len()) * 8;
    let short = bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    if bytes.is_empty() { 0 } else { short << shift }
}

impl<'r> Fences<'r> {
    /// Takes a payload apart; also what lies behind the tails. `None` when it is malformed.
    #[inline]
    pub(super) fn parse(payload: &'r [u8], value_width: usize, floor: u64) -> Option<(Self, &'r [u8])> {
        let count = usize::try_from(u32_at(payload, 8)?).ok()?;
        let common_len = usize::try_from(u32_at(payload, 12)?).ok()?;
        let (prefixes, rest) = payload.get(COLUMNS..)?.split_at_checked(count.checked_mul(8)?)?;
        let (prefixes, _) = prefixes.as_chunks();
        let (values, rest) = rest.split_at_checked(count.checked_mul(value_width)?)?;
        let (ends, rest) = rest.split_at_checked(count.checked_mul(4)?)?;
        let (common, rest) = rest.split_at_checked(common_len)?;
        let tails_len = match ends.last_chunk() {
            Some(end) => usize::try_from(u32::from_le_bytes(*end)).ok()?,
            None => 0,
        };
        let (tails, rest) = rest.split_at_checked(tails_len)?;
        let first = u64_at(payload, 0)?;
        Some((Self { first, count, prefixes, values, value_width, ends, common, tails, floor }, rest))
    }

    /// The value of an entry.
    #[inline]
    pub(super) fn value(&self, entry: usize) -> Option<&'r [u8]> {
        self.values.get(entry.checked_mul(self.value_width)?..)?.get(..self.value_width)
    }

    fn tail(&self, entry: usize) -> Option<Tail<'r>> {
        let end = |entry: usize| usize::try_from(u32_at(self.ends, entry.checked_mul(4)?)?).ok();
        let start = if entry == 0 { 0 } else { end(entry - 1)? };
        let tail = self.tails.get(start..end(entry)?)?;
        let (first, at) = varint(tail, 0)?;
        let (continues, at) = if first & 1 == 1 {
            let (newer, at) = varint(tail, at)?;
            (Some(BeatNo(self.floor.checked_add(newer)?)), at)
        } else {
            (None, at)
        };
        Some(Tail { len: usize::try_from(first >> 1).ok()?, continues, rest: tail.get(at..)? })
    }

    /// The entry whose child is where a record of `key` and `at` is or would be: the last one whose fence is not behind it.
    /// `BeatNo(u64::MAX)` looks for the newest version, `BeatNo(0)` for the place behind the oldest. `None` when an entry is
    /// malformed.
    #[inline]
    pub(super) fn find(&self, key: &[u8], at: BeatNo) -> Option<usize> {
        let head = key.get(..self.common.len().min(key.len()))?;
        let suffix = match head.cmp(self.common) {
            Ordering::Less => return Some(0),
            Ordering::Greater => return Some(self.count.saturating_sub(1)),
            Ordering::Equal => key.get(self.common.len()..)?,
        };
        let prefix = prefix_of(suffix);
        let fences = self.prefixes.get(1..).unwrap_or_default();
        let below = fences.partition_point(|have| u64::from_le_bytes(*have) < prefix);
        match fences.get(below) {
            Some(have) if u64::from_le_bytes(*have) == prefix => {
                self.find_among_equal(below, prefix, suffix, at)
            }
            _ => Some(below),
        }
    }

    /// Goes on with the fences behind entry `low` that have the prefix of the key.
    #[cold]
    fn find_among_equal(&self, mut low: usize, prefix: u64, suffix: &[u8], at: BeatNo) -> Option<usize> {
        let fences = self.prefixes.get(1..)?;
        // Entry `high` is behind the key, or the end.
        let mut high = fences.partition_point(|have| u64::from_le_bytes(*have) <= prefix).checked_add(1)?;
        while high.saturating_sub(low) > 1 {
            let middle = low.midpoint(high);
            if self.is_not_behind(middle, suffix, at)? {
                low = middle;
            } else {
                high = middle;
            }
        }
        Some(low)
    }

    /// Compares the fence of an entry with a key of the same common part and the same prefix.
    fn is_not_behind(&self, entry: usize, suffix: &[u8], at: BeatNo) -> Option<bool> {
        let tail = self.tail(entry)?;
        Some(match tail.order(suffix) {
            Ordering::Equal => tail.continues.is_none_or(|beat| beat >= at),
            order => order == Ordering::Less,
        })
    }

    /// True if an entry's child begins with older versions of `key`, which the child before it ends with.
    pub(super) fn continues(&self, entry: usize, key: &[u8]) -> Option<bool> {
        if entry == 0 {
            return Some(false);
        }
        let tail = self.tail(entry)?;
        let Some(suffix) = key.strip_prefix(self.common) else { return Some(false) };
        let same = u64::from_le_bytes(*self.prefixes.get(entry)?) == prefix_of(suffix);
        Some(tail.continues.is_some() && same && tail.order(suffix) == Ordering::Equal)
    }

    /// The fence of an entry in full: the key, and the beat in a continuation.
    pub(super) fn fence(&self, entry: usize) -> Option<(Vec<u8>, Option<BeatNo>)> {
        let tail = self.tail(entry)?;
        let prefix = u64::from_le_bytes(*self.prefixes.get(entry)?).to_be_bytes();
        let mut key = self.common.to_vec();
        key.extend_from_slice(prefix.get(..tail.len.min(8))?);
        key.extend_from_slice(tail.rest);
        (key.len() == self.common.len().checked_add(tail.len)?).then_some((key, tail.continues))
    }
}

/// The fence between two neighbouring records: a key, and how far above the floor the second one's beat lies when both have
/// the same key.
#[derive(Debug, Clone, Default)]
pub(super) struct Fence {
    pub(super) key: Vec<u8>,
    pub(super) continues: Option<u64>,
}

impl Fence {
    /// The fence before the record (`key`, `newer`) that follows a record of key `last`.
    pub(super) fn set(&mut self, last: &[u8], key: &[u8], newer: u64) {
        self.key.clear();
        self.continues = (last == key).then_some(newer);
        let same = last.iter().zip(key).take_while(|(a, b)| a == b).count();
        let len = if self.continues.is_some() { key.len() } else { same.saturating_add(1) };
        self.key.extend_from_slice(key.get(..len).unwrap_or(key));
    }
}

/// Collects fences and writes them.
#[derive(Debug, Default)]
pub(super) struct FenceBuilder {
    keys: Vec<u8>,
    entries: Vec<(usize, Option<u64>)>,
}

impl FenceBuilder {
    pub(super) fn count(&self) -> usize {
        self.entries.len()
    }

    /// About the bytes that writing takes, without the values.
    pub(super) fn len(&self) -> usize {
        self.keys.len().saturating_add(13 * self.count())
    }

    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.entries.clear();
    }

    /// Adds an entry; the fence of the first one does not matter.
    pub(super) fn push(&mut self, fence: &Fence) {
        if !self.entries.is_empty() {
            self.keys.extend_from_slice(&fence.key);
        }
        self.entries.push((self.keys.len(), fence.continues.filter(|_| !self.entries.is_empty())));
    }

    fn fence(&self, entry: usize) -> &[u8] {
        let start =
            entry.checked_sub(1).and_then(|before| self.entries.get(before)).map_or(0, |(end, _)| *end);
        let end = self.entries.get(entry).map_or(0, |(end, _)| *end);
        self.keys.get(start..end).unwrap_or_default()
    }

    /// Appends the payload. `values` are those of all entries, one after the other.
    pub(super) fn write(&self, out: &mut Vec<u8>, first: u64, values: &[u8]) {
        let (low, high) = (self.fence(1), self.fence(self.count().saturating_sub(1)));
        let common = low.iter().zip(high).take_while(|(a, b)| a == b).count();
        let short = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
        let mut ends = Vec::with_capacity(4 * self.count());
        let mut tails = Vec::new();
        out.extend_from_slice(&first.to_le_bytes());
        out.extend_from_slice(&short(self.count()));
        out.extend_from_slice(&short(common));
        for (entry, (_, continues)) in self.entries.iter().enumerate() {
            let suffix = self.fence(entry).get(common..).unwrap_or_default();
            out.extend_from_slice(&prefix_of(suffix).to_le_bytes());
            put_varint(&mut tails, (suffix.len() as u64) << 1 | u64::from(continues.is_some()));
            if let Some(newer) = continues {
                put_varint(&mut tails, *newer);
            }
            tails.extend_from_slice(suffix.get(8..).unwrap_or_default());
            ends.extend_from_slice(&short(tails.len()));
        }
        out.extend_from_slice(values);
        out.extend_from_slice(&ends);
        out.extend_from_slice(low.get(..common).unwrap_or_default());
        out.extend_from_slice(&tails);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every fence of a list against every key that lies around them.
    fn check(fences: &[(&[u8], Option<u64>)]) {
        const FLOOR: u64 = 100;
        let mut builder = FenceBuilder::default();
        builder.push(&Fence::default());
        for (key, continues) in fences {
            builder.push(&Fence { key: key.to_vec(), continues: *continues });
        }
        let values: Vec<u8> = (0..=fences.len() as u64).flat_map(u64::to_le_bytes).collect();
        let mut payload = Vec::new();
        builder.write(&mut payload, 5, &values);
        payload.extend(b"behind");
        let (read, behind) = Fences::parse(&payload, INDEX_VALUE, FLOOR).unwrap();
        assert_eq!((read.first, read.count, behind), (5, fences.len() + 1, b"behind".as_slice()));
        assert_eq!(read.fence(0).unwrap().1, None);
        let beat = |continues: Option<u64>| continues.map(|newer| BeatNo(FLOOR + newer));
        let mut keys: Vec<Vec<u8>> = vec![vec![], vec![0xff; 20]];
        for (entry, (key, continues)) in (1..).zip(fences) {
            assert_eq!(read.fence(entry), Some((key.to_vec(), beat(*continues))));
            assert_eq!(read.value(entry), Some((entry as u64).to_le_bytes().as_slice()));
            for cut in 0..=key.len() {
                for more in [&b""[..], b"\0", b"\0\0", b"\xff", b"a"] {
                    keys.push([&key[..cut], more].concat());
                }
            }
        }
        for key in keys {
            for at in [0, FLOOR, FLOOR + 1, FLOOR + 2, FLOOR + 3, u64::MAX].map(BeatNo) {
                let expected = fences
                    .iter()
                    .take_while(|(fence, continues)| {
                        *fence < key.as_slice()
                            || (*fence == key && beat(*continues).is_none_or(|beat| beat >= at))
                    })
                    .count();
                assert_eq!(read.find(&key, at), Some(expected), "{key:?} at {at}");
            }
            for (entry, (fence, continues)) in (1..).zip(fences) {
                let expected = *fence == key && continues.is_some();
                assert_eq!(read.continues(entry, &key), Some(expected), "{key:?}");
            }
        }
    }

    #[test]
    fn the_right_child_is_found() {
        check(&[]);
        check(&[(b"m", None)]);
        check(&[
            (b"a", None),
            (b"a\0", None),
            (b"a\0\0", None),
            (b"a\0\0\0\0\0\0\0\0\0", None),
            (b"b", None),
        ]);
        check(&[(b"prefix/one", None), (b"prefix/one/and/more", None), (b"prefix/two/and/even/more", None)]);
        check(&[(b"k", None), (b"k", Some(3)), (b"k", Some(1)), (b"k", Some(0)), (b"ka", None)]);
        check(&[(b"same/key/which/is/long", Some(2)), (b"same/key/which/is/long", Some(1))]);
        check(&[(b"12345678", None), (b"12345678", Some(1)), (b"123456780", Some(2)), (b"123456781", None)]);
        check(&[
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", None),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
        ]);
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut builder = FenceBuilder::default();
        for key in [&b""[..], b"abc", b"abcdefghijkl", b"abd"] {
            builder.push(&Fence { key: key.to_vec(), continues: Some(3) });
        }
        let mut payload = Vec::new();
        builder.write(&mut payload, 0, &[1; 4 * INDEX_VALUE]);
        let touch = |payload: &[u8]| {
            if let Some((fences, _)) = Fences::parse(payload, INDEX_VALUE, u64::MAX - 1) {
                for entry in 0..fences.count.min(9) {
                    let _ =
                        (fences.fence(entry), fences.value(entry), fences.continues(entry, b"abcdefghijkl"));
                }
                let _ = (fences.find(b"abcdefghijkl", BeatNo(1)), fences.find(b"abc", BeatNo(0)));
            }
        };
        for at in 0..payload.len() {
            touch(&payload[..at]);
            for byte in 0..=255 {
                let mut changed = payload.clone();
                changed[at] = byte;
                touch(&changed);
            }
        }
    }

    #[test]
    fn a_fence_is_as_short_as_can_be() {
        let mut fence = Fence::default();
        for (last, key, expected, continues) in [
            (&b"apple"[..], &b"banana"[..], &b"b"[..], None),
            (b"apple", b"apricot", b"apr", None),
            (b"app", b"apple", b"appl", None),
            (b"", b"x", b"x", None),
            (b"same", b"same", b"same", Some(4)),
        ] {
            fence.set(last, key, 4);
            assert_eq!((fence.key.as_slice(), fence.continues), (expected, continues));
            assert!(last <= expected && expected <= key);
        }
    }
}
