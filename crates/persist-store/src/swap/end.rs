//! How swaps end: abort, finish, rollback; and what there is to say of one that has not ended.

use std::path::Path;
use std::sync::Arc;

use persist_api::{Error, ErrorKind, Observer, OpenOptions, Result};
use persist_io::{Disk, EntryKind, lock_dir, remove_tree};

use super::announce::pending;
use super::mark::{SwapId, SwapMark, SwapPlace, SwapState};
use super::options::{SwapOptions, SwapReport, SwapStatus, SwapTarget};
use super::preflight::{self, Plan};
use super::signpost::{left_of, put_up};
use super::{Guard, HOLD_NAME, Swap, side};
use crate::Store;
use crate::cas::CAS_DIR;
use crate::home::{STAMP_NEW, engine_dir, has_engine};
use crate::observe::{SwapStep, told};
use crate::shared::{Active, Core};
use crate::stamp::{STAMP_FILE, Stamp, StampState, StoreId};

impl Swap {
    /// Gives the swap up: the target is removed, and the store is as if there had been none.
    ///
    /// # Errors
    /// `Io`; it can be repeated by [`Store::abort_swap`].
    pub fn abort(mut self) -> Result<()> {
        let _span = tracing::info_span!("persist.swap.abort").entered();
        let done = told(self.undo());
        self.tell(SwapStep::None);
        // Dropping does nothing more.
        self.flipped = true;
        done
    }

    pub(super) fn undo(&mut self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let active = shared.active();
        let Some(target) = self.target.take() else { return Ok(()) };
        let place = match (&target.home, &target.stamp) {
            (None, _) => Ok(SwapPlace::Nowhere),
            (Some(_), None) => Ok(SwapPlace::Here),
            (Some(home), Some(_)) => SwapPlace::home(home),
        };
        let (id, epoch, lock) = (self.id, target.epoch, target.lock.clone());
        drop(target);
        let cleared = place.and_then(|place| clear(&shared, &active, &place, id, &[epoch]));
        drop(lock);
        // Whatever is left over there: nothing more is kept for it.
        let released = self.hold.take().map_or(Ok(()), crate::Hold::release);
        cleared.and(released)?;
        unmark(&shared, &active)
    }
}

impl Store {
    /// What the stamp says of a swap that is not finished; `None` when there is none.
    #[must_use]
    pub fn swap_status(&self) -> Option<SwapStatus> {
        let active = self.0.active();
        let mark = active.stamp()?.swap?;
        Some(SwapStatus {
            id: mark.id,
            state: mark.state,
            active: side(&active),
            engine: mark.engine,
            epoch: mark.epoch,
            place: mark.place,
            running: self.0.is_swapping(),
        })
    }

    /// Gives up a swap that was announced and not decided: the target is removed, and the store is as if there had been
    /// none.
    ///
    /// # Errors
    /// `Invalid` when there is none, `Busy` while it is at work, `Locked` when somebody else has the target's home; `Io`. It
    /// can be repeated.
    pub fn abort_swap(&self) -> Result<()> {
        let _span = tracing::info_span!("persist.swap.abort").entered();
        told(self.abort())
    }

    fn abort(&self) -> Result<()> {
        let _guard = Guard::take(&self.0.swapping)?;
        let active = self.0.active();
        let mark = pending(&active)?;
        clear_elsewhere(&self.0, &active, &mark)?;
        self.release_swap_hold()?;
        unmark(&self.0, &active)
    }

    /// Removes the source of a swap that was decided. There is no way back after that. In another home the stamp stays, which
    /// says where the store is ([`MovedTo`](super::MovedTo)), so that nobody makes a new one there by mistake; the same store may
    /// be swapped there again.
    ///
    /// # Errors
    /// `Invalid` when there is none, `Busy` while a swap is at work or views of the source are open, `Locked` when somebody
    /// else has its home; `Io`. It can be repeated.
    pub fn finish_swap(&self) -> Result<()> {
        told(Guard::take(&self.0.swapping).and_then(|_guard| self.finish()))
    }

    fn finish(&self) -> Result<()> {
        let _span = tracing::info_span!("persist.swap.finish").entered();
        let active = self.0.active();
        let mark = flipped(&active)?;
        self.0.close_retired()?;
        if let (SwapPlace::Home(_), Some(stamp)) = (&mark.place, active.stamp()) {
            // What the stamp over there has decided must stand here before it goes.
            active.replace_stamp(self.0.setup.disk.as_ref(), stamp)?;
        }
        // It lies under the next number where a rollback was begun.
        let epochs = [mark.epoch, active.epoch.saturating_add(1)];
        let _lock = lock_elsewhere(&self.0, &mark.place)?;
        match &mark.place {
            SwapPlace::Home(home) => leave(&self.0, &active, home, mark.id, &epochs)?,
            place => clear(&self.0, &active, place, mark.id, &epochs)?,
        }
        self.release_swap_hold()?;
        unmark(&self.0, &active)
    }

