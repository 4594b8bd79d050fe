//! Opening by address.

use std::fmt;
use std::sync::Arc;

use persist_api::{Driver, OpenOptions, Result};
use persist_io::{Disk, RealDisk};
use persist_store::{KeyProvider, Opened, Stamp};

use crate::address::{Address, absent};
use crate::engines::drivers;

/// How to open: the engine's options, further engines, the disk below, and keys.
///
/// The drivers live as long as these options and their clones, and so do the homes of a memory engine.
#[derive(Clone)]
pub struct Options {
    /// What the engine is told: mode, cache, ceiling, views, knobs.
    pub engine: OpenOptions,
    drivers: Vec<Arc<dyn Driver>>,
    disk: Arc<dyn Disk>,
    keys: Option<Arc<dyn KeyProvider>>,
}

impl Default for Options {
    /// The engines of this build, their defaults, the operating system's disk.
    fn default() -> Self {
        Self { engine: OpenOptions::default(), drivers: drivers(), disk: Arc::new(RealDisk), keys: None }
    }
}

impl Options {
    /// The same options with the engine told this.
    #[must_use]
    pub fn engine(mut self, engine: OpenOptions) -> Self {
        self.engine = engine;
        self
    }

    /// The same options with one engine more. It takes the place of one with the same scheme.
    #[must_use]
    pub fn driver(mut self, driver: Arc<dyn Driver>) -> Self {
        self.drivers.retain(|known| known.scheme() != driver.scheme());
        self.drivers.push(driver);
        self
    }

    /// The same options over another disk. Engines that are C libraries do not use it.
    #[must_use]
    pub fn disk(mut self, disk: Arc<dyn Disk>) -> Self {
        self.disk = disk;
        self
    }

    /// The same options with keys of encryption (`docs/layers.md`).
    #[must_use]
    pub fn keys(mut self, keys: Arc<dyn KeyProvider>) -> Self {
        self.keys = Some(keys);
        self
    }

    /// The engines that can be opened.
    #[must_use]
    pub fn drivers(&self) -> &[Arc<dyn Driver>] {
        &self.drivers
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schemes: Vec<_> = self.drivers.iter().map(|driver| driver.scheme()).collect();
        f.debug_struct("Options")
            .field("engine", &self.engine)
            .field("drivers", &schemes)
            .finish_non_exhaustive()
    }
}

/// Looks at a place: `engine:path`, or a path alone for a store that exists. Writes nothing; what follows is
/// [`Opened::negotiate`].
///
/// # Errors
/// `Unsupported` for an engine that is not in this build, `Invalid` for an address that cannot be and for a path without
/// a store when no engine is named, `Mismatch` for a directory of another engine or of nobody we know, `Corrupt`, `Io`.
pub fn open(url: &str) -> Result<Opened> {
    open_with(url, &Options::default())
}

/// As [`open`], with options.
///
/// # Errors
/// As [`open`].
pub fn open_with(url: &str, options: &Options) -> Result<Opened> {
    let present: Vec<_> = options.drivers.iter().map(|driver| driver.scheme()).collect();
    let address = Address::parse(url, &present)?;
    if address.scheme.is_none()
        && !address.path.as_os_str().is_empty()
        && let Some(stamp) = Stamp::read(options.disk.as_ref(), address.path)?
        && !present.contains(&stamp.engine.as_str())
    {
        return Err(absent(&stamp.engine, &present, None).with_path(address.path));
    }
    let disk = Arc::clone(&options.disk);
    let opened =
        persist_store::open_with(disk, &options.drivers, address.path, address.scheme, &options.engine)?;
    Ok(match &options.keys {
        Some(keys) => opened.keys(Arc::clone(keys)),
        None => opened,
    })
}
