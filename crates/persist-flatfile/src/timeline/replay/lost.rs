//! Where the walk stops: end, damage, or a torn tail?

use persist_api::{BeatNo, Result};

use super::scan::{At, Hit, Scanner};
use super::segments::HeaderState;
use super::walk::{Stop, Walk};
use super::{Aside, Damage, Found, Torn};
use crate::error::corrupt;
use crate::names::Kind;
use crate::timeline::go_on::ClosedSegment;
use crate::timeline::segment_header::FIRST_FRAME_AT;
use crate::timeline::span::FrameSpan;

/// What damage is put down to.
#[derive(Clone, Copy)]
enum Blamed {
    /// Bytes from this place on.
    Bytes(At),
    /// A segment of this number that is not there.
    Missing(u32),
    /// The same of a run.
    Run(u32),
}

/// Valid frames beyond the place where the walk stopped.
#[derive(Default)]
struct Beyond {
    frames: u64,
    newest: u64,
    beat: Option<BeatNo>,
}

impl Beyond {
    fn count(&mut self, hit: &Hit) {
        self.frames = self.frames.saturating_add(1);
        self.newest = self.newest.max(hit.head.frame);
        self.beat = self.beat.max(Some(hit.footer.header.beat));
    }
}

impl Walk<'_> {
    /// Decides what stands at `at`, where the walk stopped: the place where it goes on, or none at the end.
    pub(super) fn stopped(&mut self, at: At, why: Stop) -> Result<Option<At>> {
        if why == Stop::Nothing && self.is_clean_end(at) && !self.goes_on_behind(at)? {
            self.leave_unused(at, None);
            return Ok(None);
        }
        let (next, started) = (self.next, self.started);
        let mut scan = Scanner::new(self.segments, self.meter, at);
        let hit = scan.next(|place, head| {
            let again = place == at && why != Stop::Number;
            !again && if started { head.frame >= next } else { head.frame > 0 }
        })?;
        let Some(hit) = hit else { return self.nothing_beyond(at, why, &scan).map(|()| None) };
        if hit.head.frame <= next {
            return self.nothing_lost(at, why, &hit, &scan).map(Some);
        }
        let needed = hit.head.frame.saturating_sub(1);
        let mut beyond = Beyond::default();
        let mut known = self.durable;
        let mut later = Some(hit.footer.durable_through.min(needed));
        beyond.count(&hit);
        while let Some(through) = later {
            known = known.max(through);
            if known >= needed {
                break;
            }
            let newest = beyond.newest;
            later = scan.next(|_, head| head.frame > newest)?.map(|hit| {
                beyond.count(&hit);
                hit.footer.durable_through.min(hit.head.frame.saturating_sub(1))
            });
        }
        self.durable = known;
        if known >= needed {
            self.damage(at, why, needed, Some(&hit))?;
            self.next = hit.head.frame;
            self.started = true;
            self.chain = None;
            return Ok(Some(hit.at));
        }
        self.damage_at_end(at, why)?;
        self.torn(at, why, &beyond, &scan)?;
        Ok(None)
    }

    /// True when the head says that the store was closed with just the frames that were found, and nothing was written behind.
    fn is_clean_end(&self, at: At) -> bool {
        // A segment without a single frame, of which a crash undid the removal, is behind the end too.
        let behind = if at.offset == FIRST_FRAME_AT { at.index } else { at.index + 1 };
        self.clean_at == Some(self.next.saturating_sub(1))
            && self.segments.iter().skip(behind).all(|(_, listed)| !listed.header_used())
    }

    /// True when valid frames lie behind what should be the end: the head is an older one, from when the store was closed before.
    fn goes_on_behind(&self, at: At) -> Result<bool> {
        let next = self.next;
        let found = Scanner::new(self.segments, self.meter, at).next(|_, head| head.frame >= next)?;
        Ok(found.is_some())
    }

    /// A frame that may come next lies elsewhere than it should: in a segment whose header does not verify, or behind bytes that are
    /// no frame.
    fn nothing_lost(&mut self, at: At, why: Stop, hit: &Hit, scan: &Scanner<'_>) -> Result<At> {
        let skipped = scan.used(at.index) > at.offset && at != hit.at;
        if skipped && (at.index != hit.at.index || self.started) {
            self.note(at, why.what())?;
        } else if !self.started && hit.at.offset != FIRST_FRAME_AT {
            self.note(at, "frames that runs hold do not verify")?;
        }
        Ok(hit.at)
    }

    fn nothing_beyond(&mut self, at: At, why: Stop, scan: &Scanner<'_>) -> Result<()> {
        // Frames that runs hold are not lost, whatever stands where they stood.
        let lost = self.durable >= self.next.max(self.after.saturating_add(1));
        self.damage_at_end(at, why)?;
        let used = self.segments.iter().skip(at.index).any(|(index, _)| scan.used(index) > 0);
        if used && !lost {
            return self.torn(at, why, &Beyond::default(), scan);
        }
        if lost {
            self.go_on_in = false;
        }
        self.leave_unused(at, Some(scan));
        Ok(())
    }

    /// Reports frames from the next one on that were durable and are nowhere.
    fn damage_at_end(&mut self, at: At, why: Stop) -> Result<()> {
        if self.durable < self.next {
            return Ok(());
        }
        self.damage(at, why, self.durable, None)?;
        self.next = self.durable.saturating_add(1);
        self.chain = None;
        self.payload_end_known = false;
        self.go_on_in = false;
        Ok(())
    }

    /// Reports the frames from the next one up to `upto` as lost, unless runs hold them all.
    fn damage(&mut self, at: At, why: Stop, upto: u64, behind: Option<&Hit>) -> Result<()> {
        let frames = FrameSpan::new(self.next.saturating_sub(1).max(self.after), upto);
        let blamed = match self.missing_run(frames) {
            Some(number) => Blamed::Run(number),
            None => self.blamed(at, why, behind),
        };
        if let Blamed::Bytes(place) = blamed {
            self.mark_damaged(place, upto);
        }
        if frames.is_empty() {
            return self.note(at, "frames that runs hold do not verify");
        }
        let (path, offset, len, what) = match blamed {
            Blamed::Missing(segment) => (self.segments.path_of(segment), 0, 0, "the segment is missing"),
            Blamed::Run(number) => {
                let path = self.segments.path(0).with_file_name(Kind::Run.name(number));
                (path, 0, 0, "the run that held these frames is missing or cannot be read")
            }
            Blamed::Bytes(place) => {
                let end = match behind {
                    Some(hit) if hit.at.index == place.index => hit.at.offset,
                    _ => self.segments.get(place.index).map_or(0, |listed| listed.len),
                };
                (self.segments.path(place.index), place.offset, end.saturating_sub(place.offset), why.what())
            }
        };
        let beat = self.newest_beat();
        let first = BeatNo(beat.0.saturating_add(1));
        let beat_upto = match behind {
            Some(hit) => BeatNo(hit.footer.header.beat.0.saturating_sub(1)).max(first),
            None => BeatNo(beat.0.saturating_add(frames.len())),
        };
        self.hand_out(Found::Damage(Damage { path, offset, len, frames, beat: first, beat_upto, what }))
    }

    /// The run that should be there and hold the first of these frames.
    fn missing_run(&self, frames: FrameSpan) -> Option<u32> {
        let first = FrameSpan::new(frames.after, frames.after.saturating_add(1));
        self.missing.iter().find(|run| !frames.is_empty() && run.span.covers(&first)).map(|run| run.number)
    }

    /// What to name as the place of damage that was noticed at `at`.
    fn blamed(&self, at: At, why: Stop, behind: Option<&Hit>) -> Blamed {
        let before = self.walked.last().and_then(|walked| {
            let index = self.segments.iter().find(|(_, listed)| listed.number == walked.segment)?.0;
            Some(At { index, offset: walked.end })
        });
        let header = behind.and_then(|hit| match self.segments.get(hit.at.index)?.header {
            HeaderState::Valid(header) if hit.at.index > at.index || hit.at == at => Some(header),
            _ => None,
        });
        match header {
            Some(header)
                if header.previous != 0
                    && !matches!(why, Stop::Bad(_))
                    && !self.segments.has(header.previous) =>
            {
                Blamed::Missing(header.previous)
            }
            // A valid frame that comes too early is not to blame, what should stand before it is.
            _ if behind.is_some_and(|hit| hit.at == at) => Blamed::Bytes(before.unwrap_or(at)),
            _ if !self.started && self.oldest != 0 && !self.segments.has(self.oldest) => {
                Blamed::Missing(self.oldest)
            }
            _ if self.segments.get(at.index).is_none() => match before {
                Some(before) => Blamed::Bytes(before),
                None => Blamed::Missing(self.segments.greatest.max(1)),
            },
            _ => Blamed::Bytes(at),
        }
    }

    fn mark_damaged(&mut self, at: At, upto: u64) {
        let Some(listed) = self.segments.get(at.index) else { return };
        match self.walked.last_mut().filter(|last| last.segment == listed.number) {
            Some(last) => {
                last.damaged = true;
                last.frames.upto = last.frames.upto.max(upto);
            }
            None if listed.header_used() => {
                let frames = FrameSpan::new(self.next.saturating_sub(1), upto);
                let (end, bytes) = (listed.limit(), listed.len);
                let segment = listed.number;
                self.walked.push(ClosedSegment { segment, frames, end, bytes, damaged: true });
            }
            None => {}
        }
    }

    /// Reports what lies from `at` on as never durable, and has it moved aside.
    fn torn(&mut self, at: At, why: Stop, beyond: &Beyond, scan: &Scanner<'_>) -> Result<()> {
        if self.segments.store == 0 {
            // No frame verifies without the tag of the store, so nothing says that these are torn.
            let what = "neither a head nor a header of a timeline segment tells whose frames these are";
            return Err(corrupt("open", &self.segments.path(at.index), at.offset, what));
        }
        let mut len = 0_u64;
        for (index, listed) in self.segments.iter().skip(at.index) {
            let used = scan.used(index);
            let here = index == at.index && at.offset > FIRST_FRAME_AT;
            let from = if here { at.offset } else { 0 };
            if used <= from {
                continue;
            }
            len = len.saturating_add(used - from);
            if !here {
                // The whole file goes; what is known to be lost in it was reported.
                self.walked.retain(|walked| walked.segment != listed.number);
            }
            self.aside.push(Aside { segment: listed.number, tail: here.then_some((from, used)) });
        }
        self.go_on_in = false;
        self.leave_unused(at, Some(scan));
        let beat = BeatNo(self.newest_beat().0.saturating_add(1));
        let path = self.segments.path(at.index);
        let beat_upto = beyond.beat.unwrap_or(beat);
        let frames = beyond.frames;
        let (offset, frame, what) = (at.offset, self.next, why.what());
        self.hand_out(Found::Torn(Torn { path, offset, len, frame, frames, beat, beat_upto, what }))
    }

    /// Segments behind the last frame that hold only zeros were prepared and never used.
    fn leave_unused(&mut self, at: At, scan: Option<&Scanner<'_>>) {
        let walked: Vec<u32> = self.walked.iter().map(|walked| walked.segment).collect();
        let zero = |index: usize| scan.is_none_or(|scan| scan.used(index) == 0);
        for (index, listed) in self.segments.iter().skip(at.index) {
            if listed.header == HeaderState::Zero && !walked.contains(&listed.number) && zero(index) {
                self.unused.push(listed.number);
            }
        }
    }
}
