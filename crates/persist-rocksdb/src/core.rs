//! What the engine and all of its views share.

use std::path::PathBuf;
use std::sync::Arc;

use persist_api::{BeatHeader, Limits, Result, View, ViewLedger};
use persist_io::DirLock;
use rocksdb::{DB, ReadOptions};

use crate::bounds::HEADER_KEY;
use crate::error::{corrupt, map_error};
use crate::view::RocksView;

/// An open database and the lock of its home. RocksDB closes before the lock goes: fields drop in this order.
pub(crate) struct Core {
    pub(crate) db: DB,
    pub(crate) home: PathBuf,
    pub(crate) limits: Limits,
    pub(crate) ledger: ViewLedger,
    pub(crate) _lock: DirLock,
}

impl Core {
    pub(crate) fn view(self: &Arc<Self>) -> Result<Box<dyn View>> {
        let lease = self.ledger.open(persist_api::BeatNo(0))?;
        let view = RocksView::open(Arc::clone(self), lease)?;
        Ok(Box::new(view))
    }
}

/// The header that a snapshot, or else the newest state, holds.
pub(crate) fn read_header(op: &'static str, db: &DB, options: &ReadOptions) -> Result<BeatHeader> {
    let stored = db.get_pinned_opt(HEADER_KEY, options).map_err(|error| map_error(op, error))?;
    match stored {
        Some(bytes) => BeatHeader::decode(&bytes).map_err(|error| error.with_engine(crate::driver::SCHEME)),
        None => Err(corrupt(op, "the header of the newest beat is missing")),
    }
}
