//! The smallest engine that keeps every promise it makes: an ordered map in memory, and one file that holds all of it.
//! Each beat writes the file anew, syncs it and renames it over the old one. Slow for large stores, and hard to get
//! wrong. For Unix: elsewhere a directory cannot be synced.
#![allow(clippy::disallowed_methods, reason = "a stranger's engine writes its own files")]

mod image;
#[cfg(test)]
mod tests;
mod view;

use std::fs::{self, File, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use persist_api::{
    BackupStat, Beat, BeatGate, BeatHeader, BeatNo, BeatReceipt, BeatTicket, Caps, Driver, Durability,
    Engine, Error, ErrorKind, Finding, FindingCode, Health, KeyRange, Limits, Observer, Offer, OpenMode,
    OpenOptions, Probe, Progress, Result, Stats, Value, VerifyStat, View, ViewLedger,
};

use image::{
    IMAGE, MAGIC, NEW_IMAGE, State, create_dir, create_image, encode, read_image, sync_dir, write_image,
};
use view::TinyView;

const SCHEME: &str = "tiny";
const LOCK: &str = "tiny.lock";

fn refusal(kind: ErrorKind, op: &'static str, what: &str) -> Error {
    Error::new(kind, op, what).with_engine(SCHEME)
}

/// Turns what the operating system says about `path` into an error.
fn io(op: &'static str, path: &Path) -> impl Fn(std::io::Error) -> Error {
    move |error| Error::io(op, path, error).with_engine(SCHEME)
}

/// The driver has nothing to remember.
pub(crate) struct TinyDriver;

impl Driver for TinyDriver {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn probe(&self, home: &Path) -> Result<Probe> {
        match fs::read_dir(home) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Probe::Empty),
            Err(error) => return Err(io("probe", home)(error)),
            Ok(entries) => {
                for entry in entries {
                    let name = entry.map_err(io("probe", home))?.file_name();
                    if ![IMAGE, NEW_IMAGE, LOCK].iter().any(|known| name == *known) {
                        return Ok(Probe::Foreign { what: format!("{} is not ours", name.display()) });
                    }
                }
            }
        }
        let path = home.join(IMAGE);
        match File::open(&path) {
            // The lock comes first and the image last: without it nothing was ever created here.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Probe::Empty),
            Err(error) => Err(io("probe", &path)(error)),
            Ok(file) => {
                let mut magic = Vec::new();
                file.take(8).read_to_end(&mut magic).map_err(io("probe", &path))?;
                let foreign = Probe::Foreign { what: format!("{IMAGE} of another format") };
                Ok(if magic == MAGIC { Probe::Mine { needs_recovery: false } } else { foreign })
            }
        }
    }

    fn offer(&self, options: &OpenOptions) -> Offer {
        offer(options)
    }

    fn open(&self, home: &Path, options: &OpenOptions, _seen: &dyn Observer) -> Result<Box<dyn Engine>> {
        options.check_knobs(&[])?;
        admit(home, options.mode)?;
        create_dir(home).map_err(io("open", home))?;
        let lock = lock(home)?;
        let state = if admit(home, options.mode)? {
            // A killed process may have got as far as the rename. What we show from here on must stay.
            sync_dir(home).map_err(io("open", home))?;
            let lost = || refusal(ErrorKind::Corrupt, "open", "the image is gone").with_path(home);
            read_image(home)?.ok_or_else(lost)?
        } else {
            create_image(home).map_err(io("open", home))?
        };
        let offer = offer(options);
        Ok(Box::new(TinyEngine {
            home: home.to_path_buf(),
            lock: Arc::new(lock),
            state: Mutex::new(Arc::new(state)),
            ledger: ViewLedger::new(offer.limits.views_max),
            offer,
            gate: BeatGate::default(),
            health: Health::default(),
            importing: options.importing,
            close_wait: options.close_wait,
        }))
    }
}

/// True if a store is there; an error if the mode, or anybody, must leave alone what is there.
fn admit(home: &Path, mode: OpenMode) -> Result<bool> {
    mode.check_probe(TinyDriver.probe(home)?).map_err(|error| error.with_engine(SCHEME).with_path(home))
}

