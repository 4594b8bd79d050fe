//! The timeline: one frame a beat, in segments.
//!
//! [`record`] are the operations of a beat as bytes, [`frame`] one beat as it is written, [`segment_header`] what a file of
//! frames says about itself, [`head`] what was known durable; these four are the format. [`Timeline`] writes,
//! [`replay`](replay::replay) reads back, [`aside`] clears up what a crash has left. [`kept`] are segments that only the
//! [`feed`] still needs.

mod ahead;
pub(crate) mod aside;
pub(crate) mod builder;
pub(crate) mod feed;
pub(crate) mod frame;
mod go_on;
pub(crate) mod head;
pub(crate) mod kept;
pub(crate) mod record;
pub(crate) mod replay;
mod segment;
pub(crate) mod segment_header;
mod span;
mod spare;
mod writer;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
pub(crate) mod test_disk;
#[cfg(test)]
pub(crate) mod test_rig;

pub(crate) use ahead::{Ahead, AheadOptions};
pub(crate) use builder::FrameBuilder;
pub(crate) use frame::PayloadEnd;
pub(crate) use go_on::GoOn;
pub(crate) use record::{Op, Ops};
pub(crate) use span::FrameSpan;
pub(crate) use writer::{Retired, Timeline};
