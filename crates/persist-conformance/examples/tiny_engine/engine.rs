//! The smallest engine that keeps every promise: an ordered map in memory, and one file that holds all of it. Each beat
//! writes the file anew, syncs it and renames it over the old one. Slow for large stores, and hard to get wrong.
#![allow(clippy::disallowed_methods, reason = "a stranger's engine has no persist-io")]

use std::collections::{BTreeMap, btree_map};
use std::fs::{self, File};
use std::io::Write as _;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use persist_api::{
    BackupStat, Beat, BeatGate, BeatHeader, BeatNo, BeatReceipt, BeatTicket, Caps, Cursor, Direction, Driver,
    Durability, Engine, Error, ErrorKind, Finding, Health, KeyRange, Limits, Observer, Offer, OpenMode,
    OpenOptions, Probe, Progress, Result, Scan, Stats, Value, VerifyStat, View, ViewLease, ViewLedger, Visit,
};

const FILE: &str = "tiny.snapshot";
const LOCK: &str = "tiny.lock";
const MAGIC: &[u8; 8] = b"TINYENG1";

/// One state of the store: what a beat leaves and a view shows.
#[derive(Clone, Default)]
struct State {
    header: BeatHeader,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// The driver has nothing to remember.
pub struct TinyDriver;

impl Driver for TinyDriver {
    fn scheme(&self) -> &'static str {
        "tiny"
    }

    fn probe(&self, home: &Path) -> Result<Probe> {
        if !home.exists() {
            return Ok(Probe::Empty);
        }
        let mut found = Probe::Empty;
        for entry in fs::read_dir(home).map_err(|error| Error::io("probe", home, error))? {
            let name = entry.map_err(|error| Error::io("probe", home, error))?.file_name();
            let name = name.to_string_lossy();
            if !name.starts_with("tiny.") {
                return Ok(Probe::Foreign { what: name.into_owned() });
            }
            found = Probe::Mine { needs_recovery: false };
        }
        Ok(found)
    }

    fn offer(&self, options: &OpenOptions) -> Offer {
        offer(options)
    }

    fn open(&self, home: &Path, options: &OpenOptions, _seen: &dyn Observer) -> Result<Box<dyn Engine>> {
        options.check_knobs(&[])?;
        let refuse =
            |kind, what: &str| Err(Error::new(kind, "open", what).with_engine("tiny").with_path(home));
        match (self.probe(home)?, options.mode) {
            (Probe::Foreign { what }, _) => {
                return refuse(ErrorKind::Mismatch, &format!("{what} is not ours"));
            }
            (Probe::Empty, OpenMode::MustExist) => {
                return refuse(ErrorKind::Invalid, "there is no store here");
            }
            (Probe::Mine { .. }, OpenMode::MustCreate) => {
                return refuse(ErrorKind::Conflict, "a store exists here");
            }
            _ => fs::create_dir_all(home).map_err(|error| Error::io("open", home, error))?,
        }
        let lock = File::options().create(true).truncate(false).write(true).open(home.join(LOCK));
        let lock = lock.map_err(|error| Error::io("open", home, error))?;
        if lock.try_lock().is_err() {
            return refuse(ErrorKind::Locked, "another holder has it open");
        }
        let state = read_snapshot(home)?;
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

fn offer(options: &OpenOptions) -> Offer {
    Offer {
        engine: "tiny",
        library: "an example".to_owned(),
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
            | Caps::BACKUP,
        limits: Limits {
            key_bytes_max: 65_535,
            value_bytes_max: 1 << 20,
            beat_bytes_max: 8 << 20,
            views_max: options.views_max.unwrap_or(100),
            store_bytes_max: u64::MAX,
        },
    }
}

/// Magic, header, then each row with its lengths, and a CRC-32C over all of it.
fn write_snapshot(home: &Path, state: &State) -> std::io::Result<u64> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(state.header.encode());
    for (key, value) in &state.rows {
        for piece in [key, value] {
            bytes.extend(u32::try_from(piece.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend(piece);
        }
    }
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    let temp = home.join("tiny.new");
    let mut file = File::create(&temp)?;
    file.write_all(&bytes)?;
    file.sync_all()?; // the bytes are there before the name is
    fs::rename(&temp, home.join(FILE))?;
    File::open(home)?.sync_all()?; // and now the name is there
    Ok(bytes.len() as u64)
}

/// A store without a file is new. Anything but a whole file is an error and no panic.
fn read_snapshot(home: &Path) -> Result<State> {
    let path = home.join(FILE);
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(State::default()),
        other => other.map_err(|error| Error::io("open", &path, error))?,
    };
    parse(&bytes)
        .ok_or_else(|| Error::new(ErrorKind::Corrupt, "open", "the file does not verify").with_path(path))
}

fn parse(bytes: &[u8]) -> Option<State> {
    let (body, crc) = bytes.split_last_chunk()?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
        return None;
    }
    let (header, mut rest) = body.strip_prefix(MAGIC)?.split_at_checked(BeatHeader::ENCODED_LEN)?;
    let mut rows = BTreeMap::new();
    while !rest.is_empty() {
        let (key, value) = (piece(&mut rest)?, piece(&mut rest)?);
        rows.insert(key.to_vec(), value.to_vec());
    }
    Some(State { header: BeatHeader::decode(header).ok()?, rows })
}

fn piece<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let (length, after) = rest.split_first_chunk()?;
    let (piece, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = after;
    Some(piece)
}

struct TinyEngine {
    home: PathBuf,
    lock: Arc<File>,
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
        if into.is_file() || fs::read_dir(into).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(Error::new(ErrorKind::Mismatch, "backup", "the target is not empty").with_path(into));
        }
        let state = Arc::clone(&self.state());
        seen.step("backup", Progress { phase: "copy", done: 0, total: Some(1), unit: "files" })?;
        let written = fs::create_dir_all(into).and_then(|()| write_snapshot(into, &state));
        let bytes = written.map_err(|error| Error::io("backup", into, error))?;
        Ok(BackupStat { beat: state.header.beat, bytes })
    }

    fn verify(&self, _found: &mut dyn FnMut(Finding), seen: &dyn Observer) -> Result<VerifyStat> {
        let state = Arc::clone(&self.state());
        let total = Some(state.rows.len() as u64);
        let mut stat = VerifyStat::default();
        for (key, value) in &state.rows {
            seen.step("verify", Progress { phase: "read", done: stat.records, total, unit: "records" })?;
            stat.records += 1;
            stat.bytes += (key.len() + value.len()) as u64;
        }
        Ok(stat)
    }

    fn stats(&self) -> Result<Stats> {
        let state = Arc::clone(&self.state());
        let bytes_on_disk = fs::metadata(self.home.join(FILE)).map_or(0, |file| file.len());
        let records = Some(state.rows.len() as u64);
        let mut stats = Stats { beat: state.header.beat, records, bytes_on_disk, ..Stats::default() };
        self.ledger.fill(&mut stats);
        Ok(stats)
    }

    fn close(self: Box<Self>) -> Result<(), (Box<dyn Engine>, Error)> {
        match self.ledger.wait_until_closed(self.close_wait) {
            Ok(()) => Ok(()),
            Err(error) => Err((self, error)),
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
            return Err(Error::new(ErrorKind::Poisoned, op, "an earlier operation of this beat failed"));
        }
        let done = change(self);
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
        Ok(self.staged.rows.get(key).map(|value| Value::borrowed(value)))
    }

    fn commit_beat(self: Box<Self>) -> Result<BeatReceipt> {
        if self.failed {
            return Err(Error::new(ErrorKind::Poisoned, "commit_beat", "an operation of this beat failed"));
        }
        let engine = self.engine;
        if let Err(error) = write_snapshot(&engine.home, &self.staged) {
            engine.health.poison();
            return Err(Error::io("commit_beat", &engine.home, error));
        }
        let header = self.staged.header;
        *engine.state() = Arc::new(self.staged);
        Ok(BeatReceipt { header, reached: Durability::Durable })
    }

    fn abort_beat(self: Box<Self>) {}
}

