//! The engine: a handle to the core, and the threads that work for it.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use persist_api::{
    BackupStat, Beat, BeatHeader, BeatNo, CheckpointStat, CompactScope, CompactStat, Engine, Error,
    ErrorKind, FeedStat, FeedVisit, Finding, Observer, Offer, Result, Stats, VerifyStat, View,
};

use crate::beat::FlatfileBeat;
use crate::core::Core;
use crate::error::SCHEME;
use crate::reader::Reader;
use crate::view::FlatfileView;

/// An open flatfile engine.
pub(crate) struct FlatfileEngine {
    core: Arc<Core>,
    offer: Offer,
    importing: bool,
    close_wait: Duration,
    threads: Vec<JoinHandle<()>>,
}

impl FlatfileEngine {
    pub(crate) fn new(core: Arc<Core>, offer: Offer, importing: bool, close_wait: Duration) -> Result<Self> {
        let threads = crate::maintain::start(&core)?;
        Ok(Self { core, offer, importing, close_wait, threads })
    }

    fn open_view(&self, reader: impl FnOnce(&Core) -> Result<Reader>) -> Result<Box<dyn View>> {
        // The lease before the state, so that a refused view costs nothing.
        let lease = self.core.ledger.open(BeatNo(0))?;
        self.core.pins.check()?;
        let reader = reader(&self.core)?;
        lease.pin(reader.header().beat);
        Ok(Box::new(FlatfileView::new(reader, lease, Arc::clone(&self.core.lock))))
    }

    /// Ends the threads. What they have not begun is left to the next open.
    fn stop(&mut self) {
        self.core.due.stop();
        for thread in self.threads.drain(..) {
            // A thread that panicked has nothing to say here; what it worked on is whole without it.
            let _ = thread.join();
        }
    }
}

fn named(error: Error) -> Error {
    error.with_engine(SCHEME)
}

impl Engine for FlatfileEngine {
    fn offer(&self) -> &Offer {
        &self.offer
    }

    fn begin_beat(&self, header: BeatHeader) -> Result<Box<dyn Beat + '_>> {
        self.core.health.check("begin_beat").map_err(named)?;
        let ticket = self.core.gate.enter().map_err(named)?;
        header.check_follows(&self.core.beat_header(), self.importing).map_err(named)?;
        Ok(Box::new(FlatfileBeat::new(&self.core, ticket, header)))
    }

    fn sync(&self) -> Result<BeatNo> {
        self.core.sync("sync").map_err(named)
    }

    fn view(&self) -> Result<Box<dyn View>> {
        self.open_view(|core| Ok(core.newest())).map_err(named)
    }

    fn view_at(&self, beat: BeatNo) -> Result<Box<dyn View>> {
        self.open_view(|core| core.earlier(beat)).map_err(named)
    }

    fn checkpoint(&self) -> Result<CheckpointStat> {
        self.core.health.check("checkpoint").and_then(|()| self.core.checkpoint()).map_err(named)
    }

    fn backup(&self, into: &Path, seen: &dyn Observer) -> Result<BackupStat> {
        crate::backup::backup(&self.core, into, seen).map_err(named)
    }

    fn compact(&self, scope: CompactScope, seen: &dyn Observer) -> Result<CompactStat> {
        self.core.health.check("compact").map_err(named)?;
        let busy = || Error::new(ErrorKind::Busy, "compact", "another compaction is running");
        let _alone = self.core.compacting.try_lock().ok_or_else(busy).map_err(named)?;
        self.core.judge(crate::compaction::compact(&self.core, scope.keep_beats, seen)).map_err(named)
    }

    fn feed(&self, after: BeatNo, visit: &mut FeedVisit<'_>) -> Result<()> {
        crate::feed::feed(&self.core, after, visit).map_err(named)
    }

    fn keep_feed(&self, after: Option<BeatNo>) -> Result<FeedStat> {
        self.core.judge(crate::feed::keep(&self.core, after)).map_err(named)
    }

    fn verify(&self, found: &mut dyn FnMut(Finding), seen: &dyn Observer) -> Result<VerifyStat> {
        crate::verify::verify(&self.core, found, seen).map_err(named)
    }

    fn stats(&self) -> Result<Stats> {
        self.core.stats().map_err(named)
    }

    fn close(mut self: Box<Self>) -> Result<(), (Box<dyn Engine>, Error)> {
        if let Err(error) = self.core.ledger.wait_until_closed(self.close_wait) {
            return Err((self, named(error)));
        }
        self.stop();
        match self.core.close() {
            Ok(()) => Ok(()),
            Err(error) => Err((self, named(error))),
        }
    }
}

impl Drop for FlatfileEngine {
    fn drop(&mut self) {
        self.stop();
    }
}