fn offer(options: &OpenOptions) -> Offer {
    Offer {
        engine: SCHEME,
        library: "tiny 1".to_owned(),
        format: 1,
        caps: Caps::BEAT_ATOMIC
            | Caps::ORDERED
            | Caps::PREFIX_SCAN
            | Caps::SNAPSHOT
            | Caps::DURABLE
            | Caps::ZERO_COPY
            | Caps::READ_OWN
            | Caps::DELETE_RANGE
            | Caps::LONG_KEYS
            | Caps::BACKUP
            | Caps::CRC32C,
        limits: Limits {
            key_bytes_max: 65_535,
            value_bytes_max: 1 << 20,
            beat_bytes_max: 8 << 20,
            views_max: options.views_max.unwrap_or(100),
            store_bytes_max: options.store_bytes_max.unwrap_or(1 << 30),
        },
    }
}

/// The right to a home. The engine and its views share it.
struct Lock(File);

impl Drop for Lock {
    /// Closing the file is not enough: a child process that is just being forked holds a copy for a moment longer.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

/// Locks the home and leaves our process number in the lock file, for whoever comes second.
fn lock(home: &Path) -> Result<Lock> {
    let path = home.join(LOCK);
    let file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
    let mut file = file.map_err(io("open", &path))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.take(80).read_to_string(&mut holder); // an unreadable name is no name
            let held = format!("held by {}", if holder.is_empty() { "another process" } else { &holder });
            Err(refusal(ErrorKind::Locked, "open", &held).with_path(home))
        }
        Err(TryLockError::Error(error)) => Err(io("open", &path)(error)),
        Ok(()) => {
            let named = file.set_len(0).and_then(|()| write!(file, "process {}", std::process::id()));
            named.map_err(io("open", &path)).map(|()| Lock(file))
        }
    }
}

struct TinyEngine {
    home: PathBuf,
    lock: Arc<Lock>,
    state: Mutex<Arc<State>>,
    offer: Offer,
    gate: BeatGate,
    ledger: ViewLedger,
    health: Health,
    importing: bool,
    close_wait: Duration,
}

impl TinyEngine {
    fn state(&self) -> MutexGuard<'_, Arc<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine for TinyEngine {
    fn offer(&self) -> &Offer {
        &self.offer
    }

    fn begin_beat(&self, header: BeatHeader) -> Result<Box<dyn Beat + '_>> {
        self.health.check("begin_beat")?;
        let ticket = self.gate.enter()?;
        let last = Arc::clone(&self.state());
        header.check_follows(&last.header, self.importing)?;
        let staged = State { header, ..State::clone(&last) };
        Ok(Box::new(TinyBeat { engine: self, _ticket: ticket, staged, staged_bytes: 0, failed: false }))
    }

    fn sync(&self) -> Result<BeatNo> {
        self.health.check("sync")?;
        Ok(self.state().header.beat) // every beat was synced when it was committed
    }

    fn view(&self) -> Result<Box<dyn View>> {
        let lease = self.ledger.open(BeatNo(0))?;
        let state = Arc::clone(&self.state());
        lease.pin(state.header.beat);
        Ok(Box::new(TinyView { state, _lock: Arc::clone(&self.lock), _lease: lease }))
    }

    fn backup(&self, into: &Path, seen: &dyn Observer) -> Result<BackupStat> {
        let there = fs::read_dir(into).map(|mut entries| entries.next().is_some());
        if there.unwrap_or_else(|error| error.kind() != std::io::ErrorKind::NotFound) {
            return Err(Error::occupied("backup", into).with_engine(SCHEME));
        }
        let state = Arc::clone(&self.state());
        let total = Some(state.bytes);
        seen.step("backup", Progress { phase: "copy", done: 0, total, unit: "bytes" })?;
        let written = create_dir(into).and_then(|()| write_image(into, &encode(&state)));
        written.map_err(io("backup", into))?;
        Ok(BackupStat { beat: state.header.beat, bytes: state.bytes })
    }

    fn verify(&self, found: &mut dyn FnMut(Finding), seen: &dyn Observer) -> Result<VerifyStat> {
        let mut stat = VerifyStat::default();
        let place = self.home.join(IMAGE).display().to_string();
        let what = match read_image(&self.home) {
            Ok(Some(state)) => {
                let total = Some(state.rows.len() as u64);
                for (key, value) in &state.rows {
                    let done = stat.records;
                    seen.step("verify", Progress { phase: "read", done, total, unit: "records" })?;
                    stat.records += 1;
                    stat.bytes += (key.len() + value.len()) as u64;
                }
                return Ok(stat);
            }
            Ok(None) => "the image is missing".to_owned(),
            Err(error) if error.kind() == ErrorKind::Corrupt => error.context().to_owned(),
            Err(error) => return Err(error),
        };
        stat.damaged = 1;
        found(Finding::damage(FindingCode::Structure, what, place));
        Ok(stat)
    }

    fn stats(&self) -> Result<Stats> {
        let state = Arc::clone(&self.state());
        let records = Some(state.rows.len() as u64);
        let mut stats =
            Stats { beat: state.header.beat, records, bytes_on_disk: state.bytes, ..Stats::default() };
        self.ledger.fill(&mut stats);
        Ok(stats)
    }

    fn close(self: Box<Self>) -> Result<(), (Box<dyn Engine>, Error)> {
        match self.ledger.wait_until_closed(self.close_wait) {
            Ok(()) => Ok(()),
            Err(error) => Err((self, error.with_engine(SCHEME))),
        }
    }
}