struct TinyView {
    state: Arc<State>,
    _lock: Arc<File>,
    _lease: ViewLease,
}

impl TinyView {
    /// The rows of a range. An ordered map panics where a range is upside down, so that is asked first.
    fn rows(&self, range: &KeyRange<'_>) -> Option<btree_map::Range<'_, Vec<u8>, Vec<u8>>> {
        let bounds: (Bound<&[u8]>, Bound<&[u8]>) = range.bounds();
        (!range.is_empty()).then(|| self.state.rows.range::<[u8], _>(bounds))
    }

    /// The first row of a range, in some direction.
    fn first(&self, range: &KeyRange<'_>, direction: Direction) -> Option<(&[u8], &[u8])> {
        let mut rows = self.rows(range)?;
        let row = if direction == Direction::Forward { rows.next() } else { rows.next_back() };
        row.map(|(key, value)| (key.as_slice(), value.as_slice()))
    }
}

impl View for TinyView {
    fn header(&self) -> &BeatHeader {
        &self.state.header
    }

    fn get_record(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        Ok(self.state.rows.get(key).map(|value| Value::borrowed(value)))
    }

    fn scan(&self, scan: Scan<'_>, visit: &mut Visit<'_>) -> Result<()> {
        let Some(mut rows) = self.rows(&scan.range) else { return Ok(()) };
        let mut left = scan.limit;
        while left > 0 {
            let row = if scan.direction == Direction::Forward { rows.next() } else { rows.next_back() };
            let Some((key, value)) = row else { break };
            if visit(key, value).is_break() {
                break;
            }
            left -= 1;
        }
        Ok(())
    }

    fn cursor<'v>(&'v self, scan: Scan<'v>) -> Result<Box<dyn Cursor + 'v>> {
        let left = scan.limit;
        Ok(Box::new(TinyCursor { view: self, scan, left, row: None, started: false }))
    }
}

struct TinyCursor<'v> {
    view: &'v TinyView,
    scan: Scan<'v>,
    left: u64,
    row: Option<(&'v [u8], &'v [u8])>,
    started: bool,
}

impl TinyCursor<'_> {
    fn go(&mut self, range: &KeyRange<'_>) -> bool {
        let view = self.view;
        self.started = true;
        self.row = if self.left == 0 { None } else { view.first(range, self.scan.direction) };
        self.left = self.left.saturating_sub(1);
        self.row.is_some()
    }
}

impl Cursor for TinyCursor<'_> {
    fn advance(&mut self) -> Result<bool> {
        let range = self.scan.range.clone();
        let rest = match (self.row, self.scan.direction) {
            (None, _) if self.started => return Ok(false),
            (None, _) => range,
            (Some((key, _)), Direction::Forward) => {
                KeyRange::new(Bound::Excluded(key), range.end()).into_owned()
            }
            (Some((key, _)), Direction::Reverse) => {
                KeyRange::new(range.start(), Bound::Excluded(key)).into_owned()
            }
        };
        Ok(self.go(&rest))
    }

    fn seek(&mut self, key: &[u8]) -> Result<bool> {
        self.left = self.scan.limit;
        let range = self.scan.from(key).range.into_owned();
        Ok(self.go(&range))
    }

    fn key(&self) -> &[u8] {
        self.row.map_or(&[], |(key, _)| key)
    }

    fn value(&self) -> &[u8] {
        self.row.map_or(&[], |(_, value)| value)
    }
}
