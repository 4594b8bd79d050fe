//! A bounds-checked walk over bytes: every read either succeeds whole or names what was missing and where.

use crate::error::{ErrorClass, FrameError};
use crate::varint::{self, VarintError};

type Result<T> = std::result::Result<T, FrameError>;

/// Reads fields one after another. Running out of bytes is reported with the class given at the start, because the
/// same lack is `truncated` in a trailer, `chunk_length` in a chunk and `body` elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    offset: u64,
    lack: ErrorClass,
}

impl<'a> Cursor<'a> {
    /// Starts at `bytes`, which lie at `offset`; a lack of bytes becomes an error of class `lack`.
    #[inline]
    pub(crate) fn new(bytes: &'a [u8], offset: u64, lack: ErrorClass) -> Self {
        Self { rest: bytes, offset, lack }
    }

    /// The same place, with another class for a lack of bytes.
    pub(crate) fn set_lack(&mut self, lack: ErrorClass) {
        self.lack = lack;
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn error(
        &self,
        class: ErrorClass,
        message: impl Into<std::borrow::Cow<'static, str>>,
    ) -> FrameError {
        FrameError::at(class, self.offset, message)
    }

    #[cold]
    fn lacking(&self, what: &'static str) -> FrameError {
        self.error(self.lack, format!("{what}: {} bytes are left, too few", self.rest.len()))
    }

    /// The next `len` bytes. `len` may be any declared number; it is compared before anything else happens.
    #[inline]
    pub(crate) fn take(&mut self, len: u64, what: &'static str) -> Result<&'a [u8]> {
        let split = usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len));
        let Some((taken, rest)) = split else { return Err(self.lacking(what)) };
        self.rest = rest;
        self.offset = self.offset.saturating_add(len);
        Ok(taken)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N]> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else { return Err(self.lacking(what)) };
        self.rest = rest;
        self.offset = self.offset.saturating_add(N as u64);
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8> {
        self.array::<1>(what).map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self, what: &'static str) -> Result<u16> {
        self.array(what).map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32> {
        self.array(what).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64> {
        self.array(what).map(u64::from_le_bytes)
    }

    #[inline]
    pub(crate) fn varint(&mut self, what: &'static str) -> Result<u64> {
        let (value, len) = varint::decode(self.rest).map_err(|error| self.bad_varint(error, what))?;
        self.rest = self.rest.get(len..).unwrap_or_default();
        self.offset = self.offset.saturating_add(len as u64);
        Ok(value)
    }

    #[cold]
    fn bad_varint(&self, error: VarintError, what: &'static str) -> FrameError {
        match error {
            VarintError::Truncated => self.lacking(what),
            VarintError::Noncanonical => {
                self.error(ErrorClass::VarintNoncanonical, format!("{what}: not in shortest form"))
            }
            VarintError::Overflow => {
                self.error(ErrorClass::VarintOverflow, format!("{what}: more than 64 bits"))
            }
        }
    }

    /// A varint length and as many bytes.
    pub(crate) fn prefixed(&mut self, what: &'static str) -> Result<&'a [u8]> {
        let len = self.varint(what)?;
        self.take(len, what)
    }

    /// Refuses whatever is left.
    pub(crate) fn finish(self, class: ErrorClass, what: &'static str) -> Result<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(self.error(class, format!("{} bytes follow the end of the {what}", self.rest.len())))
    }
}
