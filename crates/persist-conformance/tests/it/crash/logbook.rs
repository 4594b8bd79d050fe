//! A tiny engine over a log file and a snapshot file, honest or lying in one chosen way. It exists to test the crash
//! classes, which must pass the honest one and catch each liar.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions as Open};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use persist_api::{
    Beat, BeatGate, BeatHeader, BeatNo, BeatReceipt, BeatTicket, Caps, CheckpointStat, Cursor, Direction,
    Driver, Durability, Engine, Error, ErrorKind, Finding, KeyRange, Limits, Observer, Offer, OpenOptions,
    Probe, Result, Scan, Stats, Value, VerifyStat, View, Visit,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    None,
    /// Never syncs the log.
    NoSync,
    /// Never syncs a directory.
    NoDirSync,
    /// Syncs, then writes.
    SyncBeforeWrite,
    /// Acknowledges a durable beat and syncs it when the next one begins.
    AckBeforeSync,
    /// Believes every frame that is long enough.
    NoChecksum,
    /// Renames a snapshot into place whose bytes were not synced.
    SnapshotNotSynced,
    /// Cuts the log before the snapshot that replaces it is durable.
    CutsTooEarly,
    /// Keeps buffered beats in the process until a durable one comes.
    BuffersInProcess,
    /// Writes half of a beat, pauses, and writes the rest; and takes the half for a beat.
    HalfBeats,
    /// Leaves a torn tail in the log and appends behind it.
    KeepsTornTail,
    /// Shows what a killed process has written, and does not sync it.
    TrustsWhatItFinds,
    /// Does not open what its own unfinished creation left.
    RefusesItsRemains,
}

pub(crate) struct Logbook(pub(crate) Lie);

type Rows = Arc<BTreeMap<Vec<u8>, Vec<u8>>>;

#[derive(Clone, Default)]
struct State {
    header: BeatHeader,
    rows: Rows,
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::io("logbook", &path, source)
}

fn sync_dir(lie: Lie, path: &Path) -> Result<()> {
    if lie == Lie::NoDirSync {
        return Ok(());
    }
    File::open(path).and_then(|dir| dir.sync_all()).map_err(io(path))
}

impl Driver for Logbook {
    fn scheme(&self) -> &'static str {
        "logbook"
    }

    fn probe(&self, home: &Path) -> Result<Probe> {
        Ok(if home.exists() { Probe::Mine { needs_recovery: true } } else { Probe::Empty })
    }

    fn offer(&self, _: &OpenOptions) -> Offer {
        Offer {
            engine: "logbook",
            library: "a test".to_owned(),
            format: 1,
            caps: Caps::BEAT_ATOMIC
                | Caps::ORDERED
                | Caps::SNAPSHOT
                | Caps::DURABLE
                | Caps::BUFFERED
                | Caps::CHECKPOINT
                | Caps::DELETE_RANGE,
            limits: Limits::UNLIMITED,
        }
    }

    fn open(&self, home: &Path, options: &OpenOptions, _: &dyn Observer) -> Result<Box<dyn Engine>> {
        let lie = self.0;
        if !home.exists() {
            fs::create_dir(home).map_err(io(home))?;
            sync_dir(lie, home.parent().unwrap())?;
        }
        let born = home.join("born");
        if lie == Lie::RefusesItsRemains && born.exists() {
            return Err(Error::new(ErrorKind::Corrupt, "open", "its creation was not finished"));
        }
        let path = home.join("log");
        if lie == Lie::RefusesItsRemains && !path.exists() {
            fs::write(&born, "").map_err(io(&born))?;
        }
        let log = Open::new().read(true).write(true).create(true).truncate(false).open(&path);
        let log = log.map_err(io(&path))?;
        sync_dir(lie, home)?;
        let mut state = State::default();
        if let Ok(bytes) = fs::read(home.join("snapshot")) {
            state = match unframe(&bytes, lie) {
                Some((body, _)) => replay(&State::default(), body, true),
                None => return Err(Error::new(ErrorKind::Corrupt, "open", "the snapshot does not verify")),
            };
        }
        let bytes = fs::read(&path).map_err(io(&path))?;
        let mut end = 0;
        while let Some((body, len)) = unframe(&bytes[end..], lie) {
            let next = BeatHeader::decode(&body[..BeatHeader::ENCODED_LEN])?;
            if next.beat > state.header.beat {
                state = replay(&state, body, lie != Lie::HalfBeats || body.len() % 2 == 0);
            }
            end += len;
        }
        if lie == Lie::KeepsTornTail {
            end = bytes.len();
        } else if lie != Lie::TrustsWhatItFinds || end < bytes.len() {
            log.set_len(end as u64).and_then(|()| log.sync_all()).map_err(io(&path))?;
        }
        if born.exists() {
            fs::remove_file(&born).map_err(io(&born))?;
            sync_dir(lie, home)?;
        }
        Ok(Box::new(Book {
            lie,
            home: home.to_owned(),
            offer: self.offer(options),
            gate: BeatGate::default(),
            inner: Mutex::new(Inner { log, end: end as u64, state, waiting: Vec::new(), owed: false }),
        }))
    }
}

