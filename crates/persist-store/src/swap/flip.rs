//! Steps 4 to 7: the fence, the last commits, the seal, and the one write that decides.

use std::sync::Arc;
use std::time::Duration;

use persist_api::{BeatHeader, Engine as _, Error, ErrorKind, Observer, Progress, Result};
use persist_io::sync_tree;

use super::follow::Check;
use super::mark::{SwapMark, SwapPlace, SwapState};
use super::options::SwapReport;
use super::target::Target;
use super::{HOLD_NAME, Stage, Swap, gone, side};
use crate::backup::copy_blobs;
use crate::cas::CAS_DIR;
use crate::feed::{Carry, HoldOptions, Wanted};
use crate::group::Fence;
use crate::observe::{SwapStep, told};
use crate::shared::{Active, Core, Shared};
use crate::stamp::{STAMP_FILE, Stamp, StampState};

impl Swap {
    /// Makes the target the store: nobody commits while the last commits are followed, compared and made durable, and the
    /// stamp is replaced; then everybody goes on, on the new engine. Readers never wait.
    ///
    /// # Errors
    /// `Busy` when that took longer than [`fence_budget`](super::SwapOptions::fence_budget): everybody goes on as before,
    /// and this may be tried again. As [`follow`](Self::follow). `Invalid` before [`verify`](Self::verify). `Poisoned` when
    /// the stamp was being replaced and nobody can say which one the disk has: reopen the store.
    pub fn flip(&mut self, seen: &dyn Observer) -> Result<SwapReport> {
        let _span = tracing::info_span!("persist.swap.flip").entered();
        told(self.flip_now(seen))
    }

    fn flip_now(&mut self, seen: &dyn Observer) -> Result<SwapReport> {
        self.need(Stage::Verified)?;
        self.before_the_fence()?;
        self.tell(SwapStep::Fence);
        seen.step("swap", Progress { phase: "fence", done: 0, total: None, unit: "commits" })?;
        let shared = Arc::clone(&self.shared);
        let source = self.shared.active();
        let start = self.shared.setup.clock.now();
        let fence = shared.raise_fence(self.options.fence_budget)?;
        let flipped = self.behind_the_fence(&shared, fence, start);
        // The fence is down.
        let pause = self.shared.setup.clock.now().saturating_sub(start);
        source.meters.swap.fence(pause);
        match flipped {
            Ok((old, last)) => {
                old.meters.swap.lag(0);
                old.meters.swap.step(SwapStep::None);
                old.meters.left();
                self.flipped = true;
                self.hold = None;
                self.guard = None;
                let report = self.report(&old, &last, pause);
                shared.retire(old);
                report
            }
            Err(error) => {
                if error.kind() == ErrorKind::Busy {
                    self.figures.fences_down = self.figures.fences_down.saturating_add(1);
                }
                Err(error)
            }
        }
    }

    /// What need not be done behind the fence: names and blobs of another home, and what is not durable yet.
    fn before_the_fence(&self) -> Result<()> {
        let target = self.target()?;
        target.sync()?;
        let disk = self.shared.setup.disk.as_ref();
        let Some(home) = &target.home else { return Ok(()) };
        if self.copy_blobs(&|| Ok(()))? {
            // Also what an earlier try has copied.
            sync_tree(disk, &home.join(CAS_DIR))?;
        }
        disk.sync_dir(home)
    }

    /// Copies the blobs that the target's home lacks. False when both sides have the same home.
    fn copy_blobs(&self, check: &Check<'_>) -> Result<bool> {
        let active = self.shared.active();
        let (Some(own), Some(home)) = (&active.home, &self.target()?.home) else { return Ok(false) };
        if own == home {
            return Ok(false);
        }
        copy_blobs(self.shared.setup.disk.as_ref(), own, home, check)?;
        Ok(true)
    }

    fn behind_the_fence(
        &mut self,
        shared: &Arc<Shared>,
        mut fence: Fence<'_>,
        start: Duration,
    ) -> Result<(Arc<Active>, BeatHeader)> {
        let (clock, budget) = (Arc::clone(&self.shared.setup.clock), self.options.fence_budget);
        let in_time = move || {
            if clock.now().saturating_sub(start) <= budget {
                return Ok(());
            }
            let context = "the fence of the swap took longer than it may; everybody goes on as before";
            Err(Error::new(ErrorKind::Busy, "swap", context))
        };
        in_time()?;
        self.round(&in_time)?;
        if self.verified.is_none() {
            return Err(Error::new(
                ErrorKind::Busy,
                "swap",
                "too much was left to be compared behind the fence",
            ));
        }
        // What an increment brought since the last look: it has the lane while it writes blobs.
        self.copy_blobs(&in_time)?;
        let seat = fence.seat()?;
        let last = seat.last;
        let feed = self.seal(&last)?;
        in_time()?;
        let target = self.target.take().ok_or_else(gone)?;
        let old = Arc::clone(&seat.active);
        let stamp = match decide(shared, &old, &target, self.id) {
            Ok(stamp) => stamp,
            Err((error, true)) => {
                self.target = Some(target);
                return Err(error);
            }
            Err((error, false)) => {
                // Either engine may be the store that the next opening finds.
                shared.poison();
                return Err(error);
            }
        };
        let new = Arc::new(target.into_active(stamp));
        seat.active = Arc::clone(&new);
        shared.exchange(new, feed);
        drop(fence);
        // Whoever waited commits from now on, so that nobody else could say which was the last.
        Ok((old, last))
    }

