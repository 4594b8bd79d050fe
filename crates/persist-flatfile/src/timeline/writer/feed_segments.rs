//! Which segments the feed reads: those that are kept for it, then those in use.

use std::sync::Arc;

use persist_api::{BeatNo, Result};
use persist_io::FileMode;

use super::Timeline;
use crate::names::{Kind, kept_name};
use crate::timeline::feed::{FeedSegment, FeedWalk};
use crate::timeline::kept::first_beat;

impl Timeline {
    /// Number and first beat of each segment with frames, kept ones first.
    pub(super) fn feed_beats(&self) -> Result<Vec<(u32, Option<BeatNo>)>> {
        let mut all: Vec<_> = self.kept.iter().collect();
        for number in self.segments_in_use() {
            let path = self.shared.dir.join(Kind::Timeline.name(number));
            all.push((number, first_beat(&*self.shared.disk, &path, self.store, number)?));
        }
        Ok(all)
    }

    /// The segments with frames that the feed may need.
    fn segments_in_use(&self) -> impl Iterator<Item = u32> + '_ {
        let current = self.current.as_ref().filter(|current| current.end > 0);
        let current = current.map(|current| current.segment.number());
        let closed = self.closed.iter().filter(|closed| closed.frames.upto > self.unwanted);
        closed.map(|closed| closed.segment).chain(current)
    }

    /// A walk that meets every frame of the beats after `after`; `None` when they are not all there.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn feed_from(&self, after: BeatNo) -> Result<Option<FeedWalk>> {
        let beats = self.feed_beats()?;
        let before = beats.iter().rfind(|(_, first)| first.is_some_and(|first| first <= after));
        // The oldest may begin with the very next beat.
        let next = || {
            beats.first().filter(|(_, first)| first.is_some_and(|first| first.0 == after.0.saturating_add(1)))
        };
        match before.or_else(next) {
            Some((number, _)) => self.walk_from(*number),
            None => Ok(None),
        }
    }

    /// A walk from the oldest frame that is there.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn feed_from_oldest(&self) -> Result<Option<FeedWalk>> {
        let oldest = self.feed_segments().next();
        oldest.map_or(Ok(None), |number| self.walk_from(number))
    }

    /// Number and beat of the oldest frame that is there; `None` where none verifies.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn oldest_frame(&self) -> Result<Option<(u64, BeatNo)>> {
        let Some(mut walk) = self.feed_from_oldest()? else { return Ok(None) };
        Ok(walk.head()?.map(|head| (head.frame, BeatNo(head.beat))))
    }

    /// A walk from the first frame of a segment; `None` when that is not here.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn walk_from(&self, number: u32) -> Result<Option<FeedWalk>> {
        Ok(self.feed_segment(|other| other == number)?.map(|segment| FeedWalk::new(self.store, segment)))
    }

    /// Opens the oldest segment with frames that `wanted` takes.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn feed_segment(&self, wanted: impl Fn(u32) -> bool) -> Result<Option<FeedSegment>> {
        let found = self.feed_segments().find(|number| wanted(*number));
        let Some((number, end)) = found.and_then(|number| Some((number, self.feed_end(number)?))) else {
            return Ok(None);
        };
        let is_kept = self.kept.end_of(number).is_some();
        let name = if is_kept { kept_name(number, end) } else { Kind::Timeline.name(number) };
        let path = self.shared.dir.join(name);
        let file = self.shared.disk.open(&path, FileMode::Read)?;
        let open = Arc::clone(&self.open_in_feed);
        Ok(Some(FeedSegment { number, path, file, end, _open: open }))
    }

    /// Where the frames of a segment end as of now: beyond every offset in the one that is written to; `None` when it is
    /// not here any more.
    pub(crate) fn feed_end(&self, number: u32) -> Option<u64> {
        let closed = || self.closed.iter().find(|closed| closed.segment == number).map(|closed| closed.end);
        let current = || self.segments_in_use().find(|other| *other == number).map(|_| u64::MAX);
        self.kept.end_of(number).or_else(closed).or_else(current)
    }

    /// The segments with frames, oldest first.
    fn feed_segments(&self) -> impl Iterator<Item = u32> + '_ {
        self.kept.iter().map(|(number, _)| number).chain(self.segments_in_use())
    }
}
