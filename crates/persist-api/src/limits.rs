//! Sizes that an engine can keep and a caller must respect.

use crate::{Error, ErrorKind, Result};

/// Upper bounds; `MAX` of the type means "no bound of its own". As a floor in a request, 0 means "no need".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Longest key, in bytes. The shortest is always 1.
    pub key_bytes_max: u64,
    /// Longest value, in bytes. The shortest is always 0.
    pub value_bytes_max: u64,
    /// Most bytes (keys and values) that one beat may stage.
    pub beat_bytes_max: u64,
    /// Most views that may be open at once.
    pub views_max: u64,
    /// Ceiling of the whole store, in bytes on the medium. Beyond it: `Full`.
    pub store_bytes_max: u64,
}

impl Limits {
    /// No bounds at all.
    pub const UNLIMITED: Self = Self {
        key_bytes_max: u64::MAX,
        value_bytes_max: u64::MAX,
        beat_bytes_max: u64::MAX,
        views_max: u64::MAX,
        store_bytes_max: u64::MAX,
    };
    /// A floor that asks for nothing.
    pub const NO_NEED: Self =
        Self { key_bytes_max: 0, value_bytes_max: 0, beat_bytes_max: 0, views_max: 0, store_bytes_max: 0 };

    /// The fields with their stable names, in a fixed order.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, u64); 5] {
        [
            ("key_bytes_max", self.key_bytes_max),
            ("value_bytes_max", self.value_bytes_max),
            ("beat_bytes_max", self.beat_bytes_max),
            ("views_max", self.views_max),
            ("store_bytes_max", self.store_bytes_max),
        ]
    }

    /// What is left for a caller when every key and value is made longer by a layer.
    #[must_use]
    pub fn net_of(&self, key_overhead: u64, value_overhead: u64) -> Self {
        let less = |limit: u64, overhead: u64| {
            if limit == u64::MAX { limit } else { limit.saturating_sub(overhead) }
        };
        Self {
            key_bytes_max: less(self.key_bytes_max, key_overhead),
            value_bytes_max: less(self.value_bytes_max, value_overhead),
            ..*self
        }
    }

    /// Checks a key that is to be written or deleted.
    ///
    /// # Errors
    /// `Invalid` when empty, `TooLarge` beyond `key_bytes_max`.
    #[inline]
    pub fn check_key(&self, op: &'static str, key: &[u8]) -> Result<()> {
        if key.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, op, "a key has at least one byte"));
        }
        at_most(op, "key", key.len() as u64, self.key_bytes_max)
    }

    /// Checks a value that is to be written.
    ///
    /// # Errors
    /// `TooLarge` beyond `value_bytes_max`.
    #[inline]
    pub fn check_value(&self, op: &'static str, value: &[u8]) -> Result<()> {
        at_most(op, "value", value.len() as u64, self.value_bytes_max)
    }

    /// Checks how much a beat has staged.
    ///
    /// # Errors
    /// `TooLarge` beyond `beat_bytes_max`.
    #[inline]
    pub fn check_beat(&self, op: &'static str, staged_bytes: u64) -> Result<()> {
        at_most(op, "beat", staged_bytes, self.beat_bytes_max)
    }

    /// True for a key that this store could hold at all. Reading any other key finds nothing (contract R-4).
    #[must_use]
    pub fn can_hold_key(&self, key: &[u8]) -> bool {
        !key.is_empty() && key.len() as u64 <= self.key_bytes_max
    }
}

/// Every record is checked, so what is made of a failure stays out of the way.
#[inline]
fn at_most(op: &'static str, what: &str, bytes: u64, max: u64) -> Result<()> {
    if bytes <= max { Ok(()) } else { Err(too_large(op, what, bytes, max)) }
}

#[cold]
fn too_large(op: &'static str, what: &str, bytes: u64, max: u64) -> Error {
    Error::new(ErrorKind::TooLarge, op, format!("{what} of {bytes} bytes; the limit here is {max}"))
}
