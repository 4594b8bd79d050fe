//! Walking committed frames in order, for the feed.

use std::path::PathBuf;
use std::sync::Arc;

use persist_api::{BeatNo, Error, ErrorKind, Result};
use persist_io::DiskFile;

use super::frame::{FRAME_HEADER, Footer, FrameHead, Place, body_range, check_frame};
use super::segment_header::FIRST_FRAME_AT;
use super::writer::Timeline;
use crate::core::Core;
use crate::error::corrupt;

/// Bytes read at a time, where a frame is not longer.
const CHUNK: usize = 64 << 10;

/// A segment, open for the feed.
pub(crate) struct FeedSegment {
    /// Its number.
    pub(crate) number: u32,
    /// Its path as of now.
    pub(crate) path: PathBuf,
    /// The file; it may be read on when it is renamed or removed.
    pub(crate) file: Box<dyn DiskFile>,
    /// Where its frames end at the latest: behind it only zeros, or what a recovery has dropped. Beyond every offset for the
    /// newest segment, whose last frame is known by its number.
    pub(crate) end: u64,
    /// While this is there, the timeline does not write over what it has forgotten.
    pub(crate) _open: Arc<()>,
}

/// A frame, checked.
pub(crate) struct FeedFrame<'w> {
    /// What its footer says, the beat header among it.
    pub(crate) footer: Footer,
    /// Its operations.
    pub(crate) body: &'w [u8],
    /// The segment that it stands in.
    pub(crate) segment: u32,
}

/// A place between two frames.
pub(crate) struct FeedWalk {
    store: u64,
    segment: FeedSegment,
    offset: u64,
    /// Number and digest of the frame before, once there was one.
    before: Option<(u64, u64)>,
    /// The segment before was still kept when this one was entered, so that nothing between the two was given up.
    follows: bool,
    buffer: Vec<u8>,
    /// Where in the file the buffer begins.
    start: u64,
}

/// Where a walk stopped. It holds neither memory nor a file, whose segment may be removed meanwhile.
pub(crate) struct FeedPlace {
    segment: u32,
    offset: u64,
    before: Option<(u64, u64)>,
    follows: bool,
}

impl FeedPlace {
    /// A walk from here on, as the timeline is now; `None` when the segment is not here any more.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn resumed(self, timeline: &Timeline) -> Result<Option<FeedWalk>> {
        let walk = timeline.walk_from(self.segment)?;
        let Self { offset, before, follows, .. } = self;
        Ok(walk.map(|walk| FeedWalk { offset, before, follows, ..walk }))
    }
}

impl FeedWalk {
    /// Before the first frame of a segment.
    pub(crate) fn new(store: u64, segment: FeedSegment) -> Self {
        Self {
            store,
            segment,
            offset: FIRST_FRAME_AT,
            before: None,
            follows: true,
            buffer: Vec::new(),
            start: 0,
        }
    }

    /// Where it stands, to go on from later.
    pub(crate) fn rest(&self) -> FeedPlace {
        let Self { offset, before, follows, .. } = *self;
        FeedPlace { segment: self.segment.number, offset, before, follows }
    }

