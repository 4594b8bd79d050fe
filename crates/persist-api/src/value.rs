//! What a read hands out.

use std::cell::Ref;
use std::fmt;
use std::ops::Deref;

/// A value read from a view: borrowed from the engine's memory, lent by a layer that wants to know when it comes back,
/// pinned by a guard of the engine, or owned. It derefs to the bytes in every case.
pub struct Value<'v>(Repr<'v>);

enum Repr<'v> {
    Borrowed(&'v [u8]),
    Lent(Lent<'v>),
    Pinned(Box<dyn AsRef<[u8]> + 'v>),
    /// Kept by a guard that borrows nothing.
    Shared(Box<dyn AsRef<[u8]>>),
    Owned(Vec<u8>),
}

/// Lends what it could not take back while somebody reads it.
pub trait Lender {
    /// Called after a value that was [lent](Value::lent) is gone.
    fn given_back(&self);
}

/// The bytes go before the lender is told.
struct Lent<'v> {
    bytes: Ref<'v, [u8]>,
    back: GiveBack<'v>,
}

/// Tells a lender, when dropped, that what it lent is gone.
pub struct GiveBack<'v>(&'v dyn Lender);

impl<'v> GiveBack<'v> {
    /// Will tell `lender`.
    #[must_use]
    pub const fn to(lender: &'v dyn Lender) -> Self {
        Self(lender)
    }
}

impl Drop for GiveBack<'_> {
    fn drop(&mut self) {
        self.0.given_back();
    }
}

impl fmt::Debug for GiveBack<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GiveBack")
    }
}

impl<'v> Value<'v> {
    /// Bytes that live as long as the view.
    #[must_use]
    pub const fn borrowed(bytes: &'v [u8]) -> Self {
        Self(Repr::Borrowed(bytes))
    }

    /// Bytes that a layer lends; its lender is told when the value is gone.
    #[must_use]
    pub const fn lent(bytes: Ref<'v, [u8]>, back: GiveBack<'v>) -> Self {
        Self(Repr::Lent(Lent { bytes, back }))
    }

    /// Bytes kept in place by a guard that borrows nothing from the view.
    #[must_use]
    pub fn shared(guard: impl AsRef<[u8]> + 'static) -> Self {
        Self(Repr::Shared(Box::new(guard)))
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

    /// The bytes, if they are simply borrowed from the view.
    #[must_use]
    pub const fn as_borrowed(&self) -> Option<&'v [u8]> {
        match self.0 {
            Repr::Borrowed(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The value, if it needs no view any more: it is owned or shared.
    #[must_use]
    pub fn detached(self) -> Option<Value<'static>> {
        match self.0 {
            Repr::Shared(guard) => Some(Value(Repr::Shared(guard))),
            Repr::Owned(bytes) => Some(Value(Repr::Owned(bytes))),
            _ => None,
        }
    }

    /// The bytes as a vector; free when they are owned already.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        match self.0 {
            Repr::Owned(bytes) => bytes,
            other => Value(other).to_vec(),
        }
    }

    /// The value without its last `n` bytes and without a copy where it is borrowed; for layers that append a trailer.
    #[must_use]
    pub fn shortened(self, n: usize) -> Self {
        let keep = self.len().saturating_sub(n);
        match self.0 {
            Repr::Borrowed(bytes) => Self::borrowed(bytes.get(..keep).unwrap_or_default()),
            Repr::Lent(Lent { bytes, back }) => {
                Self::lent(Ref::map(bytes, |bytes| bytes.get(..keep).unwrap_or_default()), back)
            }
            Repr::Shared(guard) => Self::shared(Shortened { guard, keep }),
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
            Repr::Lent(lent) => &lent.bytes,
            Repr::Pinned(guard) | Repr::Shared(guard) => guard.as_ref().as_ref(),
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
            Repr::Lent(_) => "Lent",
            Repr::Pinned(_) => "Pinned",
            Repr::Shared(_) => "Shared",
            Repr::Owned(_) => "Owned",
        };
        f.debug_tuple(how).field(&&**self).finish()
    }
}
