//! Where a lie can be put: one function pointer for each verb. An honest one passes the call on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

use persist_api::{
    BackupStat, Beat, BeatHeader, BeatNo, BeatReceipt, Caps, CheckpointStat, CompactScope, CompactStat,
    Cursor, Driver, Durability, Engine, Error, ErrorKind, FeedStat, FeedVisit, Finding, Grant, KeyRange,
    Limits, Observer, Offer, OpenOptions, Probe, Refusal, Request, Result, Scan, Stats, Value, VerifyStat,
    View, Visit,
};

use super::cursor::LyingCursor;
use super::wrap::{LyingBeat, LyingView};

type Closed = Result<(), (Box<dyn Engine>, Error)>;

/// The verbs of every role, each as a function that may lie.
#[derive(Clone, Copy)]
#[allow(
    clippy::type_complexity,
    reason = "each is the signature of a verb with what the lie may look at before it"
)]
pub(crate) struct Hooks {
    pub(crate) probe: fn(&Shared, &dyn Driver, &Path) -> Result<Probe>,
    pub(crate) offer: fn(&Shared, Offer) -> Offer,
    pub(crate) negotiate: fn(&Shared, &Offer, &Request) -> Result<Grant, Refusal>,
    pub(crate) open: fn(&Shared, &dyn Driver, &Path, &OpenOptions, &dyn Observer) -> Result<Box<dyn Engine>>,
    /// What the open handle says it offers.
    pub(crate) open_offer: fn(&Ctx, Offer) -> Offer,
    /// What it says after its first commit.
    pub(crate) later_offer: fn(&Ctx, Offer) -> Offer,
    pub(crate) begin: for<'e> fn(&Ctx, &'e dyn Engine, BeatHeader) -> Result<Box<dyn Beat + 'e>>,
    pub(crate) sync: fn(&Ctx, &dyn Engine) -> Result<BeatNo>,
    pub(crate) view: fn(&Ctx, &dyn Engine) -> Result<Box<dyn View>>,
    pub(crate) view_at: fn(&Ctx, &dyn Engine, BeatNo) -> Result<Box<dyn View>>,
    pub(crate) checkpoint: fn(&Ctx, &dyn Engine) -> Result<CheckpointStat>,
    pub(crate) backup: fn(&Ctx, &dyn Engine, &Path, &dyn Observer) -> Result<BackupStat>,
    pub(crate) compact: fn(&Ctx, &dyn Engine, CompactScope, &dyn Observer) -> Result<CompactStat>,
    pub(crate) feed: fn(&Ctx, &dyn Engine, BeatNo, &mut FeedVisit<'_>) -> Result<()>,
    pub(crate) keep_feed: fn(&Ctx, &dyn Engine, Option<BeatNo>) -> Result<FeedStat>,
    pub(crate) verify: fn(&Ctx, &dyn Engine, &mut dyn FnMut(Finding), &dyn Observer) -> Result<VerifyStat>,
    pub(crate) stats: fn(&Ctx, &dyn Engine) -> Result<Stats>,
    pub(crate) close: fn(&Ctx, Box<dyn Engine>) -> Closed,
    /// The engine is dropped without being closed.
    pub(crate) drop_engine: fn(&Ctx, Box<dyn Engine>),
    pub(crate) put: fn(&mut LyingBeat<'_>, &[u8], &[u8]) -> Result<()>,
    pub(crate) delete: fn(&mut LyingBeat<'_>, &[u8]) -> Result<()>,
    pub(crate) range: fn(&mut LyingBeat<'_>, KeyRange<'_>) -> Result<()>,
    pub(crate) peek: for<'b> fn(&'b LyingBeat<'_>, &[u8]) -> Result<Option<Value<'b>>>,
    pub(crate) commit: fn(LyingBeat<'_>) -> Result<BeatReceipt>,
    pub(crate) abort: fn(LyingBeat<'_>),
    /// The beat is dropped without being committed or aborted.
    pub(crate) drop_beat: fn(&mut LyingBeat<'_>),
    /// The header that a new view gets.
    pub(crate) header: fn(&Ctx, BeatHeader) -> BeatHeader,
    /// Whether a view that is asked for its header again says that of the newest beat.
    pub(crate) header_moves: bool,
    /// Whether a view takes its header when it is first asked.
    pub(crate) header_is_late: bool,
    pub(crate) get: for<'v> fn(&'v LyingView, &[u8]) -> Result<Option<Value<'v>>>,
    pub(crate) scan: fn(&LyingView, Scan<'_>, &mut Visit<'_>) -> Result<()>,
    pub(crate) scan_prefix: fn(&LyingView, &[u8], &mut Visit<'_>) -> Result<()>,
    pub(crate) cursor: for<'v> fn(&'v LyingView, Scan<'v>) -> Result<Box<dyn Cursor + 'v>>,
    pub(crate) drop_view: fn(&Ctx, Box<dyn View>),
    pub(crate) advance: fn(&mut LyingCursor<'_>) -> Result<bool>,
    pub(crate) seek: fn(&mut LyingCursor<'_>, &[u8]) -> Result<bool>,
    pub(crate) key: for<'c> fn(&'c LyingCursor<'_>) -> &'c [u8],
    pub(crate) value: for<'c> fn(&'c LyingCursor<'_>) -> &'c [u8],
}

/// What one liar remembers over all of its engines.
#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) calls: AtomicU64,
    /// Engines that are open: for lies about locks.
    pub(crate) alive: AtomicU64,
    /// An engine kept open where none should be.
    pub(crate) kept: Mutex<Option<Box<dyn Engine>>>,
    homes: Mutex<BTreeMap<PathBuf, HomeNotes>>,
}

/// What a liar remembers of a place.
#[derive(Default, Clone)]
pub(crate) struct HomeNotes {
    /// How often it was opened.
    pub(crate) opens: u64,
    /// Where it is a backup of.
    pub(crate) backup_of: Option<PathBuf>,
    /// The generation of the backup.
    pub(crate) generation: u64,
    /// Keys that a lie is about.
    pub(crate) keys: BTreeSet<Vec<u8>>,
    pub(crate) values: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) ranges: Vec<KeyRange<'static>>,
    pub(crate) flag: bool,
}

impl Shared {
    /// The notes on a place.
    pub(crate) fn home<T>(&self, path: &Path, work: impl FnOnce(&mut HomeNotes) -> T) -> T {
        work(locked(&self.homes).entry(path.to_path_buf()).or_default())
    }

    pub(crate) fn keep(&self, engine: Box<dyn Engine>) {
        let before = locked(&self.kept).replace(engine);
        drop(before);
    }
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a liar remembers of one open engine.
pub(crate) struct Ctx {
    pub(crate) hooks: &'static Hooks,
    pub(crate) shared: Arc<Shared>,
    pub(crate) path: PathBuf,
    pub(crate) options: OpenOptions,
    /// There was a store already when it was opened.
    pub(crate) reopened: bool,
    pub(crate) opener: ThreadId,
    pub(crate) notes: Mutex<Notes>,
}

/// What a beat did to a key: its number, and the value or `None` for a delete.
pub(crate) type Written = (u64, Option<Vec<u8>>);

/// The part that changes.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) n: u64,
    pub(crate) flag: bool,
    pub(crate) gone: bool,
    pub(crate) closed: bool,
    pub(crate) commits: u64,
    pub(crate) newest: BeatHeader,
    pub(crate) committer: Option<ThreadId>,
    pub(crate) beat_opener: Option<ThreadId>,
    /// Operations staged in the open beat.
    pub(crate) staged: u64,
    pub(crate) checkpoints: u64,
    pub(crate) compactions: u64,
    pub(crate) views_ever: u64,
    pub(crate) views_open: u64,
    pub(crate) scanning: Option<ThreadId>,
    pub(crate) generation: u64,
    pub(crate) keys: BTreeSet<Vec<u8>>,
    pub(crate) values: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What became of each key, newest last.
    pub(crate) history: BTreeMap<Vec<u8>, Vec<Written>>,
    pub(crate) ranges: Vec<(u64, KeyRange<'static>)>,
    pub(crate) last_ops: u64,
}

impl Ctx {
    pub(crate) fn notes(&self) -> MutexGuard<'_, Notes> {
        locked(&self.notes)
    }

    /// Called on another thread than the one that opened the engine.
    pub(crate) fn elsewhere(&self) -> bool {
        std::thread::current().id() != self.opener
    }

    pub(crate) fn home<T>(&self, work: impl FnOnce(&mut HomeNotes) -> T) -> T {
        self.shared.home(&self.path, work)
    }
}

/// Passes everything on.
pub(crate) const HONEST: Hooks = Hooks {
    probe: |_, inner, home| inner.probe(home),
    offer: |_, offer| offer,
    negotiate: |_, offer, request| persist_api::negotiate(offer, request),
    open: |_, inner, home, options, seen| inner.open(home, options, seen),
    open_offer: |_, offer| offer,
    later_offer: |_, offer| offer,
    begin: |_, inner, header| inner.begin_beat(header),
    sync: |_, inner| inner.sync(),
    view: |_, inner| inner.view(),
    view_at: |_, inner, beat| inner.view_at(beat),
    checkpoint: |_, inner| inner.checkpoint(),
    backup: |_, inner, into, seen| inner.backup(into, seen),
    compact: |_, inner, scope, seen| inner.compact(scope, seen),
    feed: |_, inner, after, visit| inner.feed(after, visit),
    keep_feed: |_, inner, after| inner.keep_feed(after),
    verify: |_, inner, found, seen| inner.verify(found, seen),
    stats: |_, inner| inner.stats(),
    close: |_, inner| inner.close(),
    drop_engine: |_, inner| drop(inner),
    put: |beat, key, value| beat.inner()?.put_record(key, value),
    delete: |beat, key| beat.inner()?.delete_record(key),
    range: |beat, range| beat.inner()?.delete_range(range),
    peek: |beat, key| beat.peek_inner(key),
    commit: |beat| beat.commit(),
    abort: |beat| beat.abort(),
    drop_beat: |_| (),
    header: |_, header| header,
    header_moves: false,
    header_is_late: false,
    get: |view, key| view.inner().get_record(key),
    scan: |view, scan, visit| view.inner().scan(scan, visit),
    scan_prefix: |view, prefix, visit| (view.ctx.hooks.scan)(view, Scan::prefix(prefix), visit),
    cursor: |view, scan| view.inner().cursor(scan),
    drop_view: |_, inner| drop(inner),
    advance: |cursor| cursor.inner.advance(),
    seek: |cursor, key| cursor.inner.seek(key),
    key: |cursor| cursor.inner.key(),
    value: |cursor| cursor.inner.value(),
};

fn lacking<T>(op: &'static str, cap: &str) -> Result<T> {
    Err(Error::unsupported(op, cap))
}

/// The least that can be tested: reads, writes and views. Everything else is refused as it should be.
pub(crate) const BARE: Hooks = Hooks {
    offer: |_, offer| Offer {
        caps: Caps::BEAT_ATOMIC | Caps::SNAPSHOT,
        limits: Limits {
            key_bytes_max: 1000,
            value_bytes_max: u64::MAX,
            beat_bytes_max: u64::MAX,
            store_bytes_max: u64::MAX,
            ..offer.limits
        },
        ..offer
    },
    open: |_, inner, home, options, seen| {
        inner.open(home, &OpenOptions { store_bytes_max: None, ..options.clone() }, seen)
    },
    begin: |_, inner, header| match header.durability {
        Durability::Volatile => inner.begin_beat(header),
        Durability::Buffered => lacking("begin_beat", "BUFFERED"),
        Durability::Durable => lacking("begin_beat", "DURABLE"),
    },
    sync: |_, _| lacking("sync", "DURABLE"),
    view_at: |_, _, _| lacking("view_at", "HISTORY"),
    checkpoint: |_, _| lacking("checkpoint", "CHECKPOINT"),
    backup: |_, _, _, _| lacking("backup", "BACKUP"),
    compact: |_, _, _, _| lacking("compact", "COMPACTION"),
    feed: |_, _, _, _| lacking("feed", "FEED"),
    keep_feed: |_, _, _| lacking("keep_feed", "FEED"),
    put: |beat, key, value| {
        bare_key(beat, "put_record", key)?;
        beat.inner()?.put_record(key, value)
    },
    delete: |beat, key| {
        bare_key(beat, "delete_record", key)?;
        beat.inner()?.delete_record(key)
    },
    range: |_, _| lacking("delete_range", "DELETE_RANGE"),
    peek: |_, _| lacking("peek_record", "READ_OWN"),
    get: |view, key| Ok(view.inner().get_record(key)?.map(|value| Value::owned(value.into_vec()))),
    scan: |_, _, _| lacking("scan", "ORDERED"),
    scan_prefix: |_, _, _| lacking("scan_prefix", "PREFIX_SCAN"),
    cursor: |_, _| lacking("cursor", "ORDERED"),
    ..HONEST
};

/// The limit of [`BARE`], with the poison that a failed operation leaves.
fn bare_key(beat: &mut LyingBeat<'_>, op: &'static str, key: &[u8]) -> Result<()> {
    if key.len() <= 1000 || beat.failed {
        return Ok(());
    }
    let _ = beat.inner()?.put_record(b"", b"");
    let what = format!("key of {} bytes; the limit here is 1000", key.len());
    Err(Error::new(ErrorKind::TooLarge, op, what))
}

/// Reads a counter.
pub(crate) fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Acquire)
}
