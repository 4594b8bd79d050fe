//! Step 1: the stamp names the target, a hold keeps the commits to come, and the target is opened.

use std::path::Path;
use std::sync::Arc;

use persist_api::{Error, ErrorKind, FormatGrant, Observer, OpenOptions, Result};
use persist_io::{DirLock, create_dir_durably, lock_dir, remove_tree};

use super::cursor::Cursor;
use super::end::{clear_elsewhere, clear_left};
use super::mark::{SwapId, SwapMark, SwapPlace, SwapState};
use super::options::{SwapFigures, SwapOptions, SwapTarget};
use super::preflight::{self, Plan};
use super::target::Target;
use super::{Guard, HOLD_NAME, Swap, compare, gone};
use crate::Store;
use crate::cas::CAS_DIR;
use crate::create::stored_format;
use crate::feed::{Hold, HoldOptions};
use crate::layers::{Codec, Layered};
use crate::observe::told;
use crate::shared::{Active, Core, Terms};
use crate::stamp::{Stamp, StampState, StoreId};

impl Store {
    /// Begins a swap of the engine: checks that it can be made, and announces it. [`Swap`] does the rest.
    ///
    /// # Errors
    /// Before anything is changed: `Unsupported` for an engine that the store was not opened with, `Invalid` for a place
    /// that cannot be, or where the store would leave a home whose path no stamp can name, `Mismatch` when something lies
    /// there, `Refused` naming all that the target lacks, `Full` naming the bytes that the source takes and that the target's
    /// disk has, `Busy` while another swap is at work, `Conflict` while an earlier one is not finished, and those of
    /// [`hold`](Self::hold): a swap needs one. Then `Locked`, `Full`, `Io`.
    pub fn begin_swap(
        &self,
        target: &SwapTarget,
        options: &SwapOptions,
        seen: &dyn Observer,
    ) -> Result<Swap> {
        let engine = target.engine.as_str();
        let home = target.home.as_ref().map(|home| tracing::field::display(home.display()));
        let _span = tracing::info_span!("persist.swap.begin", engine, home).entered();
        told(self.announce(target, options, seen))
    }

    fn announce(&self, target: &SwapTarget, options: &SwapOptions, seen: &dyn Observer) -> Result<Swap> {
        let guard = Guard::take(&self.0.swapping)?;
        let active = self.0.active();
        let plan = preflight::check(&self.0, &active, target, options)?;
        let id = SwapId::random()?;
        let mark = SwapMark { follow_back: options.follow_back, ..plan.mark(id, SwapState::Copying) };
        if plan.place != SwapPlace::Nowhere
            && let Some(stamp) = active.stamp()
        {
            active.replace_stamp(self.0.setup.disk.as_ref(), Stamp { swap: Some(mark), ..stamp })?;
        }
        self.announced(guard, id, &plan, options, seen)
    }

    /// Goes on with a swap that was stopped, in this process or an earlier one. What is copied is not copied again, unless
    /// more was committed meanwhile than is kept for it; what was begun with
    /// [`follow_back`](SwapOptions::follow_back) goes on with it. `target` is the engine's options; a swap whose source keeps
    /// nothing on disk ends with its process and is never resumed.
    ///
    /// # Errors
    /// `Invalid` when there is nothing to resume; as [`begin_swap`](Self::begin_swap).
    pub fn resume_swap(
        &self,
        target: &OpenOptions,
        options: &SwapOptions,
        seen: &dyn Observer,
    ) -> Result<Swap> {
        let _span = tracing::info_span!("persist.swap.begin").entered();
        told(self.resume(target, options, seen))
    }

    fn resume(&self, target: &OpenOptions, options: &SwapOptions, seen: &dyn Observer) -> Result<Swap> {
        let guard = Guard::take(&self.0.swapping)?;
        let active = self.0.active();
        let mark = pending(&active)?;
        let plan = planned(&self.0, &active, &mark, target, options)?;
        // What was asked for once stays so, whoever goes on.
        let options = SwapOptions { follow_back: options.follow_back || mark.follow_back, ..options.clone() };
        if let Some(stamp) = active.stamp()
            && options.follow_back != mark.follow_back
        {
            let mark = SwapMark { follow_back: true, ..mark.clone() };
            active.replace_stamp(self.0.setup.disk.as_ref(), Stamp { swap: Some(mark), ..stamp })?;
        }
        self.announced(guard, mark.id, &plan, &options, seen)
    }

