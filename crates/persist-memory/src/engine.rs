//! The engine: a root that beats replace and views share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use persist_api::{
    Beat, BeatGate, BeatHeader, BeatNo, Durability, Engine, Error, Finding, Observer, Offer, OpenOptions,
    Progress, Result, Stats, VerifyStat, View, ViewLedger,
};
use rpds::RedBlackTreeMapSync;

use crate::beat::MemoryBeat;
use crate::driver::{SCHEME, offer};
use crate::view::MemoryView;

pub(crate) type Map = RedBlackTreeMapSync<Arc<[u8]>, Arc<[u8]>>;

/// One published state.
#[derive(Clone, Default)]
pub(crate) struct Root {
    pub(crate) header: BeatHeader,
    pub(crate) map: Map,
    /// Bytes of all keys and values, for the ceiling.
    pub(crate) bytes: u64,
}

/// What a home keeps between one opening and the next.
#[derive(Default)]
pub(crate) struct Core {
    pub(crate) root: Mutex<Root>,
    locked: AtomicBool,
}

/// The right to use a core. The engine and all of its views share one; dropping the last unlocks the home.
pub(crate) struct Held(pub(crate) Arc<Core>);

impl Core {
    pub(crate) fn lock(self: Arc<Self>) -> Option<Arc<Held>> {
        (!self.locked.swap(true, Ordering::Acquire)).then(|| Arc::new(Held(self)))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.locked.store(false, Ordering::Release);
    }
}

/// An open memory engine.
pub(crate) struct MemoryEngine {
    pub(crate) held: Arc<Held>,
    pub(crate) offer: Offer,
    pub(crate) importing: bool,
    gate: BeatGate,
    ledger: ViewLedger,
    close_wait: Duration,
}

impl MemoryEngine {
    pub(crate) fn new(held: Arc<Held>, options: &OpenOptions) -> Self {
        let offer = offer(options);
        Self {
            ledger: ViewLedger::new(offer.limits.views_max),
            held,
            offer,
            importing: options.importing,
            gate: BeatGate::default(),
            close_wait: options.close_wait,
        }
    }

    fn root(&self) -> Root {
        self.held.0.root.lock().clone()
    }
}

/// An error of the contract's own guards, as ours.
fn named(error: Error) -> Error {
    error.with_engine(SCHEME)
}

impl Engine for MemoryEngine {
    fn offer(&self) -> &Offer {
        &self.offer
    }

    fn begin_beat(&self, header: BeatHeader) -> Result<Box<dyn Beat + '_>> {
        if header.durability > self.offer.durability_max() {
            let cap = if header.durability == Durability::Durable { "DURABLE" } else { "BUFFERED" };
            return Err(Error::unsupported("begin_beat", cap).with_engine(SCHEME));
        }
        let ticket = self.gate.enter().map_err(named)?;
        let base = self.root();
        header.check_follows(&base.header, self.importing).map_err(named)?;
        Ok(Box::new(MemoryBeat::new(self, ticket, base, header)))
    }

    fn sync(&self) -> Result<BeatNo> {
        Err(Error::unsupported("sync", "DURABLE").with_engine(SCHEME))
    }

    fn view(&self) -> Result<Box<dyn View>> {
        let lease = self.ledger.open(BeatNo(0)).map_err(named)?;
        let root = self.root();
        lease.pin(root.header.beat);
        Ok(Box::new(MemoryView::new(root, Arc::clone(&self.held), lease)))
    }

    fn verify(&self, _found: &mut dyn FnMut(Finding), seen: &dyn Observer) -> Result<VerifyStat> {
        let root = self.root();
        let mut stat = VerifyStat::default();
        let total = Some(root.map.size() as u64);
        for (key, value) in &root.map {
            if stat.records.is_multiple_of(4096) {
                let done = stat.records;
                seen.step("verify", Progress { phase: "read", done, total, unit: "records" })?;
            }
            stat.records += 1;
            stat.bytes += (key.len() + value.len()) as u64;
        }
        Ok(stat)
    }

    fn stats(&self) -> Result<Stats> {
        let root = self.root();
        let mut stats =
            Stats { beat: root.header.beat, records: Some(root.map.size() as u64), ..Stats::default() };
        stats.engine = vec![("bytes_in_memory", root.bytes)];
        self.ledger.fill(&mut stats);
        Ok(stats)
    }

    fn close(self: Box<Self>) -> Result<(), (Box<dyn Engine>, Error)> {
        match self.ledger.wait_until_closed(self.close_wait) {
            Ok(()) => Ok(()),
            Err(error) => Err((self, named(error))),
        }
    }
}
