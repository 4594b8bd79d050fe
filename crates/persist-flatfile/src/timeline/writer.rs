//! The writing end of the timeline.
//!
//! [`Timeline`] belongs to the one who commits: [`append`](Timeline::append) is one write, [`sync`](Timeline::sync) one sync of
//! the segment (and of older ones, where they still hold bytes that are not synced). [`Ahead`] belongs to whoever does
//! maintenance: it fills the current segment with zeros ahead of the writer and prepares the next one, so that neither grows
//! a file nor creates one within a commit. Without it everything works, slower.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use parking_lot::Mutex;
use persist_api::{BeatHeader, Error, ErrorKind, Result};
use persist_io::Disk;

use super::frame::{BUILT_AT, FrameBuilder, PayloadEnd, Place, Seal};
use super::head::SegmentEnd;
use super::segment::{FillError, Segment};
use super::segment_header::{FIRST_FRAME_AT, SEGMENT_HEADER, SegmentHeader};
use super::span::FrameSpan;
use crate::error::SCHEME;
use crate::names::{DAMAGED, Kind};

/// How far to work ahead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AheadOptions {
    /// Bytes to fill ahead in a new segment; doubled with each further fill.
    pub(crate) step: u64,
    /// Bytes to fill ahead at most.
    pub(crate) step_max: u64,
    /// Fill of a segment at which the next one is prepared.
    pub(crate) prepare_after: u64,
}

impl Default for AheadOptions {
    fn default() -> Self {
        Self { step: 1 << 20, step_max: 8 << 20, prepare_after: 8 << 20 }
    }
}

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

/// A segment that gets no more frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClosedSegment {
    /// Its number.
    pub(crate) segment: u32,
    /// The frames in it.
    pub(crate) frames: FrameSpan,
    /// Where its last valid frame ends.
    pub(crate) end: u64,
    /// True when part of it does not verify: it is then never deleted, only moved aside.
    pub(crate) damaged: bool,
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
    /// Segments that hold frames and get no more, oldest first.
    pub(crate) closed: Vec<ClosedSegment>,
    /// The segment after which a new one comes, and where its frames end.
    pub(crate) previous: Option<SegmentEnd>,
    /// The greatest number of a segment that was ever seen here.
    pub(crate) greatest_segment: u32,
}

/// What the writer and [`Ahead`] share.
struct Shared {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    options: AheadOptions,
    current: Mutex<Option<Arc<Segment>>>,
    next: Mutex<Option<Arc<Segment>>>,
    preparing: Mutex<()>,
    greatest: AtomicU32,
    failed: AtomicBool,
}

impl Shared {
    fn check(&self, op: &'static str) -> Result<()> {
        if !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        let context = "an earlier write or sync of the timeline failed";
        Err(Error::new(ErrorKind::Poisoned, op, context).with_engine(SCHEME).with_path(&self.dir))
    }

    /// After a failed write or sync nothing more may be written.
    fn poison<T>(&self, done: Result<T>) -> Result<T> {
        if done.is_err() {
            self.failed.store(true, Ordering::Release);
        }
        done
    }

    fn create(&self) -> Result<Arc<Segment>> {
        let took = |number: u32| number.checked_add(1);
        let number = self
            .greatest
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, took)
            .ok()
            .and_then(took)
            .ok_or_else(|| {
                Error::new(ErrorKind::Full, "roll", "the numbers of timeline segments are used up")
                    .with_engine(SCHEME)
            })?;
        Ok(Arc::new(Segment::create(&*self.disk, &self.dir, number, self.options.step)?))
    }
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
    previous: Option<SegmentEnd>,
    written: u64,
    durable: u64,
    chain: u64,
}

impl Timeline {
    /// A writer that goes on from what replay found, or for a new store from a [`GoOn::new_store`]. Everything that was
    /// replayed is durable when this returns.
    ///
    /// # Errors
    /// `Io`, `Full`.
    pub(crate) fn resume(disk: Arc<dyn Disk>, dir: &Path, from: GoOn, options: AheadOptions) -> Result<Self> {
        for closed in &from.closed {
            disk.open(&dir.join(Kind::Timeline.name(closed.segment)), persist_io::FileMode::Write)?
                .sync_data()?;
        }
        let current = match from.current {
            Some((SegmentEnd { segment, end }, after)) => {
                let segment = Segment::resume(&*disk, dir, segment, end, options.step)?;
                Some(Current { segment: Arc::new(segment), end, after })
            }
            None => None,
        };
        let shared = Shared {
            disk,
            dir: dir.to_path_buf(),
            options,
            current: Mutex::new(current.as_ref().map(|current| current.segment.clone())),
            next: Mutex::new(None),
            preparing: Mutex::new(()),
            greatest: AtomicU32::new(from.greatest_segment),
            failed: AtomicBool::new(false),
        };
        Ok(Self {
            shared: Arc::new(shared),
            store: from.store,
            current,
            unsynced: Vec::new(),
            closed: from.closed,
            previous: from.previous,
            written: from.last_frame,
            durable: from.last_frame,
            chain: from.chain,
        })
    }

    /// The handle for maintenance.
    pub(crate) fn ahead(&self) -> Ahead {
        Ahead(self.shared.clone())
    }

