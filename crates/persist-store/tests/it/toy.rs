//! A durable engine of one file: the memory engine, written whole after each beat through a `Disk`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use persist_api::{
    BackupStat, Beat, BeatHeader, BeatNo, BeatReceipt, Caps, CheckpointStat, CompactScope, CompactStat,
    Cursor, Driver, Durability, Engine, Error, ErrorKind, Finding, FindingCode, Health, KeyRange, Limits,
    Observer, Offer, OpenMode, OpenOptions, Probe, Progress, Result, Scan, Stats, Value, VerifyStat, View,
    Visit,
};
use persist_io::{Disk, create_dir_durably, read_file, replace};
use persist_memory::MemoryDriver;
use std::ops::ControlFlow;

pub const FILE: &str = "toy.data";
pub const TOY_CAPS: Caps = Caps::BEAT_ATOMIC
    .union(Caps::PREFIX_SCAN)
    .union(Caps::CHECKPOINT)
    .union(Caps::COMPACTION)
    .union(Caps::ORDERED)
    .union(Caps::SNAPSHOT)
    .union(Caps::DURABLE)
    .union(Caps::BUFFERED)
    .union(Caps::DELETE_RANGE)
    .union(Caps::LONG_KEYS)
    .union(Caps::BACKUP);

#[derive(Clone)]
pub struct Toy {
    pub disk: Arc<dyn Disk>,
    pub scheme: &'static str,
    pub caps: Caps,
    pub limits: Limits,
    pub format: u32,
    /// What its `verify` says it did not check.
    pub unchecked: Option<FindingCode>,
    /// A key that it loses in silence.
    pub loses: Option<&'static [u8]>,
    /// While this is set, whoever scans comes upon damage.
    pub torn: Arc<AtomicBool>,
}

impl Toy {
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        let limits = Limits {
            key_bytes_max: 100_000,
            value_bytes_max: 1 << 20,
            beat_bytes_max: 1 << 22,
            views_max: 8,
            store_bytes_max: u64::MAX,
        };
        let (unchecked, loses, torn) = (None, None, Arc::default());
        Self { disk, scheme: "toy", caps: TOY_CAPS, limits, format: 1, unchecked, loses, torn }
    }
}

struct ToyEngine {
    inner: Box<dyn Engine>,
    offer: Offer,
    disk: Arc<dyn Disk>,
    home: PathBuf,
    last: Mutex<BeatHeader>,
    importing: bool,
    unchecked: Option<FindingCode>,
    loses: Option<&'static [u8]>,
    torn: Arc<AtomicBool>,
    health: Health,
}

fn encode(view: &dyn View, header: &BeatHeader) -> Result<Vec<u8>> {
    let mut bytes = header.encode().to_vec();
    view.scan(Scan::all(), &mut |key, value| {
        for part in [key, value] {
            bytes.extend_from_slice(&(part.len() as u32).to_le_bytes());
            bytes.extend_from_slice(part);
        }
        ControlFlow::Continue(())
    })?;
    Ok(bytes)
}

fn take<'b>(bytes: &mut &'b [u8]) -> &'b [u8] {
    let (len, rest) = bytes.split_first_chunk::<4>().unwrap();
    let (part, rest) = rest.split_at(u32::from_le_bytes(*len) as usize);
    *bytes = rest;
    part
}

impl Driver for Toy {
    fn scheme(&self) -> &'static str {
        self.scheme
    }

    fn probe(&self, home: &Path) -> Result<Probe> {
        let entries = self.disk.list(home)?.unwrap_or_default();
        let foreign = entries.iter().find(|entry| !entry.name.to_string_lossy().starts_with(FILE));
        Ok(match (foreign, entries.is_empty()) {
            (Some(entry), _) => Probe::Foreign { what: entry.name.display().to_string() },
            (None, true) => Probe::Empty,
            (None, false) => Probe::Mine { needs_recovery: false },
        })
    }

    fn offer(&self, _: &OpenOptions) -> Offer {
        let library = "toy".to_owned();
        Offer { engine: self.scheme, library, format: self.format, caps: self.caps, limits: self.limits }
    }

    fn check(&self, options: &OpenOptions) -> Result<()> {
        // Knobs of other names are refused by the open alone.
        if options.knobs.contains_key("early") { options.check_knobs(&[]) } else { Ok(()) }
    }

    fn open(&self, home: &Path, options: &OpenOptions, seen: &dyn Observer) -> Result<Box<dyn Engine>> {
        options.check_knobs(&[])?;
        if let Probe::Foreign { what } = self.probe(home)? {
            return Err(Error::new(ErrorKind::Mismatch, "open", what));
        }
        let inner_options = OpenOptions {
            importing: true,
            close_wait: options.close_wait,
            views_max: Some(self.limits.views_max),
            ..OpenOptions::default()
        };
        let inner = MemoryDriver::new().open(home, &inner_options, seen)?;
        let stored = read_file(self.disk.as_ref(), &home.join(FILE), 1 << 30)?;
        let mut header = BeatHeader::default();
        match &stored {
            None if options.mode == OpenMode::MustExist => {
                return Err(Error::new(ErrorKind::Invalid, "open", "no toy here"));
            }
            None => {
                create_dir_durably(self.disk.as_ref(), home)?;
                replace(self.disk.as_ref(), &home.join(FILE), &header.encode())?;
            }
            Some(bytes) => {
                // Whoever renamed it may have died before that was durable, and from now on others rely on it.
                self.disk.sync_dir(home)?;
                header = BeatHeader::decode(&bytes[..BeatHeader::ENCODED_LEN])?;
                let mut rest = &bytes[BeatHeader::ENCODED_LEN..];
                if header.beat.0 > 0 {
                    let mut beat =
                        inner.begin_beat(BeatHeader { durability: Durability::Volatile, ..header })?;
                    while !rest.is_empty() {
                        let key = take(&mut rest);
                        beat.put_record(key, take(&mut rest))?;
                    }
                    beat.commit_beat()?;
                }
            }
        }
        Ok(Box::new(ToyEngine {
            inner,
            offer: self.offer(options),
            disk: Arc::clone(&self.disk),
            home: home.to_path_buf(),
            last: Mutex::new(header),
            importing: options.importing,
            unchecked: self.unchecked,
            loses: self.loses,
            torn: Arc::clone(&self.torn),
            health: Health::default(),
        }))
    }
}

