//! Numbers as bytes: little-endian, and varints (LEB128, shortest form only).

/// Longest varint of a `u64`.
pub(crate) const VARINT_BYTES_MAX: usize = 10;

/// Appends a varint.
pub(crate) fn put_varint(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    into.push(value.to_le_bytes()[0]);
}

/// Reads a varint at `at`: the value and where it ends. `None` when it is cut off, longer than its value needs, or beyond
/// `u64`.
#[inline]
pub(crate) fn varint(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let first = *bytes.get(at)?;
    if first < 0x80 {
        return Some((u64::from(first), at + 1));
    }
    let mut value = u64::from(first & 0x7f);
    for (step, &byte) in bytes.get(at + 1..)?.iter().take(VARINT_BYTES_MAX - 1).enumerate() {
        let shift = 7 * (step + 1);
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 {
            return None;
        }
        value |= part << shift;
        if byte < 0x80 {
            return (byte != 0).then_some((value, at + step + 2));
        }
    }
    None
}

/// The `u32` at `at`.
#[inline]
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// The `u64` at `at`.
#[inline]
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_come_back_and_only_in_their_shortest_form() {
        for value in (0..64).flat_map(|bit| [1_u64 << bit, (1 << bit) - 1, u64::MAX >> bit]) {
            let mut bytes = vec![7];
            put_varint(&mut bytes, value);
            assert_eq!(varint(&bytes, 1), Some((value, bytes.len())), "{value}");
            assert_eq!(varint(&bytes[..bytes.len() - 1], 1), None, "cut off: {value}");
        }
        assert_eq!(varint(&[0x80, 0x00], 0), None);
        assert_eq!(varint(&[0xff; 10], 0), None);
        assert_eq!(varint(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02], 0), None);
        assert_eq!(varint(&[], 0), None);
    }
}
