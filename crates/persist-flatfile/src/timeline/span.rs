//! Ranges of frame numbers.

/// The frames after `after` up to and with `upto`. Frames are numbered from 1 without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FrameSpan {
    /// The last frame before the span; 0 when it begins with the first.
    pub(crate) after: u64,
    /// The last frame of the span.
    pub(crate) upto: u64,
}

impl FrameSpan {
    /// The frames after `after` up to and with `upto`.
    pub(crate) const fn new(after: u64, upto: u64) -> Self {
        Self { after, upto }
    }

    /// How many frames it holds.
    pub(crate) const fn len(&self) -> u64 {
        self.upto.saturating_sub(self.after)
    }

    /// True when it holds no frame.
    pub(crate) const fn is_empty(&self) -> bool {
        self.upto <= self.after
    }

    /// True when every frame of `other` is in it.
    pub(crate) const fn covers(&self, other: &Self) -> bool {
        self.after <= other.after && other.upto <= self.upto
    }
}
