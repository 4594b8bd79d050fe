//! `persist stats --watch`: a store seen from outside, again and again.
//!
//! A store belongs to the process that has it open, and nobody else can ask its engine. So this opens nothing, locks nothing and
//! waits for nobody: it reads the stamp, who holds the lock, and the sizes of files. What only the holder knows (beats, views,
//! groups) the holder tells by its metrics (docs/observability.md).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use persist::{Error, ErrorKind, OpenMode, RealDisk, Stamp, StampState};
use persist_io::{LOCK_FILE, absolute, read_file};
use serde::Serialize;

use super::stats_held::is_held;
use crate::args::Global;
use crate::fail::Result;
use crate::out::Out;
use crate::target::Target;
use crate::text::size;
use crate::watch::Watch;

/// How often Ctrl-C is looked for.
const TICK: Duration = Duration::from_millis(20);
/// Files of most change that a line for people names.
const FILES_SHOWN: usize = 3;
const LOCK_BYTES_MAX: u64 = 4096;

/// One look.
#[derive(Serialize)]
struct Look {
    /// Seconds since the first one.
    at: f64,
    engine: String,
    home: String,
    store_id: String,
    epoch: u64,
    /// `None` where the system does not say.
    held: Option<bool>,
    holder: Option<String>,
    bytes: u64,
    bytes_per_second: Option<f64>,
    files: BTreeMap<String, u64>,
}

/// Reads the number of seconds on the command line.
pub(crate) fn period(text: &str) -> std::result::Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|period| *period >= TICK).ok_or_else(|| "a number of seconds, at least 0.02".to_owned())
}

/// Looks until Ctrl-C, which is the usual end.
pub(crate) fn run(period: Duration, global: &Global, out: &mut Out) -> Result<()> {
    out.needs_reader();
    // No bar: lines are the display.
    let _watch = Watch::new(true);
    let target = Target::of(global)?;
    let home = target.home()?;
    let home = if home.as_os_str().is_empty() { home } else { absolute("stats", &home)? };
    let begin = Instant::now();
    let mut last: Option<Look> = None;
    loop {
        let mut look = Look::take(&target, &home, begin.elapsed())?;
        look.compare(last.as_ref());
        if out.is_json() {
            out.object(&look)?;
        } else {
            out.line(look.line(last.as_ref()))?;
        }
        out.flush()?;
        let next = begin.elapsed() + period;
        last = Some(look);
        while begin.elapsed() < next {
            if Watch::check("stats").is_err() {
                return Ok(());
            }
            std::thread::sleep(TICK.min(next.saturating_sub(begin.elapsed())));
        }
    }
}

/// What a lock says of who has it. Only a regular file is read: to open a pipe can take for ever.
fn holder_of(lock: &Path) -> Option<String> {
    let name = read_file(&RealDisk, lock, LOCK_BYTES_MAX).ok()??;
    Some(String::from_utf8(name).ok()?.trim().to_owned())
}

impl Look {
    fn take(target: &Target, home: &Path, at: Duration) -> Result<Self> {
        let (stamp, files) = listed(target, home)?;
        let lock = home.join(LOCK_FILE);
        let held = is_held(&lock);
        let holder = (held == Some(true)).then(|| holder_of(&lock)).flatten();
        Ok(Self {
            at: at.as_secs_f64(),
            engine: stamp.engine,
            home: home.display().to_string(),
            store_id: stamp.store.to_string(),
            epoch: stamp.epoch,
            held,
            holder,
            bytes: files.values().sum(),
            bytes_per_second: None,
            files,
        })
    }

    #[allow(clippy::cast_precision_loss, reason = "sizes of files, for a rate")]
    fn compare(&mut self, last: Option<&Self>) {
        self.bytes_per_second = last
            .filter(|last| self.at > last.at)
            .map(|last| (self.bytes as f64 - last.bytes as f64) / (self.at - last.at));
    }

    fn line(&self, last: Option<&Self>) -> String {
        let holder = match (self.held, &self.holder) {
            (Some(true), Some(holder)) => format!("held by {holder}"),
            (Some(true), None) => "held".to_owned(),
            (Some(false), _) => "not open".to_owned(),
            (None, _) => "holder unknown".to_owned(),
        };
        let change = self.bytes_per_second.map_or(String::new(), |rate| {
            let sign = if rate < 0.0 { "-" } else { "+" };
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "shown in three digits"
            )]
            let whole = rate.abs() as u64;
            format!("  {sign}{}/s", size(whole))
        });
        let before = |name: &str| last.and_then(|last| last.files.get(name)).copied().unwrap_or_default();
        let mut changed: Vec<_> =
            self.files.iter().map(|(name, now)| (now.abs_diff(before(name)), name, now)).collect();
        changed.sort_by_key(|(change, name, _)| (std::cmp::Reverse(*change), *name));
        let files = changed.iter().take(FILES_SHOWN).map(|(_, name, now)| format!("{name} {}", size(**now)));
        format!(
            "{:>8.1} s  {} epoch {}, {holder}  {}{change}  {}",
            self.at,
            self.engine,
            self.epoch,
            size(self.bytes),
            files.collect::<Vec<_>>().join(", ")
        )
    }
}

/// The stamp, and the sizes of the files of the engine that it names.
fn listed(target: &Target, home: &Path) -> Result<(Stamp, BTreeMap<String, u64>)> {
    let mut stamp = stamp(target, home)?;
    loop {
        let mut files = BTreeMap::new();
        let Err(error) = list(home, &home.join(format!("engine-{}", stamp.epoch)), &mut files) else {
            return Ok((stamp, files));
        };
        // Another engine may have taken its place meanwhile. Epochs only grow, so that this comes to an end.
        let newer = self::stamp(target, home)?;
        if newer.epoch == stamp.epoch {
            return Err(error.into());
        }
        stamp = newer;
    }
}

/// The stamp of a store. What is none is refused as opening it does: it may have moved to another home, also while it is watched.
fn stamp(target: &Target, home: &Path) -> Result<Stamp> {
    let none = || {
        let context = "there is no store here, or one that keeps nothing on disk; `persist init` creates one";
        Error::new(ErrorKind::Invalid, "stats", context).with_path(home)
    };
    let stamp = Stamp::read(&RealDisk, home)?
        .ok_or_else(|| super::doctor::stampless("stats", home).unwrap_or_else(none))?;
    if stamp.state == StampState::Ready {
        return Ok(stamp);
    }
    let opened = persist::open_with(&target.url, &target.options(OpenMode::MustExist))?;
    Ok(opened.describe().stamp.ok_or_else(none)?)
}

/// The sizes of the files below `dir`, by their path from `home`. What goes away meanwhile is left out.
///
/// # Errors
/// `Io`.
fn list(home: &Path, dir: &Path, files: &mut BTreeMap<String, u64>) -> Result<(), Error> {
    let fail = |error| Error::io("stats", dir, error);
    for entry in std::fs::read_dir(dir).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let path: PathBuf = entry.path();
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => match list(home, &path, files) {
                Err(_) if !path.exists() => {}
                listed => listed?,
            },
            Ok(meta) => {
                let name = path.strip_prefix(home).unwrap_or(&path).display().to_string();
                files.insert(name, meta.len());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("stats", &path, error)),
        }
    }
    Ok(())
}
