//! The timeline: one frame a beat, in segments.

pub(crate) mod frame;
pub(crate) mod record;
mod segment_header;
mod span;

pub(crate) use frame::{FrameBuilder, PayloadEnd};
pub(crate) use record::{Op, Ops};
pub(crate) use span::FrameSpan;
