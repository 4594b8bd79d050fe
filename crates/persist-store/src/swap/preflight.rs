//! Step 0: whether a swap can be made at all. Writes nothing.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use persist_api::{
    Advice, Caps, Driver, Durability, Engine as _, Error, ErrorKind, Grant, Observer, Offer, OpenMode,
    OpenOptions, Probe, Progress, Request, Result, Scan,
};
use persist_io::{absolute, size_of_tree};

use super::HOLD_NAME;
use super::end::store_of;
use super::mark::{SwapMark, SwapPlace, SwapState};
use super::options::{SwapOptions, SwapTarget};
use super::signpost::{is_own_signpost, left_of};
use crate::home::{
    Found, check_clearable, check_room, engine_dir, find_driver, lies_inside, not_ours, strangers, survey,
};
use crate::log::{Op, check_op};
use crate::opened::grant_new;
use crate::shared::{Active, Core};
use crate::stamp::Stamp;

/// What layers provide, checksums or not.
const LAYERED: Caps = Caps::MERKLE.union(Caps::COMPRESSION).union(Caps::AEAD).union(Caps::CRC32C);

/// Between two of so many records it is said how far a check is.
const STEP_RECORDS: u64 = 4096;

/// What is going to be opened, and under which terms.
pub(super) struct Plan {
    pub(super) driver: Arc<dyn Driver>,
    pub(super) options: OpenOptions,
    pub(super) offer: Offer,
    pub(super) grant: Grant,
    pub(super) place: SwapPlace,
    /// 0 for an engine that keeps nothing on disk.
    pub(super) epoch: u64,
    /// The home; for an engine that keeps nothing on disk, the name that its driver knows it by.
    pub(super) home: PathBuf,
}

impl Plan {
    /// The directory of the engine.
    pub(super) fn dir(&self) -> PathBuf {
        if self.place == SwapPlace::Nowhere { self.home.clone() } else { engine_dir(&self.home, self.epoch) }
    }
}

/// Checks a swap.
///
/// # Errors
/// `Unsupported` for an engine that is not there, `Invalid` for a place that is missing or cannot be, `Mismatch` when the
/// place is not empty, `Conflict` when an earlier swap is not finished, `Refused` naming all that the target lacks, `Full`
/// naming the bytes that are needed and there; as [`Store::hold`](crate::Store::hold) when the hold of swaps cannot be taken.
pub(super) fn check(
    core: &Core,
    active: &Active,
    target: &SwapTarget,
    options: &SwapOptions,
) -> Result<Plan> {
    if let Some(mark) = active.stamp().and_then(|stamp| stamp.swap) {
        let what = match mark.state {
            SwapState::Copying => "resume or abort it first",
            SwapState::Flipped => "finish it first, or roll it back",
        };
        let context = format!("the swap {} is not finished: {what}", mark.id);
        return Err(Error::new(ErrorKind::Conflict, "swap", context).with_advice(Advice::FixCode));
    }
    let mut plan = plan(core, active, target, options)?;
    core.check_hold(HOLD_NAME)?;
    match &plan.place {
        SwapPlace::Here | SwapPlace::Nowhere => check_empty(&plan)?,
        SwapPlace::Home(home) => {
            if check_elsewhere(core, active, home)?.is_none() {
                check_empty(&plan)?;
            }
        }
    }
    if !options.ignore_space && plan.place != SwapPlace::Nowhere {
        check_space(core, &plan.home, 0)?;
    }
    plan.options.mode = OpenMode::MustCreate;
    Ok(plan)
}

/// Checks that a store can go back to the engine of before, while that is still there: what is refused now is kept, and the
/// same asked when it is gone would come too late.
///
/// # Errors
/// As [`check`]; `TooLarge` naming a key or value that is there and that it cannot take, `Cancelled`.
pub(super) fn check_back(
    core: &Core,
    active: &Active,
    mark: &SwapMark,
    target: &SwapTarget,
    options: &SwapOptions,
    seen: &dyn Observer,
) -> Result<()> {
    let plan = plan(core, active, target, options)?;
    core.check_hold(HOLD_NAME)?;
    if let SwapPlace::Home(home) = &mark.place {
        check_left(core, active, home, mark)?;
    }
    check_records(core, active, &plan, seen)?;
    if options.ignore_space {
        return Ok(());
    }
    let freed = size_of_tree(core.setup.disk.as_ref(), &engine_dir(&plan.home, mark.epoch))?;
    check_space(core, &plan.home, freed)
}

