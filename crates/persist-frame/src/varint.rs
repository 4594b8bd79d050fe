//! Unsigned LEB128 in its shortest form: 1 to 10 bytes, 7 bits each, least significant first.

/// Longest encoding of a 64-bit value.
pub const MAX_LEN: usize = 10;

/// Why a varint could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VarintError {
    /// The input ends before the varint does.
    Truncated,
    /// The value has a shorter encoding.
    Noncanonical,
    /// The value does not fit 64 bits.
    Overflow,
}

/// Reads one varint from the start of `bytes`: the value and how many bytes it took.
#[inline]
pub fn decode(bytes: &[u8]) -> Result<(u64, usize), VarintError> {
    match bytes.first() {
        Some(&byte) if byte < 0x80 => Ok((u64::from(byte), 1)),
        Some(_) => decode_long(bytes),
        None => Err(VarintError::Truncated),
    }
}

fn decode_long(bytes: &[u8]) -> Result<(u64, usize), VarintError> {
    let mut value = 0_u64;
    for (index, &byte) in bytes.iter().take(MAX_LEN).enumerate() {
        // The tenth byte holds only bit 63; with more in it, or with a successor, the value is too large.
        if index + 1 == MAX_LEN && byte > 1 {
            return Err(VarintError::Overflow);
        }
        value |= u64::from(byte & 0x7F) << (7 * index);
        if byte < 0x80 {
            return if byte == 0 { Err(VarintError::Noncanonical) } else { Ok((value, index + 1)) };
        }
    }
    Err(VarintError::Truncated)
}

/// Appends the shortest encoding of `value`.
pub fn encode(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7F) as u8);
}

/// How many bytes [`encode`] appends.
pub fn encoded_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        encode(value, &mut out);
        out
    }

    #[test]
    fn edges_round_trip_in_their_shortest_form() {
        let edges = (0..64).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit]).chain([u64::MAX]);
        for value in edges {
            let bytes = bytes_of(value);
            assert_eq!(decode(&bytes), Ok((value, bytes.len())));
            assert_eq!(encoded_len(value), bytes.len());
        }
        assert_eq!(bytes_of(0), [0]);
        assert_eq!(bytes_of(300), [0xAC, 0x02]);
        assert_eq!(bytes_of(u64::MAX).len(), MAX_LEN);
    }

    #[test]
    fn every_other_spelling_is_refused() {
        assert_eq!(decode(&[]), Err(VarintError::Truncated));
        assert_eq!(decode(&[0x80]), Err(VarintError::Truncated));
        assert_eq!(decode(&[0xFF; 9]), Err(VarintError::Truncated));
        assert_eq!(decode(&[0x80, 0x00]), Err(VarintError::Noncanonical));
        assert_eq!(decode(&[0xFF, 0x80, 0x00]), Err(VarintError::Noncanonical));
        let ten = |last| {
            let mut bytes = [0x80; 10];
            bytes[9] = last;
            bytes
        };
        assert_eq!(decode(&ten(1)), Ok((1 << 63, 10)));
        assert_eq!(decode(&ten(0)), Err(VarintError::Noncanonical));
        assert_eq!(decode(&ten(2)), Err(VarintError::Overflow));
        assert_eq!(decode(&[0x80; 11]), Err(VarintError::Overflow));
    }
}
