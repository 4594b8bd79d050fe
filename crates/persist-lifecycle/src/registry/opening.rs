//! Opening one store.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use persist_api::{Driver, Durability, Error, ErrorKind, Observer, Progress, Result};
use persist_io::absolute;
use persist_store::{Store, Writer, open_with};

use super::RegistryOptions;
use super::report::StoreOpened;
use crate::config::{Config, StoreConfig};
use crate::keys::read_key_file;

/// How often it is looked again whether another holder has gone.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Remembers how far each phase came, and passes it on.
struct Phases<'s> {
    seen: &'s dyn Observer,
    phases: RefCell<Vec<Progress>>,
}

impl Observer for Phases<'_> {
    fn progress(&self, progress: Progress) -> ControlFlow<()> {
        let mut phases = self.phases.borrow_mut();
        match phases.iter_mut().find(|known| (known.phase, known.unit) == (progress.phase, progress.unit)) {
            Some(known) => *known = progress,
            None => phases.push(progress),
        }
        drop(phases);
        self.seen.progress(progress)
    }
}

/// A configuration whose places stay where they are when the process changes its directory. What an engine that keeps
/// nothing on disk calls its home is a name, and stays as it is.
pub(super) fn placed(config: &Config, options: &RegistryOptions) -> Result<Config, (String, Error)> {
    let mut placed = config.clone();
    for (name, keys) in &mut placed.stores {
        let here = |path: &Path| absolute("open", path).map_err(|error| (name.clone(), error));
        let driver = options.drivers.iter().find(|driver| Some(driver.scheme()) == keys.engine.as_deref());
        let is_name = |driver: &Arc<dyn Driver>| {
            driver.offer(&keys.open_options()).durability_max() == Durability::Volatile
        };
        if !driver.is_some_and(is_name) {
            keys.path = Some(here(keys.path.as_deref().unwrap_or(Path::new(name)))?);
        }
        keys.key_file = keys.key_file.as_deref().map(here).transpose()?;
    }
    Ok(placed)
}

/// Opens a store as its keys say, and waits as long as they say for another holder.
pub(super) fn open_store(
    name: &str,
    config: &StoreConfig,
    options: &RegistryOptions,
    seen: &dyn Observer,
) -> Result<(Writer, Store, StoreOpened)> {
    let clock = options.clock.as_ref();
    let began = clock.now();
    loop {
        let waited = clock.now().saturating_sub(began);
        match try_open(name, config, options, seen) {
            Ok((writer, store, opened)) => {
                let took = clock.now().saturating_sub(began);
                return Ok((writer, store, StoreOpened { waited, took, ..opened }));
            }
            Err(error) if error.kind() == ErrorKind::Locked => {
                if waited >= config.open_wait {
                    return Err(error);
                }
                let progress = Progress { phase: "wait", done: 0, total: None, unit: "holders" };
                seen.step("open", progress)?;
                clock.pause(LOOK_AGAIN.min(config.open_wait.saturating_sub(waited)));
            }
            Err(error) => return Err(error),
        }
    }
}

fn try_open(
    name: &str,
    config: &StoreConfig,
    options: &RegistryOptions,
    seen: &dyn Observer,
) -> Result<(Writer, Store, StoreOpened)> {
    let path = config.path.as_deref().unwrap_or(Path::new(name));
    let disk = options.disk.clone();
    let looked = open_with(disk, &options.drivers, path, config.engine.as_deref(), &config.open_options())
        .map_err(|error| config.explain(error, options.disk.as_ref(), path))?;
    let looked = looked.with_clock(options.clock.clone());
    let looked = match (options.keys.get(name), &config.key_file) {
        (Some(keys), _) => looked.keys(Arc::clone(keys)),
        (None, Some(file)) => looked.keys(Arc::new(read_key_file(file)?)),
        (None, None) => looked,
    };
    let found = looked.describe();
    let phases = Phases { seen, phases: RefCell::default() };
    let (writer, store) = looked.negotiate_watched(&config.request(), &phases).map_err(Error::from)?;
    store.set_commit_options(config.commit_options());
    store.set_view_options(config.view_options());
    let stats = store.stats()?;
    let recovered = stats.engine.engine.iter().filter(|(name, _)| name.starts_with("recovered_")).copied();
    let opened = StoreOpened {
        name: name.to_owned(),
        engine: store.engine_name(),
        home: store.home(),
        created: found.stamp.is_none() && found.home.is_some(),
        beat: stats.engine.beat,
        commit: stats.commit,
        phases: phases.phases.into_inner(),
        recovered: recovered.collect(),
        strangers: found.strangers,
        waited: Duration::ZERO,
        took: Duration::ZERO,
    };
    Ok((writer, store, opened))
}
