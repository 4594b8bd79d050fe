//! What a read hands out.

use std::fmt;
use std::ops::Deref;

/// A value read from a view: borrowed from the engine's memory, pinned by a guard of the engine, or owned. It derefs to
/// the bytes in every case.
pub struct Value<'v>(Repr<'v>);

enum Repr<'v> {
    Borrowed(&'v [u8]),
    Pinned(Box<dyn AsRef<[u8]> + 'v>),
    Owned(Vec<u8>),
}

impl<'v> Value<'v> {
    /// Bytes that live as long as the view.
    #[must_use]
    pub const fn borrowed(bytes: &'v [u8]) -> Self {
        Self(Repr::Borrowed(bytes))
    }

    /// Bytes kept in place by a guard; dropping the value drops the guard.
    #[must_use]
    pub fn pinned(guard: impl AsRef<[u8]> + 'v) -> Self {
        Self(Repr::Pinned(Box::new(guard)))
    }

    /// Bytes that were copied.
    #[must_use]
    pub const fn owned(bytes: Vec<u8>) -> Self {
        Self(Repr::Owned(bytes))
    }

    /// True if reading made no copy.
    #[must_use]
    pub const fn is_zero_copy(&self) -> bool {
        !matches!(self.0, Repr::Owned(_))
    }

    /// The bytes as a vector; free when they are owned already.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        match self.0 {
            Repr::Owned(bytes) => bytes,
            Repr::Borrowed(bytes) => bytes.to_vec(),
            Repr::Pinned(guard) => guard.as_ref().as_ref().to_vec(),
        }
    }

    /// The value without its last `n` bytes and without a copy where it is borrowed; for layers that append a trailer.
    #[must_use]
    pub fn shortened(self, n: usize) -> Self {
        let keep = self.len().saturating_sub(n);
        match self.0 {
            Repr::Borrowed(bytes) => Self::borrowed(bytes.get(..keep).unwrap_or_default()),
            Repr::Owned(mut bytes) => {
                bytes.truncate(keep);
                Self::owned(bytes)
            }
            Repr::Pinned(guard) => Self::pinned(Shortened { guard, keep }),
        }
    }
}

struct Shortened<'v> {
    guard: Box<dyn AsRef<[u8]> + 'v>,
    keep: usize,
}

impl AsRef<[u8]> for Shortened<'_> {
    fn as_ref(&self) -> &[u8] {
        self.guard.as_ref().as_ref().get(..self.keep).unwrap_or_default()
    }
}

impl Deref for Value<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Repr::Borrowed(bytes) => bytes,
            Repr::Pinned(guard) => guard.as_ref().as_ref(),
            Repr::Owned(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Value<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq<[u8]> for Value<'_> {
    fn eq(&self, other: &[u8]) -> bool {
        **self == *other
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match &self.0 {
            Repr::Borrowed(_) => "Borrowed",
            Repr::Pinned(_) => "Pinned",
            Repr::Owned(_) => "Owned",
        };
        f.debug_tuple(how).field(&&**self).finish()
    }
}
