//! Recognising and opening.

use std::path::Path;
use std::sync::Arc;

use persist_api::{Driver, Engine, Observer, Offer, OpenMode, OpenOptions, Probe, Result};
use persist_io::{Disk, RealDisk, absolute, create_dir_durably, lock_dir};

use crate::core::Core;
use crate::engine::FlatfileEngine;
use crate::error::SCHEME;
use crate::home::probe;
use crate::options::{Settings, offer};
use crate::recover::{create, recover};

/// Opens flatfile engines on a disk.
#[derive(Clone)]
pub struct FlatfileDriver {
    disk: Arc<dyn Disk>,
}

impl FlatfileDriver {
    /// A driver whose engines do all their reading and writing through `disk`.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk }
    }

    /// True if a store is there; an error if what is there does not go with the mode.
    fn admit(&self, home: &Path, mode: OpenMode) -> Result<bool> {
        mode.check_probe(probe(&*self.disk, home)?).map_err(|error| error.with_path(home))
    }

    fn try_open(&self, home: &Path, options: &OpenOptions, seen: &dyn Observer) -> Result<Box<dyn Engine>> {
        let core = Arc::new(self.open_core(home, options, seen)?);
        let engine = FlatfileEngine::new(core, offer(options), options.importing, options.close_wait)?;
        Ok(Box::new(engine))
    }

    /// Opens a store, without the threads that work for it.
    pub(crate) fn open_core(&self, home: &Path, options: &OpenOptions, seen: &dyn Observer) -> Result<Core> {
        let settings = Settings::of(options)?;
        let home = &absolute("open", home)?;
        // Refuse before anything is touched, and once more when nobody else can change what is there.
        self.admit(home, options.mode)?;
        create_dir_durably(&*self.disk, home)?;
        let lock = Arc::new(lock_dir(&*self.disk, home)?);
        let parts = if self.admit(home, options.mode)? {
            recover(&self.disk, home, &settings, seen)?
        } else {
            create(&self.disk, home, &settings)?
        };
        let limits = offer(options).limits;
        let core = Core::new(Arc::clone(&self.disk), home.clone(), settings, limits, parts, lock);
        core.settle()?;
        Ok(core)
    }
}

/// On the operating system's disk.
impl Default for FlatfileDriver {
    fn default() -> Self {
        Self::new(Arc::new(RealDisk))
    }
}

impl std::fmt::Debug for FlatfileDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FlatfileDriver")
    }
}

impl Driver for FlatfileDriver {
    fn scheme(&self) -> &'static str {
        SCHEME
    }

    fn probe(&self, home: &Path) -> Result<Probe> {
        probe(&*self.disk, home).map_err(|error| error.with_engine(SCHEME))
    }

    fn offer(&self, options: &OpenOptions) -> Offer {
        offer(options)
    }

    fn check(&self, options: &OpenOptions) -> Result<()> {
        Settings::of(options).map(drop)
    }

    fn open(&self, home: &Path, options: &OpenOptions, seen: &dyn Observer) -> Result<Box<dyn Engine>> {
        self.try_open(home, options, seen).map_err(|error| error.with_engine(SCHEME))
    }
}
