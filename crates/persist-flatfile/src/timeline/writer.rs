//! The writing end of the timeline.
//!
//! [`Timeline`] belongs to the one who commits: [`append`](Timeline::append) is one write, [`sync`](Timeline::sync) one sync of
//! the segment (and of older ones, where they still hold bytes that are not synced). [`Ahead`] belongs to whoever does
//! maintenance: it fills the current segment with zeros ahead of the writer and prepares the next one, so that neither grows
//! a file nor creates one within a commit. Without it everything works, slower.

mod feed_segments;
mod put_away;

pub(crate) use put_away::Retired;

use std::path::Path;
use std::sync::Arc;

use persist_api::{BeatHeader, BeatNo, Error, ErrorKind, Result};
use persist_io::{Disk, FileMode};

use super::ahead::{Ahead, AheadOptions, Shared};
use super::aside::ClearUp;
use super::builder::{BUILT_AT, FrameBuilder, Seal};
use super::frame::{PayloadEnd, Place};
use super::go_on::{ClosedSegment, GoOn};
use super::head::SegmentEnd;
use super::kept::{Keep, Kept};
use super::segment::Segment;
use super::segment_header::{FIRST_FRAME_AT, SEGMENT_HEADER, SegmentHeader};
use super::span::FrameSpan;
use crate::error::SCHEME;
use crate::names::Kind;

/// Where a frame was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Appended {
    /// Its number.
    pub(crate) frame: u64,
    /// The segment.
    pub(crate) segment: u32,
    /// Its offset there.
    pub(crate) offset: u64,
}

/// The segment that gets the frames.
struct Current {
    segment: Arc<Segment>,
    /// Where the next frame goes; 0 while not even the segment header is written.
    end: u64,
    /// The frame before its first.
    after: u64,
}

/// The writer. Any failed write or sync makes it refuse everything that follows.
pub(crate) struct Timeline {
    shared: Arc<Shared>,
    store: u64,
    current: Option<Current>,
    /// Older segments with bytes that are not synced.
    unsynced: Vec<Arc<Segment>>,
    closed: Vec<ClosedSegment>,
    /// Segments that were put away, which a crash may undo: what stands behind their ends must stay dead.
    put_away: Vec<SegmentEnd>,
    previous: Option<SegmentEnd>,
    written: u64,
    durable: u64,
    chain: u64,
    kept: Kept,
    /// So many read all segments, which must stay where they are.
    held: u32,
    /// Nobody wants the frames up to this one for the feed, although their segments may still be here.
    unwanted: u64,
    /// Segments up to this one were found by the opening: there may be torn bytes behind their ends.
    found: u32,
    /// What the opening had no room to move out of the way; to be done before a segment is begun or removed.
    owed: Option<ClearUp>,
    /// Shared with each segment that the feed has open.
    open_in_feed: Arc<()>,
    /// Spare files to come, once their names are durable.
    sparing: usize,
}

impl Timeline {
    /// A writer that goes on from what replay found, or for a new store from a [`GoOn::new_store`]. Everything that was
    /// replayed is durable when this returns.
    ///
    /// # Errors
    /// `Io`, `Full`.
    pub(crate) fn resume(
        disk: Arc<dyn Disk>,
        dir: &Path,
        from: GoOn,
        options: AheadOptions,
        kept: Kept,
    ) -> Result<Self> {
        for closed in &from.closed {
            disk.open(&dir.join(Kind::Timeline.name(closed.segment)), FileMode::Write)?.sync_data()?;
        }
        let current = match from.current {
            Some((SegmentEnd { segment, end }, after)) => {
                let segment = Segment::resume(&*disk, dir, segment, end, options.step)?;
                Some(Current { segment: Arc::new(segment), end, after })
            }
            None => None,
        };
        let open = current.as_ref().map(|current| current.segment.clone());
        let found = from.greatest_segment;
        // Nobody wanted these: the large values that they refer to may be gone, although they themselves are still here.
        let in_runs = from.superseded.iter().map(|segment| segment.frames.upto).max().unwrap_or(0);
        let unwanted = if kept.wants_any() { 0 } else { in_runs };
        let shared = Shared::new(disk, dir, options, open, found);
        Ok(Self {
            shared: Arc::new(shared),
            store: from.store,
            current,
            unsynced: Vec::new(),
            closed: [from.superseded, from.closed].concat(),
            put_away: Vec::new(),
            previous: from.previous,
            written: from.last_frame,
            durable: from.last_frame,
            chain: from.chain,
            kept,
            held: 0,
            unwanted,
            found,
            owed: None,
            open_in_feed: Arc::default(),
            sparing: 0,
        })
    }

