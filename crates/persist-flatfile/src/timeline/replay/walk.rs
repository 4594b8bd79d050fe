//! The walk along the frames.

use std::path::Path;

use persist_api::{BeatNo, Observer, Result};
use persist_io::Disk;

use super::scan::At;
use super::segments::{HeaderState, Listed, Segments};
use super::window::{Meter, WINDOW, Window};
use super::{Aside, Ended, Found, Note, ReplayFrom, Replayed};
use crate::timeline::frame::{FRAME_HEADER, Footer, FrameHead, body_range, check_frame, padding_is_zero};
use crate::timeline::go_on::{ClosedSegment, GoOn};
use crate::timeline::head::{LiveRun, SegmentEnd};
use crate::timeline::record;
use crate::timeline::segment_header::FIRST_FRAME_AT;
use crate::timeline::span::FrameSpan;

/// Why the walk cannot take the next frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Only zeros where a header should be, or the file ends.
    Nothing,
    /// A valid frame of another number.
    Number,
    /// Bytes that do not verify, and in which way.
    Bad(&'static str),
}

impl Stop {
    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::Nothing => "there is nothing where a frame should be",
            Self::Number => "the frames are out of order",
            Self::Bad(what) => what,
        }
    }
}

enum Step {
    Taken(At),
    Stopped(Stop),
}

/// The state of a replay.
pub(super) struct Walk<'a> {
    pub(super) segments: &'a Segments<'a>,
    pub(super) meter: &'a Meter<'a>,
    each: &'a mut dyn FnMut(Found) -> Result<()>,
    window: Option<(usize, Window<'a>)>,
    /// Frames up to here are in runs.
    pub(super) after: u64,
    /// The newest beat in runs.
    beat: BeatNo,
    /// Runs that should be there and are not.
    pub(super) missing: &'a [LiveRun],
    /// The number that the next frame must have.
    pub(super) next: u64,
    /// False until the first frame was taken: it may be any that is not beyond `next`.
    pub(super) started: bool,
    /// The chain that the next frame must carry, if known.
    pub(super) chain: Option<u64>,
    /// The newest frame known to have been durable.
    pub(super) durable: u64,
    /// The store was closed, and nothing newer than this frame was written.
    pub(super) clean_at: Option<u64>,
    /// The oldest segment with frames, as the head of a closed store says; 0 when nothing says so.
    pub(super) oldest: u32,
    pub(super) newest: Option<Footer>,
    pub(super) walked: Vec<ClosedSegment>,
    pub(super) aside: Vec<Aside>,
    pub(super) go_on_in: bool,
    pub(super) payload_end_known: bool,
    /// Segments looked at after the end of the frames that hold only zeros.
    pub(super) unused: Vec<u32>,
}

impl<'a> Walk<'a> {
    pub(super) fn run(
        disk: &dyn Disk,
        dir: &Path,
        from: ReplayFrom<'a>,
        seen: &dyn Observer,
        each: &mut dyn FnMut(Found) -> Result<()>,
    ) -> Result<Ended> {
        let head = from.head;
        // What calls itself the end of a closed store and knows less than the runs is an older copy of the head.
        let clean = head.filter(|head| head.clean && head.durable_frame >= from.after);
        let ends = head.map_or(&[][..], |head| &head.ends);
        let store = head.map(|head| head.store).or(from.store);
        let segments = Segments::read(disk, dir, store, ends, clean.is_none())?;
        let first = first_needed(&segments, from.after);
        let total = segments.iter().skip(first).fold(0_u64, |sum, (_, s)| sum.saturating_add(s.limit()));
        let meter = Meter::new(seen, total);
        let durable = head.map_or(0, |head| head.durable_frame).max(from.after).max(were_in_runs(&segments));
        let durable = durable.max(from.durable);
        let mut walk = Walk {
            segments: &segments,
            meter: &meter,
            each,
            window: None,
            after: from.after,
            beat: from.beat,
            missing: from.missing,
            next: from.after.saturating_add(1),
            started: false,
            chain: None,
            durable,
            clean_at: clean.map(|head| head.durable_frame),
            oldest: clean.map_or(0, |head| head.oldest_segment),
            newest: None,
            walked: Vec::new(),
            aside: Vec::new(),
            go_on_in: true,
            payload_end_known: true,
            unused: Vec::new(),
        };
        walk.foreign()?;
        walk.along(At { index: first, offset: FIRST_FRAME_AT })?;
        Ok(walk.ended(first))
    }

