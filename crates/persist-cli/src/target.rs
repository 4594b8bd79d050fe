//! Which store a command is about: an address, or a name in a configuration.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use persist::lifecycle::config::{Config, Loaded};
use persist::lifecycle::read_key_file;
use persist::{
    Address, CommitOptions, Error, ErrorKind, KeyProvider, KeyRing, MovedTo, OpenMode, OpenOptions, Options,
    RealDisk, Request, Stamp,
};

use crate::args::Global;
use crate::configured::Configured;
use crate::fail::{Failure, Result};

/// The store if nothing says otherwise.
const STORE: &str = "./store";

/// A store, and how it is opened.
pub(crate) struct Target {
    /// Its address.
    pub(crate) url: String,
    /// What is asked of the engine.
    pub(crate) request: Request,
    engine: OpenOptions,
    commit: Option<CommitOptions>,
    keys: Option<Arc<KeyRing>>,
    /// Where a configuration has it.
    pub(crate) configured: Option<Configured>,
}

impl Target {
    /// The store that the command line names.
    pub(crate) fn of(global: &Global) -> Result<Self> {
        let keys = global.key_file.as_deref().map(read_key_file).transpose()?.map(Arc::new);
        let target = Self::configured(global)?;
        Ok(Self { keys: keys.or(target.keys.clone()), ..target })
    }

    /// As `of`, with the keys that the configuration names, if any.
    fn configured(global: &Global) -> Result<Self> {
        let usage = |what: String| Failure::Usage(what);
        let name = match (&global.store, &global.config) {
            (None, None) => return Ok(Self::at(STORE, global)),
            (Some(store), config) => match (store.strip_prefix('@'), config) {
                (None, _) => return Ok(Self::at(store, global)),
                (Some(name), Some(_)) => Some(name),
                (Some(name), None) => {
                    let what = "is the name of a store in a configuration: add --config FILE, or write";
                    return Err(usage(format!("{store} {what} ./@{name} for a directory")));
                }
            },
            (None, Some(_)) => None,
        };
        let file = global.config.as_deref().unwrap_or(Path::new(""));
        Self::named(&load(file)?, name, global)
    }

    /// A store of a configuration; without a name, the only one.
    fn named(loaded: &Loaded, name: Option<&str>, global: &Global) -> Result<Self> {
        let stores = &loaded.config.stores;
        let names = stores.keys().map(String::as_str).collect::<Vec<_>>();
        let file = loaded.file.display();
        let wrong = match (name, names.as_slice()) {
            (_, []) => format!("{file} names no store"),
            (Some(name), _) if !stores.contains_key(name) => {
                let near = persist_api::nearest(name, names.iter().copied());
                let near = near.map(|near| format!("did you mean @{near}? ")).unwrap_or_default();
                format!("{file} has no store {name}; {near}it has: {}", names.join(", "))
            }
            (None, [_, _, ..]) => {
                format!("name one of the stores of {file} with --store @NAME: {}", names.join(", "))
            }
            _ => String::new(),
        };
        let found = name.or(names.first().copied()).and_then(|name| stores.get(name));
        let Some(store) = found.filter(|_| wrong.is_empty()) else { return Err(Failure::Usage(wrong)) };
        let path = store.path.as_deref().unwrap_or(Path::new(""));
        let text = path
            .to_str()
            .ok_or_else(|| Error::new(ErrorKind::Invalid, "open", "the path is not UTF-8").with_path(path))?;
        let url = store.engine.as_ref().map_or_else(|| text.to_owned(), |engine| format!("{engine}:{text}"));
        let mut engine = store.open_options();
        engine.knobs.extend(global.knob.iter().cloned());
        let commit = Some(store.commit_options());
        // Those of the command line go before.
        let file = store.key_file.as_deref().filter(|_| global.key_file.is_none());
        let keys = file.map(read_key_file).transpose()?.map(Arc::new);
        let configured = Configured {
            file: loaded.file.clone(),
            name: name.or(names.first().copied()).unwrap_or_default().to_owned(),
            home: path.to_path_buf(),
            store: store.clone(),
        };
        let configured = Some(configured);
        Ok(Self { url, request: store.request(), engine, commit, keys, configured })
    }

    fn at(url: &str, global: &Global) -> Self {
        let knobs = global.knob.iter().cloned().collect();
        let engine = OpenOptions { knobs, ..OpenOptions::default() };
        let (url, request) = (url.to_owned(), persist::default_request());
        Self { url, request, engine, commit: None, keys: None, configured: None }
    }

    /// On the engine that the store has and where it is, whatever the configuration says: a swap may have changed both.
    pub(crate) fn stamped(mut self) -> Self {
        if let Some(configured) = &self.configured
            && let Ok(Some(stamp)) = Stamp::read(&RealDisk, &configured.home)
        {
            // What another store has taken the place of is not the one that is meant.
            let moved = MovedTo::read(&RealDisk, &configured.home).ok().flatten().filter(|moved| moved.found);
            let (engine, home) = match &moved {
                Some(moved) => (&moved.engine, &moved.home),
                None => (&stamp.engine, &configured.home),
            };
            self.url = format!("{engine}:{}", home.display());
            if !configured.suits(engine) {
                // Those of the command line stay.
                let of_file = &configured.store.knobs;
                self.engine.knobs.retain(|name, value| of_file.get(name) != Some(value));
            }
        }
        self
    }

    /// The directory that the address names.
    pub(crate) fn home(&self) -> Result<PathBuf> {
        let options = self.options(OpenMode::MustExist);
        let present: Vec<_> = options.drivers().iter().map(|driver| driver.scheme()).collect();
        Ok(Address::parse(&self.url, &present)?.path.to_path_buf())
    }

    /// With about so much memory for the engine, unless the configuration says how much.
    pub(crate) fn with_memory(mut self, bytes: u64) -> Self {
        self.engine.memory_bytes = self.engine.memory_bytes.or(Some(bytes));
        self
    }

    /// How it is opened.
    pub(crate) fn options(&self, mode: OpenMode) -> Options {
        let options = Options::default().engine(OpenOptions { mode, ..self.engine.clone() });
        match &self.keys {
            Some(keys) => options.keys(Arc::clone(keys) as Arc<dyn KeyProvider>),
            None => options,
        }
    }

    /// The error of an opening, with what to change in the configuration if that is the trouble.
    pub(crate) fn explain(&self, error: Error) -> Error {
        match &self.configured {
            Some(configured) => configured.explain(error),
            None => error,
        }
    }

    /// True if keys of encryption were given.
    pub(crate) fn has_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// Tells an open store what only open stores can be told.
    pub(crate) fn tell(&self, store: &persist::Store) {
        if let Some(commit) = self.commit {
            store.set_commit_options(commit);
        }
    }
}

/// Reads a configuration, with the overrides of the environment, and asks the engines of this build about it.
pub(crate) fn load(file: &Path) -> Result<Loaded> {
    let loaded = Config::load(file, std::env::vars_os())?;
    loaded.check_engines(&persist::drivers()).map_err(Error::from)?;
    Ok(loaded)
}
