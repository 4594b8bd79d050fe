//! Swapping the engine under a store that is in use.
//!
//! Every handle finds the engine through one place ([`Core`]). A swap fills another engine beside it and then puts that in
//! the place: *announce* (the stamp names the target, a hold keeps the commits to come), *copy* (every record, from pinned
//! views), *follow* (what was committed meanwhile, from the feed), *verify* (a digest of both sides; from then on, what is
//! followed is compared record by record), *fence* (the lane is taken, so that nobody commits), *seal* (the last commits,
//! compared and durable), *flip* (one replacement of the stamp decides), and the lane is given back. The source is kept
//! until told otherwise. What a crash leaves at each step is in `docs/swap.md`.
//!
//! [`Core`]: crate::shared::Core

mod ahead;
mod announce;
mod compare;
mod copy;
mod cursor;
mod end;
mod flip;
mod follow;
mod mark;
mod options;
mod pinned;
mod preflight;
mod progress;
mod signpost;
mod take_back;
mod target;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use persist_api::{BeatHeader, CommitNo, Error, ErrorKind, Observer, Result};

pub use mark::{SwapId, SwapMark, SwapPlace, SwapState};
pub use options::{SwapFigures, SwapOptions, SwapReport, SwapSide, SwapStatus, SwapTarget};
pub use progress::SwapProgress;
pub use signpost::MovedTo;
pub use take_back::take_back;

pub(crate) use pinned::Pinned;
pub(crate) use signpost::moved;

use crate::feed::Hold;
use crate::observe::SwapStep;
use crate::shared::{Active, Shared};
use crate::sync::AtomicBool;
use crate::{Store, StoreDigest};
use cursor::{Cursor, Reach};
use target::Target;

/// Name of the hold that a swap keeps on the feed.
pub(crate) const HOLD_NAME: &str = "persist.swap";

/// A swap at work. Call [`run`](Self::run), or the steps one by one: [`copy`](Self::copy), [`follow`](Self::follow),
/// [`verify`](Self::verify), [`flip`](Self::flip). The store is used as ever meanwhile.
///
/// Dropping it leaves the swap as it is: [`Store::resume_swap`] goes on with it, also after a reopening, and
/// [`Store::abort_swap`] gives it up. A swap from an engine that keeps nothing on disk is given up when dropped.
///
/// A swap with the writer, between two beats:
///
/// ```
/// # use persist_api::{Durability, OpenOptions};
/// # let drivers: [std::sync::Arc<dyn persist_api::Driver>; 1] = [std::sync::Arc::new(persist_memory::MemoryDriver::new())];
/// # let disk = std::sync::Arc::new(persist_io::RealDisk);
/// # let opened = persist_store::open_with(disk, &drivers, "".as_ref(), Some("memory"), &OpenOptions::default())?;
/// # let (mut writer, store) = opened.negotiate(&persist_store::volatile_request())?;
/// # let target = persist_store::SwapTarget::at("memory", "other");
/// # let (options, quiet) = (persist_store::SwapOptions::default(), persist_api::Quiet);
/// let mut beat = writer.begin(Durability::Durable)?;
/// beat.put(b"key", b"value")?;
/// let receipt = beat.commit()?;
/// let report = writer.swap(&target, &options, &quiet)?;
/// assert_eq!((report.figures.records, report.to.engine.as_str()), (1, "memory"));
/// assert!(report.commit >= receipt.commit);
/// assert_eq!(store.view()?.get(b"key")?.as_deref(), Some(b"value".as_slice()));
/// # Ok::<(), persist_api::Error>(())
/// ```
///
/// A beat that is staged has the writer, and the compiler lets nobody swap with the writer in the middle of it:
///
/// ```compile_fail,E0499
/// # use persist_api::{Durability, OpenOptions};
/// # let drivers: [std::sync::Arc<dyn persist_api::Driver>; 1] = [std::sync::Arc::new(persist_memory::MemoryDriver::new())];
/// # let disk = std::sync::Arc::new(persist_io::RealDisk);
/// # let opened = persist_store::open_with(disk, &drivers, "".as_ref(), Some("memory"), &OpenOptions::default())?;
/// # let (mut writer, store) = opened.negotiate(&persist_store::volatile_request())?;
/// # let target = persist_store::SwapTarget::at("memory", "other");
/// # let (options, quiet) = (persist_store::SwapOptions::default(), persist_api::Quiet);
/// let beat = writer.begin(Durability::Durable)?;
/// writer.swap(&target, &options, &quiet)?; // cannot: `beat` has the writer
/// beat.commit()?;
/// # Ok::<(), persist_api::Error>(())
/// ```
pub struct Swap {
    shared: Arc<Shared>,
    /// Here until it is decided.
    guard: Option<Guard>,
    id: SwapId,
    options: SwapOptions,
    /// The newest beat when copying began.
    base: BeatHeader,
    cursor: Cursor,
    target: Option<Target>,
    hold: Option<Hold>,
    /// What was found equal, and at which commit; what was changed since is in `touched`.
    verified: Option<(StoreDigest, CommitNo)>,
    touched: compare::Touched,
    figures: SwapFigures,
    flipped: bool,
}