struct ToyBeat<'e> {
    engine: &'e ToyEngine,
    inner: Box<dyn Beat + 'e>,
    header: BeatHeader,
}

impl Engine for ToyEngine {
    fn offer(&self) -> &Offer {
        &self.offer
    }

    fn begin_beat(&self, header: BeatHeader) -> Result<Box<dyn Beat + '_>> {
        self.health.check("begin_beat")?;
        header.check_follows(&self.last.lock(), self.importing)?;
        let inner = self.inner.begin_beat(BeatHeader { durability: Durability::Volatile, ..header })?;
        Ok(Box::new(ToyBeat { engine: self, inner, header }))
    }

    fn sync(&self) -> Result<BeatNo> {
        Ok(self.last.lock().beat)
    }

    fn view(&self) -> Result<Box<dyn View>> {
        let view = self.inner.view()?;
        Ok(if self.torn.load(Ordering::Relaxed) { Box::new(Torn(view)) } else { view })
    }

    fn view_at(&self, beat: BeatNo) -> Result<Box<dyn View>> {
        // As good as its history gets: the newest beat.
        if beat == self.last.lock().beat {
            self.inner.view()
        } else {
            Err(Error::new(ErrorKind::Stale, "view_at", "gone"))
        }
    }

    fn checkpoint(&self) -> Result<CheckpointStat> {
        Ok(CheckpointStat { beat: self.last.lock().beat, bytes: 0 })
    }

    fn backup(&self, into: &Path, seen: &dyn Observer) -> Result<BackupStat> {
        seen.step("backup", Progress { phase: "copy", done: 0, total: Some(1), unit: "files" })?;
        create_dir_durably(self.disk.as_ref(), into)?;
        let header = *self.last.lock();
        let bytes = encode(self.inner.view()?.as_ref(), &header)?;
        replace(self.disk.as_ref(), &into.join(FILE), &bytes)?;
        Ok(BackupStat { beat: header.beat, bytes: bytes.len() as u64 })
    }

    fn compact(&self, _: CompactScope, _: &dyn Observer) -> Result<CompactStat> {
        Ok(CompactStat::default())
    }

    fn verify(&self, found: &mut dyn FnMut(Finding), seen: &dyn Observer) -> Result<VerifyStat> {
        if let Some(code) = self.unchecked {
            found(Finding::unchecked(code, "this engine could not look at it", FILE));
        }
        self.inner.verify(found, seen)
    }

    fn stats(&self) -> Result<Stats> {
        self.inner.stats()
    }

    fn close(self: Box<Self>) -> Result<(), (Box<dyn Engine>, Error)> {
        let this = *self;
        match this.inner.close() {
            Ok(()) => Ok(()),
            Err((inner, error)) => Err((Box::new(Self { inner, ..this }), error)),
        }
    }
}

/// A view with damage between its records.
struct Torn(Box<dyn View>);

impl View for Torn {
    fn header(&self) -> &BeatHeader {
        self.0.header()
    }

    fn get_record(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        self.0.get_record(key)
    }

    fn scan(&self, _: Scan<'_>, _: &mut Visit<'_>) -> Result<()> {
        Err(Error::new(ErrorKind::Corrupt, "scan", "torn"))
    }

    fn cursor<'v>(&'v self, _: Scan<'v>) -> Result<Box<dyn Cursor + 'v>> {
        Err(Error::new(ErrorKind::Corrupt, "cursor", "torn"))
    }
}

impl Beat for ToyBeat<'_> {
    fn put_record(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.engine.offer.limits.check_key("put_record", key)?;
        self.engine.offer.limits.check_value("put_record", value)?;
        if self.engine.loses == Some(key) {
            return Ok(());
        }
        self.inner.put_record(key, value)
    }

    fn delete_record(&mut self, key: &[u8]) -> Result<()> {
        self.inner.delete_record(key)
    }

    fn delete_range(&mut self, range: KeyRange<'_>) -> Result<()> {
        self.inner.delete_range(range)
    }

    fn commit_beat(self: Box<Self>) -> Result<BeatReceipt> {
        let Self { engine, inner, header } = *self;
        inner.commit_beat()?;
        let saved = encode(engine.inner.view()?.as_ref(), &header)
            .and_then(|bytes| replace(engine.disk.as_ref(), &engine.home.join(FILE), &bytes));
        if let Err(error) = saved {
            engine.health.poison();
            return Err(error);
        }
        *engine.last.lock() = header;
        Ok(BeatReceipt { header, reached: header.durability })
    }

    fn abort_beat(self: Box<Self>) {}
}