    /// Swaps back to the engine before. If the swap was told to [follow back](SwapOptions::follow_back), only what was
    /// committed since is followed, also between homes; otherwise the old files are removed and everything is copied. Either way the protocol is
    /// the same.
    ///
    /// # Errors
    /// `Invalid` when there is nothing to roll back; as [`finish_swap`](Self::finish_swap) and [`swap`](Self::swap): what can
    /// be told beforehand is, and nothing was changed then. When it stopped half way, [`resume_swap`](Self::resume_swap).
    pub fn rollback_swap(
        &self,
        target: &OpenOptions,
        options: &SwapOptions,
        seen: &dyn Observer,
    ) -> Result<SwapReport> {
        told(self.roll_back(target, options, seen))
    }

    fn roll_back(
        &self,
        target: &OpenOptions,
        options: &SwapOptions,
        seen: &dyn Observer,
    ) -> Result<SwapReport> {
        let guard = Guard::take(&self.0.swapping)?;
        let active = self.0.active();
        let mark = flipped(&active)?;
        let back = SwapTarget {
            engine: mark.engine.clone(),
            home: mark.place.as_home().map(Path::to_path_buf),
            options: target.clone(),
        };
        if !self.can_follow_back(&mark)? {
            preflight::check_back(&self.0, &active, &mark, &back, options, seen)?;
            self.finish()?;
            drop(guard);
            // The room was looked at with what was there; how soon a disk gives that back is its own affair.
            let options = SwapOptions { ignore_space: true, ..options.clone() };
            return self.swap(&back, &options, seen);
        }
        let plan = preflight::plan(&self.0, &active, &back, options)?;
        self.0.check_hold(HOLD_NAME)?;
        self.0.close_retired()?;
        turn_back(&self.0, &active, &mark, &plan, options.follow_back)?;
        drop(guard);
        self.resume_swap(target, options, seen)?.run(seen)
    }

    /// Whether the commits since the flip are kept, and the engine that lacks them.
    fn can_follow_back(&self, mark: &SwapMark) -> Result<bool> {
        let kept = self.holds()?.into_iter().any(|hold| hold.name == HOLD_NAME && !hold.stale);
        let disk = self.0.setup.disk.as_ref();
        let is_there = match mark.place.as_home() {
            // A finish that was stopped may have removed it.
            Some(home) => {
                left_of(disk, home, mark.id, store_of(&self.0.active()))?.is_some()
                    && has_engine(&disk.list(home)?.unwrap_or_default())
            }
            None => true,
        };
        Ok(kept && is_there)
    }

    fn release_swap_hold(&self) -> Result<()> {
        // One that was lost with the table of holds needs no release.
        self.find_hold(HOLD_NAME).ok().flatten().map_or(Ok(()), crate::Hold::release)
    }
}

/// The swap of a store that was decided and not finished.
///
/// # Errors
/// `Invalid` when there is none.
fn flipped(active: &Active) -> Result<SwapMark> {
    let mark = active.stamp().and_then(|stamp| stamp.swap);
    mark.filter(|mark| mark.state == SwapState::Flipped)
        .ok_or_else(|| Error::new(ErrorKind::Invalid, "swap", "no swap of this store waits to be finished"))
}

/// Makes the old source the target of a new swap, with what it holds.
///
/// # Errors
/// `Mismatch` when this build would not make an engine like it; `Io`.
fn turn_back(core: &Core, active: &Active, mark: &SwapMark, plan: &Plan, follow_back: bool) -> Result<()> {
    let disk = core.setup.disk.as_ref();
    let (Some(own), Some(stamp)) = (&active.home, active.stamp()) else { return Err(super::gone()) };
    let swap = SwapMark { state: SwapState::Copying, epoch: plan.epoch, follow_back, ..mark.clone() };
    if !plan.makes(&swap) {
        let context =
            "this build would not make the engine that is kept; finish the swap, then swap to it anew";
        return Err(Error::new(ErrorKind::Mismatch, "swap", context));
    }
    let _lock = lock_elsewhere(core, &mark.place)?;
    if let Some(there) = mark.place.as_home() {
        // What the stamp over there has decided must stand here before it says something else.
        active.replace_stamp(disk, stamp.clone())?;
        arrive(disk, there, own, &stamp, &swap)?;
    }
    let (from, to) = (engine_dir(&plan.home, mark.epoch), plan.dir());
    // An earlier try may have come so far.
    if disk.list(&from)?.is_some() {
        disk.rename(&from, &to)?;
        disk.sync_dir(&plan.home)?;
    }
    active.replace_stamp(disk, Stamp { swap: Some(swap), ..stamp })
}

