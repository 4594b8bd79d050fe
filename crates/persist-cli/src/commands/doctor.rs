//! `persist doctor`: what is wrong with a store that does not open or not without losses, and its repair on request.

use std::path::{Path, PathBuf};

use persist::{Address, Advice, Error, ErrorKind, KNOWN_ENGINES, MovedTo, RealDisk, Stamp, StampState};

use crate::args::Global;
use crate::fail::{Result, with_context};
use crate::out::Out;
use crate::target::Target;

/// What to do about what is found.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Make anew what can be made anew; the originals go to a numbered directory under damaged/
    #[arg(long)]
    repair: bool,
    /// Give up what is lost, so that reads of it no longer fail but show the newest that is left
    #[arg(long, requires = "repair")]
    accept_loss: bool,
}

/// The engine of the store, and where its files lie.
pub(super) struct Patient {
    engine: String,
    pub(super) dir: PathBuf,
    /// Records that can be written again when they are lost.
    #[cfg_attr(not(feature = "flatfile"), allow(dead_code, reason = "there is nothing to repair then"))]
    pub(super) known: Vec<(Vec<u8>, Vec<u8>)>,
    /// What its stamp says that the home is, where there is one.
    #[cfg_attr(not(feature = "flatfile"), allow(dead_code, reason = "nothing is examined then"))]
    pub(super) state: Option<StampState>,
    /// It lies in a home whose stamp is missing or damaged.
    #[cfg_attr(not(feature = "flatfile"), allow(dead_code, reason = "nothing is told then"))]
    pub(super) unstamped: bool,
}

pub(crate) fn run(args: &Args, global: &Global, out: &mut Out) -> Result<()> {
    let patient = find(&Target::of(global)?.url)?;
    if patient.engine != "flatfile" {
        let what = format!(
            "the engine {} checks itself when it is opened; `persist verify` reads everything back",
            patient.engine
        );
        return Err(Error::new(ErrorKind::Unsupported, "doctor", what).with_path(patient.dir).into());
    }
    treat(args, global, &patient, out)
}

#[cfg(feature = "flatfile")]
use super::doctor_flatfile::treat;

#[cfg(not(feature = "flatfile"))]
fn treat(_: &Args, _: &Global, patient: &Patient, _: &mut Out) -> Result<()> {
    let what = "the engine flatfile is not in this build; enable feature `flatfile`";
    Err(Error::new(ErrorKind::Unsupported, "doctor", what).with_path(&patient.dir).into())
}

impl Args {
    /// Whether to change anything, and whether to give up what is lost.
    #[cfg_attr(not(feature = "flatfile"), allow(dead_code, reason = "there is nothing to repair then"))]
    pub(crate) fn wanted(&self) -> (bool, bool) {
        (self.repair, self.accept_loss)
    }
}

/// The engine directory that the stamp of a home names; or the directory itself where it holds files of flatfile.
fn find(url: &str) -> Result<Patient> {
    let present: Vec<&str> = KNOWN_ENGINES.iter().map(|engine| engine.scheme).collect();
    let home = Address::parse(url, &present)?.path;
    let patient = |stamp: Stamp, dir: PathBuf| {
        let (known, state) = (stamp.records(), Some(stamp.state));
        Patient { dir, known, engine: stamp.engine, state, unstamped: false }
    };
    let stamp = Stamp::read(&RealDisk, home).map_err(|error| match error.kind() {
        ErrorKind::Corrupt => {
            let context = format!("{}{}", error.context(), look_inside(home));
            with_context(error, context)
        }
        _ => error,
    })?;
    if let Some(stamp) = stamp {
        if let Some(to) = MovedTo::read(&RealDisk, home)?.filter(|to| !to.kept) {
            let to = to.home.display();
            let what = format!(
                "the store that was here lives in {to} now, and nothing of it is left here; examine that"
            );
            let error = Error::new(ErrorKind::Mismatch, "doctor", what).with_path(home);
            return Err(error.with_advice(Advice::FixPath).into());
        }
        let dir = home.join(format!("engine-{}", stamp.epoch));
        return Ok(patient(stamp, dir));
    }
    if is_flatfile(home) {
        let is_engine = |name: &str| home.file_name() == Some(name.as_ref());
        // Whose stamp is lost or damaged has none to ask.
        let stamp = home.parent().and_then(|parent| Stamp::read(&RealDisk, parent).ok().flatten());
        let unstamped = stamp.is_none() && engine_of(home).is_some();
        let stamp = stamp.filter(|stamp| is_engine(&format!("engine-{}", stamp.epoch)));
        let (engine, known, dir) = ("flatfile".to_owned(), Vec::new(), home.to_path_buf());
        let other = Patient { engine, dir, known, state: None, unstamped };
        return Ok(stamp.map_or(other, |stamp| patient(stamp, home.into())));
    }
    if let Some(error) = stampless("doctor", home) {
        return Err(error.into());
    }
    let what = "there is no store here; name its directory, or the engine-<n> in it if its stamp is lost";
    Err(Error::new(ErrorKind::Invalid, "doctor", what).with_path(home).into())
}

/// What to say of a home that holds engines and has no stamp.
pub(super) fn stampless(op: &'static str, home: &Path) -> Option<Error> {
    let engine = engines(home).pop()?;
    let engine = engine.file_name().unwrap_or_default().to_string_lossy();
    let context = format!(
        "{engine} is here but persist.stamp is missing: put the stamp back, or restore the home{}",
        look_inside(home)
    );
    Some(Error::new(ErrorKind::Corrupt, op, context).with_path(home))
}

/// Says how to look at an engine of flatfile without the stamp of its home; nothing where there is none.
fn look_inside(home: &Path) -> String {
    let engine = engines(home).into_iter().rfind(|dir| is_flatfile(dir));
    engine.map_or_else(String::new, |dir| {
        format!("; `persist doctor --store {}` examines what is there", dir.display())
    })
}

/// The directories of engines in a home, oldest first.
fn engines(home: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(home).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<_> = entries.filter_map(|path| Some((engine_of(&path)?, path))).collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

/// The epoch in the name of an engine's directory.
fn engine_of(dir: &Path) -> Option<u64> {
    dir.file_name()?.to_str()?.strip_prefix("engine-")?.parse().ok()
}

fn is_flatfile(dir: &Path) -> bool {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().starts_with("branch."))
}
