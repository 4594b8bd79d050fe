//! From a file to a configuration.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use persist_api::{Advice, Driver, Error, ErrorKind, Result};
use persist_io::{RealDisk, read_file};

use super::setting::{Reading, Setting};
use super::tree::{Node, Place};
use super::{Config, ConfigError, Format, check, environment};

/// Longest file that is read.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// A configuration that was read, checked and resolved.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it says. Its paths are absolute.
    pub config: Config,
    /// The file, absolute.
    pub file: PathBuf,
    /// Variables of the environment that set a key, and the key.
    pub overridden: Vec<(String, String)>,
    places: BTreeMap<String, Place>,
}

impl Config {
    /// Reads a text and checks all that can be checked without engines. Paths stay as they are written; see
    /// [`resolve`](Self::resolve).
    ///
    /// # Errors
    /// Every problem, each with key and line.
    pub fn parse(text: &str, format: Format) -> Result<Self, ConfigError> {
        read(format.parse(text)?, Vec::new()).map(|(config, ..)| config)
    }

    /// Reads a file, in the format that its name tells, applies the variables that begin with
    /// [`VARIABLE_PREFIX`](super::VARIABLE_PREFIX), checks all that can be checked without engines, and makes every path
    /// absolute, starting from the directory of the file. For the environment of the process pass [`std::env::vars_os`].
    ///
    /// # Errors
    /// `Invalid` with the [`ConfigError`] as its source; `Io` and `TooLarge` for a file that cannot be read.
    pub fn load(file: &Path, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Loaded> {
        let path = |error: Error| error.with_path(file).with_advice(Advice::FixPath);
        let invalid = |what: &str| path(Error::new(ErrorKind::Invalid, "config", what));
        let format =
            Format::of(file).ok_or_else(|| invalid("the name of a configuration ends in .toml or .json"))?;
        let bytes = read_file(&RealDisk, file, CONFIG_BYTES_MAX).map_err(|error| match error.kind() {
            ErrorKind::Corrupt => path(Error::new(ErrorKind::TooLarge, "config", error.context())),
            _ => path(error),
        })?;
        let bytes = bytes.ok_or_else(|| invalid("there is no such file"))?;
        let text = String::from_utf8(bytes).map_err(|_| invalid("the file is not UTF-8"))?;
        let file = std::path::absolute(file).map_err(|error| Error::io("config", file, error))?;
        let root = format.parse(&text).map_err(|wrong| wrong.at(&file))?;
        let (mut config, overridden, places) = read(root, variables).map_err(|wrong| wrong.at(&file))?;
        config.resolve(file.parent().unwrap_or(Path::new("")));
        Ok(Loaded { config, file, overridden, places })
    }

    /// Puts directories before relative paths: `base` before that of the stores, that before each store's; `base` before
    /// key files. What is absolute stays. Stores without a path get their name as one.
    pub fn resolve(&mut self, base: &Path) {
        self.data_dir = base.join(&self.data_dir);
        for (name, store) in &mut self.stores {
            let path = store.path.take().unwrap_or_else(|| PathBuf::from(name));
            store.path = Some(self.data_dir.join(path));
            store.key_file = store.key_file.take().map(|file| base.join(file));
        }
    }

    /// Checks all that can be checked without engines. [`parse`](Self::parse) and [`load`](Self::load) have done that; it is
    /// for configurations that a program makes.
    ///
    /// # Errors
    /// Every problem.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut reading = Reading::default();
        check::config(self, &mut reading);
        reading.problems.finish(())
    }

    /// Checks engines, knobs and sizes against the engines that there are, without opening anything.
    ///
    /// # Errors
    /// Every problem.
    pub fn check_engines(&self, drivers: &[Arc<dyn Driver>]) -> Result<(), ConfigError> {
        let mut reading = Reading::default();
        check::engines(self, drivers, &mut reading);
        reading.problems.finish(())
    }
}

impl Loaded {
    /// As [`Config::check_engines`], with the lines of the file.
    ///
    /// # Errors
    /// As there.
    pub fn check_engines(&self, drivers: &[Arc<dyn Driver>]) -> Result<(), ConfigError> {
        let mut reading = Reading { places: self.places.clone(), ..Reading::default() };
        check::engines(&self.config, drivers, &mut reading);
        reading.problems.finish(()).map_err(|wrong| wrong.at(&self.file))
    }
}

type Read = (Config, Vec<(String, String)>, BTreeMap<String, Place>);

/// Reads and checks a tree.
fn read(
    mut root: Node,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Read, ConfigError> {
    let mut reading = Reading::default();
    let overridden = environment::apply(variables, &mut root, &mut reading);
    let config = Config::read(&root, "", &mut reading).unwrap_or_default();
    check::config(&config, &mut reading);
    let Reading { problems, places } = reading;
    problems.finish((config, overridden, places))
}

/// Reads a tree that is no file.
pub(crate) fn of_node(root: Node) -> Result<Config, ConfigError> {
    read(root, Vec::new()).map(|(config, ..)| config)
}
