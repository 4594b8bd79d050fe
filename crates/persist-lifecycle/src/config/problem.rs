//! What is wrong with a configuration: every problem, each with its key and its place.

use std::fmt;
use std::path::{Path, PathBuf};

use persist_api::{Advice, Error, ErrorKind};

use super::tree::Place;

/// Most problems that are kept; a file that has more is no configuration.
const PROBLEMS_MAX: usize = 100;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// The key, as `stores.orders.path`; empty where the file as a whole is meant.
    pub key: String,
    /// What is wrong with it, and what it takes.
    pub what: String,
    /// The right name that was probably meant.
    pub near: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Unknown => {}
            Place::Line(line) => write!(f, "line {line}: ")?,
            Place::Variable(name) => write!(f, "{name}: ")?,
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}", self.what)?;
        match &self.near {
            Some(near) => write!(f, "; did you mean {near}?"),
            None => Ok(()),
        }
    }
}

/// A configuration that cannot be used: everything that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, where there is one.
    pub file: Option<PathBuf>,
    /// At least one, at most a hundred, in the order of the file.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    pub(crate) fn at(mut self, file: &Path) -> Self {
        self.file = Some(file.to_path_buf());
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let comma = if index > 0 { "; " } else { "" };
            write!(f, "{comma}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl From<ConfigError> for Error {
    fn from(wrong: ConfigError) -> Self {
        let error =
            Error::new(ErrorKind::Invalid, "config", wrong.to_string()).with_advice(Advice::FixConfig);
        let error = match &wrong.file {
            Some(file) => error.with_path(file),
            None => error,
        };
        error.with_source(wrong)
    }
}

/// Collects problems.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn add(&mut self, place: Place, key: &str, what: impl Into<String>, near: Option<&str>) {
        if self.0.len() < PROBLEMS_MAX {
            let near = near.map(str::to_owned);
            self.0.push(Problem { place, key: key.to_owned(), what: what.into(), near });
        }
    }

    /// `value`, or what is wrong.
    pub(crate) fn finish<T>(mut self, value: T) -> Result<T, ConfigError> {
        if self.0.is_empty() {
            return Ok(value);
        }
        // Lines first, in their order; then variables, by name.
        self.0.sort_by(|a, b| order(&a.place).cmp(&order(&b.place)));
        Err(ConfigError { file: None, problems: self.0 })
    }
}

fn order(place: &Place) -> (u8, usize, &str) {
    match place {
        Place::Line(line) => (0, *line, ""),
        Place::Variable(name) => (1, 0, name),
        Place::Unknown => (2, 0, ""),
    }
}