/// How far a swap must be for a step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Copied,
    Verified,
}

/// The right to swap, of which a store has one.
pub(crate) struct Guard(Arc<AtomicBool>);

impl Guard {
    /// # Errors
    /// `Busy` while another swap of this process is at work.
    pub(crate) fn take(flag: &Arc<AtomicBool>) -> Result<Self> {
        if flag.swap(true, Ordering::AcqRel) {
            return Err(Error::new(ErrorKind::Busy, "swap", "another swap of this store is at work"));
        }
        Ok(Self(Arc::clone(flag)))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl fmt::Debug for Swap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Swap").field("id", &self.id).field("figures", &self.figures).finish_non_exhaustive()
    }
}

impl Swap {
    /// Its name.
    #[must_use]
    pub const fn id(&self) -> SwapId {
        self.id
    }

    /// What it did so far.
    #[must_use]
    pub const fn figures(&self) -> SwapFigures {
        SwapFigures { records: self.cursor.records, bytes: self.cursor.bytes, ..self.figures }
    }

    /// All steps that are left.
    ///
    /// # Errors
    /// Those of the steps. The swap can be gone on with, by this very call too, or aborted.
    pub fn run(&mut self, seen: &dyn Observer) -> Result<SwapReport> {
        self.copy(seen)?;
        self.follow(seen)?;
        for _ in 1..self.options.fence_tries {
            self.verify_and_follow(seen)?;
            match self.flip(seen) {
                Err(error) if error.kind() == ErrorKind::Busy => {}
                done => return done,
            }
        }
        self.verify_and_follow(seen)?;
        self.flip(seen)
    }

    /// Both sides equal but for little. What was verified once stays so, as it is followed.
    fn verify_and_follow(&mut self, seen: &dyn Observer) -> Result<()> {
        if self.verified.is_none() {
            self.verify(seen)?;
        }
        self.follow(seen)
    }

    /// Tells what it is at.
    fn tell(&self, step: SwapStep) {
        self.shared.active().meters.swap.step(step);
    }

    fn target(&self) -> Result<&Target> {
        self.target.as_ref().ok_or_else(gone)
    }

    fn need(&self, stage: Stage) -> Result<()> {
        let wrong = |what| Err(Error::new(ErrorKind::Invalid, "swap", what));
        self.target()?;
        match stage {
            _ if self.cursor.reach != Reach::All => wrong("not everything is copied yet"),
            Stage::Verified if self.verified.is_none() => wrong("the copy is not verified yet"),
            Stage::Copied | Stage::Verified => Ok(()),
        }
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        if !self.flipped {
            self.tell(SwapStep::None);
        }
        if !self.flipped && self.shared.active().home.is_none() {
            // Best effort: what stays is cleared by whoever makes a store there.
            let _ = self.undo();
        }
    }
}

impl Store {
    /// Swaps the engine under the store, from beginning to end: [`begin_swap`](Self::begin_swap), then [`Swap::run`].
    /// Handles stay as they are and go on with the new engine; views that are open stay on the old one.
    ///
    /// # Errors
    /// As both. When it stopped half way, [`resume_swap`](Self::resume_swap) or [`abort_swap`](Self::abort_swap).
    pub fn swap(
        &self,
        target: &SwapTarget,
        options: &SwapOptions,
        seen: &dyn Observer,
    ) -> Result<SwapReport> {
        self.begin_swap(target, options, seen)?.run(seen)
    }
}

impl crate::Writer {
    /// As [`Store::swap`], with the writer: so that no beat can be staged meanwhile.
    ///
    /// # Errors
    /// As [`Store::swap`].
    pub fn swap(
        &mut self,
        target: &SwapTarget,
        options: &SwapOptions,
        seen: &dyn Observer,
    ) -> Result<SwapReport> {
        Store::new(Arc::clone(&self.shared)).swap(target, options, seen)
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::Invalid, "swap", "this swap is over")
}

/// One side, for reports.
fn side(active: &Active) -> SwapSide {
    SwapSide { engine: active.engine.to_owned(), epoch: active.epoch, home: active.home.clone() }
}
