//! The log: a magic word, then records of length, CRC-32C and payload. A payload is a kind, a beat header and operations.

use std::fs::{self, File};
use std::io::Write as _;
use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::sync::Arc;

use persist_api::{
    Beat, BeatHeader, Durability, Engine, Error, ErrorKind, FeedItem, FeedVisit, KeyRange, Result, Scan, View,
};

use super::SCHEME;

/// The name of the file.
pub(crate) const LOG: &str = "filed.log";
const MAGIC: &[u8; 8] = b"PFILED1\n";
/// No record is longer: a beat's limit and its framing, or a whole snapshot.
const RECORD_MAX: usize = 1 << 28;
/// First among the operations of a snapshot.
const SNAPSHOT: u8 = 3;
const HEAD: usize = BeatHeader::ENCODED_LEN;

/// The payload of one record.
pub(crate) type Payload = Arc<[u8]>;

/// A log that is open for appending.
pub(crate) struct Log {
    pub(crate) file: File,
    pub(crate) bytes: u64,
    pub(crate) payloads: Vec<Payload>,
}

/// What the bytes of a log look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// There is no file.
    Missing,
    /// The file does not begin as a log does.
    NoMagic,
    /// The last record is not all there.
    Torn,
    /// A record claims to be longer than any can be.
    Endless,
    /// A record does not match its checksum.
    Damaged,
    /// Every record is sound.
    Whole,
}

fn corrupt(home: &Path, what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "open", what).with_engine(SCHEME).with_path(home.join(LOG))
}

/// Looks at a log without changing it.
pub(crate) fn inspect(home: &Path) -> State {
    fs::read(home.join(LOG)).map_or(State::Missing, |bytes| parse(&bytes).1)
}

/// For liars: leaves the sound records at the beginning of a log, and no sign that there were more.
#[allow(clippy::disallowed_methods, reason = "an engine for tests only")]
pub(crate) fn drop_unsound(home: &Path) -> std::io::Result<()> {
    let (path, lock) = (home.join(LOG), home.join(super::LOCK));
    let (_, state, sound) = parse(&fs::read(&path)?);
    if state != State::Whole {
        File::options().write(true).open(&path)?.set_len(sound as u64)?;
        File::options().write(true).open(&lock)?.set_len(0)?;
    }
    Ok(())
}

/// The sound records at the beginning, what follows them, and how many bytes they take.
fn parse(bytes: &[u8]) -> (Vec<Payload>, State, usize) {
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else { return (Vec::new(), State::NoMagic, 0) };
    let mut payloads: Vec<Payload> = Vec::new();
    let state = loop {
        if rest.is_empty() {
            break State::Whole;
        }
        let Some((&[l0, l1, l2, l3, c0, c1, c2, c3], body)) = rest.split_first_chunk() else {
            break State::Torn;
        };
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if length > RECORD_MAX {
            break State::Endless;
        }
        let Some((payload, after)) = body.split_at_checked(length) else { break State::Torn };
        if crc32c::crc32c(payload) != u32::from_le_bytes([c0, c1, c2, c3]) {
            break State::Damaged;
        }
        payloads.push(payload.into());
        rest = after;
    };
    (payloads, state, bytes.len() - rest.len())
}

/// Reads the log of a home, dropping a torn tail, or begins a new one. It must not be shorter than it was when it was
/// closed.
#[allow(
    clippy::disallowed_methods,
    reason = "an engine for tests only, that must not depend on the project's own I/O"
)]
pub(crate) fn open(home: &Path, closed_at: Option<u64>) -> Result<Log> {
    let io = |error| Error::io("open", home, error).with_engine(SCHEME);
    let path = home.join(LOG);
    if !path.exists() {
        write_new(home, &[], false)?;
    }
    let bytes = fs::read(&path).map_err(io)?;
    if closed_at.is_some_and(|closed_at| closed_at > bytes.len() as u64) {
        return Err(corrupt(home, "it was longer when it was closed"));
    }
    let (payloads, state, sound) = parse(&bytes);
    match state {
        State::Whole | State::Torn => {}
        State::Damaged => return Err(corrupt(home, "a record does not match its checksum")),
        _ => return Err(corrupt(home, "this is no log of beats")),
    }
    let file = File::options().append(true).open(&path).map_err(io)?;
    file.set_len(sound as u64).map_err(io)?;
    Ok(Log { file, bytes: sound as u64, payloads })
}

/// Writes a log with these records into a home, by a temporary file.
#[allow(
    clippy::disallowed_methods,
    reason = "an engine for tests only, that must not depend on the project's own I/O"
)]
pub(crate) fn write_new(home: &Path, payloads: &[Payload], durable: bool) -> Result<u64> {
    let io = |error| Error::io("write_log", home, error).with_engine(SCHEME);
    let mut bytes = MAGIC.to_vec();
    for payload in payloads {
        frame(&mut bytes, payload);
    }
    let temp = home.with_extension("filed-new");
    let mut file = File::create(&temp).map_err(io)?;
    file.write_all(&bytes).map_err(io)?;
    if durable {
        file.sync_all().map_err(io)?;
    }
    fs::rename(&temp, home.join(LOG)).map_err(io)?;
    if durable {
        File::open(home).and_then(|dir| dir.sync_all()).map_err(io)?;
    }
    Ok(bytes.len() as u64)
}

fn frame(bytes: &mut Vec<u8>, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    bytes.extend_from_slice(payload);
}

