//! The engine: one database, one writer at a time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use persist_api::{
    BackupStat, Beat, BeatGate, BeatHeader, BeatNo, CheckpointStat, CompactScope, CompactStat, Engine, Error,
    Finding, Health, Observer, Offer, OpenOptions, Result, Stats, VerifyStat, View,
};
use rocksdb::{ReadOptions, WriteBatch, WriteOptions};

use crate::beat::RocksBeat;
use crate::ceiling::Ceiling;
use crate::core::{Core, read_header};
use crate::driver::SCHEME;
use crate::error::map_error;
use crate::settings::Settings;
use crate::{backup, maintain, verify};

/// An open RocksDB engine.
pub(crate) struct RocksEngine {
    pub(crate) core: Arc<Core>,
    pub(crate) settings: Settings,
    pub(crate) health: Health,
    offer: Offer,
    last: Mutex<BeatHeader>,
    ceiling: Mutex<Ceiling>,
    gate: BeatGate,
    durably: WriteOptions,
    buffered: WriteOptions,
    importing: bool,
    close_wait: Duration,
}

impl RocksEngine {
    pub(crate) fn new(
        core: Arc<Core>,
        offer: Offer,
        settings: Settings,
        options: &OpenOptions,
    ) -> Result<Self> {
        let last = read_header("open", &core.db, &ReadOptions::default())?;
        let mut durably = WriteOptions::default();
        durably.set_sync(true);
        Ok(Self {
            core,
            settings,
            health: Health::default(),
            last: Mutex::new(last),
            ceiling: Mutex::new(Ceiling::new(offer.limits.store_bytes_max)),
            offer,
            gate: BeatGate::default(),
            durably,
            buffered: WriteOptions::default(),
            importing: options.importing,
            close_wait: options.close_wait,
        })
    }

    /// The number of the newest beat whose commit has returned, or is about to.
    pub(crate) fn committed(&self) -> BeatNo {
        self.last.lock().beat
    }

    /// The number of the newest beat, as a view would show it: views see a beat a moment before `last` names it.
    pub(crate) fn newest(&self, op: &'static str) -> Result<BeatNo> {
        read_header(op, &self.core.db, &ReadOptions::default()).map(|header| header.beat)
    }

    /// Writes a beat. A write that fails leaves RocksDB's log in an unknown state, so it is the last.
    pub(crate) fn write(
        &self,
        header: BeatHeader,
        batch: WriteBatch,
        puts: bool,
        deletes: bool,
    ) -> Result<()> {
        self.check_health("commit_beat")?;
        if puts {
            self.ceiling.lock().take(self, batch.size_in_bytes() as u64)?;
        }
        let durable = header.durability > persist_api::Durability::Buffered;
        let options = if durable { &self.durably } else { &self.buffered };
        self.core.db.write_opt(batch, options).map_err(|error| {
            self.health.poison();
            map_error("commit_beat", error).with_beat(header.beat)
        })?;
        *self.last.lock() = header;
        if deletes {
            self.ceiling.lock().note_deletes();
        }
        Ok(())
    }

    /// Moves everything into tables.
    pub(crate) fn flush(&self, op: &'static str) -> Result<()> {
        self.check_health(op)?;
        self.core.db.flush().map_err(|error| self.fatal(op, error))
    }

    /// A failure after which the files are not known to hold what they should.
    pub(crate) fn fatal(&self, op: &'static str, error: rocksdb::Error) -> Error {
        self.health.poison();
        map_error(op, error)
    }

    pub(crate) fn check_health(&self, op: &'static str) -> Result<()> {
        self.health.check(op).map_err(|error| error.with_engine(SCHEME))
    }
}

impl Engine for RocksEngine {
    fn offer(&self) -> &Offer {
        &self.offer
    }

    fn begin_beat(&self, header: BeatHeader) -> Result<Box<dyn Beat + '_>> {
        let ticket = self.gate.enter().map_err(|error| error.with_engine(SCHEME))?;
        self.check_health("begin_beat")?;
        header.check_follows(&self.last.lock(), self.importing).map_err(|error| error.with_engine(SCHEME))?;
        Ok(Box::new(RocksBeat::new(self, ticket, header)))
    }

    fn sync(&self) -> Result<BeatNo> {
        self.check_health("sync")?;
        let newest = self.newest("sync")?;
        self.core.db.flush_wal(true).map_err(|error| self.fatal("sync", error))?;
        Ok(newest)
    }

    fn view(&self) -> Result<Box<dyn View>> {
        self.core.view().map_err(|error| error.with_engine(SCHEME))
    }

    fn checkpoint(&self) -> Result<CheckpointStat> {
        maintain::checkpoint(self)
    }

    fn backup(&self, into: &Path, seen: &dyn Observer) -> Result<BackupStat> {
        backup::backup(self, into, seen).map_err(|error| error.with_engine(SCHEME))
    }

    fn compact(&self, _scope: CompactScope, seen: &dyn Observer) -> Result<CompactStat> {
        maintain::compact(self, seen).map_err(|error| error.with_engine(SCHEME))
    }

    fn verify(&self, found: &mut dyn FnMut(Finding), seen: &dyn Observer) -> Result<VerifyStat> {
        verify::verify(self, found, seen).map_err(|error| error.with_engine(SCHEME))
    }

    fn stats(&self) -> Result<Stats> {
        maintain::stats(self).map_err(|error| error.with_engine(SCHEME))
    }

    /// Also moves everything into tables, so that the next open replays nothing.
    fn close(self: Box<Self>) -> Result<(), (Box<dyn Engine>, Error)> {
        if let Err(error) = self.core.ledger.wait_until_closed(self.close_wait) {
            return Err((self, error.with_engine(SCHEME)));
        }
        if self.health.is_poisoned() {
            return Ok(());
        }
        match self.flush("close") {
            Ok(()) => Ok(()),
            Err(error) => Err((self, error)),
        }
    }
}
