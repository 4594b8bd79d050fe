//! Recognising and opening.

use std::path::Path;
use std::sync::Arc;

use persist_api::{
    Driver, Engine, Error, ErrorKind, Observer, Offer, OpenMode, OpenOptions, Probe, Progress, Result,
};
use persist_io::{Disk, FileMode, RealDisk, absolute, create_dir_durably, lock_dir};

use crate::engine::LmdbEngine;
use crate::error::corrupt;
use crate::home::{DATA, Draft, Found, look};
use crate::layout::read_metas;
use crate::live::Live;
use crate::options::{Settings, offer};
use crate::walk::{Depth, Walk};

pub(crate) const SCHEME: &str = "lmdb";

/// Opens LMDB engines.
#[derive(Debug, Clone, Copy, Default)]
pub struct LmdbDriver;

impl LmdbDriver {
    /// The driver.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl Driver for LmdbDriver {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn probe(&self, home: &Path) -> Result<Probe> {
        let seen = look(&RealDisk, home).map_err(|error| error.with_engine(SCHEME))?;
        Ok(match seen.found {
            Found::Empty => Probe::Empty,
            Found::Mine => Probe::Mine { needs_recovery: seen.leftover },
            Found::Damaged(_) => Probe::Mine { needs_recovery: true },
            Found::Foreign(what) => Probe::Foreign { what },
        })
    }

    fn offer(&self, options: &OpenOptions) -> Offer {
        offer(options)
    }

    fn check(&self, options: &OpenOptions) -> Result<()> {
        Settings::of(options).map(drop)
    }

    fn open(&self, home: &Path, options: &OpenOptions, seen: &dyn Observer) -> Result<Box<dyn Engine>> {
        Ok(Box::new(open_engine(&RealDisk, home, options, seen)?))
    }
}

/// Opens a store, or makes one.
pub(crate) fn open_engine(
    disk: &dyn Disk,
    home: &Path,
    options: &OpenOptions,
    seen: &dyn Observer,
) -> Result<LmdbEngine> {
    let settings = Settings::of(options)?;
    let home = &absolute("open", home)?;
    // Refuse before anything is touched, and once more when nobody else can change what is there.
    admit(disk, home, options.mode)?;
    create_dir_durably(disk, home)?;
    let lock = Arc::new(lock_dir(disk, home).map_err(|error| error.with_engine(SCHEME))?);
    if admit(disk, home, options.mode)? {
        Draft::clear(disk, home)?;
        // Who put the data file in its place may have been killed before it made the name durable.
        disk.sync_dir(home)?;
    } else {
        create(disk, home, &settings)?;
    }
    check(disk, home, &settings, seen)?;
    let live = Live::open(home, &settings)?;
    live.renew_metas(disk, home)?;
    let header = {
        let txn = live.env.read_txn().map_err(|error| crate::error::map_error("open", error))?;
        live.header(&txn)?
    };
    Ok(LmdbEngine::new(home.clone(), live, header, settings, options, lock))
}

/// True if a store is there; an error if what is there does not go with the mode.
fn admit(disk: &dyn Disk, home: &Path, mode: OpenMode) -> Result<bool> {
    let fail = |error: Error| error.with_engine(SCHEME).with_path(home);
    let (exists, damage) = match look(disk, home)?.found {
        Found::Foreign(what) => return Err(fail(Error::new(ErrorKind::Mismatch, "open", what))),
        Found::Empty => (false, None),
        Found::Mine => (true, None),
        Found::Damaged(error) => (true, Some(error)),
    };
    mode.check(exists).map_err(fail)?;
    damage.map_or(Ok(exists), Err)
}

/// The data file appears by one rename, whole and synced, so that a crash leaves a store without beats or none.
pub(crate) fn create(disk: &dyn Disk, home: &Path, settings: &Settings) -> Result<()> {
    let draft = Draft::begin(disk, home)?;
    Live::create(&draft.dir(), settings)?;
    draft.finish()
}

/// LMDB trusts its file, and a page beyond the end of it kills the process, so the file is checked before it is mapped:
/// always that both meta pages are whole and that the file is as long as they say, and page by page when it is small or
/// shorter than that (which is allowed if the missing pages are free).
fn check(disk: &dyn Disk, home: &Path, settings: &Settings, seen: &dyn Observer) -> Result<()> {
    let path = home.join(DATA);
    let file = disk.open(&path, FileMode::Read)?;
    let [newest, _] = read_metas(&*file).map_err(|error| error.with_path(&path))?;
    let bytes = file.len()?;
    if bytes > settings.check_bytes && bytes >= newest.bytes_needed() {
        return Ok(());
    }
    let mut first = None;
    let mut note = |what: String, place: String| {
        first.get_or_insert((what, place));
    };
    let step =
        |done, total| seen.step("open", Progress { phase: "check", done, total: Some(total), unit: "pages" });
    Walk::new(&*file, &newest, Depth::Structure)?.run(&mut note, &step)?;
    match first {
        None => Ok(()),
        Some((what, place)) => Err(corrupt("open", format!("{place}: {what}")).with_path(path)),
    }
}