/// Checks that a target can take every record that there is now. Nothing is read where it takes all that the store may have.
fn check_records(core: &Core, active: &Active, plan: &Plan, seen: &dyn Observer) -> Result<()> {
    let (limits, now) = (&plan.grant.session.limits, active.terms.limits());
    let (keys, values) =
        (limits.key_bytes_max < now.key_bytes_max, limits.value_bytes_max < now.value_bytes_max);
    if !keys && !values {
        return Ok(());
    }
    let scan = if values { Scan::all() } else { Scan::all().keys_only() };
    let (mut done, mut checked) = (0_u64, Ok(()));
    core.pinned("swap")?.scan(&scan, |key, value| {
        let step = Progress { phase: "check", done, total: None, unit: "records" };
        checked = check_op(&Op::Put { key, value }, limits)
            .and_then(|()| if done.is_multiple_of(STEP_RECORDS) { seen.step("swap", step) } else { Ok(()) });
        done = done.saturating_add(1);
        if checked.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    checked.map_err(|error| error.with_engine(plan.offer.engine))
}

/// Checks that the home of before is free once what is ours there is gone.
fn check_left(core: &Core, active: &Active, home: &Path, mark: &SwapMark) -> Result<()> {
    let disk = core.setup.disk.as_ref();
    if left_of(disk, home, mark.id, store_of(active))?.is_none() {
        return check_elsewhere(core, active, home).map(drop);
    }
    match strangers(&disk.list(home)?.unwrap_or_default(), &[mark.epoch, active.epoch.saturating_add(1)])
        .first()
    {
        None => Ok(()),
        Some(stranger) => Err(not_ours("swap", home, stranger)),
    }
}

/// Checks that the target's disk has as much room as the source takes, when so many bytes that are there will be gone: nobody knows what another engine makes of the same
/// records, and this is the best guess that costs nothing. A source on memory does not say what it would take.
///
/// # Errors
/// `Full` naming both; `Io`.
fn check_space(core: &Core, home: &Path, freed: u64) -> Result<()> {
    let needed = core.with_running("swap", |_, running| running.engine.stats())?.bytes_on_disk;
    check_room(core.setup.disk.as_ref(), "swap", home, ("the source", needed), freed)
}

/// Where the target goes, and what it can do there.
///
/// # Errors
/// As [`check`], but that nothing is said of what lies there.
pub(super) fn plan(core: &Core, active: &Active, target: &SwapTarget, options: &SwapOptions) -> Result<Plan> {
    let driver = Arc::clone(find_driver(&core.setup.drivers, &target.engine)?);
    let open = OpenOptions { importing: true, mode: OpenMode::OpenOrCreate, ..target.options.clone() };
    driver.check(&open)?;
    let offer = driver.offer(&open);
    let grant = grant(core, active, &offer, options.may_lose)?;
    let volatile = offer.durability_max() == Durability::Volatile;
    let asked = match &target.home {
        // The process may change its directory before the swap is over. What keeps nothing on disk has a name, and no path.
        Some(home) if !volatile => Some(absolute("swap", home)?),
        name => name.clone(),
    };
    let (place, epoch, home) = match (asked, &active.home) {
        (name, None) if volatile => (SwapPlace::Nowhere, 0, name.unwrap_or_default()),
        (_, Some(_)) if volatile => {
            let context = format!("{} keeps nothing on disk, and this store does", offer.engine);
            return Err(Error::new(ErrorKind::Refused, "swap", context));
        }
        (None, None) => {
            let context = "a store that lies nowhere on disk needs a directory to go to, as lmdb:DIR";
            return Err(Error::new(ErrorKind::Invalid, "swap", context));
        }
        (None, Some(home)) => (SwapPlace::Here, active.epoch.saturating_add(1), home.clone()),
        (Some(home), Some(own)) if same_dir(&home, own) => {
            (SwapPlace::Here, active.epoch.saturating_add(1), own.clone())
        }
        (Some(home), own) => {
            // Each stamp names the other side.
            own.as_deref().map(SwapPlace::home).transpose()?;
            let place = SwapPlace::home(&home)?;
            (place, active.epoch.saturating_add(1), home)
        }
    };
    Ok(Plan { driver, options: open, offer, grant, place, epoch, home })
}

/// The grant that the target gives for what was asked of the source.
///
/// # Errors
/// `Refused` naming all that is missing.
fn grant(core: &Core, active: &Active, offer: &Offer, may_lose: Caps) -> Result<Grant> {
    let asked = &core.setup.request;
    let source = &active.terms.grant;
    let layered = source.format.layers.iter().fold(Caps::empty(), |set, layer| set | layer.provides);
    // What the layers of the source do to records and beats is done by those of the target too, and nothing more.
    let kept = layered - Caps::CRC32C;
    let request = Request {
        required: asked.required | kept,
        preferred: (asked.preferred - LAYERED) | (asked.preferred & Caps::CRC32C) | layered,
        ..asked.clone()
    };
    let grant = grant_new(offer, &request, core.setup.keys.as_deref())?;
    let mut lost = source.session.caps - grant.session.caps - may_lose;
    if source.session.caps.contains(Caps::DELETE_RANGE) && !offer.caps.contains(Caps::DELETE_RANGE) {
        // Commits that are followed may contain it.
        lost |= Caps::DELETE_RANGE;
    }
    let refuse = |what: String| Err(Error::new(ErrorKind::Refused, "swap", what).with_engine(offer.engine));
    if !lost.is_empty() {
        let lost = lost.names();
        return refuse(format!(
            "{} lacks {lost}, which this session was granted; nothing was changed",
            offer.engine
        ));
    }
    if grant.session.durability < source.session.durability {
        let (has, needs) = (grant.session.durability, source.session.durability);
        return refuse(format!(
            "{} makes beats {has} at best, and this session was granted {needs}",
            offer.engine
        ));
    }
    Ok(grant)
}

/// Checks that nothing lies where the target's engine goes.
fn check_empty(plan: &Plan) -> Result<()> {
    let dir = plan.dir();
    if plan.driver.probe(&dir)? == Probe::Empty {
        return Ok(());
    }
    let context =
        "something lies where the target goes, and no swap of this store put it there; nothing was touched";
    Err(Error::new(ErrorKind::Mismatch, "swap", context).with_path(dir))
}

/// Checks that another home is free, but for what is left there of a swap that is over.
fn check_elsewhere(core: &Core, active: &Active, home: &Path) -> Result<Option<Stamp>> {
    if let Some(own) = &active.home
        && lies_inside("swap", home, own)?
    {
        let context = "a store cannot move into its own directory";
        return Err(Error::new(ErrorKind::Invalid, "swap", context).with_path(home));
    }
    left_behind(core, active, home)
}

/// The stamp of what a swap has left in a home whose source lay in a process: with that it is gone, and nobody will go on
/// with it. `None` for a home that is free: also for one that says that this very store has left it.
///
/// # Errors
/// `Mismatch` when anything else lies there; `Io`.
pub(super) fn left_behind(core: &Core, active: &Active, home: &Path) -> Result<Option<Stamp>> {
    let disk = core.setup.disk.as_ref();
    if is_own_signpost(disk, home, store_of(active))? {
        return Ok(None);
    }
    let survey = survey(disk, home)?;
    match &survey.found {
        Found::Nothing => Ok(None),
        Found::Unfinished(stamp) if stamp.is_arriving() => {
            check_clearable(disk, home, &survey, stamp, &core.setup.drivers)?;
            Ok(Some(stamp.clone()))
        }
        Found::Unfinished(_) | Found::Store(_) => Err(Error::occupied("swap", home)),
    }
}

fn same_dir(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    a == b || real(a) == real(b)
}
