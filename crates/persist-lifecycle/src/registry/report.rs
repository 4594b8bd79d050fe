//! What opening and closing say.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use persist_api::{BeatNo, CommitNo, Error, Progress};

use super::component::Replayed;

/// What the opening of a store did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOpened {
    /// Its name.
    pub name: String,
    /// Its engine.
    pub engine: &'static str,
    /// Its directory; `None` for an engine that keeps nothing on disk.
    pub home: Option<PathBuf>,
    /// True when it was created just now.
    pub created: bool,
    /// Its newest beat.
    pub beat: BeatNo,
    /// Its newest commit.
    pub commit: CommitNo,
    /// What the engine did to open, as it told: each phase with what it had done at last, as `replay` of so many bytes.
    pub phases: Vec<Progress>,
    /// What the engine counted of its recovery: its figures that begin with `recovered_` (`docs/engines`).
    pub recovered: Vec<(&'static str, u64)>,
    /// Entries of the home that are not the store's. They are left alone.
    pub strangers: Vec<OsString>,
    /// How long it waited for another holder.
    pub waited: Duration,
    /// How long it took, waiting included.
    pub took: Duration,
}

/// What the opening of a component did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentOpened {
    /// Its name.
    pub name: String,
    /// What it brought back.
    pub replayed: Replayed,
    /// How long opening and replay took.
    pub took: Duration,
}

/// A step of the closing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The upkeep of all stores was stopped.
    StopUpkeep,
    /// A component was flushed.
    Flush,
    /// A component was closed.
    CloseComponent,
    /// A store was closed.
    CloseStore,
}

/// How a step of the closing ended.
#[derive(Debug)]
pub struct Closed {
    /// The component or store; empty for the upkeep.
    pub name: String,
    /// What was done.
    pub step: Step,
    /// What came of it. A store that is `Busy` stays open.
    pub result: Result<(), Error>,
    /// How long it took.
    pub took: Duration,
}

/// An opening that failed. What had been opened is closed again.
#[derive(Debug)]
pub struct OpenFailed {
    /// The store or component that failed.
    pub name: String,
    /// Why.
    pub error: Error,
    /// The steps of the closing, in their order.
    pub closed: Vec<Closed>,
}

impl Step {
    /// The stable lower-case name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::StopUpkeep => "stop_upkeep",
            Self::Flush => "flush",
            Self::CloseComponent => "close_component",
            Self::CloseStore => "close_store",
        }
    }
}

impl fmt::Display for OpenFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} could not be opened: {}", self.name, self.error)?;
        for closed in &self.closed {
            if let Err(error) = &closed.result {
                write!(f, "; then {} of {}: {error}", closed.step.name(), closed.name)?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for OpenFailed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Keeps kind, advice, path and the rest of the cause; the name stands before the sentence.
impl From<OpenFailed> for Error {
    fn from(failed: OpenFailed) -> Self {
        let cause = &failed.error;
        let context = format!("{}: {}", failed.name, cause.context());
        cause.reworded(context).with_source(failed)
    }
}