impl Log {
    /// Appends a record; a durable one is synced.
    pub(crate) fn append(&mut self, payload: Payload, durability: Durability) -> std::io::Result<()> {
        let mut bytes = Vec::with_capacity(payload.len() + 8);
        frame(&mut bytes, &payload);
        self.file.write_all(&bytes)?;
        if durability == Durability::Durable {
            self.file.sync_data()?;
        }
        self.bytes += bytes.len() as u64;
        self.payloads.push(payload);
        Ok(())
    }
}

/// The operations of a beat, as bytes.
pub(crate) struct Ops(Vec<u8>);

impl Ops {
    pub(crate) fn new(header: &BeatHeader) -> Self {
        Self(header.encode().to_vec())
    }

    pub(crate) fn put(&mut self, key: &[u8], value: &[u8]) {
        self.0.push(0);
        self.piece(key);
        self.piece(value);
    }

    pub(crate) fn delete(&mut self, key: &[u8]) {
        self.0.push(1);
        self.piece(key);
    }

    pub(crate) fn range(&mut self, range: &KeyRange<'_>) {
        self.0.push(2);
        for bound in [range.start(), range.end()] {
            let (kind, key): (u8, &[u8]) = match bound {
                Bound::Unbounded => (0, &[]),
                Bound::Included(key) => (1, key),
                Bound::Excluded(key) => (2, key),
            };
            self.0.push(kind);
            self.piece(key);
        }
    }

    fn piece(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn into_payload(self) -> Payload {
        self.0.into()
    }

    /// A whole view as the operations of one beat.
    pub(crate) fn snapshot(view: &dyn View, header: &BeatHeader) -> Result<Payload> {
        let mut ops = Self::new(header);
        ops.0.push(SNAPSHOT);
        view.scan(Scan::all(), &mut |key, value| {
            ops.put(key, value);
            std::ops::ControlFlow::Continue(())
        })?;
        Ok(ops.into_payload())
    }
}

/// Hands a payload to a feed; `None` for a snapshot, which is not what was committed.
pub(crate) fn feed(payload: &[u8], visit: &mut FeedVisit<'_>) -> Result<Option<ControlFlow<()>>> {
    let header = header_of(payload)?;
    let mut rest = payload.get(HEAD..).unwrap_or_default();
    if rest.first() == Some(&SNAPSHOT) {
        return Ok(None);
    }
    if visit(FeedItem::Beat(header)).is_break() {
        return Ok(Some(ControlFlow::Break(())));
    }
    while let Some((kind, after)) = rest.split_first() {
        rest = after;
        let item = item(*kind, &mut rest);
        let item = item.ok_or_else(|| Error::new(ErrorKind::Corrupt, "feed", "an operation is cut short"))?;
        if visit(item).is_break() {
            return Ok(Some(ControlFlow::Break(())));
        }
    }
    Ok(Some(ControlFlow::Continue(())))
}

fn item<'r>(kind: u8, rest: &mut &'r [u8]) -> Option<FeedItem<'r>> {
    match kind {
        0 => Some(FeedItem::Put { key: piece(rest)?, value: piece(rest)? }),
        1 => Some(FeedItem::Delete { key: piece(rest)? }),
        2 => {
            let (start, end) = (bound(rest)?, bound(rest)?);
            Some(FeedItem::DeleteRange { range: KeyRange::new(start, end) })
        }
        _ => None,
    }
}

/// The header of a payload.
pub(crate) fn header_of(payload: &[u8]) -> Result<BeatHeader> {
    BeatHeader::decode(payload.get(..HEAD).unwrap_or_default())
}

/// Applies a payload to the inner engine, which knows no durability.
pub(crate) fn apply(inner: &dyn Engine, payload: &[u8]) -> Result<BeatHeader> {
    let header = header_of(payload)?;
    let mut beat = inner.begin_beat(BeatHeader { durability: Durability::Volatile, ..header })?;
    let mut rest = payload.get(HEAD..).unwrap_or_default();
    while let Some((kind, after)) = rest.split_first() {
        rest = after;
        let done = step(&mut *beat, *kind, &mut rest);
        done.ok_or_else(|| Error::new(ErrorKind::Corrupt, "open", "an operation is cut short"))??;
    }
    beat.commit_beat()?;
    Ok(header)
}

fn step(beat: &mut dyn Beat, kind: u8, rest: &mut &[u8]) -> Option<Result<()>> {
    match kind {
        0 => Some(beat.put_record(piece(rest)?, piece(rest)?)),
        1 => Some(beat.delete_record(piece(rest)?)),
        2 => {
            let (start, end) = (bound(rest)?, bound(rest)?);
            Some(beat.delete_range(KeyRange::new(start, end)))
        }
        SNAPSHOT => Some(Ok(())),
        _ => None,
    }
}

fn piece<'r>(rest: &mut &'r [u8]) -> Option<&'r [u8]> {
    let (length, after) = rest.split_first_chunk()?;
    let (piece, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = after;
    Some(piece)
}

fn bound<'r>(rest: &mut &'r [u8]) -> Option<Bound<&'r [u8]>> {
    let (kind, after) = rest.split_first()?;
    *rest = after;
    let key = piece(rest)?;
    match kind {
        0 => Some(Bound::Unbounded),
        1 => Some(Bound::Included(key)),
        2 => Some(Bound::Excluded(key)),
        _ => None,
    }
}
