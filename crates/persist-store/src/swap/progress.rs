//! How far a swap is that was stopped: what its target says of itself.

use std::sync::Arc;

use persist_api::{Caps, CommitNo, Observer, OpenMode, OpenOptions, Probe, Result};
use persist_io::{DirLock, lock_dir};

use super::announce::{open_engine, pending, planned};
use super::cursor::Reach;
use super::mark::{SwapId, SwapPlace};
use super::options::SwapOptions;
use super::{Guard, HOLD_NAME};
use crate::Store;
use crate::observe::told;
use crate::shared::{Active, Core};
use crate::stamp::Stamp;

/// How far a swap is that was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SwapProgress {
    /// Records that were copied; `None` where the target no longer says, because it was complete once.
    pub records: Option<u64>,
    /// Bytes of their keys and values.
    pub bytes: Option<u64>,
    /// True when everything is copied, and only later commits are left to be followed.
    pub all_copied: bool,
    /// The target has every commit up to this one, as far as its keys are copied.
    pub commit: CommitNo,
    /// Commits that the store has after that one.
    pub behind: u64,
    /// True when resuming goes on from here. Otherwise commits are missing that are no longer kept, and it copies anew.
    pub goes_on: bool,
}

impl Store {
    /// How far a swap is that was announced and not decided; `None` when nothing of its target is there. The target is opened
    /// for it, with these options, and closed again; nothing is written but what its engine recovers.
    ///
    /// # Errors
    /// `Invalid` when there is none, `Busy` while it is at work: then [`Swap::figures`](crate::Swap::figures) has it.
    /// `Locked` when somebody else has the target's home; those of [`resume_swap`](Self::resume_swap).
    pub fn swap_progress(&self, target: &OpenOptions, seen: &dyn Observer) -> Result<Option<SwapProgress>> {
        told(self.look_at_target(target, seen))
    }

    fn look_at_target(&self, target: &OpenOptions, seen: &dyn Observer) -> Result<Option<SwapProgress>> {
        let core: &Core = &self.0;
        let _guard = Guard::take(&core.swapping)?;
        let active = core.active();
        let mark = pending(&active)?;
        let options = SwapOptions { may_lose: Caps::all(), ..SwapOptions::default() };
        let mut plan = planned(core, &active, &mark, target, &options)?;
        let Some((stamp, lock)) = there(core, &active, &mark.place, mark.id)? else { return Ok(None) };
        if plan.driver.probe(&plan.dir())? == Probe::Empty {
            return Ok(None);
        }
        plan.options.mode = OpenMode::MustExist;
        let target = open_engine(core, &plan, stamp, lock, seen)?;
        let cursor = target.cursor(mark.id)?;
        target.engine.close().map_err(|(_, error)| error)?;
        let Some(cursor) = cursor else { return Ok(None) };
        let newest = core.pinned("swap")?.header().last_commit();
        let hold = self.find_hold(HOLD_NAME)?.map(|hold| hold.stat()).transpose()?;
        // One that was complete has no cursor of its own, and no figures.
        let counted = cursor.reach != Reach::All || cursor.records > 0;
        Ok(Some(SwapProgress {
            records: counted.then_some(cursor.records),
            bytes: counted.then_some(cursor.bytes),
            all_copied: cursor.reach == Reach::All,
            commit: cursor.position,
            behind: newest.0.saturating_sub(cursor.position.0),
            goes_on: hold.is_some_and(|hold| !hold.stale && hold.position <= cursor.position),
        }))
    }
}

/// The stamp of a target that has a home of its own, and the lock under which a target lies.
type Made = (Option<Stamp>, Option<Arc<DirLock>>);

/// The stamp and the lock of what a swap has made so far; `None` when that is nothing.
fn there(core: &Core, active: &Active, place: &SwapPlace, id: SwapId) -> Result<Option<Made>> {
    let disk = core.setup.disk.as_ref();
    match place {
        SwapPlace::Nowhere => Ok(None),
        SwapPlace::Here => Ok(Some((None, active.lock("swap")?))),
        SwapPlace::Home(home) => {
            let of_this =
                |stamp: &Stamp| stamp.is_arriving() && stamp.swap.as_ref().is_some_and(|mark| mark.id == id);
            if disk.list(home)?.is_none() {
                return Ok(None);
            }
            let lock = Arc::new(lock_dir(disk, home)?);
            Ok(Stamp::read(disk, home)?.filter(of_this).map(|stamp| (Some(stamp), Some(lock))))
        }
    }
}
