//! Bytes as choices.

/// An input, taken from its front. Where it ends, zeros follow.
pub(super) struct Input<'i>(&'i [u8]);

impl<'i> Input<'i> {
    pub(super) fn of(bytes: &'i [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(super) fn word(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// A number below a limit; 0 for a limit of 0. Two bytes, so that limits of the files here are reached.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        u64::from(self.word()).checked_rem(limit).unwrap_or(0)
    }

    /// One of several.
    pub(super) fn pick<'o, T>(&mut self, of: &'o [T]) -> &'o T {
        &of[usize::from(self.byte()) % of.len()]
    }

    /// The next bytes, as far as there are so many.
    pub(super) fn bytes(&mut self, most: usize) -> &'i [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> &'i [u8] {
        std::mem::take(&mut self.0)
    }
}
