//! A store as a configuration has it, and what a swap makes untrue of that.

use std::path::{Path, PathBuf};

use persist::lifecycle::config::StoreConfig;
use persist::{Error, OpenOptions, RealDisk};

/// A store of a configuration.
pub(crate) struct Configured {
    /// The configuration.
    pub(crate) file: PathBuf,
    /// The name of the store in it.
    pub(crate) name: String,
    /// Where it says that the store lies.
    pub(crate) home: PathBuf,
    /// Its keys.
    pub(crate) store: StoreConfig,
}

impl Configured {
    /// The error of an opening, with what to change.
    pub(crate) fn explain(&self, error: Error) -> Error {
        self.store.explain(error, &RealDisk, &self.home)
    }

    /// False if an engine does not take the knobs: they are those of another one.
    pub(crate) fn suits(&self, engine: &str) -> bool {
        let options = OpenOptions { knobs: self.store.knobs.clone(), ..OpenOptions::default() };
        let drivers = persist::drivers();
        let driver = drivers.iter().find(|driver| driver.scheme() == engine);
        driver.is_none_or(|driver| driver.check(&options).is_ok())
    }

    /// The keys that say something else than what is so: on which engine the store is, and where it lies.
    pub(crate) fn untrue(&self, engine: &str, home: Option<&Path>) -> Vec<&'static str> {
        let named = self.store.engine.as_deref().is_some_and(|named| named != engine);
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let moved = home.is_some_and(|home| real(home) != real(&self.home));
        let keys = [("engine", named), ("path", moved), ("knobs", !self.suits(engine))];
        keys.into_iter().filter(|(_, untrue)| *untrue).map(|(key, _)| key).collect()
    }

    /// What to change, for people.
    pub(crate) fn advice(&self, keys: &[&str], engine: &str, home: Option<&Path>) -> Option<String> {
        let home = home.filter(|_| keys.contains(&"path"));
        let home = home.map(|home| format!(", in {}", home.display())).unwrap_or_default();
        let keys = keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
        let (name, file) = (&self.name, self.file.display());
        (!keys.is_empty())
            .then(|| format!("change {keys} of {name} in {file}: its engine is {engine} now{home}"))
    }
}
