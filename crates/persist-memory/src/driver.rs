//! Opening: homes live in the driver, by path, as long as the driver does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use persist_api::{
    Caps, Driver, Engine, Error, ErrorKind, Limits, Observer, Offer, OpenOptions, Probe, Result,
};

use crate::engine::{Core, MemoryEngine};

pub(crate) const SCHEME: &str = "memory";

/// Opens memory engines. Each driver has homes of its own: what one driver stored, another does not see, and all is
/// gone with the driver.
#[derive(Default)]
pub struct MemoryDriver {
    homes: Mutex<BTreeMap<PathBuf, Arc<Core>>>,
}

impl MemoryDriver {
    /// A driver without homes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

pub(crate) fn offer(options: &OpenOptions) -> Offer {
    Offer {
        engine: SCHEME,
        library: concat!("persist-memory ", env!("CARGO_PKG_VERSION")).to_owned(),
        format: 1,
        caps: Caps::BEAT_ATOMIC
            | Caps::PREFIX_SCAN
            | Caps::ORDERED
            | Caps::SNAPSHOT
            | Caps::ZERO_COPY
            | Caps::READ_OWN
            | Caps::DELETE_RANGE
            | Caps::LONG_KEYS,
        limits: Limits {
            key_bytes_max: 1 << 20,
            value_bytes_max: 1 << 31,
            beat_bytes_max: 1 << 32,
            views_max: options.views_max.unwrap_or(1024),
            store_bytes_max: options.store_bytes_max.unwrap_or(u64::MAX),
        },
    }
}

impl Driver for MemoryDriver {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn probe(&self, home: &Path) -> Result<Probe> {
        let known = self.homes.lock().contains_key(home);
        Ok(if known { Probe::Mine { needs_recovery: false } } else { Probe::Empty })
    }

    fn offer(&self, options: &OpenOptions) -> Offer {
        offer(options)
    }

    fn check(&self, options: &OpenOptions) -> Result<()> {
        options.check_knobs(&[])
    }

    fn open(&self, home: &Path, options: &OpenOptions, _seen: &dyn Observer) -> Result<Box<dyn Engine>> {
        let ours = |error: Error| error.with_engine(SCHEME).with_path(home);
        self.check(options).map_err(|error| error.with_engine(SCHEME))?;
        let mut homes = self.homes.lock();
        options.mode.check(homes.contains_key(home)).map_err(ours)?;
        let core = Arc::clone(homes.entry(home.to_path_buf()).or_default());
        let held = core
            .lock()
            .ok_or_else(|| ours(Error::new(ErrorKind::Locked, "open", "this process has it open already")))?;
        Ok(Box::new(MemoryEngine::new(held, options)))
    }
}