    pub(super) fn hand_out(&mut self, found: Found) -> Result<()> {
        (self.each)(found)
    }

    pub(super) fn note(&mut self, at: At, what: &'static str) -> Result<()> {
        self.hand_out(Found::Note(Note { path: self.segments.path(at.index), offset: at.offset, what }))
    }

    fn foreign(&mut self) -> Result<()> {
        for &number in &self.segments.foreign {
            self.aside.push(Aside { segment: number, tail: None });
            let what = "a segment of another store; it is not used";
            (self.each)(Found::Note(Note { path: self.segments.path_of(number), offset: 0, what }))?;
        }
        Ok(())
    }

    fn along(&mut self, mut at: At) -> Result<()> {
        loop {
            at = self.follow(at);
            at = match self.step(at)? {
                Step::Taken(next) => next,
                Step::Stopped(why) => match self.stopped(at, why)? {
                    Some(next) => next,
                    None => return Ok(()),
                },
            };
        }
    }

    /// Where a segment is known to end, the walk goes on in the one that is known to follow.
    pub(super) fn follow(&self, at: At) -> At {
        match self.segments.get(at.index) {
            Some(segment) if segment.stated_end == Some(at.offset) => {
                let index = segment.follower.unwrap_or(at.index + 1);
                if self.segments.get(index).is_some_and(super::segments::Listed::header_used) {
                    return At { index, offset: FIRST_FRAME_AT };
                }
                at
            }
            _ => at,
        }
    }

    /// Takes the frame at `at` if it is the next one.
    fn step(&mut self, at: At) -> Result<Step> {
        let Some(segment) = self.segments.get(at.index) else { return Ok(Step::Stopped(Stop::Nothing)) };
        let (limit, len) = (segment.limit(), segment.len);
        if at.offset >= limit {
            return Ok(Step::Stopped(Stop::Nothing));
        }
        let mut window = match self.window.take() {
            Some((index, window)) if index == at.index => window,
            _ => Window::new(self.segments.open(at.index)?, len, self.meter),
        };
        let step = self.step_in(&mut window, at, limit);
        self.window = Some((at.index, window));
        step
    }

    #[inline]
    fn step_in(&mut self, window: &mut Window<'a>, at: At, limit: u64) -> Result<Step> {
        let stopped = |why| Ok(Step::Stopped(why));
        let seed = self.segments.seed(at);
        let bytes = window.get(at.offset, FRAME_HEADER)?;
        let Some(head) = FrameHead::read(bytes, seed) else {
            let nothing = bytes.iter().all(|&byte| byte == 0);
            return stopped(if nothing {
                Stop::Nothing
            } else {
                Stop::Bad("the header of the frame does not verify")
            });
        };
        let end = at.offset.saturating_add(head.len);
        if end > limit {
            return stopped(Stop::Bad("the frame is cut off"));
        }
        if !self.is_next(&head) {
            return stopped(Stop::Number);
        }
        let Some((len, body)) = usize::try_from(head.len).ok().zip(body_range(head.body_len)) else {
            return stopped(Stop::Bad("the frame is too large for this machine"));
        };
        let wanted = head.frame > self.after;
        let whole;
        let bytes = if len > WINDOW {
            whole = window.read_whole(at.offset, len)?;
            &whole[..]
        } else {
            whole = Vec::new();
            window.get(at.offset, len)?
        };
        let footer = match check_frame(bytes, &head, seed) {
            Ok(footer) => footer,
            Err(what) => return stopped(Stop::Bad(what)),
        };
        // 0: whoever wrote it did not know the frame before, which was in a run.
        if footer.chain != 0 && self.chain.is_some_and(|chain| chain != footer.chain) {
            return stopped(Stop::Bad("the frame does not follow from the one before it"));
        }
        if bytes.get(body.clone()).is_none_or(|body| record::count(body) != Ok(footer.ops)) {
            return stopped(Stop::Bad("the operations of the frame do not read"));
        }
        let padded = padding_is_zero(bytes, &head);
        if wanted {
            let bytes = if whole.is_empty() { bytes.into() } else { whole.into_boxed_slice() };
            let segment = self.segments.number(at.index);
            let frame = Replayed { frame: head.frame, segment, offset: at.offset, footer, bytes, body };
            self.hand_out(Found::Frame(frame))?;
        }
        self.taken(at, &head, footer)?;
        if !padded {
            self.note(
                At { offset: end.saturating_sub(8), ..at },
                "the padding behind a frame is not zero; the frame is used",
            )?;
        }
        Ok(Step::Taken(At { offset: end, ..at }))
    }