    /// Takes what the opening had no room for.
    pub(crate) fn owe(&mut self, owed: Option<ClearUp>) {
        self.owed = owed;
    }

    /// Does what the opening had no room for.
    ///
    /// # Errors
    /// `Full` when there still is none, `Io`.
    fn settle(&mut self) -> Result<()> {
        if let Some(owed) = &mut self.owed {
            owed.work(&*self.shared.disk, &self.shared.dir)?;
            self.owed = None;
        }
        Ok(())
    }

    /// The handle for maintenance.
    pub(crate) fn ahead(&self) -> Ahead {
        Ahead(self.shared.clone())
    }

    /// The newest frame appended.
    #[cfg(test)]
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// The newest frame known durable.
    pub(crate) fn durable(&self) -> u64 {
        self.durable
    }

    /// Ends of the closed segments, and of those that may still be there after a crash, for the head.
    pub(crate) fn ends(&self) -> Vec<SegmentEnd> {
        self.put_away.iter().copied().chain(self.closed.iter().map(ClosedSegment::segment_end)).collect()
    }

    /// The oldest segment with frames; 0 when there is none.
    pub(crate) fn oldest_segment(&self) -> u32 {
        let current =
            || self.current.as_ref().filter(|current| current.end > 0).map_or(0, |c| c.segment.number());
        self.closed.first().map_or_else(current, |closed| closed.segment)
    }

    /// Bytes of the frames in the current segment, with its header.
    pub(crate) fn current_bytes(&self) -> u64 {
        self.current.as_ref().map_or(0, |current| current.end)
    }

    /// Bytes that the segments take on disk, zeros filled ahead included.
    pub(crate) fn disk_bytes(&self) -> u64 {
        let open = self.current.as_ref().map_or(0, |current| current.segment.file_len());
        let next = self.shared.next.lock().as_ref().map_or(0, |next| next.file_len());
        let ahead = open.saturating_add(next).saturating_add(self.shared.spares.bytes());
        self.closed.iter().fold(ahead, |sum, closed| sum.saturating_add(closed.bytes))
    }

    /// Seals the frame and appends it: one write. It is durable after the next [`sync`](Self::sync). Values of the beat in payload
    /// segments must be durable already.
    ///
    /// # Errors
    /// `Io`, `Full`: the writer is then poisoned. `Poisoned`. `Invalid` when the frame is sealed already.
    pub(crate) fn append(
        &mut self,
        frame: &mut FrameBuilder,
        header: &BeatHeader,
        payload_end: PayloadEnd,
    ) -> Result<Appended> {
        self.shared.check("commit_beat")?;
        let number = self.written.checked_add(1).ok_or_else(|| {
            Error::new(ErrorKind::Full, "commit_beat", "the numbers of frames are used up")
                .with_engine(SCHEME)
        })?;
        let (segment, end) = self.writable()?;
        let offset = if end == 0 { FIRST_FRAME_AT } else { end };
        let place = Place { store: self.store, segment: segment.number(), offset };
        let (durable_through, chain) = (self.durable, self.chain);
        let digest =
            frame.seal(&place, &Seal { frame: number, durable_through, chain, payload_end, header })?;
        let bytes = frame.with_segment_header();
        let len = bytes.len().saturating_sub(BUILT_AT) as u64;
        let written = if end == 0 {
            let head = self.segment_header(segment.number(), number).encode();
            if let Some(room) = bytes.get_mut(..SEGMENT_HEADER) {
                room.copy_from_slice(&head);
            }
            segment.append(0, bytes)
        } else {
            segment.append(offset, bytes.get(BUILT_AT..).unwrap_or_default())
        };
        self.shared.poison(written)?;
        if let Some(current) = &mut self.current {
            current.end = offset.saturating_add(len);
        }
        self.written = number;
        self.chain = digest;
        Ok(Appended { frame: number, segment: place.segment, offset })
    }

    fn segment_header(&self, segment: u32, first_frame: u64) -> SegmentHeader {
        let previous = self.previous.unwrap_or(SegmentEnd { segment: 0, end: 0 });
        SegmentHeader {
            segment,
            store: self.store,
            first_frame,
            previous: previous.segment,
            previous_end: previous.end,
            chain: self.chain,
        }
    }