    /// The next frame of a beat after `after`, up to and with frame `upto`, which must be there.
    ///
    /// # Errors
    /// `Corrupt` naming file and offset, `Stale` when the rest is no longer kept, `Io`.
    pub(crate) fn next(&mut self, core: &Core, after: BeatNo, upto: u64) -> Result<Option<FeedFrame<'_>>> {
        let head = loop {
            if self.before.is_some_and(|(frame, _)| frame >= upto) {
                return Ok(None);
            }
            if self.offset >= self.segment.end {
                self.enter_next(core)?;
            }
            match self.head()? {
                None if self.is_blank()? => self.offset = self.segment.end,
                None => return Err(self.damaged("no frame verifies where one was committed")),
                Some(head) if head.beat <= after.0 => {
                    // Whether it is whole is of no interest here.
                    self.check_number(&head)?;
                    self.before = Some((head.frame, 0));
                    self.offset = self.offset.saturating_add(head.len);
                }
                Some(head) => break head,
            }
        };
        self.check_number(&head)?;
        self.take(&head).map(Some)
    }

    /// The header of the frame that begins here; `None` where no frame begins.
    pub(crate) fn head(&mut self) -> Result<Option<FrameHead>> {
        let seed = self.seed();
        let offset = self.offset;
        Ok(FrameHead::read(self.get(offset, FRAME_HEADER)?, seed))
    }

    fn take(&mut self, head: &FrameHead) -> Result<FeedFrame<'_>> {
        let (seed, offset) = (self.seed(), self.offset);
        let sizes = usize::try_from(head.len).ok().zip(body_range(head.body_len));
        let (len, body) = sizes.ok_or_else(|| self.damaged("the frame is too large for this machine"))?;
        let checked = check_frame(self.get(offset, len)?, head, seed);
        let footer = checked.map_err(|what| self.damaged(what))?;
        // Where a store went on after a loss, or with runs alone, the chain begins anew.
        let digest = self.before.map_or(0, |(_, digest)| digest);
        if footer.chain != digest && footer.chain != 0 && digest != 0 {
            return Err(self.damaged("the frame does not follow from the one before it"));
        }
        self.before = Some((head.frame, footer.digest));
        self.offset = offset.saturating_add(head.len);
        let from = usize::try_from(offset.saturating_sub(self.start)).unwrap_or(usize::MAX);
        let here = self.buffer.get(from..).unwrap_or_default();
        Ok(FeedFrame { footer, body: here.get(body).unwrap_or_default(), segment: self.segment.number })
    }

    fn check_number(&self, head: &FrameHead) -> Result<()> {
        match self.before {
            Some((before, _)) if head.frame != before.saturating_add(1) => {
                if !self.follows {
                    return Err(gone("the beats that come next"));
                }
                let what = format!(
                    "frames {} to {} are lost",
                    before.saturating_add(1),
                    head.frame.saturating_sub(1)
                );
                Err(self.damaged(&what))
            }
            _ => Ok(()),
        }
    }

    fn seed(&self) -> u32 {
        Place { store: self.store, segment: self.segment.number, offset: self.offset }.seed()
    }

    /// Whether only zeros stand here: what was filled ahead.
    fn is_blank(&mut self) -> Result<bool> {
        let offset = self.offset;
        Ok(self.segment.end != u64::MAX && self.get(offset, FRAME_HEADER)?.iter().all(|&byte| byte == 0))
    }

    /// Goes on in the segment that follows.
    fn enter_next(&mut self, core: &Core) -> Result<()> {
        let next = {
            let log = core.log.lock();
            self.follows = log.timeline.feed_end(self.segment.number).is_some();
            log.timeline.feed_segment(|number| number > self.segment.number)?
        };
        self.segment = match next {
            Some(next) => next,
            None if self.follows => return Err(self.damaged("frames that were committed are not here")),
            None => return Err(gone("the beats that come next")),
        };
        self.offset = FIRST_FRAME_AT;
        self.buffer.clear();
        Ok(())
    }

    fn damaged(&self, what: &str) -> Error {
        corrupt("feed", &self.segment.path, self.offset, what)
    }

    /// `len` bytes at `offset`; fewer only where the file ends.
    fn get(&mut self, offset: u64, len: usize) -> Result<&[u8]> {
        let held =
            |from: usize, walk: &Self| from.checked_add(len).is_some_and(|end| end <= walk.buffer.len());
        let from = offset.checked_sub(self.start).and_then(|from| usize::try_from(from).ok());
        let from = if let Some(from) = from.filter(|&from| held(from, self)) {
            from
        } else {
            self.fill(offset, len)?;
            0
        };
        let end = from.saturating_add(len).min(self.buffer.len());
        Ok(self.buffer.get(from..end).unwrap_or_default())
    }

    fn fill(&mut self, offset: u64, len: usize) -> Result<()> {
        // A length that damage has made up must not cost memory.
        let there = self.segment.file.len()?.saturating_sub(offset);
        let room = (len.max(CHUNK) as u64).min(there);
        self.buffer.clear();
        self.buffer.resize(usize::try_from(room).unwrap_or_default(), 0);
        let got = self.segment.file.read_at(offset, &mut self.buffer)?;
        self.buffer.truncate(got);
        self.buffer.shrink_to(CHUNK.max(got));
        self.start = offset;
        Ok(())
    }
}

/// What the feed would need is no longer kept.
pub(crate) fn gone(what: &str) -> Error {
    Error::new(ErrorKind::Stale, "feed", format!("{what} are no longer kept for the feed"))
}
