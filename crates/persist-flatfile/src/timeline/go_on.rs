//! Where the writer goes on.

use super::head::SegmentEnd;
use super::span::FrameSpan;

/// A segment that gets no more frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClosedSegment {
    /// Its number.
    pub(crate) segment: u32,
    /// The frames in it.
    pub(crate) frames: FrameSpan,
    /// Where its last valid frame ends.
    pub(crate) end: u64,
    /// Length of its file, with the zeros behind the frames.
    pub(crate) bytes: u64,
    /// True when part of it does not verify: it is then never deleted, only moved aside.
    pub(crate) damaged: bool,
}

impl ClosedSegment {
    /// Where its frames end.
    pub(crate) fn segment_end(&self) -> SegmentEnd {
        SegmentEnd { segment: self.segment, end: self.end }
    }
}

/// What replay leaves for the writer to go on from ([`crate::timeline::replay`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GoOn {
    /// Tag of the store.
    pub(crate) store: u64,
    /// The newest frame; the next one gets the number after it.
    pub(crate) last_frame: u64,
    /// Digest of its footer; 0 when it is lost or there is none.
    pub(crate) chain: u64,
    /// The segment to go on in, if any, and the frame before its first.
    pub(crate) current: Option<(SegmentEnd, u64)>,
    /// Segments whose frames are all in durable runs, oldest first: they go once what else is in them is copied.
    pub(crate) superseded: Vec<ClosedSegment>,
    /// Segments that hold frames and get no more, oldest first.
    pub(crate) closed: Vec<ClosedSegment>,
    /// The segment after which a new one comes, and where its frames end.
    pub(crate) previous: Option<SegmentEnd>,
    /// The greatest number of a segment that was ever seen here.
    pub(crate) greatest_segment: u32,
}

impl GoOn {
    /// Where a store without a frame begins.
    pub(crate) fn new_store(store: u64) -> Self {
        Self {
            store,
            last_frame: 0,
            chain: 0,
            current: None,
            superseded: Vec::new(),
            closed: Vec::new(),
            previous: None,
            greatest_segment: 0,
        }
    }
}