/// `length, checksum, body`; the length as little-endian u32, 0 ends the log.
fn frame(body: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(body.len()).unwrap().to_le_bytes().to_vec();
    out.extend(crc32c::crc32c(body).to_le_bytes());
    out.extend(body);
    out
}

fn unframe(bytes: &[u8], lie: Lie) -> Option<(&[u8], usize)> {
    let len = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let sum = u32::from_le_bytes(bytes.get(4..8)?.try_into().ok()?);
    let body = bytes.get(8..8 + len).filter(|body| body.len() >= BeatHeader::ENCODED_LEN)?;
    (lie == Lie::NoChecksum || crc32c::crc32c(body) == sum).then_some((body, 8 + len))
}

/// One operation: `kind, key length, value length, key, value`.
fn op(out: &mut Vec<u8>, kind: u8, key: &[u8], value: &[u8]) {
    out.push(kind);
    out.extend(u32::try_from(key.len()).unwrap().to_le_bytes());
    out.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
    out.extend(key);
    out.extend(value);
}

fn replay(state: &State, body: &[u8], whole: bool) -> State {
    let (header, mut rest) = body.split_at(BeatHeader::ENCODED_LEN);
    let mut rows = (*state.rows).clone();
    while let [kind, a, b, c, d, e, f, g, h, tail @ ..] = rest {
        let key_len = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        let value_len = u32::from_le_bytes([*e, *f, *g, *h]) as usize;
        let Some(key) = tail.get(..key_len) else { break };
        let Some(value) = tail.get(key_len..key_len + value_len) else { break };
        match kind {
            0 => drop(rows.insert(key.to_vec(), value.to_vec())),
            1 => drop(rows.remove(key)),
            _ => rows.retain(|row, _| row.as_slice() < key || row.as_slice() >= value),
        }
        rest = &tail[key_len + value_len..];
        if !whole {
            break;
        }
    }
    State { header: BeatHeader::decode(header).unwrap(), rows: Arc::new(rows) }
}

struct Inner {
    log: File,
    end: u64,
    state: State,
    waiting: Vec<u8>,
    owed: bool,
}

struct Book {
    lie: Lie,
    home: PathBuf,
    offer: Offer,
    gate: BeatGate,
    inner: Mutex<Inner>,
}

impl Book {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    fn append(&self, inner: &mut Inner, body: &[u8], durability: Durability) -> Result<()> {
        let path = self.home.join("log");
        if std::mem::take(&mut inner.owed) {
            inner.log.sync_data().map_err(io(&path))?;
        }
        let durable = durability == Durability::Durable;
        if self.lie == Lie::SyncBeforeWrite && durable {
            inner.log.sync_data().map_err(io(&path))?;
        }
        inner.waiting.extend(frame(body));
        if self.lie == Lie::BuffersInProcess && !durable {
            return Ok(());
        }
        let bytes = std::mem::take(&mut inner.waiting);
        inner.log.write_all_at(&bytes, inner.end).map_err(io(&path))?;
        inner.end += bytes.len() as u64;
        match self.lie {
            Lie::NoSync | Lie::SyncBeforeWrite => Ok(()),
            Lie::AckBeforeSync => {
                inner.owed = durable;
                Ok(())
            }
            _ if durable => inner.log.sync_data().map_err(io(&path)),
            _ => Ok(()),
        }
    }
}

