//! The engine: an environment, the header of the newest beat, and the gates around both.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use persist_api::{
    BackupStat, Beat, BeatGate, BeatHeader, BeatNo, CheckpointStat, CompactScope, CompactStat, Durability,
    Engine, Error, ErrorKind, Finding, Health, Limits, Observer, Offer, OpenOptions, Result, Stats,
    VerifyStat, View, ViewLedger,
};
use persist_io::{DirLock, RealDisk};

use crate::beat::LmdbBeat;
use crate::driver::SCHEME;
use crate::error::Mapped;
use crate::live::Live;
use crate::options::{Settings, offer};
use crate::view::LmdbView;

/// An open LMDB engine.
pub(crate) struct LmdbEngine {
    /// `None` after a compaction that could not open its result.
    pub(crate) live: RwLock<Option<Live>>,
    /// The header of the newest beat.
    pub(crate) last: Mutex<BeatHeader>,
    /// What commits sync just now; changed under the gate only.
    meta_pages_synced: AtomicBool,
    pub(crate) gate: BeatGate,
    pub(crate) health: Health,
    pub(crate) ledger: ViewLedger,
    /// Held for reading by verbs that use the environment for long, for writing by the one that replaces it.
    pub(crate) in_use: RwLock<()>,
    pub(crate) limits: Limits,
    pub(crate) settings: Settings,
    pub(crate) home: PathBuf,
    offer: Offer,
    importing: bool,
    close_wait: Duration,
    // Last: the directory stays locked until the environment is closed.
    pub(crate) lock: Arc<DirLock>,
}

impl LmdbEngine {
    pub(crate) fn new(
        home: PathBuf,
        live: Live,
        header: BeatHeader,
        settings: Settings,
        options: &OpenOptions,
        lock: Arc<DirLock>,
    ) -> Self {
        let offer = offer(options);
        Self {
            live: RwLock::new(Some(live)),
            last: Mutex::new(header),
            meta_pages_synced: AtomicBool::new(true),
            gate: BeatGate::default(),
            health: Health::default(),
            ledger: ViewLedger::new(offer.limits.views_max),
            in_use: RwLock::new(()),
            limits: offer.limits,
            settings,
            home,
            offer,
            importing: options.importing,
            close_wait: options.close_wait,
            lock,
        }
    }

    /// The open environment. Keep the clone no longer than a beat, a lease or `in_use` lasts.
    pub(crate) fn live(&self, op: &'static str) -> Result<Live> {
        self.with_live(op, |live| Ok(live.clone()))
    }

    fn with_live<T>(&self, op: &'static str, then: impl FnOnce(&Live) -> Result<T>) -> Result<T> {
        match &*self.live.read() {
            Some(live) => then(live),
            None => Err(Error::new(ErrorKind::Closed, op, "a compaction could not reopen the store")
                .with_engine(SCHEME)
                .with_path(&self.home)),
        }
    }

    /// Never waits: the caller may be the observer of the very verb that is in the way.
    fn use_for_long(&self, op: &'static str) -> Result<RwLockReadGuard<'_, ()>> {
        let busy = || Error::new(ErrorKind::Busy, op, "a compaction is running").with_engine(SCHEME);
        self.in_use.try_read().ok_or_else(busy)
    }

    /// Tells LMDB whether the commit to come syncs its meta page. For the one open beat only.
    pub(crate) fn sync_meta_pages(&self, live: &Live, durability: Durability) -> Result<()> {
        let wanted = durability == Durability::Durable;
        if self.meta_pages_synced.load(Ordering::Relaxed) != wanted {
            live.set_durability(durability)?;
            self.meta_pages_synced.store(wanted, Ordering::Relaxed);
        }
        Ok(())
    }

    /// A fresh environment syncs everything.
    pub(crate) fn note_fresh_environment(&self) {
        self.meta_pages_synced.store(true, Ordering::Relaxed);
    }

    pub(crate) fn open_view(&self) -> Result<LmdbView> {
        let lease = self.ledger.open(self.last.lock().beat).map_err(|error| error.with_engine(SCHEME))?;
        self.with_live("view", |live| LmdbView::open(live, Some(lease), Arc::clone(&self.lock)))
    }

    /// A view of the engine's own, which no caller is counted for. Keep it no longer than `in_use`.
    pub(crate) fn own_view(&self, op: &'static str) -> Result<LmdbView> {
        self.with_live(op, |live| LmdbView::open(live, None, Arc::clone(&self.lock)))
    }
}

impl Engine for LmdbEngine {
    fn offer(&self) -> &Offer {
        &self.offer
    }

    fn begin_beat(&self, header: BeatHeader) -> Result<Box<dyn Beat + '_>> {
        let named = |error: Error| error.with_engine(SCHEME);
        self.health.check("begin_beat").map_err(named)?;
        // Before LMDB is asked: its lock would block a second writer, on the same thread for ever.
        let ticket = self.gate.enter().map_err(named)?;
        header.check_follows(&self.last.lock(), self.importing).map_err(named)?;
        Ok(Box::new(LmdbBeat::begin(self, ticket, self.live("begin_beat")?, header)?))
    }

    fn sync(&self) -> Result<BeatNo> {
        self.health.check("sync").map_err(|error| error.with_engine(SCHEME))?;
        // Read before syncing: a beat that commits meanwhile is not promised.
        let beat = self.last.lock().beat;
        let synced = self.with_live("sync", |live| live.env.force_sync().or_op("sync"));
        if synced.is_err() {
            self.health.poison();
        }
        synced.map(|()| beat)
    }

    fn view(&self) -> Result<Box<dyn View>> {
        Ok(Box::new(self.open_view()?))
    }

    fn checkpoint(&self) -> Result<CheckpointStat> {
        // There is no log: opening is reading and writing two meta pages, whatever happened before.
        self.sync().map(|beat| CheckpointStat { beat, bytes: 0 })
    }

    fn backup(&self, into: &std::path::Path, seen: &dyn Observer) -> Result<BackupStat> {
        let _in_use = self.use_for_long("backup")?;
        crate::copy::backup(&RealDisk, &self.live("backup")?, into, seen)
    }

    fn compact(&self, _scope: CompactScope, seen: &dyn Observer) -> Result<CompactStat> {
        crate::copy::compact(&RealDisk, self, seen)
    }

    fn verify(&self, found: &mut dyn FnMut(Finding), seen: &dyn Observer) -> Result<VerifyStat> {
        let _in_use = self.use_for_long("verify")?;
        crate::verify::verify(&RealDisk, self, found, seen)
    }

    fn stats(&self) -> Result<Stats> {
        let mut stats = self.with_live("stats", |live| {
            let txn = live.env.read_txn().or_op("stats")?;
            let tree = live.records.stat(&txn).or_op("stats")?;
            let info = live.env.info();
            Ok(Stats {
                beat: live.header(&txn)?.beat,
                records: Some(tree.entries as u64),
                bytes_on_disk: live.file_bytes("stats")?,
                engine: vec![
                    ("map_bytes", info.map_size as u64),
                    ("page_bytes", live.page_bytes()),
                    ("pages", (info.last_page_number as u64).saturating_add(1)),
                    ("depth", u64::from(tree.depth)),
                    ("branch_pages", tree.branch_pages as u64),
                    ("leaf_pages", tree.leaf_pages as u64),
                    ("overflow_pages", tree.overflow_pages as u64),
                    ("transaction", info.last_txn_id as u64),
                ],
                ..Stats::default()
            })
        })?;
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

#[cfg(test)]
mod tests;
