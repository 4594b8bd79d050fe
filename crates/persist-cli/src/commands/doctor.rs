//! `persist doctor`: what is wrong with a store that does not open or not without losses, and its repair on request.

use std::path::{Path, PathBuf};

use persist::{Address, Error, ErrorKind, KNOWN_ENGINES, RealDisk, Stamp};

use crate::args::Global;
use crate::fail::Result;
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
    let patient = |stamp: Stamp, dir: PathBuf| Patient { dir, known: stamp.records(), engine: stamp.engine };
    if let Some(stamp) = Stamp::read(&RealDisk, home)? {
        let dir = home.join(format!("engine-{}", stamp.epoch));
        return Ok(patient(stamp, dir));
    }
    if is_flatfile(home) {
        let named = |stamp: &Stamp| home.file_name() == Some(format!("engine-{}", stamp.epoch).as_ref());
        // Whose stamp is lost or damaged has none to ask.
        let stamp = home.parent().and_then(|parent| Stamp::read(&RealDisk, parent).ok().flatten());
        return Ok(match stamp.filter(named) {
            Some(stamp) => patient(stamp, home.to_path_buf()),
            None => Patient { engine: "flatfile".to_owned(), dir: home.to_path_buf(), known: Vec::new() },
        });
    }
    let what = "there is no store here; name its directory, or the engine-<n> in it if its stamp is lost";
    Err(Error::new(ErrorKind::Invalid, "doctor", what).with_path(home).into())
}

fn is_flatfile(dir: &Path) -> bool {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().starts_with("branch."))
}