    fn is_next(&self, head: &FrameHead) -> bool {
        head.frame == self.next || !self.started && head.frame > 0 && head.frame <= self.next
    }

    fn taken(&mut self, at: At, head: &FrameHead, footer: Footer) -> Result<()> {
        let segment = self.segments.number(at.index);
        let end = at.offset.saturating_add(head.len);
        if let Some(last) = self.walked.last_mut().filter(|last| last.segment == segment) {
            last.end = end;
            last.frames.upto = head.frame;
        } else {
            let frames = FrameSpan::new(head.frame.saturating_sub(1), head.frame);
            let bytes = self.segments.get(at.index).map_or(end, |listed| listed.len);
            self.walked.push(ClosedSegment { segment, frames, end, bytes, damaged: false });
            if self.segments.get(at.index).is_some_and(|s| !matches!(s.header, HeaderState::Valid(_))) {
                self.note(
                    At { offset: 0, ..at },
                    "the header of the segment does not verify; its frames do",
                )?;
            }
        }
        self.next = head.frame.saturating_add(1);
        self.started = true;
        self.chain = Some(footer.digest);
        self.durable = self.durable.max(footer.durable_through.min(head.frame.saturating_sub(1)));
        self.newest = Some(footer);
        Ok(())
    }

    /// The newest beat before the next frame: of a frame that was taken, or of the runs.
    pub(super) fn newest_beat(&self) -> BeatNo {
        self.newest.as_ref().map_or(self.beat, |footer| footer.header.beat.max(self.beat))
    }

    fn ended(mut self, first: usize) -> Ended {
        // A file that was made and never got a byte belongs to nobody, wherever it stands.
        let goes = |index: usize, listed: &Listed| {
            let is_empty = listed.len == 0 && index + 1 < self.segments.len();
            (index < first || is_empty) && !self.unused.contains(&listed.number)
        };
        let superseded = self.segments.iter().filter(|(index, listed)| goes(*index, listed));
        let superseded = superseded.map(|(_, listed)| listed.superseded(self.after)).collect();
        let last = self.walked.last().copied();
        let previous = last.map(|last| SegmentEnd { segment: last.segment, end: last.end });
        // A segment of which anything says that it has ended gets no more frames: they would not be looked for.
        let open = |number| self.segments.iter().any(|(_, s)| s.number == number && s.stated_end.is_none());
        let current = match last {
            Some(last) if self.go_on_in && !last.damaged && open(last.segment) => {
                self.walked.pop();
                previous.map(|end| (end, last.frames.after))
            }
            _ => None,
        };
        let last_frame = self.next.saturating_sub(1).max(self.after);
        let go_on = GoOn {
            store: self.segments.store,
            last_frame,
            chain: self.chain.unwrap_or(0),
            current,
            superseded,
            closed: self.walked,
            previous,
            greatest_segment: self.segments.greatest,
        };
        Ended {
            go_on,
            newest: self.newest,
            payload_end_known: self.payload_end_known,
            unused: self.unused,
            aside: self.aside,
        }
    }
}

/// The newest frame that must be in a run because the segment that held it was removed: a segment goes only when a durable
/// run has its frames. The segment that came after it tells.
fn were_in_runs(segments: &Segments<'_>) -> u64 {
    let told = segments.iter().filter_map(|(_, listed)| match listed.header {
        HeaderState::Valid(header) if header.previous != 0 && !segments.has(header.previous) => {
            Some(header.first_frame.saturating_sub(1))
        }
        _ => None,
    });
    told.max().unwrap_or(0)
}

/// The first segment that may hold frames after `after`.
fn first_needed(segments: &Segments<'_>, after: u64) -> usize {
    let enough = |header: &HeaderState| matches!(header, HeaderState::Valid(header) if header.first_frame <= after.saturating_add(1));
    segments
        .iter()
        .filter(|(_, listed)| enough(&listed.header))
        .map(|(index, _)| index)
        .next_back()
        .unwrap_or(0)
}
