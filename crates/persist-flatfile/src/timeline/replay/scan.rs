//! Looking ahead from a place where no frame verifies: which valid frames come later?

use persist_api::Result;

use super::segments::{Listed, Segments};
use super::window::{Meter, Window};
use crate::coding::u32_at;
use crate::timeline::frame::{FRAME_ALIGN, FRAME_HEADER, FRAME_MAGIC, Footer, FrameHead};
use crate::timeline::segment_header::FIRST_FRAME_AT;

/// Bytes looked at in one go.
const CHUNK: usize = 4096;

/// A place in the timeline: which of the listed segments, and the offset in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub(super) index: usize,
    pub(super) offset: u64,
}

/// A valid frame found.
pub(super) struct Hit {
    pub(super) at: At,
    pub(super) head: FrameHead,
    pub(super) footer: Footer,
}

/// Goes through the bytes of this segment and the later ones in steps of 8.
pub(super) struct Scanner<'a> {
    segments: &'a Segments<'a>,
    meter: &'a Meter<'a>,
    window: Option<Window<'a>>,
    at: At,
    /// For each segment from the first one on: behind its last byte that is not zero, as far as was looked.
    used: Vec<u64>,
    first: usize,
}

/// Bytes of the segment's header that are in use.
fn header_bytes(segments: &Segments<'_>, index: usize) -> u64 {
    if segments.get(index).is_some_and(Listed::header_used) { FIRST_FRAME_AT } else { 0 }
}

impl<'a> Scanner<'a> {
    pub(super) fn new(segments: &'a Segments<'a>, meter: &'a Meter<'a>, at: At) -> Self {
        let used = if at.offset == FIRST_FRAME_AT { header_bytes(segments, at.index) } else { 0 };
        Self { segments, meter, window: None, at, used: vec![used], first: at.index }
    }

    /// Behind the last byte of segment `index` that is not zero, not before where the scan began; 0 when there is none.
    pub(super) fn used(&self, index: usize) -> u64 {
        index.checked_sub(self.first).and_then(|n| self.used.get(n)).copied().unwrap_or(0)
    }

    fn mark(&mut self, upto: u64) {
        if let Some(used) = self.used.last_mut() {
            *used = (*used).max(upto);
        }
    }

    /// The next valid frame that `wanted` takes, in the order of the files. After `None` everything was looked at.
    pub(super) fn next(&mut self, wanted: impl Fn(At, &FrameHead) -> bool) -> Result<Option<Hit>> {
        while let Some(segment) = self.segments.get(self.at.index) {
            let limit = segment.limit();
            if self.at.offset >= limit {
                self.window = None;
                self.at = At { index: self.at.index + 1, offset: FIRST_FRAME_AT };
                self.used.push(header_bytes(self.segments, self.at.index));
                continue;
            }
            let mut window = match self.window.take() {
                Some(window) => window,
                None => Window::new(self.segments.open(self.at.index)?, segment.len, self.meter),
            };
            let hit = self.look(&mut window, limit, &wanted)?;
            self.window = Some(window);
            if hit.is_some() {
                return Ok(hit);
            }
        }
        Ok(None)
    }

    /// Looks at one chunk, or as far as the first valid frame in it.
    fn look(
        &mut self,
        window: &mut Window<'_>,
        limit: u64,
        wanted: &impl Fn(At, &FrameHead) -> bool,
    ) -> Result<Option<Hit>> {
        let at = self.at;
        let room = usize::try_from(limit - at.offset).unwrap_or(CHUNK).min(CHUNK);
        let chunk = window.get(at.offset, room)?;
        if chunk.is_empty() {
            self.at.offset = limit;
            return Ok(None);
        }
        let next = at.offset.saturating_add(chunk.len() as u64);
        // The whole chunk at once: this is what is looked at most, and it needs no branch for each byte.
        let zero = chunk.iter().fold(0, |all, &byte| all | byte) == 0;
        let last = if zero { None } else { chunk.iter().rposition(|&byte| byte != 0) };
        let Some(last) = last else {
            self.at.offset = next.next_multiple_of(FRAME_ALIGN);
            return Ok(None);
        };
        let magic = chunk.chunks(8).position(|word| u32_at(word, 0) == Some(FRAME_MAGIC));
        self.mark(at.offset.saturating_add(last as u64 + 1));
        let Some(words) = magic else {
            self.at.offset = next.next_multiple_of(FRAME_ALIGN);
            return Ok(None);
        };
        let offset = at.offset.saturating_add(8 * words as u64);
        let at = At { index: at.index, offset };
        self.at.offset = offset.saturating_add(FRAME_ALIGN);
        let seed = self.segments.seed(at);
        let Some(head) = FrameHead::read(window.get(offset, FRAME_HEADER)?, seed) else { return Ok(None) };
        let end = offset.saturating_add(head.len);
        if end > limit || !wanted(at, &head) {
            return Ok(None);
        }
        let Some(footer) = window.check_frame(offset, &head, seed)? else { return Ok(None) };
        self.mark(end);
        self.at.offset = end;
        Ok(Some(Hit { at, head, footer }))
    }
}