    /// The last beat of the target: what the source's last is called, durable, with the feed's holds, without the cursor.
    fn seal(&mut self, last: &BeatHeader) -> Result<Carry> {
        let target = self.target.as_ref().ok_or_else(gone)?;
        let source = self.shared.pinned("swap")?;
        let wanted = Wanted::read(source.raw(), HOLD_NAME)?;
        let view = target.engine.view()?;
        let mut carry = Carry::load(view.as_ref())?;
        let durability = target.engine.offer().durability_max();
        let mut stroke = target.begin(&target.header_of(last), durability)?;
        let back = HoldOptions { bytes_max: self.options.feed_bytes_max, commits_max: u64::MAX };
        // There is no way back to a source that no stamp names.
        let back =
            (self.options.follow_back && self.shared.active().home.is_some()).then_some((HOLD_NAME, back));
        carry.take_rows(&target.terms, &wanted, back, view.as_ref(), stroke.beat())?;
        stroke.commit(None)?;
        Ok(carry)
    }

    fn report(&self, old: &Active, last: &BeatHeader, pause: Duration) -> Result<SwapReport> {
        let new = self.shared.active();
        let (digest, digest_commit) = self.verified.ok_or_else(gone)?;
        Ok(SwapReport {
            id: self.id,
            from: side(old),
            to: side(&new),
            beat: last.beat,
            commit: last.last_commit(),
            digest,
            digest_commit,
            pause,
            durability_before: old.terms.grant.session.durability,
            durability: new.terms.grant.session.durability,
            figures: self.figures(),
        })
    }
}

/// The one write that decides. The flag of an error: true when the source is still the store for certain.
fn decide(
    core: &Core,
    old: &Active,
    target: &Target,
    id: super::SwapId,
) -> Result<Option<Stamp>, (Error, bool)> {
    let disk = core.setup.disk.as_ref();
    let source = old.stamp();
    let mark = |place: SwapPlace, source: &Stamp| SwapMark {
        id,
        state: SwapState::Flipped,
        engine: old.engine.to_owned(),
        engine_format: source.engine_format,
        epoch: old.epoch,
        place,
        follow_back: false,
    };
    match (&target.home, &target.stamp, source) {
        // Neither side lies on disk.
        (None, ..) => Ok(None),
        // In the same home: its stamp names another engine from now on.
        (Some(home), None, Some(source)) => {
            let stamp = Stamp {
                engine: target.scheme.to_owned(),
                engine_format: target.engine_format,
                epoch: target.epoch,
                format: target.terms.grant.format.clone(),
                swap: Some(mark(SwapPlace::Here, &source)),
                ..source
            };
            replace(disk, home, &stamp)?;
            Ok(Some(stamp))
        }
        // From a process into a home: its stamp calls it a store from now on.
        (Some(home), Some(arriving), None) => {
            let stamp = Stamp { state: StampState::Ready, swap: None, ..arriving.clone() };
            replace(disk, home, &stamp)?;
            Ok(Some(stamp))
        }
        // From home to home: the source's stamp says that it moved. The other one follows, at the next opening if need be.
        (Some(home), Some(arriving), Some(source)) => {
            let own = old.home.as_deref().unwrap_or(home);
            let there = SwapPlace::home(home).map_err(|error| (error, true))?;
            let gone = SwapMark {
                id,
                state: SwapState::Flipped,
                engine: target.scheme.to_owned(),
                engine_format: target.engine_format,
                epoch: target.epoch,
                place: there,
                follow_back: false,
            };
            let here = SwapPlace::home(own).map_err(|error| (error, true))?;
            let stamp =
                Stamp { state: StampState::Ready, swap: Some(mark(here, &source)), ..arriving.clone() };
            replace(disk, own, &Stamp { state: StampState::Moved, swap: Some(gone), ..source })?;
            let _ = stamp.write(disk, home);
            Ok(Some(stamp))
        }
        (Some(_), None, None) => Err((gone(), true)),
    }
}

/// Replaces the stamp that decides. The flag of an error: true when the old one is there still, for certain.
fn replace(disk: &dyn persist_io::Disk, home: &std::path::Path, stamp: &Stamp) -> Result<(), (Error, bool)> {
    let before = persist_io::read_file(disk, &home.join(STAMP_FILE), crate::STAMP_BYTES_MAX);
    let before = before.map_err(|error| (error, true))?;
    stamp.write(disk, home).map_err(|error| {
        // What was renamed and not synced may be there after a crash, or not.
        let now = persist_io::read_file(disk, &home.join(STAMP_FILE), crate::STAMP_BYTES_MAX);
        let same = now.is_ok_and(|now| now.is_some() && now == before);
        (error, same)
    })
}
