//! The engine.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::{RwLock, RwLockReadGuard};
use persist_api::{
    BackupStat, Beat, BeatGate, BeatHeader, BeatNo, CheckpointStat, CompactScope, CompactStat, Engine, Error,
    ErrorKind, Finding, Observer, Offer, OpenOptions, Result, Stats, VerifyStat, View, ViewLedger,
};

use crate::beat::SqliteBeat;
use crate::core::Core;
use crate::driver::SCHEME;
use crate::home;
use crate::settings::offer;
use crate::view::SqliteView;
use crate::{backup, upkeep, verify};

/// An open SQLite engine.
pub(crate) struct SqliteEngine {
    pub(crate) core: Arc<Core>,
    pub(crate) offer: Offer,
    pub(crate) gate: BeatGate,
    pub(crate) ledger: ViewLedger,
    /// Held for reading by verbs that read the store for long without being views, for writing by the one that rewrites it.
    pub(crate) in_use: RwLock<()>,
    importing: bool,
    close_wait: Duration,
}

impl SqliteEngine {
    pub(crate) fn new(core: Arc<Core>, options: &OpenOptions) -> Self {
        let offer = offer(options);
        Self {
            core,
            ledger: ViewLedger::new(offer.limits.views_max),
            offer,
            gate: BeatGate::default(),
            in_use: RwLock::new(()),
            importing: options.importing,
            close_wait: options.close_wait,
        }
    }

    /// Never waits: the caller may be the observer of the very verb that is in the way.
    fn use_for_long(&self, op: &'static str) -> Result<RwLockReadGuard<'_, ()>> {
        let busy = || Error::new(ErrorKind::Busy, op, "a compaction is running");
        self.in_use.try_read().ok_or_else(busy).map_err(ours)
    }
}

/// Names this engine in an error.
fn ours(error: Error) -> Error {
    error.with_engine(SCHEME)
}

impl Engine for SqliteEngine {
    fn offer(&self) -> &Offer {
        &self.offer
    }

    fn begin_beat(&self, header: BeatHeader) -> Result<Box<dyn Beat + '_>> {
        let ticket = self.gate.enter().map_err(ours)?;
        self.core.health.check("begin_beat").map_err(ours)?;
        header.check_follows(&self.core.last.lock(), self.importing).map_err(ours)?;
        Ok(Box::new(SqliteBeat::begin(self, ticket, header)?))
    }

    fn sync(&self) -> Result<BeatNo> {
        self.core.health.check("sync").map_err(ours)?;
        let beat = self.core.newest();
        // Every beat up to this one lies in the WAL, or was checkpointed; a checkpoint syncs the database file before the
        // WAL may be written anew.
        if let Err(error) = self.core.wal.sync_data() {
            self.core.health.poison();
            return Err(ours(error).with_beat(beat));
        }
        Ok(beat)
    }

    fn view(&self) -> Result<Box<dyn View>> {
        let lease = self.ledger.open(BeatNo(0)).map_err(ours)?;
        Ok(Box::new(SqliteView::open(&self.core, Some(lease))?))
    }

    fn checkpoint(&self) -> Result<CheckpointStat> {
        self.core.health.check("checkpoint").map_err(ours)?;
        upkeep::checkpoint(&self.core).map_err(|error| self.core.watch(error))
    }

    fn backup(&self, into: &Path, seen: &dyn Observer) -> Result<BackupStat> {
        let _in_use = self.use_for_long("backup")?;
        backup::backup(&self.core, into, seen).map_err(ours)
    }

    fn compact(&self, _scope: CompactScope, seen: &dyn Observer) -> Result<CompactStat> {
        self.core.health.check("compact").map_err(ours)?;
        upkeep::compact(self, seen).map_err(|error| self.core.watch(ours(error)))
    }

    fn verify(&self, found: &mut dyn FnMut(Finding), seen: &dyn Observer) -> Result<VerifyStat> {
        let _in_use = self.use_for_long("verify")?;
        verify::verify(&self.core, found, seen).map_err(ours)
    }

    fn stats(&self) -> Result<Stats> {
        let core = &self.core;
        let mut stats = Stats {
            beat: core.newest(),
            bytes_on_disk: home::size_of(&core.home).map_err(ours)?,
            ..Stats::default()
        };
        stats.engine = vec![
            ("wal_bytes", home::len_of(&home::wal_path(&core.home)).map_err(ours)?),
            ("page_bytes", core.page_bytes),
            ("readers_pooled", core.readers_kept() as u64),
            ("checkpointed_beat", core.checkpointed.load(Ordering::Relaxed)),
        ];
        self.ledger.fill(&mut stats);
        Ok(stats)
    }

    fn close(self: Box<Self>) -> Result<(), (Box<dyn Engine>, Error)> {
        match self.ledger.wait_until_closed(self.close_wait) {
            Ok(()) => Ok(()),
            Err(error) => Err((self, ours(error))),
        }
    }
}

#[cfg(test)]
mod tests;
