//! The timeline: one frame a beat, in segments.

pub(crate) mod record;
mod span;

pub(crate) use record::{Op, Ops};
pub(crate) use span::FrameSpan;
