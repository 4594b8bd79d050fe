//! What an engine can do in a place, and how it is asked to open there.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::{Advice, Caps, Durability, Error, ErrorKind, Limits, Result, nearest};

/// What an engine can do. Engines offer rows of the registry that engines own; layers and services are none of theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The engine's scheme, as `sqlite`.
    pub engine: &'static str,
    /// The library and its version, for people.
    pub library: String,
    /// Number of the engine's on-disk layout. A store is reopened only by the same number.
    pub format: u32,
    /// Native capabilities.
    pub caps: Caps,
    /// True limits of the engine, prefixes and layers not yet taken off.
    pub limits: Limits,
}

impl Offer {
    /// The highest durability that is offered.
    #[must_use]
    pub fn durability_max(&self) -> Durability {
        if self.caps.contains(Caps::DURABLE) {
            Durability::Durable
        } else if self.caps.contains(Caps::BUFFERED) {
            Durability::Buffered
        } else {
            Durability::Volatile
        }
    }
}

/// What a driver found in a directory, by reading headers only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// Missing, or a directory without entries.
    Empty,
    /// This driver's files.
    Mine {
        /// The next open will have to recover.
        needs_recovery: bool,
    },
    /// Something else. It will not be touched.
    Foreign {
        /// What was seen, for the error message.
        what: String,
    },
}

/// Whether `open` may create.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OpenMode {
    /// Open what is there, create where there is nothing.
    #[default]
    OpenOrCreate,
    /// Open what is there; `Invalid` where there is nothing.
    MustExist,
    /// Create; `Conflict` where a store exists.
    MustCreate,
}

impl OpenMode {
    /// Whether the mode goes with what is there. Gives `exists` back: true, open it; false, create.
    ///
    /// # Errors
    /// `Invalid` where there must be a store and is none, `Conflict` where there must be none (contract O-4).
    pub fn check(self, exists: bool) -> Result<bool> {
        match (exists, self) {
            (false, Self::MustExist) => Err(Error::new(ErrorKind::Invalid, "open", "there is no store here")),
            (true, Self::MustCreate) => {
                let error = Error::new(ErrorKind::Conflict, "open", "a store exists here");
                Err(error.with_advice(Advice::FixPath))
            }
            (exists, _) => Ok(exists),
        }
    }

    /// As [`check`](Self::check), for what a driver's `probe` found.
    ///
    /// # Errors
    /// As [`check`](Self::check), and `Mismatch` for files of somebody else (contract O-3).
    pub fn check_probe(self, found: Probe) -> Result<bool> {
        match found {
            Probe::Foreign { what } => Err(Error::new(ErrorKind::Mismatch, "open", what)),
            Probe::Mine { .. } => self.check(true),
            Probe::Empty => self.check(false),
        }
    }
}

/// How to open an engine. Fields that an engine has no use for are ignored unless they promise something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenOptions {
    /// Whether `open` may create.
    pub mode: OpenMode,
    /// Memory for caches, in bytes. `None`: the engine's documented default.
    pub cache_bytes: Option<u64>,
    /// About how much memory, in bytes, the engine may take in all: caches, and what waits to be written. It sets what
    /// `cache_bytes` and the knobs leave open, never more than the defaults, as far as the engine can go down. A wish, not a
    /// limit: what one beat stages comes on top. `None`: the engine's documented defaults.
    pub memory_bytes: Option<u64>,
    /// Ceiling of the store, in bytes. `None`: the engine's documented default. Beyond it: `Full`.
    pub store_bytes_max: Option<u64>,
    /// Most views open at once. `None`: the engine's documented default.
    pub views_max: Option<u64>,
    /// How long `close` waits for open views before it answers `Busy`.
    pub close_wait: Duration,
    /// Beats may repeat or skip numbers, because a copy is being made (contract B-3).
    pub importing: bool,
    /// Everything that `feed` could serve stays until `keep_feed` says what may go (contract F-3). Without FEED it means nothing.
    pub keep_feed: bool,
    /// Further settings by name, as documented in `docs/engines/`. An unknown name is an error.
    pub knobs: BTreeMap<String, String>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            mode: OpenMode::OpenOrCreate,
            cache_bytes: None,
            memory_bytes: None,
            store_bytes_max: None,
            views_max: None,
            close_wait: Duration::from_secs(5),
            importing: false,
            keep_feed: false,
            knobs: BTreeMap::new(),
        }
    }
}

impl OpenOptions {
    /// Checks that every knob is one of `known`.
    ///
    /// # Errors
    /// `Invalid` naming the knob and those that exist.
    pub fn check_knobs(&self, known: &[&str]) -> Result<()> {
        match self.knobs.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let meant = nearest(name, known.iter().copied());
                let meant = meant.map(|meant| format!("did you mean {meant}? ")).unwrap_or_default();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let context = format!("unknown knob {name:?}; {meant}this engine knows: {known}");
                Err(Error::new(ErrorKind::Invalid, "open", context))
            }
        }
    }

    /// The knob `name` as a whole number in `allowed`, or `default` where it is not set.
    ///
    /// # Errors
    /// `Invalid` naming the knob, its value and what it takes.
    pub fn knob_number(&self, name: &str, default: u64, allowed: RangeInclusive<u64>) -> Result<u64> {
        let Some(text) = self.knobs.get(name) else { return Ok(default) };
        let number = text.parse().ok().filter(|number| allowed.contains(number));
        number.ok_or_else(|| {
            let takes = match (*allowed.start(), *allowed.end()) {
                (0, u64::MAX) => "a whole number".to_owned(),
                (least, u64::MAX) => format!("a whole number from {least}"),
                (least, most) => format!("a whole number from {least} to {most}"),
            };
            wrong_knob(name, text, &takes)
        })
    }

    /// The knob `name` as `on` or `off`, or `default` where it is not set.
    ///
    /// # Errors
    /// `Invalid` naming the knob, its value and what it takes.
    pub fn knob_switch(&self, name: &str, default: bool) -> Result<bool> {
        match self.knobs.get(name).map(String::as_str) {
            None => Ok(default),
            Some("on") => Ok(true),
            Some("off") => Ok(false),
            Some(text) => Err(wrong_knob(name, text, "on or off")),
        }
    }
}

fn wrong_knob(name: &str, text: &str, takes: &str) -> Error {
    Error::new(ErrorKind::Invalid, "open", format!("knob {name} is {text:?}; it takes {takes}"))
}
