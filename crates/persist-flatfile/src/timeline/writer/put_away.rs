//! Segments that the timeline needs no more: removed, moved aside, kept for the feed, or spared for the frames to come.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use persist_api::Result;
use persist_io::{DiskFile, FileMode};

use super::Timeline;
use crate::error::is_no_room;
use crate::names::Kind;
use crate::timeline::aside::{copy_rest, move_aside, remove};
use crate::timeline::go_on::ClosedSegment;
use crate::timeline::head::SegmentEnd;
use crate::timeline::spare::Spare;

/// Segments that the timeline has forgotten. Their files are open still, so that removing them took away their names only: for the
/// many blocks of a file the system needs milliseconds, in which no commit should have to wait for the timeline.
#[derive(Default)]
#[must_use = "to be dropped when the timeline is free for others again"]
pub(crate) struct Retired {
    /// Where their frames end.
    ends: Vec<SegmentEnd>,
    files: Vec<Box<dyn DiskFile>>,
    /// Those that become spare files.
    spares: Vec<Spare>,
}

impl Retired {
    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.ends.len()
    }
}

/// What could not be done for want of room is not done, and no error.
fn unless_full(done: Result<bool>) -> Result<bool> {
    match done {
        Err(error) if is_no_room(&error) => Ok(false),
        done => done,
    }
}

impl Timeline {
    /// Forgets closed segments whose frames are all in durable runs, that is up to and with frame `upto`: they are removed, or
    /// moved to `damaged/` when part of them does not verify. The current segment stays,
    /// and so do all while they are [held](Self::hold), and each of which something is to be kept for which there is no room. With
    /// `reuse`, some that would be removed become spare files, [once that is durable](Self::gone).
    ///
    /// # Errors
    /// `Io`; what is still listed is tried again next time.
    pub(crate) fn retire(&mut self, upto: u64, reuse: bool) -> Result<Retired> {
        let (mut retired, mut stay) = (Retired::default(), 0);
        let is_done = |closed: &ClosedSegment| closed.frames.upto <= upto;
        let free = self.held == 0 && unless_full(self.settle().map(|()| true))?;
        while let Some(oldest) = self.closed.get(stay).copied().filter(is_done).filter(|_| free) {
            let file = self.shared.disk.open(&self.path_of(oldest.segment), FileMode::Read);
            let spared =
                reuse && self.may_be_spared(&oldest) && unless_full(self.spare(&oldest, &mut retired))?;
            if !spared && !unless_full(self.put_away(&oldest))? {
                if self.kept.wants_any() {
                    // The feed takes them over in their order.
                    break;
                }
                stay += 1;
                continue;
            }
            self.closed.remove(stay);
            self.put_away.push(oldest.segment_end());
            retired.ends.push(oldest.segment_end());
            self.unsynced.retain(|segment| segment.number() != oldest.segment);
            retired.files.extend(file);
        }
        self.durable = self.durable.max(upto.min(self.written));
        if retired.count() > 0 && self.kept.wants_any() {
            self.trim_kept()?;
        }
        Ok(retired)
    }

    /// The same at once, durably, with nothing spared.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn retire_durably(&mut self, upto: u64) -> Result<()> {
        let mut retired = self.retire(upto, false)?;
        if retired.count() > 0 {
            self.shared.poison(self.shared.disk.sync_dir(&self.shared.dir))?;
            self.gone(&mut retired);
        }
        Ok(())
    }

    fn path_of(&self, segment: u32) -> PathBuf {
        self.shared.dir.join(Kind::Timeline.name(segment))
    }

    /// Takes a segment out of the way; false when there is no room for what is to be kept of it.
    fn put_away(&mut self, closed: &ClosedSegment) -> Result<bool> {
        let (disk, dir) = (&*self.shared.disk, &*self.shared.dir);
        let &ClosedSegment { segment, end, .. } = closed;
        let path = self.path_of(segment);
        if closed.damaged {
            move_aside(disk, dir, &path).map(|_| true)
        } else if self.is_for_feed(closed) {
            if segment <= self.found && !copy_rest(disk, dir, SegmentEnd { segment, end })? {
                return Ok(false);
            }
            self.kept.take(disk, dir, self.store, (segment, end)).map(|()| true)
        } else if segment <= self.found {
            remove(disk, dir, SegmentEnd { segment, end })
        } else {
            disk.remove_file(&path).map(|()| true)
        }
    }

    fn is_for_feed(&self, closed: &ClosedSegment) -> bool {
        self.kept.wants_any() && closed.frames.upto > self.unwanted
    }

    /// Whether the file of a segment may be written over: nothing of it is to be kept, nobody reads it, and there is use for it.
    fn may_be_spared(&self, closed: &ClosedSegment) -> bool {
        let is_needless = !closed.damaged && closed.segment > self.found && !self.is_for_feed(closed);
        is_needless
            && closed.bytes <= self.shared.options.spare_max
            && Arc::strong_count(&self.open_in_feed) == 1
            && self.shared.spares.has_room(self.sparing)
    }

    fn spare(&mut self, closed: &ClosedSegment, retired: &mut Retired) -> Result<bool> {
        if let Some(spare) = Spare::of_segment(&*self.shared.disk, &self.shared.dir, closed.segment)? {
            self.sparing = self.sparing.saturating_add(1);
            retired.spares.push(spare);
        }
        Ok(true)
    }

    /// To be told once the names of what was [retired](Self::retire) are gone for good, that is after a sync of the directory.
    pub(crate) fn gone(&mut self, retired: &mut Retired) {
        self.put_away.retain(|end| !retired.ends.contains(end));
        self.sparing = self.sparing.saturating_sub(retired.spares.len());
        self.shared.spares.add(retired.spares.drain(..));
    }

    /// How many segments were made of spare files.
    pub(crate) fn reused(&self) -> u64 {
        self.shared.reused.load(Ordering::Relaxed)
    }

    /// Whether there are segments to be put away whose frames are not beyond `upto`.
    pub(crate) fn has_any_upto(&self, upto: u64) -> bool {
        self.held == 0 && self.closed.iter().any(|closed| closed.frames.upto <= upto)
    }

    /// Gives back what lies ready for beats that may not come for a while: the spare file, and of the next segment all but as much as
    /// is filled at most. Where that fails, it is dead weight.
    #[must_use = "to be dropped when the timeline is free for others again"]
    pub(crate) fn give_back(&mut self) -> Vec<Arc<Spare>> {
        let spares = self.shared.spares.take_all();
        for spare in &spares {
            let _ = self.shared.disk.remove_file(spare.path());
        }
        if let Some(next) = &*self.shared.next.lock() {
            let _ = next.cut(self.shared.options.step_max);
        }
        spares
    }

    /// [Gives back](Self::give_back) what it can before the engine is closed. Nobody may be working ahead any more.
    pub(crate) fn give_back_all(&mut self) {
        let _at_once = self.give_back();
        if let Some(current) = &self.current {
            let _ = current.segment.cut(self.shared.options.step_max);
        }
    }
}

#[cfg(test)]
#[path = "put_away_tests.rs"]
mod tests;
