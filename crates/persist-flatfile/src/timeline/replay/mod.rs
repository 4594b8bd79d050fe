//! Reading the timeline back.
//!
//! Frames are walked in order; place, checksums, number and chain of each are checked. Where no frame verifies, the rest of the
//! timeline is searched for later valid frames, and what stands there is one of:
//!
//! - the *end*: only zeros follow;
//! - *damage*: the head, or a later valid frame, says that the missing frames had been durable. They are reported with file,
//!   offset and numbers, and the walk goes on behind them;
//! - a *torn tail*: nothing says so. These beats were never acknowledged as durable. They are dropped, with every frame
//!   behind them, however well it verifies: beats form a prefix.
//!
//! Frames that the head knows to have been durable and that are nowhere are damage too. Nothing is written here;
//! [`ClearUp`](super::aside::ClearUp) does what [`Ended`] says.
//!
//! Limit: a frame that was synced and then damaged while nothing later says that it was durable, in a store that was not
//! closed, looks like a torn one. It is then reported as such.

mod lost;
mod scan;
mod segments;
mod walk;
mod window;

use std::ops::Range;
use std::path::{Path, PathBuf};

use persist_api::{BeatNo, Observer, Result};
use persist_io::Disk;

use super::frame::Footer;
use super::go_on::GoOn;
use super::head::{Head, LiveRun};
use super::span::FrameSpan;

/// What is known before the timeline is read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ReplayFrom<'a> {
    /// The head, if one verifies.
    pub(crate) head: Option<&'a Head>,
    /// Tag of the store, from elsewhere than the head; the head's counts first.
    pub(crate) store: Option<u64>,
    /// Frames up to and with this one are in runs: they are not handed out.
    pub(crate) after: u64,
    /// The newest beat in runs.
    pub(crate) beat: BeatNo,
    /// The newest frame that was durable, as far as runs tell of which nothing can be read; 0 when none does.
    pub(crate) durable: u64,
    /// Runs that should be there and are not: what their frames wrote is lost because of them.
    pub(crate) missing: &'a [LiveRun],
}

/// A frame, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replayed {
    /// Its number.
    pub(crate) frame: u64,
    /// The segment.
    pub(crate) segment: u32,
    /// Its offset there.
    pub(crate) offset: u64,
    /// What its footer says, the beat header among it.
    pub(crate) footer: Footer,
    /// The frame's bytes.
    pub(crate) bytes: Box<[u8]>,
    /// Where its operations lie in `bytes`.
    pub(crate) body: Range<usize>,
}

/// Frames that were durable and cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage {
    /// The file.
    pub(crate) path: PathBuf,
    /// Where in it the damage begins.
    pub(crate) offset: u64,
    /// How many bytes of this file it covers at most; 0 when the file is missing or ends before.
    pub(crate) len: u64,
    /// The frames that are lost.
    pub(crate) frames: FrameSpan,
    /// The first beat that is lost.
    pub(crate) beat: BeatNo,
    /// The last beat that is lost, as far as can be known.
    pub(crate) beat_upto: BeatNo,
    /// What does not verify.
    pub(crate) what: &'static str,
}

/// Frames that never were durable, dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Torn {
    /// The file.
    pub(crate) path: PathBuf,
    /// Where in it the dropped bytes begin.
    pub(crate) offset: u64,
    /// How many bytes are dropped, in this file and later ones.
    pub(crate) len: u64,
    /// Number that the first dropped frame has or would have.
    pub(crate) frame: u64,
    /// How many later frames verify and are dropped nevertheless.
    pub(crate) frames: u64,
    /// The first beat that is dropped, if it was one.
    pub(crate) beat: BeatNo,
    /// The newest beat that was seen among what is dropped.
    pub(crate) beat_upto: BeatNo,
    /// What does not verify.
    pub(crate) what: &'static str,
}

/// Something that is not as it should be and does no harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    /// The file.
    pub(crate) path: PathBuf,
    /// Where in it.
    pub(crate) offset: u64,
    /// What.
    pub(crate) what: &'static str,
}

/// What replay hands out, in the order of the frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// The next frame.
    Frame(Replayed),
    /// Frames are missing here.
    Damage(Damage),
    /// The end of the frames; more bytes follow.
    Torn(Torn),
    /// For the report.
    Note(Note),
}

/// Bytes for `damaged/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Aside {
    /// The segment.
    pub(crate) segment: u32,
    /// The bytes to copy; the whole file is moved when there is no such range.
    pub(crate) tail: Option<(u64, u64)>,
}

/// How a replay ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Where the writer goes on.
    pub(crate) go_on: GoOn,
    /// Footer of the newest frame that was read, delivered or not.
    pub(crate) newest: Option<Footer>,
    /// False when frames at the end are lost to damage: payloads may then lie beyond the newest known payload end.
    pub(crate) payload_end_known: bool,
    /// Segments that were prepared and never used.
    pub(crate) unused: Vec<u32>,
    /// What is to be moved aside.
    pub(crate) aside: Vec<Aside>,
}

/// Reads the timeline in `dir` and hands out what it finds. Memory: a few MiB and one frame. Nothing is written.
///
/// # Errors
/// `Mismatch` for a newer format, `Corrupt` when not even the store can be told, `Cancelled`, `Io`, and what `each`
/// answers.
pub(crate) fn replay(
    disk: &dyn Disk,
    dir: &Path,
    from: ReplayFrom<'_>,
    seen: &dyn Observer,
    each: &mut dyn FnMut(Found) -> Result<()>,
) -> Result<Ended> {
    walk::Walk::run(disk, dir, from, seen, each)
}

#[cfg(test)]
mod tests;
