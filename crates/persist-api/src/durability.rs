//! How much of the past survives which accident.

use std::fmt;

/// What a beat survives. Integrity is not a level: at every level, after any crash, a store opens at a complete beat;
/// the level only says *which* beat (contract D-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Durability {
    /// Lives in this process only.
    Volatile,
    /// Survives a killed process; after power loss, some earlier complete beat is found.
    Buffered,
    /// Survives power loss, and so does every earlier beat.
    #[default]
    Durable,
}

impl Durability {
    /// The stable lower-case name, as in stamps, JSON and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Volatile => "volatile",
            Self::Buffered => "buffered",
            Self::Durable => "durable",
        }
    }

    /// The level with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Volatile, Self::Buffered, Self::Durable].into_iter().find(|level| level.name() == name)
    }

    /// The stable number of the level in stored headers.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Volatile => 0,
            Self::Buffered => 1,
            Self::Durable => 2,
        }
    }

    /// The level with this number.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Volatile),
            1 => Some(Self::Buffered),
            2 => Some(Self::Durable),
            _ => None,
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