    /// The current segment and where the next frame goes in it; takes the prepared one or creates one when there is none.
    fn writable(&mut self) -> Result<(Arc<Segment>, u64)> {
        if let Some(current) = &self.current {
            return Ok((current.segment.clone(), current.end));
        }
        self.settle()?;
        let prepared = self.shared.next.lock().take();
        let segment = match prepared {
            Some(prepared) => prepared,
            None => self.shared.create(self.shared.options.step)?,
        };
        *self.shared.current.lock() = Some(segment.clone());
        self.current = Some(Current { segment: segment.clone(), end: 0, after: self.written });
        Ok((segment, 0))
    }

    /// Opens the segment for the next frame now, so that the first commit need not.
    ///
    /// # Errors
    /// `Full`: nothing is changed, and the next one tries again. `Io`, `Poisoned`.
    pub(crate) fn open_segment(&mut self) -> Result<()> {
        if self.current.is_some() {
            return Ok(());
        }
        self.shared.check("commit_beat")?;
        self.writable().map(|_| ())
    }

    /// Makes every appended frame durable: one sync of the current segment, before it one of every older segment that has
    /// bytes which are not synced. Answers the newest durable frame. Nothing is called when all is durable already.
    ///
    /// # Errors
    /// `Io`: the writer is then poisoned. `Poisoned`.
    pub(crate) fn sync(&mut self) -> Result<u64> {
        self.shared.check("sync")?;
        if self.durable == self.written {
            return Ok(self.durable);
        }
        for segment in &self.unsynced {
            self.shared.poison(segment.sync())?;
        }
        self.unsynced.clear();
        if let Some(current) = self.current.as_ref().filter(|current| current.after < self.written) {
            self.shared.poison(current.segment.sync())?;
        }
        // The one who fills ahead may have been told of a failure that concerns these bytes.
        self.shared.check("sync")?;
        self.durable = self.written;
        Ok(self.durable)
    }

    /// Ends the current segment: the next frame goes to a new one. A segment without frames goes on.
    ///
    /// # Errors
    /// `Io`, `Full` when the new segment cannot be created; the next append tries again.
    pub(crate) fn roll(&mut self) -> Result<()> {
        self.shared.check("roll")?;
        let Some(current) = self.current.take_if(|current| current.end > 0) else { return Ok(()) };
        let frames = FrameSpan::new(current.after, self.written);
        let end = SegmentEnd { segment: current.segment.number(), end: current.end };
        let bytes = current.segment.close();
        self.closed.push(ClosedSegment { segment: end.segment, frames, end: end.end, bytes, damaged: false });
        self.previous = Some(end);
        if self.durable < self.written {
            self.unsynced.push(current.segment);
        }
        *self.shared.current.lock() = None;
        self.writable().map(|_| ())
    }

    /// Has every segment stay where it is, until it is [released](Self::release).
    pub(crate) fn hold(&mut self) {
        self.held = self.held.saturating_add(1);
    }

    /// Ends a [`hold`](Self::hold): what should have been [retired](Self::retire) meanwhile may be.
    pub(crate) fn release(&mut self) {
        self.held = self.held.saturating_sub(1);
    }

    /// Whether somebody reads all segments.
    pub(crate) fn is_held(&self) -> bool {
        self.held > 0
    }

    /// What is kept for the feed.
    pub(crate) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Says what is to be kept for the feed, when `newest` is the newest beat and durable runs hold all frames up to `in_runs`;
    /// answers the oldest beat that is there, if any.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn keep(&mut self, keep: Keep, newest: BeatNo, in_runs: u64) -> Result<Option<BeatNo>> {
        if !self.kept.wants_any() {
            // Nobody wanted these: the large values that they refer to may be gone, although they themselves are still here.
            self.unwanted = self.unwanted.max(in_runs);
            if keep != Keep::Nothing {
                // A run of the others may be on its way. Whoever makes it has seen that nobody wants them and not synced them.
                self.sync()?;
            }
        }
        if matches!(keep, Keep::After(after) if after >= newest) {
            // All beats so far may go.
            self.kept.set(Keep::Nothing);
            self.trim_kept()?;
        }
        self.kept.set(keep);
        self.trim_kept()?;
        let beats = self.feed_beats()?;
        Ok(beats.first().and_then(|(_, first)| *first))
    }

    fn trim_kept(&mut self) -> Result<()> {
        let following =
            self.feed_beats()?.into_iter().nth(self.kept.iter().count()).and_then(|(_, first)| first);
        self.kept.trim(&*self.shared.disk, &self.shared.dir, following)
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