    /// Makes the swap that the stamp names.
    fn announced(
        &self,
        guard: Guard,
        id: SwapId,
        plan: &Plan,
        options: &SwapOptions,
        seen: &dyn Observer,
    ) -> Result<Swap> {
        let keep = HoldOptions { bytes_max: options.feed_bytes_max, commits_max: u64::MAX };
        if let Some(old) = self.find_hold(HOLD_NAME)?
            && old.stat()?.stale
        {
            old.release()?;
        }
        let hold = self.keep(HOLD_NAME, keep)?;
        let opened = open(self, id, plan, &hold, seen)
            .and_then(|opened| Ok((opened, *self.0.pinned("swap")?.header())));
        let ((target, cursor), base) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                let active = self.0.active();
                if active.home.is_none() {
                    // No stamp names it, so that nobody could go on with it or abort it.
                    let _ = clear_elsewhere(&self.0, &active, &plan.mark(id, SwapState::Copying));
                    let _ = hold.release();
                }
                return Err(error);
            }
        };
        let cursor = cursor.unwrap_or_else(|| Cursor::new(id, base.last_commit()));
        Ok(Swap {
            shared: Arc::clone(&self.0),
            guard: Some(guard),
            id,
            options: options.clone(),
            base,
            cursor,
            target: Some(target),
            hold: Some(hold),
            verified: None,
            touched: compare::Touched::default(),
            figures: SwapFigures::default(),
            flipped: false,
        })
    }
}

/// The swap of a store that was announced and not decided.
///
/// # Errors
/// `Invalid` when there is none.
pub(super) fn pending(active: &Active) -> Result<SwapMark> {
    let mark = active.stamp().and_then(|stamp| stamp.swap);
    mark.filter(|mark| mark.state == SwapState::Copying)
        .ok_or_else(|| Error::new(ErrorKind::Invalid, "swap", "no swap of this store is under way"))
}

/// What is opened as the target of a swap that was announced.
///
/// # Errors
/// `Mismatch` when this build would make another one; as [`preflight::plan`].
pub(super) fn planned(
    core: &Core,
    active: &Active,
    mark: &SwapMark,
    target: &OpenOptions,
    options: &SwapOptions,
) -> Result<Plan> {
    let home = mark.place.as_home().map(Path::to_path_buf);
    let target = SwapTarget { engine: mark.engine.clone(), home, options: target.clone() };
    let plan = preflight::plan(core, active, &target, options)?;
    if !plan.makes(mark) {
        let context =
            "this build would not make the target that the stamp names; abort the swap and begin anew";
        return Err(Error::new(ErrorKind::Mismatch, "swap", context));
    }
    Ok(plan)
}

impl Plan {
    pub(super) fn mark(&self, id: SwapId, state: SwapState) -> SwapMark {
        let (engine, engine_format) = (self.offer.engine.to_owned(), self.offer.format);
        let (epoch, place) = (self.epoch, self.place.clone());
        SwapMark { id, state, engine, engine_format, epoch, place, follow_back: false }
    }

    /// Whether it makes the target of a mark.
    pub(super) fn makes(&self, mark: &SwapMark) -> bool {
        let made = SwapMark { follow_back: mark.follow_back, ..self.mark(mark.id, mark.state) };
        made == *mark
    }
}

/// Opens the target, with how far it came. What cannot be gone on with is cleared.
fn open(
    store: &Store,
    id: SwapId,
    plan: &Plan,
    hold: &Hold,
    seen: &dyn Observer,
) -> Result<(Target, Option<Cursor>)> {
    let core: &Core = &store.0;
    let (stamp, lock) = prepare_home(core, id, plan)?;
    let kept = hold.position()?;
    match open_engine(core, plan, stamp.clone(), lock.clone(), seen) {
        Ok(target) => match target.cursor(id) {
            Ok(None) => return Ok((target, None)),
            Ok(Some(cursor)) if kept <= cursor.position => match target.adopt(&cursor) {
                Ok(()) => return Ok((target, Some(cursor))),
                Err(error) if error.kind() == ErrorKind::Corrupt => {}
                Err(error) => return Err(error),
            },
            Ok(Some(_)) => {}
            Err(error) if error.kind() == ErrorKind::Corrupt => {}
            Err(error) => return Err(error),
        },
        Err(error) if error.kind() == ErrorKind::Corrupt => {}
        Err(error) => return Err(error),
    }
    // Half a copy for which commits are missing, or that nothing can be made of.
    if plan.place == SwapPlace::Nowhere {
        return Err(gone());
    }
    remove_tree(core.setup.disk.as_ref(), &plan.dir())?;
    Ok((open_engine(core, plan, stamp, lock, seen)?, None))
}

