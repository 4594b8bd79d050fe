//! The honest engine that the liars distort: any volatile engine, given a medium.
//!
//! One file, `filed.log`, holds a record for each beat; the state in memory is the inner engine, into which an open
//! replays the log. Small, slow to open, and complete: it offers every capability that an engine may own, so that each
//! case of the suite runs its body on it.

mod beat;
mod engine;
mod log;
mod view;

pub(crate) use log::{LOG, State, drop_unsound, inspect};

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use persist_api::{
    Caps, Driver, Engine, Error, ErrorKind, Limits, Observer, Offer, OpenMode, OpenOptions, Probe, Quiet,
    Result,
};

use engine::FiledEngine;

pub(crate) const SCHEME: &str = "filed";
pub(crate) const LOCK: &str = "filed.lock";

/// Makes an empty volatile engine's driver.
pub(crate) type MakeInner = fn() -> Box<dyn Driver>;

/// Opens volatile engines on a log.
pub(crate) struct FiledDriver {
    pub(crate) inner: MakeInner,
}

/// The lock on a directory; the engine and its views share it. While nobody holds it, it says how long the log was when
/// it was closed: a log that is shorter was cut, and not torn by an accident.
pub(crate) struct Held {
    lock: File,
}

impl Held {
    /// How long the log was when it was closed, where that is known.
    fn noted(&self) -> Option<u64> {
        let mut text = String::new();
        (&self.lock).take(20).read_to_string(&mut text).ok()?;
        text.parse().ok()
    }

    /// Says how long the log is; nothing while the engine is open.
    pub(crate) fn note(&self, bytes: Option<u64>) -> io::Result<()> {
        let mut lock = &self.lock;
        lock.set_len(0)?;
        lock.rewind()?;
        bytes.map_or(Ok(()), |bytes| write!(lock, "{bytes}"))
    }
}

impl Drop for Held {
    /// A process that is just being forked holds the file, too; closing would not unlock it then.
    fn drop(&mut self) {
        let _ = self.lock.unlock();
    }
}

fn offer(options: &OpenOptions) -> Offer {
    Offer {
        engine: SCHEME,
        library: "a log over another engine, for tests".to_owned(),
        format: 1,
        caps: Caps::BEAT_ATOMIC
            | Caps::PREFIX_SCAN
            | Caps::CHECKPOINT
            | Caps::CRC32C
            | Caps::COMPACTION
            | Caps::ORDERED
            | Caps::SNAPSHOT
            | Caps::DURABLE
            | Caps::BUFFERED
            | Caps::ZERO_COPY
            | Caps::READ_OWN
            | Caps::DELETE_RANGE
            | Caps::LONG_KEYS
            | Caps::HISTORY
            | Caps::BACKUP
            | Caps::FEED,
        limits: Limits {
            key_bytes_max: 65_535,
            value_bytes_max: 1 << 20,
            beat_bytes_max: 3 << 20,
            views_max: options.views_max.unwrap_or(64),
            store_bytes_max: options.store_bytes_max.unwrap_or(u64::MAX),
        },
    }
}

impl Driver for FiledDriver {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn probe(&self, home: &Path) -> Result<Probe> {
        let foreign = |what: &str| Ok(Probe::Foreign { what: format!("found {what} there") });
        if !home.exists() {
            return Ok(Probe::Empty);
        }
        if !home.is_dir() {
            return foreign("a file");
        }
        let io = |error| Error::io("probe", home, error).with_engine(SCHEME);
        let mut any = false;
        for entry in fs::read_dir(home).map_err(io)? {
            let name = entry.map_err(io)?.file_name();
            any |= name == LOG;
            if name != LOG && name != LOCK {
                return foreign(&name.to_string_lossy());
            }
        }
        Ok(if any { Probe::Mine { needs_recovery: false } } else { Probe::Empty })
    }

    fn offer(&self, options: &OpenOptions) -> Offer {
        offer(options)
    }

    fn open(&self, home: &Path, options: &OpenOptions, _seen: &dyn Observer) -> Result<Box<dyn Engine>> {
        options.check_knobs(&[])?;
        let found = options.mode.check_probe(self.probe(home)?);
        found.map_err(|error| error.with_engine(SCHEME).with_path(home))?;
        let held = Arc::new(lock(home)?);
        let log = log::open(home, held.noted())?;
        held.note(None).map_err(|error| Error::io("open", home, error).with_engine(SCHEME))?;
        let inner = open_inner(self.inner, options)?;
        Ok(Box::new(FiledEngine::new(self.inner, inner, log, held, home, options)?))
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "an engine for tests only, that must not depend on the project's own I/O"
)]
fn lock(home: &Path) -> Result<Held> {
    let io = |error| Error::io("open", home, error).with_engine(SCHEME);
    fs::create_dir_all(home).map_err(io)?;
    let lock = File::options().create(true).truncate(false).read(true).write(true).open(home.join(LOCK));
    let lock = lock.map_err(io)?;
    if lock.try_lock().is_ok() {
        return Ok(Held { lock });
    }
    let what = "somebody else has it open";
    Err(Error::new(ErrorKind::Locked, "open", what).with_engine(SCHEME).with_path(home))
}

fn open_inner(make: MakeInner, options: &OpenOptions) -> Result<Box<dyn Engine>> {
    let options = OpenOptions {
        mode: OpenMode::OpenOrCreate,
        views_max: Some(1 << 20),
        importing: true,
        ..options.clone()
    };
    make().open(Path::new("inner"), &options, &Quiet)
}
