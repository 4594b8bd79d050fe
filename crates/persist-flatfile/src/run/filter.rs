//! The filter of a group of data blocks, and the one hash.
//!
//! The payload of a filter block is a number of lines of 64 bytes. A key with hash `h` belongs to line
//! `((h >> 32) * lines) >> 32` and sets six bits of its 512: bit `(h >> 9 * i) & 511` for `i` in 0..6, where bit `b` is
//! bit `b % 8` of byte `b / 8`. There are ten bits a distinct key of the group, rounded up to a line; `count` of the
//! block is the number of these keys. About one key in a hundred that is not there is taken for one that may be.
//!
//! # The hash
//! `fold(a, b)` is the exclusive or of both halves of the 128-bit product. With `s = K0 ^ length`, every whole 16 bytes
//! (two little-endian words `lo`, `hi`) do `s = fold(lo ^ s, hi ^ K1)`. A rest of 8 to 15 bytes does `s = fold(lo ^ s,
//! hi ^ K2)` with its first and its last 8 bytes, one of 4 to 7 bytes with its first and its last 4 bytes, one of 1 to 3
//! bytes with `lo = first << 16 | middle << 8 | last` (middle: byte `length / 2` of the rest) and `hi = 0`. The result is
//! `fold(s ^ K3, K1)`. It spreads ordinary keys; it is no defence against keys that were chosen to collide.

use crate::coding::{u32_at, u64_at};

/// Bytes of a line.
pub(super) const LINE: usize = 64;
const BITS_A_KEY: usize = 10;
const PROBES: u32 = 6;

const K0: u64 = 0x243f_6a88_85a3_08d3;
const K1: u64 = 0x1319_8a2e_0370_7345;
const K2: u64 = 0xa409_3822_299f_31d1;
const K3: u64 = 0x082e_fa98_ec4e_6c89;

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    let halves = product.to_le_bytes();
    u64_at(&halves, 0).unwrap_or(0) ^ u64_at(&halves, 8).unwrap_or(0)
}

/// The hash of a key; part of the format.
#[inline]
pub(crate) fn hash(key: &[u8]) -> u64 {
    let mut state = K0 ^ key.len() as u64;
    let (chunks, rest) = key.as_chunks::<16>();
    for chunk in chunks {
        let (lo, hi) = (u64_at(chunk, 0).unwrap_or(0), u64_at(chunk, 8).unwrap_or(0));
        state = fold(lo ^ state, hi ^ K1);
    }
    if let (Some(lo), Some(hi)) = (rest.first_chunk(), rest.last_chunk()) {
        state = fold(u64::from_le_bytes(*lo) ^ state, u64::from_le_bytes(*hi) ^ K2);
    } else if let (Some(lo), Some(hi)) = (u32_at(rest, 0), rest.last_chunk()) {
        state = fold(u64::from(lo) ^ state, u64::from(u32::from_le_bytes(*hi)) ^ K2);
    } else if let (Some(&first), Some(&middle), Some(&last)) =
        (rest.first(), rest.get(rest.len() / 2), rest.last())
    {
        let lo = u64::from(first) << 16 | u64::from(middle) << 8 | u64::from(last);
        state = fold(lo ^ state, K2);
    }
    fold(state ^ K3, K1)
}

/// The byte of a hash that is kept beside each record.
#[inline]
pub(super) const fn tag(hash: u64) -> u8 {
    hash.to_le_bytes()[0]
}

/// How many lines a filter for so many keys has.
pub(super) const fn lines_for(keys: usize) -> usize {
    let lines = keys.saturating_mul(BITS_A_KEY).div_ceil(LINE * 8);
    if lines == 0 { 1 } else { lines }
}

#[inline]
fn line_of(hash: u64, lines: usize) -> usize {
    // Both factors are below 2^32, so the result is below `lines`.
    usize::try_from((hash >> 32).wrapping_mul(lines as u64) >> 32).unwrap_or(0)
}

/// Bit `probe` of a key, within its line: byte and mask.
#[inline]
fn bit(hash: u64, probe: u32) -> (usize, u8) {
    let at = (hash >> (9 * probe)) & 511;
    (usize::try_from(at / 8).unwrap_or(0), 1 << (at % 8))
}

/// Sets the bits of every hash in `lines`, which are zero and a whole number of lines.
pub(super) fn fill(lines: &mut [u8], hashes: &[u64]) {
    let (lines, _) = lines.as_chunks_mut::<LINE>();
    let count = lines.len();
    for &hash in hashes {
        let Some(line) = lines.get_mut(line_of(hash, count)) else { continue };
        for probe in 0..PROBES {
            let (at, mask) = bit(hash, probe);
            if let Some(byte) = line.get_mut(at) {
                *byte |= mask;
            }
        }
    }
}

/// False if the key with this hash is certainly not in the group.
#[inline]
pub(super) fn may_hold(lines: &[u8], hash: u64) -> bool {
    let (lines, _) = lines.as_chunks::<LINE>();
    let Some(line) = lines.get(line_of(hash, lines.len())) else { return true };
    (0..PROBES).all(|probe| {
        let (at, mask) = bit(hash, probe);
        line.get(at).is_none_or(|byte| byte & mask != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_part_of_the_format() {
        let bytes: Vec<u8> = (0..40).collect();
        for (len, expected) in GOLDEN {
            assert_eq!(hash(&bytes[..len]), expected, "of {len} bytes: {:016x}", hash(&bytes[..len]));
        }
    }

    /// Of the first bytes of 00 01 02 …, worked out by a second implementation.
    const GOLDEN: [(usize, u64); 10] = [
        (0, 0x7b20_5306_8aaf_38a7),
        (1, 0x2077_b025_b969_ae1d),
        (3, 0x93e7_156c_9ba8_8d03),
        (4, 0xf435_d87d_fb54_4ed4),
        (7, 0x642a_abaa_8cf6_ee69),
        (8, 0x75f4_59e1_6e3b_c19c),
        (15, 0x9900_8a7e_0a50_a938),
        (16, 0xd8f2_ab31_f8f5_3f82),
        (17, 0xd6ac_0af4_fc71_7133),
        (40, 0x6c3f_df35_0af1_e636),
    ];

    #[test]
    fn a_filter_knows_its_keys_and_few_others() {
        for keys in [1_u64, 7, 1000, 60_000] {
            let of = |n: u64| hash(format!("key {n:08}").as_bytes());
            let hashes: Vec<u64> = (0..keys).map(of).collect();
            let mut lines = vec![0; lines_for(hashes.len()) * LINE];
            fill(&mut lines, &hashes);
            assert!(hashes.iter().all(|&hash| may_hold(&lines, hash)));
            let wrong = (keys..keys + 100_000).filter(|&n| may_hold(&lines, of(n))).count();
            assert!(wrong < 2000, "{keys} keys: {wrong} of 100000 taken for members");
        }
    }

    #[test]
    fn lines_and_tags_are_used_evenly() {
        let mut lines = [0_u32; 100];
        let mut tags = [0_u32; 256];
        for n in 0..100_000_u64 {
            let hash = hash(&n.to_be_bytes());
            lines[line_of(hash, 100)] += 1;
            tags[usize::from(tag(hash))] += 1;
        }
        assert!(lines.iter().all(|n| (850..1150).contains(n)), "{lines:?}");
        assert!(tags.iter().all(|n| (300..490).contains(n)), "{tags:?}");
    }
}
