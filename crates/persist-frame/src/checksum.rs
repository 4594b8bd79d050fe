//! The two record checksums, as the bytes really have them.

/// Which checksum closes every record of a frame, the trailer record included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Checksum {
    /// Number 0: CRC-32/ISO-HDLC, the one of zlib and PNG.
    #[default]
    Crc32,
    /// Number 1: the Castagnoli polynomial started from 0 and not inverted at the end: the plain chain of the
    /// CPU's instruction. Upstream calls it crc32c; it is **not** the standard CRC-32C.
    RawCastagnoli,
}

impl Checksum {
    /// The number in the trailer and in the container header.
    pub fn number(self) -> u8 {
        match self {
            Self::Crc32 => 0,
            Self::RawCastagnoli => 1,
        }
    }

    /// The algorithm of a number; `None` for numbers that are not defined.
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Crc32),
            1 => Some(Self::RawCastagnoli),
            _ => None,
        }
    }

    /// A stable name: `crc32` or `crc32c-cep` (upstream says `crc32c`, which elsewhere means other numbers).
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "crc32",
            Self::RawCastagnoli => "crc32c-cep",
        }
    }

    /// The checksum of `bytes`.
    #[inline]
    pub fn of(self, bytes: &[u8]) -> u32 {
        match self {
            Self::Crc32 => crc32fast::hash(bytes),
            // The library inverts on entry and on exit; undoing both leaves the raw chain from 0.
            Self::RawCastagnoli => !crc32c::crc32c_append(u32::MAX, bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values_are_the_known_ones() {
        assert_eq!(Checksum::Crc32.of(b"123456789"), 0xCBF4_3926);
        assert_eq!(Checksum::RawCastagnoli.of(b"123456789"), 0x58E3_FA20);
        assert_ne!(Checksum::RawCastagnoli.of(b"123456789"), crc32c::crc32c(b"123456789"));
        assert_eq!(Checksum::RawCastagnoli.of(b"\0\0\0"), 0);
    }

    #[test]
    fn numbers_round_trip() {
        for number in 0..=u8::MAX {
            match Checksum::from_number(number) {
                Some(algorithm) => assert_eq!(algorithm.number(), number),
                None => assert!(number > 1),
            }
        }
    }
}
