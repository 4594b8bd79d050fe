//! How far a swap is, and what its end leaves.

use std::path::Path;

use persist::{
    ErrorKind, MovedTo, OpenMode, OpenOptions, RealDisk, STAMP_FILE, Stamp, Store, SwapPlace, SwapProgress,
    SwapState,
};
use serde::Serialize;

use crate::fail::{Failure, Result};
use crate::home;
use crate::out::Out;
use crate::target::Target;
use crate::text::size;
use crate::watch::Watch;

#[derive(Serialize)]
struct StatusJson {
    swap_id: Option<String>,
    state: &'static str,
    engine: String,
    other_engine: Option<String>,
    other_epoch: Option<u64>,
    other_place: Option<String>,
    held_by: Option<String>,
    records: Option<u64>,
    bytes: Option<u64>,
    all_copied: Option<bool>,
    commit: Option<String>,
    behind: Option<u64>,
    goes_on: Option<bool>,
    change_in_config: Vec<&'static str>,
}

/// What is to be said of the target of a swap that was stopped.
enum Progress {
    /// There is none, or somebody else is at it.
    None,
    Known(SwapProgress),
    /// Why it is not known.
    Unknown(String),
}

fn place_name(place: &SwapPlace) -> String {
    match place {
        SwapPlace::Here => "here".to_owned(),
        SwapPlace::Nowhere => "nowhere".to_owned(),
        SwapPlace::Home(home) => home.display().to_string(),
    }
}

/// Removes what a swap leaves, the engine before or an unfinished copy, and says what there was.
pub(super) fn end(finish: bool, store: &Store) -> Result<Option<String>> {
    let before = store.swap_status();
    let was_there = before.as_ref().is_some_and(|status| match &status.place {
        SwapPlace::Here => {
            let dir = format!("engine-{}", status.epoch);
            status.active.home.as_ref().is_some_and(|home| home.join(dir).exists())
        }
        // One that is damaged is told by the end itself. What only says where the store is was there before.
        SwapPlace::Home(home) => Stamp::read(&RealDisk, home).map_or(true, |stamp| {
            let says_where = || MovedTo::read(&RealDisk, home).is_ok_and(|to| to.is_some_and(|to| !to.kept));
            stamp.is_some() && !says_where()
        }),
        SwapPlace::Nowhere => false,
    });
    if finish { store.finish_swap() } else { store.abort_swap() }?;
    Ok(before.map(|status| {
        let other = format!("{} ({})", status.engine, place_name(&status.place));
        match (finish, was_there) {
            (true, true) if status.place == SwapPlace::Here => format!("removed {other}"),
            (true, true) => {
                format!("removed {other}; the {STAMP_FILE} that is left there says where the store is")
            }
            (true, false) => format!("{other} was not there; nothing was removed"),
            (false, true) => format!("gave up the swap to {other}; what was copied there is removed"),
            (false, false) => {
                format!("gave up the swap to {other}, which was not there; nothing was removed")
            }
        }
    }))
}

/// Tells it; while another process has the store, what its stamp says.
pub(super) fn run(target: &Target, engine: &OpenOptions, watch: &Watch, out: &mut Out) -> Result<()> {
    let mut progress = Progress::None;
    let inside = home::with_target(target, watch, |_, store| {
        let status = store.swap_status();
        if status.as_ref().is_some_and(|status| status.state == SwapState::Copying) {
            progress = match store.swap_progress(engine, watch) {
                Ok(known) => known.map_or(Progress::None, Progress::Known),
                Err(error) => Progress::Unknown(error.to_string()),
            };
        }
        Ok((store.stamp(), store.home()))
    });
    let ((stamp, home), held_by) = match inside {
        Ok(inside) => (inside, None),
        Err(Failure::Error(error)) if error.kind() == ErrorKind::Locked => {
            // This looks without the lock.
            let looked = persist::open_with(&target.url, &target.options(OpenMode::MustExist))?;
            let holder = error.context();
            let holder = holder.strip_prefix("held by ").unwrap_or(holder).to_owned();
            let looked = looked.describe();
            ((looked.stamp, looked.home), Some(holder))
        }
        Err(failure) => return Err(failure),
    };
    let Some(stamp) = stamp else { return Ok(()) };
    let json = StatusJson::of(&stamp, home.as_deref(), held_by, &progress, target);
    if out.is_json() { out.object(&json) } else { json.print(home.as_deref(), &progress, target, out) }
}

impl StatusJson {
    fn of(
        stamp: &Stamp,
        home: Option<&Path>,
        held_by: Option<String>,
        progress: &Progress,
        target: &Target,
    ) -> Self {
        let swap = stamp.swap.as_ref();
        let known = match progress {
            Progress::Known(known) => Some(known),
            Progress::None | Progress::Unknown(_) => None,
        };
        let configured = target.configured.as_ref();
        Self {
            swap_id: swap.map(|swap| swap.id.to_string()),
            state: swap.map_or("none", |swap| swap.state.name()),
            engine: stamp.engine.clone(),
            other_engine: swap.map(|swap| swap.engine.clone()),
            other_epoch: swap.map(|swap| swap.epoch),
            other_place: swap.map(|swap| place_name(&swap.place)),
            held_by,
            records: known.and_then(|known| known.records),
            bytes: known.and_then(|known| known.bytes),
            all_copied: known.map(|known| known.all_copied),
            commit: known.map(|known| known.commit.to_string()),
            behind: known.map(|known| known.behind),
            goes_on: known.map(|known| known.goes_on),
            change_in_config: configured.map(|known| known.untrue(&stamp.engine, home)).unwrap_or_default(),
        }
    }

    fn print(&self, home: Option<&Path>, progress: &Progress, target: &Target, out: &mut Out) -> Result<()> {
        let engine = &self.engine;
        let other = self.other_engine.as_deref().unwrap_or_default();
        let place = self.other_place.as_deref().unwrap_or_default();
        let line = match (self.state, &self.held_by) {
            ("none", _) => format!("the engine is {engine}; no swap is under way"),
            ("copying", None) => format!(
                "the engine is {engine}; a swap to {other} ({place}) was begun: --resume goes on with it, --abort gives it up"
            ),
            ("copying", Some(_)) => format!("the engine is {engine}; a swap to {other} ({place}) was begun"),
            _ => format!(
                "the engine is {engine}; {other} ({place}) is kept: --finish removes it, --rollback goes back"
            ),
        };
        out.line(line)?;
        match progress {
            Progress::Known(known) => tell_progress(known, out)?,
            Progress::Unknown(why) => out.line(format_args!("how far it is cannot be told: {why}"))?,
            Progress::None => {}
        }
        if let Some(holder) = &self.held_by {
            out.line(format_args!(
                "{holder} has the store open, and only it knows how far a swap of its own is (docs/observability.md)"
            ))?;
        }
        let configured = target.configured.as_ref();
        let advice = configured.and_then(|known| known.advice(&self.change_in_config, engine, home));
        advice.map_or(Ok(()), |advice| out.line(advice))
    }
}

fn tell_progress(known: &SwapProgress, out: &mut Out) -> Result<()> {
    let copied = match (known.records, known.bytes) {
        (Some(records), Some(bytes)) => {
            let all = if known.all_copied { "all of them" } else { "not all yet" };
            format!("{records} records, {}, {all}", size(bytes))
        }
        _ => "everything".to_owned(),
    };
    out.field("copied", copied)?;
    out.field("followed", format_args!("to commit {}, {} behind the store", known.commit, known.behind))?;
    if known.goes_on {
        return Ok(());
    }
    out.line("what was committed since is not kept any more: --resume copies anew")
}
