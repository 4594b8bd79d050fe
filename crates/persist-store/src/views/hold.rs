//! A view handle's hold on the engine's view: its own, or lent until recalled.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use persist_api::{Cursor, Result, Scan, Value, View};
use persist_io::DirLock;

use super::lent::{Lent, Slot};

/// An engine's view, and the right to its home. The lock goes last.
pub(crate) struct Engaged {
    pub(crate) view: Box<dyn View>,
    pub(crate) _lock: Option<Arc<DirLock>>,
}

/// How a handle has its engine's view.
pub(crate) enum Hold {
    /// For as long as it likes: reads cost what the engine asks.
    Own(Engaged),
    /// Until it is recalled.
    Lent(Lent),
}

impl Hold {
    pub(super) const fn own(engaged: Engaged) -> Self {
        Self::Own(engaged)
    }

    pub(super) fn lent(slot: Arc<Slot>, pins: Arc<AtomicBool>) -> Self {
        Self::Lent(Lent::new(slot, pins))
    }

    /// Reads one record, by the engine's key.
    #[inline]
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        match self {
            Self::Own(engaged) => engaged.view.get_record(key),
            Self::Lent(lent) => lent.get(key),
        }
    }

    /// Visits the engine's records. A recall ends it with `Stale` before the next row.
    pub(crate) fn scan(
        &self,
        scan: Scan<'_>,
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<()> {
        match self {
            Self::Own(engaged) => engaged.view.scan(scan, &mut visit),
            Self::Lent(lent) => lent.scan(scan, visit),
        }
    }

    /// A cursor over the engine's records. A recall ends it with `Stale` at the next step.
    pub(crate) fn cursor<'v>(&'v self, scan: Scan<'static>) -> Result<Box<dyn Cursor + 'v>> {
        match self {
            Self::Own(engaged) => engaged.view.cursor(scan),
            Self::Lent(lent) => lent.cursor(scan),
        }
    }
}