/// Makes the home that a store has left one that a swap from `own` is filling.
fn arrive(disk: &dyn Disk, there: &Path, own: &Path, stamp: &Stamp, swap: &SwapMark) -> Result<()> {
    let left = left_of(disk, there, swap.id, Some(stamp.store))?.ok_or_else(super::gone)?;
    let source = SwapMark {
        engine: stamp.engine.clone(),
        engine_format: stamp.engine_format,
        epoch: stamp.epoch,
        place: SwapPlace::home(own)?,
        follow_back: false,
        ..swap.clone()
    };
    let state = StampState::Importing;
    Stamp { state, epoch: swap.epoch, swap: Some(source), ..left }.write(disk, there)
}

/// Removes what a mark names, under the lock of its home.
pub(super) fn clear_elsewhere(core: &Core, active: &Active, mark: &SwapMark) -> Result<()> {
    let _lock = lock_elsewhere(core, &mark.place)?;
    clear(core, active, &mark.place, mark.id, &[mark.epoch])
}

/// Removes engines of the other side of a swap, and with another home everything of ours in it but the lock.
fn clear(core: &Core, active: &Active, place: &SwapPlace, id: SwapId, epochs: &[u64]) -> Result<()> {
    let disk = core.setup.disk.as_ref();
    match (place, &active.home) {
        (SwapPlace::Here, Some(home)) => {
            for epoch in epochs.iter().filter(|epoch| **epoch != active.epoch) {
                remove_tree(disk, &engine_dir(home, *epoch))?;
            }
            disk.sync_dir(home)
        }
        (SwapPlace::Home(home), _) => match left_of(disk, home, id, store_of(active))? {
            Some(_) => clear_left(disk, home, epochs),
            None => clear_stamp_new(disk, home),
        },
        (SwapPlace::Here | SwapPlace::Nowhere, _) => Ok(()),
    }
}

/// Removes a stamp that was not put in its place: all that a swap has in a home without one.
fn clear_stamp_new(disk: &dyn Disk, home: &Path) -> Result<()> {
    let entries = disk.list(home)?.unwrap_or_default();
    if entries.iter().any(|entry| *entry.name == *STAMP_NEW && entry.kind == EntryKind::File) {
        disk.remove_file(&home.join(STAMP_NEW))?;
        disk.sync_dir(home)?;
    }
    Ok(())
}

/// Removes what is kept in a home that the store has left: all but the stamp, which says from then on where the store is.
fn leave(core: &Core, active: &Active, home: &Path, id: SwapId, epochs: &[u64]) -> Result<()> {
    let disk = core.setup.disk.as_ref();
    match left_of(disk, home, id, store_of(active))? {
        Some(left) => {
            clear_content(disk, home, epochs)?;
            put_up(disk, home, &left, active)
        }
        None => clear_stamp_new(disk, home),
    }
}

/// The name of a store; one that lies nowhere on disk has none.
pub(super) fn store_of(active: &Active) -> Option<StoreId> {
    active.stamp().map(|stamp| stamp.store)
}

/// Removes engines and the blobs.
fn clear_content(disk: &dyn Disk, home: &Path, epochs: &[u64]) -> Result<()> {
    for epoch in epochs {
        remove_tree(disk, &engine_dir(home, *epoch))?;
    }
    remove_tree(disk, &home.join(CAS_DIR))?;
    clear_stamp_new(disk, home)?;
    disk.sync_dir(home)
}

/// Removes engines, the blobs and, after them, the stamp.
pub(super) fn clear_left(disk: &dyn Disk, home: &Path, epochs: &[u64]) -> Result<()> {
    clear_content(disk, home, epochs)?;
    disk.remove_file(&home.join(STAMP_FILE))?;
    disk.sync_dir(home)
}

/// The lock of another home, where somebody else may be.
fn lock_elsewhere(core: &Core, place: &SwapPlace) -> Result<Option<persist_io::DirLock>> {
    let disk = core.setup.disk.as_ref();
    match place {
        SwapPlace::Home(home) if disk.list(home)?.is_some() => lock_dir(disk, home).map(Some),
        SwapPlace::Home(_) | SwapPlace::Here | SwapPlace::Nowhere => Ok(None),
    }
}

/// Takes the swap out of the stamp, whose bytes are then as before it.
fn unmark(core: &Core, active: &Active) -> Result<()> {
    match active.stamp() {
        Some(stamp) if stamp.swap.is_some() => {
            active.replace_stamp(core.setup.disk.as_ref(), Stamp { swap: None, ..stamp })
        }
        _ => Ok(()),
    }
}