impl Engine for Book {
    fn offer(&self) -> &Offer {
        &self.offer
    }

    fn begin_beat(&self, header: BeatHeader) -> Result<Box<dyn Beat + '_>> {
        let ticket = self.gate.enter()?;
        header.check_follows(&self.inner().state.header, false)?;
        Ok(Box::new(Page { book: self, header, body: header.encode().to_vec(), _ticket: ticket }))
    }

    fn sync(&self) -> Result<BeatNo> {
        let inner = self.inner();
        if self.lie != Lie::NoSync {
            inner.log.sync_data().map_err(io(&self.home))?;
        }
        Ok(inner.state.header.beat)
    }

    fn view(&self) -> Result<Box<dyn View>> {
        Ok(Box::new(Picture(self.inner().state.clone())))
    }

    fn checkpoint(&self) -> Result<CheckpointStat> {
        let mut inner = self.inner();
        let failed = io(&self.home);
        if self.lie == Lie::CutsTooEarly {
            inner.log.set_len(0).and_then(|()| inner.log.sync_all()).map_err(&failed)?;
        }
        let mut body = inner.state.header.encode().to_vec();
        for (key, value) in inner.state.rows.iter() {
            op(&mut body, 0, key, value);
        }
        let new = self.home.join("snapshot.new");
        fs::write(&new, frame(&body)).map_err(&failed)?;
        if self.lie != Lie::SnapshotNotSynced {
            File::open(&new).and_then(|file| file.sync_all()).map_err(&failed)?;
        }
        fs::rename(&new, self.home.join("snapshot")).map_err(&failed)?;
        sync_dir(self.lie, &self.home)?;
        inner.log.set_len(0).and_then(|()| inner.log.sync_all()).map_err(&failed)?;
        inner.end = 0;
        Ok(CheckpointStat::default())
    }

    fn verify(&self, _: &mut dyn FnMut(Finding), _: &dyn Observer) -> Result<VerifyStat> {
        Ok(VerifyStat::default())
    }

    fn stats(&self) -> Result<Stats> {
        Ok(Stats::default())
    }

    fn close(self: Box<Self>) -> Result<(), (Box<dyn Engine>, Error)> {
        Ok(())
    }
}

struct Page<'b> {
    book: &'b Book,
    header: BeatHeader,
    body: Vec<u8>,
    _ticket: BeatTicket<'b>,
}

impl Beat for Page<'_> {
    fn put_record(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        op(&mut self.body, 0, key, value);
        Ok(())
    }

    fn delete_record(&mut self, key: &[u8]) -> Result<()> {
        op(&mut self.body, 1, key, b"");
        Ok(())
    }

    fn delete_range(&mut self, range: KeyRange<'_>) -> Result<()> {
        let (std::ops::Bound::Included(from), std::ops::Bound::Excluded(to)) = range.bounds() else {
            return Err(Error::unsupported("delete_range", "other bounds"));
        };
        op(&mut self.body, 2, from, to);
        Ok(())
    }

    fn commit_beat(self: Box<Self>) -> Result<BeatReceipt> {
        let mut inner = self.book.inner();
        self.book.append(&mut inner, &self.body, self.header.durability)?;
        inner.state = replay(&inner.state, &self.body, true);
        Ok(BeatReceipt { header: self.header, reached: self.header.durability })
    }

    fn abort_beat(self: Box<Self>) {}
}

struct Picture(State);

impl View for Picture {
    fn header(&self) -> &BeatHeader {
        &self.0.header
    }

    fn get_record(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        Ok(self.0.rows.get(key).map(|value| Value::borrowed(value)))
    }

    fn scan(&self, scan: Scan<'_>, visit: &mut Visit<'_>) -> Result<()> {
        assert_eq!((scan.direction, scan.limit), (Direction::Forward, u64::MAX));
        for (key, value) in self.0.rows.iter().filter(|(key, _)| scan.range.contains(key)) {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn cursor<'v>(&'v self, _: Scan<'v>) -> Result<Box<dyn Cursor + 'v>> {
        Err(Error::unsupported("cursor", "ORDERED"))
    }
}