    /// The newest frame appended.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// The newest frame known durable.
    pub(crate) fn durable(&self) -> u64 {
        self.durable
    }

    /// Ends of the closed segments, for the head.
    pub(crate) fn ends(&self) -> Vec<SegmentEnd> {
        self.closed.iter().map(|closed| SegmentEnd { segment: closed.segment, end: closed.end }).collect()
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
        self.closed.iter().fold(open.saturating_add(next), |sum, closed| sum.saturating_add(closed.end))
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
        let prepared = self.shared.next.lock().take();
        let segment = match prepared {
            Some(prepared) => prepared,
            None => self.shared.create()?,
        };
        *self.shared.current.lock() = Some(segment.clone());
        self.current = Some(Current { segment: segment.clone(), end: 0, after: self.written });
        Ok((segment, 0))
    }

    /// Opens the segment for the next frame now, so that the first commit need not.
    ///
    /// # Errors
    /// `Io`, `Full`; the next append tries again.
    pub(crate) fn open_segment(&mut self) -> Result<()> {
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
        self.closed.push(ClosedSegment { segment: end.segment, frames, end: end.end, damaged: false });
        self.previous = Some(end);
        if self.durable < self.written {
            self.unsynced.push(current.segment);
        }
        *self.shared.current.lock() = None;
        self.writable().map(|_| ())
    }

    /// Forgets closed segments whose frames are all in durable runs, that is up to and with frame `upto`: they are removed, or
    /// moved to `damaged/` when part of them does not verify. Answers how many. The current segment stays.
    ///
    /// # Errors
    /// `Io`; what is still listed is tried again next time.
    pub(crate) fn retire(&mut self, upto: u64) -> Result<usize> {
        let mut done = 0;
        while let Some(oldest) = self.closed.first().copied().filter(|closed| closed.frames.upto <= upto) {
            let path = self.shared.dir.join(Kind::Timeline.name(oldest.segment));
            if oldest.damaged {
                super::aside::move_aside(&*self.shared.disk, &self.shared.dir, &path)?;
            } else {
                self.shared.disk.remove_file(&path)?;
            }
            self.closed.remove(0);
            self.unsynced.retain(|segment| segment.number() != oldest.segment);
            done += 1;
        }
        self.durable = self.durable.max(upto.min(self.written));
        Ok(done)
    }
}

impl GoOn {
    /// Where a store without a frame begins.
    pub(crate) fn new_store(store: u64) -> Self {
        Self {
            store,
            last_frame: 0,
            chain: 0,
            current: None,
            closed: Vec::new(),
            previous: None,
            greatest_segment: 0,
        }
    }
}

/// Works ahead of the writer, on any thread.
#[derive(Clone)]
pub(crate) struct Ahead(Arc<Shared>);

impl Ahead {
    /// True when [`work`](Self::work) has something to do. Cheap enough for every commit.
    pub(crate) fn wanted(&self) -> bool {
        let Some(current) = self.0.current.lock().clone() else { return false };
        current.wants_fill() || self.wants_next(&current)
    }

    fn wants_next(&self, current: &Segment) -> bool {
        current.end() >= self.0.options.prepare_after && self.0.next.lock().is_none()
    }

    /// Fills the current segment ahead and prepares the next one where it is time for that.
    ///
    /// # Errors
    /// `Full` or `Io` where zeros could not be written: nothing is harmed, commits go on as long as the disk takes them. `Io`
    /// where the segment could not be synced: the writer is poisoned from then on. `Poisoned`.
    pub(crate) fn work(&self) -> Result<()> {
        self.0.check("fill_ahead")?;
        let Some(current) = self.0.current.lock().clone() else { return Ok(()) };
        if current.wants_fill() {
            match current.fill(self.0.options.step_max) {
                Ok(()) => {}
                Err(FillError::Zeros(error)) => return Err(error),
                Err(FillError::Sync(error)) => return self.0.poison(Err(error)),
            }
        }
        if self.wants_next(&current) {
            self.prepare()?;
        }
        Ok(())
    }

    /// Creates the next segment, filled and durable, unless there is one.
    ///
    /// # Errors
    /// `Io`, `Full`: nothing is harmed.
    pub(crate) fn prepare(&self) -> Result<()> {
        let _one_at_a_time = self.0.preparing.lock();
        if self.0.next.lock().is_some() {
            return Ok(());
        }
        let segment = self.0.create()?;
        let filled = segment.fill(self.0.options.step_max).map_err(FillError::into_error);
        let overtaken = {
            // The writer may have rolled into a segment of a greater number meanwhile; numbers only grow along the timeline.
            let current = self.0.current.lock();
            let overtaken = current.as_ref().is_none_or(|current| current.number() > segment.number());
            if filled.is_ok() && !overtaken {
                *self.0.next.lock() = Some(segment.clone());
            }
            overtaken
        };
        if filled.is_err() || overtaken {
            self.0.disk.remove_file(segment.path())?;
        }
        filled
    }

    /// The directory of the timeline's files that were moved aside.
    pub(crate) fn damaged_dir(&self) -> PathBuf {
        self.0.dir.join(DAMAGED)
    }
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