pub(super) fn open_engine(
    core: &Core,
    plan: &Plan,
    stamp: Option<Stamp>,
    lock: Option<Arc<DirLock>>,
    seen: &dyn Observer,
) -> Result<Target> {
    let engine = plan.driver.open(&plan.dir(), &plan.options, seen)?;
    if *engine.offer() != plan.offer {
        let context = "the open engine offers something else than its driver said it would";
        return Err(Error::new(ErrorKind::Mismatch, "swap", context).with_engine(plan.offer.engine));
    }
    let volatile = plan.place == SwapPlace::Nowhere;
    let view = engine.view()?;
    // What was begun goes on in the format that it has, which may hold a key of its own.
    let begun = stored_format(view.as_ref())?.or_else(|| stamp.as_ref().map(|stamp| stamp.format.clone()));
    let mut grant = plan.grant.clone();
    if let Some(begun) = begun {
        if !same_layers(&begun, &grant.format) {
            let context = "the target was begun with other layers";
            return Err(Error::new(ErrorKind::Corrupt, "swap", context).with_path(plan.dir()));
        }
        grant.format = begun;
    }
    let codec = Arc::new(Codec::of(&grant.format, core.setup.keys.as_deref(), Some(view.as_ref()))?);
    drop(view);
    Ok(Target {
        engine: Box::new(Layered::new(engine, Arc::clone(&codec))),
        terms: Arc::new(Terms { grant, codec, format_lost: false }),
        scheme: plan.offer.engine,
        engine_format: plan.offer.format,
        epoch: plan.epoch,
        home: (!volatile).then(|| plan.home.clone()),
        stamp,
        lock,
    })
}

/// True for the same layers, whatever their parameters.
fn same_layers(a: &FormatGrant, b: &FormatGrant) -> bool {
    a.layers.len() == b.layers.len() && a.layers.iter().zip(&b.layers).all(|(a, b)| a.is_same_layer(b))
}

/// The lock under which the target lies, and the stamp of a home of its own.
fn prepare_home(core: &Core, id: SwapId, plan: &Plan) -> Result<(Option<Stamp>, Option<Arc<DirLock>>)> {
    let active = core.active();
    let disk = core.setup.disk.as_ref();
    match &plan.place {
        SwapPlace::Nowhere => Ok((None, None)),
        SwapPlace::Here => Ok((None, active.lock("swap")?)),
        SwapPlace::Home(home) => {
            create_dir_durably(disk, home)?;
            let lock = Arc::new(lock_dir(disk, home)?);
            let there = Stamp::read(disk, home)?;
            if let Some(mark) =
                there.as_ref().filter(|stamp| stamp.is_arriving()).and_then(|stamp| stamp.swap.as_ref())
                && mark.id == id
            {
                return Ok((there, Some(lock)));
            }
            if let Some(left) = preflight::left_behind(core, &active, home)? {
                // Whoever filled it held the lock as long as he lived.
                clear_left(disk, home, &[left.epoch])?;
            }
            let source = active.stamp();
            let place = match &active.home {
                Some(home) => SwapPlace::home(home)?,
                None => SwapPlace::Nowhere,
            };
            let stamp = Stamp {
                store: source.as_ref().map_or_else(StoreId::random, |stamp| Ok(stamp.store))?,
                state: StampState::Importing,
                engine: plan.offer.engine.to_owned(),
                engine_format: plan.offer.format,
                epoch: plan.epoch,
                origin: source.as_ref().and_then(|stamp| stamp.origin),
                swap: Some(SwapMark {
                    id,
                    state: SwapState::Copying,
                    engine: active.engine.to_owned(),
                    engine_format: source.map_or(0, |stamp| stamp.engine_format),
                    epoch: active.epoch,
                    place,
                    follow_back: false,
                }),
                format: plan.grant.format.clone(),
            };
            stamp.write(disk, home)?;
            disk.create_dir(&home.join(CAS_DIR))?;
            disk.sync_dir(home)?;
            Ok((Some(stamp), Some(lock)))
        }
    }
}
