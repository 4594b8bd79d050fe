//! The block class: a real file system on a disk that logs every write; the power fails anywhere in the log, the file
//! system recovers by its journal, and the engine opens what it then shows (contract D-1, D-2, D-3).

mod log;
mod medium;
mod moment;
mod report;
mod session;
mod tool;

use std::path::Path;

use persist_api::{Durability, Observer};
use persist_io::{Disk as _, RealDisk};
use tempfile::TempDir;

use super::child::Subject;
use super::parent::Reentry;
use super::plan::Profile;
use super::report::CrashError;
use medium::Medium;
use session::Session;

pub use log::LogError;
pub use report::BlockReport;

/// Disks in memory are twice as fast, and wear nothing out.
const MEMORY: &str = "/dev/shm";
/// What disk, log and image may take together, in bytes.
const ROOM: u64 = 1 << 30;
/// The most moments of one session; then comes the next one, with another seed.
const SESSION_MOMENTS: u64 = 300;

/// How much the block class does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockOptions {
    /// Decides the content of the beats, and moments and losses for a given log.
    pub seed: u64,
    /// How many disks are mounted and examined, over all sessions.
    pub moments: u64,
    /// How many beats each session commits.
    pub beats: u64,
    /// Run the workload under `eatmydata`, which drops every sync: the class must then find lost beats.
    pub lose_syncs: bool,
    /// After so many violations the run ends.
    pub violations_max: usize,
    /// Keep disks on which something was found.
    pub keep: bool,
}

impl Default for BlockOptions {
    fn default() -> Self {
        Self { seed: 1, moments: 80, beats: 24, lose_syncs: false, violations_max: 5, keep: false }
    }
}

impl BlockOptions {
    /// The defaults, changed by `PERSIST_SEED`, `PERSIST_BLOCK_MOMENTS` and `PERSIST_BLOCK_BEATS`; what fails is kept.
    #[must_use]
    pub fn from_env() -> Self {
        let default = Self::default();
        Self {
            seed: super::number_from_env("PERSIST_SEED").unwrap_or(default.seed),
            moments: super::number_from_env("PERSIST_BLOCK_MOMENTS").unwrap_or(default.moments),
            beats: super::number_from_env("PERSIST_BLOCK_BEATS").unwrap_or(default.beats),
            keep: true,
            ..default
        }
    }
}

/// Runs the block class on an engine, until the observer says stop. A session for each [`Profile`], and again with other
/// seeds for as long as there are moments left.
///
/// # Errors
/// [`CrashError::Absent`] where this machine lacks a tool, or does not allow to export, to mount or to sync so; other errors
/// when the class could not be run for another reason. What the engine breaks is in the report.
pub fn block_cut(
    subject: &Subject<'_>,
    reentry: &Reentry,
    options: &BlockOptions,
    observer: &dyn Observer,
) -> Result<BlockReport, CrashError> {
    let mut report = BlockReport {
        engine: subject.driver.scheme().to_owned(),
        seed: options.seed,
        ..BlockReport::default()
    };
    if subject.driver.offer(&subject.options).durability_max() == Durability::Volatile {
        return Ok(report);
    }
    let work = scratch()?;
    probe(work.path(), options.lose_syncs).map_err(CrashError::before_the_run)?;
    let share = options.moments.div_ceil(Profile::ALL.len() as u64).clamp(1, SESSION_MOMENTS);
    for (number, profile) in (0_u64..).zip(Profile::ALL.into_iter().cycle()) {
        let moments = share.min(options.moments.saturating_sub(report.moments));
        if moments == 0 || report.violations.len() >= options.violations_max {
            break;
        }
        let session = Session { number, seed: options.seed.wrapping_add(number), profile, moments };
        session.run(reentry, options, work.path(), observer, &mut report)?;
    }
    if options.keep && !report.is_clean() {
        report.kept = Some(work.keep());
    }
    Ok(report)
}

/// A directory in memory where there is room, in the usual place otherwise.
fn scratch() -> Result<TempDir, CrashError> {
    let memory = Path::new(MEMORY);
    let roomy = memory.is_dir() && RealDisk.space(memory).is_ok_and(|space| space >= Some(ROOM));
    let mut name = tempfile::Builder::new();
    name.prefix("persist-block-");
    let made = if roomy { name.tempdir_in(memory) } else { name.tempdir() };
    let made = made.map_err(|source| CrashError::io("a temporary directory", source))?;
    RealDisk.create_dir(&made.path().join("root"))?;
    Ok(made)
}

/// Takes a whole disk up and down again, so that what is missing here is found before anything is judged.
fn probe(work: &Path, lose_syncs: bool) -> Result<(), CrashError> {
    if lose_syncs {
        tool::run("eatmydata", &["true".as_ref()])?;
    }
    let dir = work.join("probe");
    Medium::start(&dir, &work.join("root"))?.end()?;
    Ok(persist_io::remove_tree(&RealDisk, &dir)?)
}