struct TinyBeat<'e> {
    engine: &'e TinyEngine,
    _ticket: BeatTicket<'e>,
    staged: State,
    staged_bytes: u64,
    failed: bool,
}

impl TinyBeat<'_> {
    /// Runs one operation; if it fails, the beat is poisoned.
    fn apply(&mut self, op: &'static str, change: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        if self.failed {
            return Err(refusal(ErrorKind::Poisoned, op, "an earlier operation of this beat failed"));
        }
        let done = change(self).map_err(|error| error.with_engine(SCHEME));
        self.failed = done.is_err();
        done
    }
}

impl Beat for TinyBeat<'_> {
    fn put_record(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.apply("put_record", |beat| {
            let limits = beat.engine.offer.limits;
            limits.check_key("put_record", key)?;
            limits.check_value("put_record", value)?;
            beat.staged_bytes += (key.len() + value.len()) as u64;
            limits.check_beat("put_record", beat.staged_bytes)?;
            beat.staged.rows.insert(key.to_vec(), value.to_vec());
            Ok(())
        })
    }

    fn delete_record(&mut self, key: &[u8]) -> Result<()> {
        self.apply("delete_record", |beat| {
            let limits = beat.engine.offer.limits;
            limits.check_key("delete_record", key)?;
            beat.staged_bytes += key.len() as u64;
            limits.check_beat("delete_record", beat.staged_bytes)?;
            beat.staged.rows.remove(key);
            Ok(())
        })
    }

    fn delete_range(&mut self, range: KeyRange<'_>) -> Result<()> {
        self.apply("delete_range", |beat| {
            beat.staged.rows.retain(|key, _| !range.contains(key));
            Ok(())
        })
    }

    fn peek_record(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        if self.failed {
            return Err(refusal(
                ErrorKind::Poisoned,
                "peek_record",
                "an earlier operation of this beat failed",
            ));
        }
        Ok(self.staged.rows.get(key).map(|value| Value::borrowed(value)))
    }

    fn commit_beat(mut self: Box<Self>) -> Result<BeatReceipt> {
        let (engine, header) = (self.engine, self.staged.header);
        if self.failed {
            let what = "an operation of this beat failed";
            return Err(refusal(ErrorKind::Poisoned, "commit_beat", what).with_beat(header.beat));
        }
        let image = encode(&self.staged);
        let (before, after) = (engine.state().bytes, image.len() as u64);
        // Both images lie there for a moment. A beat that does not grow the store always goes through: a full store
        // must be able to delete.
        if after > before && before + after > engine.offer.limits.store_bytes_max {
            let what = format!("{before} + {after} bytes; the ceiling of this store is lower");
            return Err(refusal(ErrorKind::Full, "commit_beat", &what).with_beat(header.beat));
        }
        if let Err(error) = write_image(&engine.home, &image) {
            engine.health.poison(); // nobody knows which image is there; the next open will see
            return Err(io("commit_beat", &engine.home)(error).with_beat(header.beat));
        }
        self.staged.bytes = after;
        *engine.state() = Arc::new(self.staged);
        Ok(BeatReceipt { header, reached: Durability::Durable })
    }

    fn abort_beat(self: Box<Self>) {}
}
