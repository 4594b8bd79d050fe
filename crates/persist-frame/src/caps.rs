//! The capability bits that a frame's trailer carries.

use std::fmt;

/// Capability bits of one frame. Not the capabilities of an engine: those are another type in another crate.
///
/// Bits 0 to 10 have names; others are kept and reported ([`unknown`](Self::unknown)), because refusing them is
/// a matter of ingestion, not of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FrameCaps(u32);

macro_rules! caps {
    ($($(#[$doc:meta])* $constant:ident = $bit:literal, $name:literal;)*) => {
        impl FrameCaps {
            $($(#[$doc])* pub const $constant: Self = Self(1 << $bit);)*

            /// Every named bit with its name, lowest first.
            pub const NAMED: &'static [(Self, &'static str)] = &[$((Self::$constant, $name),)*];
        }
    };
}

caps! {
    /// Never set by a real writer.
    SPLIT_DESC = 0, "split_desc";
    /// A name pool record is present.
    NAMEPOOL_MAP = 1, "namepool_map";
    /// The cell's payload has a fingerprint.
    PAYLOAD_FP = 2, "payload_fp";
    /// A listing of children is present.
    PAGED_CHILDSET = 3, "paged_childset";
    /// An order listing is present.
    PAGED_ORDER = 4, "paged_order";
    /// The frame came in a container.
    FRAME_COMPRESSION = 5, "frame_compression";
    /// A payload history record is present.
    PAYLOAD_HISTORY = 6, "payload_history";
    /// A manifest history record is present.
    MANIFEST_HISTORY = 7, "manifest_history";
    /// The cell description refers to its payload by hash.
    PAYLOAD_REF = 8, "payload_ref";
    /// The trailer lists the records.
    FRAME_TOC = 9, "frame_toc";
    /// A branch block follows the capabilities.
    BRANCH_METADATA = 10, "branch_metadata";
}

impl FrameCaps {
    /// No bit.
    pub const NONE: Self = Self(0);

    /// The bits as the trailer holds them, unknown ones included.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits as the trailer holds them.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether every bit of `other` is set here.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These bits and those.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// These bits without those.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The bits that have no name in this version.
    #[must_use]
    pub const fn unknown(self) -> Self {
        Self(self.0 & !0x7FF)
    }

    /// Whether no bit is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Names of the named bits that are set, lowest first.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMED.iter().filter(move |(bit, _)| self.contains(*bit)).map(|(_, name)| *name)
    }
}

impl fmt::Display for FrameCaps {
    /// Hexadecimal, eight digits: `0x00000300`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_bits_are_bits_0_to_10_in_order() {
        for (bit, (cap, _)) in FrameCaps::NAMED.iter().enumerate() {
            assert_eq!(cap.bits(), 1 << bit);
            assert!(cap.unknown().is_empty());
        }
        assert_eq!(FrameCaps::NAMED.len(), 11);
        assert_eq!(FrameCaps::from_bits(u32::MAX).unknown().bits(), 0xFFFF_F800);
    }
}
