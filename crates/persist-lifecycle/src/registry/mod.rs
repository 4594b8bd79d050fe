//! Several stores, and what stands on them, opened in one order and closed in the opposite one.

mod closing;
mod component;
mod opening;
mod report;
mod stores;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use persist_api::{Driver, Error, ErrorKind, Observer, Result, nearest};
use persist_io::{Disk, RealDisk};
use persist_store::{KeyProvider, Store};

pub use component::{Component, Replayed};
pub use report::{Closed, ComponentOpened, OpenFailed, Step, StoreOpened};
pub use stores::Stores;

use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::maintenance::{Maintenance, UpkeepRun};
use opening::{open_store, placed};

/// What a registry is told, step by step. On the thread that opens or closes; of upkeep on the thread that did it.
#[derive(Debug)]
pub enum Event<'e> {
    /// A store is about to be opened.
    Opening(&'e str),
    /// A store is open.
    StoreOpened(&'e StoreOpened),
    /// A component has replayed.
    ComponentOpened(&'e ComponentOpened),
    /// Everything is open, has replayed and may serve.
    Ready,
    /// A run of the upkeep has ended.
    Upkeep(&'e UpkeepRun),
    /// A step of the closing has ended.
    Closed(&'e Closed),
}

type Listener = dyn Fn(&Event<'_>) + Send + Sync;

/// What a registry is made of besides its configuration.
#[derive(Clone)]
pub struct RegistryOptions {
    drivers: Vec<Arc<dyn Driver>>,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    listener: Arc<Listener>,
    keys: BTreeMap<String, Arc<dyn KeyProvider>>,
}

/// Open stores and components. Dropping it closes them, but only [`close`](Self::close) tells how that went.
pub struct Registry {
    stores: Stores,
    /// In the order of opening.
    components: Vec<Box<dyn Component>>,
    maintenance: Maintenance,
    store_reports: Vec<StoreOpened>,
    component_reports: Vec<ComponentOpened>,
    options: RegistryOptions,
    ready: bool,
}

impl RegistryOptions {
    /// These engines, the disk and the clock of the system, and nobody who listens.
    #[must_use]
    pub fn new(drivers: Vec<Arc<dyn Driver>>) -> Self {
        let clock = Arc::new(SystemClock::default());
        Self { drivers, disk: Arc::new(RealDisk), clock, listener: Arc::new(|_| ()), keys: BTreeMap::new() }
    }

    /// The same over another disk. Engines that are C libraries do not use it.
    #[must_use]
    pub fn disk(mut self, disk: Arc<dyn Disk>) -> Self {
        self.disk = disk;
        self
    }

    /// The same with another clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The same with keys for the store of this name (`docs/layers.md`). They go before the key file that the configuration
    /// names, which is then not read.
    #[must_use]
    pub fn keys(mut self, store: &str, keys: Arc<dyn KeyProvider>) -> Self {
        self.keys.insert(store.to_owned(), keys);
        self
    }

    /// The same with somebody who is told what happens.
    #[must_use]
    pub fn listener(mut self, listener: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        self.listener = Arc::new(listener);
        self
    }
}

impl Registry {
    /// Opens every enabled store, each after those that it comes after, then the components, and starts the upkeep unless
    /// that is turned off. Relative paths start from the directory of the process at the beginning; [`Config::load`] and
    /// [`Config::resolve`] make them whole.
    ///
    /// # Errors
    /// What failed first, with its name. Everything that was open is then closed again, in the opposite order; how that went
    /// is in the error. A wrong configuration is told before anything is opened.
    pub fn open(
        config: &Config,
        options: RegistryOptions,
        components: Vec<Box<dyn Component>>,
        seen: &dyn Observer,
    ) -> Result<Self, OpenFailed> {
        let told = options.clone();
        let on_run = move |run: &UpkeepRun| (told.listener)(&Event::Upkeep(run));
        let maintenance = Maintenance::new(Arc::clone(&options.clock), config.maintenance.look_every, on_run);
        let mut registry = Self {
            stores: Stores::default(),
            components: Vec::new(),
            maintenance,
            store_reports: Vec::new(),
            component_reports: Vec::new(),
            options,
            ready: false,
        };
        match registry.try_open(config, components, seen) {
            Ok(()) => Ok(registry),
            Err((name, error)) => Err(OpenFailed { name, error, closed: registry.close() }),
        }
    }

    fn try_open(
        &mut self,
        config: &Config,
        components: Vec<Box<dyn Component>>,
        seen: &dyn Observer,
    ) -> Result<(), (String, Error)> {
        let wrong = |error: crate::config::ConfigError| ("the configuration".to_owned(), Error::from(error));
        config.check().map_err(wrong)?;
        config.check_engines(&self.options.drivers).map_err(wrong)?;
        let config = &placed(config, &self.options)?;
        let order = config.opening_order();
        for component in &components {
            let needs = component.stores();
            if let Some(missing) = needs.iter().find(|name| !order.contains(&name.as_str())) {
                return Err((component.name().to_owned(), missing_store(missing, &order)));
            }
        }
        for name in order {
            self.open_store(name, config, seen).map_err(|error| (name.to_owned(), error))?;
        }
        for component in components {
            let name = component.name().to_owned();
            self.open_component(component, seen).map_err(|error| (name, error))?;
        }
        for component in &mut self.components {
            component.ready().map_err(|error| (component.name().to_owned(), error))?;
        }
        if config.maintenance.enabled {
            self.maintenance.start().map_err(|error| ("the upkeep".to_owned(), error))?;
        }
        self.ready = true;
        self.tell(&Event::Ready);
        Ok(())
    }

    fn open_store(&mut self, name: &str, config: &Config, seen: &dyn Observer) -> Result<()> {
        let Some(keys) = config.stores.get(name) else { return Ok(()) };
        self.tell(&Event::Opening(name));
        let (writer, store, opened) = open_store(name, keys, &self.options, seen)?;
        self.stores.push(name, writer, store.clone());
        self.tell(&Event::StoreOpened(&opened));
        self.store_reports.push(opened);
        self.maintenance.add(name, &store, &keys.maintenance)
    }

    fn open_component(&mut self, mut component: Box<dyn Component>, seen: &dyn Observer) -> Result<()> {
        let began = self.options.clock.now();
        component.open(&self.stores)?;
        let name = component.name().to_owned();
        // From here on it must be closed.
        self.components.push(component);
        let Some(component) = self.components.last_mut() else { return Ok(()) };
        let replayed = component.replay(seen)?;
        let took = self.options.clock.now().saturating_sub(began);
        let opened = ComponentOpened { name, replayed, took };
        self.tell(&Event::ComponentOpened(&opened));
        self.component_reports.push(opened);
        Ok(())
    }

    /// True from the end of the opening to the beginning of the closing.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// The store with this name.
    ///
    /// # Errors
    /// `Invalid` naming those that there are.
    pub fn store(&self, name: &str) -> Result<Store> {
        self.stores.get(name)
    }

    /// The open stores, to be shared.
    #[must_use]
    pub fn stores(&self) -> &Stores {
        &self.stores
    }

    /// What each store replayed, in the order of opening.
    #[must_use]
    pub fn store_reports(&self) -> &[StoreOpened] {
        &self.store_reports
    }

    /// What each component replayed, in the order of opening.
    #[must_use]
    pub fn component_reports(&self) -> &[ComponentOpened] {
        &self.component_reports
    }

    /// The upkeep of all stores.
    #[must_use]
    pub fn maintenance(&self) -> &Maintenance {
        &self.maintenance
    }

    fn tell(&self, event: &Event<'_>) {
        (self.options.listener)(event);
    }
}

fn missing_store(name: &str, order: &[&str]) -> Error {
    let near = nearest(name, order.iter().copied());
    let near = near.map(|near| format!("did you mean {near}? ")).unwrap_or_default();
    let what = format!("needs the store {name}, which is not opened; {near}opened are: {}", order.join(", "));
    Error::new(ErrorKind::Invalid, "open", what)
}

impl Drop for Registry {
    fn drop(&mut self) {
        // Whoever wants to know how it went calls `close`.
        drop(self.close());
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("stores", &self.stores.names())
            .field("ready", &self.ready)
            .finish_non_exhaustive()
    }
}
