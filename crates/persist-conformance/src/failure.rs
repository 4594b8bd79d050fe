//! How a case says that something is wrong: a sentence and the line that found it.

use std::fmt;
use std::panic::Location;

use persist_api::{Error, ErrorKind};

/// What the body of a case returns.
pub type CaseResult = Result<(), Failure>;

/// Why a case failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What was expected and what happened.
    pub what: String,
    /// File and line of the check.
    pub at: String,
}

impl Failure {
    /// A failure at the caller's line.
    #[track_caller]
    pub fn new(what: impl Into<String>) -> Self {
        let here = Location::caller();
        Self { what: what.into(), at: format!("{}:{}", here.file(), here.line()) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, self.at)
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    #[track_caller]
    fn from(error: Error) -> Self {
        Self::new(format!("unexpected error: {error}"))
    }
}

impl From<std::io::Error> for Failure {
    #[track_caller]
    fn from(error: std::io::Error) -> Self {
        Self::new(format!("the case itself could not use the disk: {error}"))
    }
}

/// Fails the case unless the condition holds: `check!(cond, "sentence with {}", values)`.
#[macro_export]
macro_rules! check {
    ($cond:expr, $($what:tt)+) => {
        if !$cond {
            return Err($crate::Failure::new(format!($($what)+)));
        }
    };
}

/// Fails the case unless both sides are equal: `check_eq!(found, expected, "what was compared")`.
#[macro_export]
macro_rules! check_eq {
    ($found:expr, $expected:expr, $($what:tt)+) => {
        match (&$found, &$expected) {
            (found, expected) => {
                if *found != *expected {
                    return Err($crate::Failure::new(format!(
                        "{}: found {}, expected {}",
                        format_args!($($what)+),
                        $crate::failure_text(found),
                        $crate::failure_text(expected),
                    )));
                }
            }
        }
    };
}

/// A value as text, cut to a length that a person reads.
#[doc(hidden)]
pub fn failure_text(value: &dyn fmt::Debug) -> String {
    const MOST: usize = 600;
    let text = format!("{value:?}");
    match text.char_indices().nth(MOST) {
        None => text,
        Some((cut, _)) => format!("{}… ({} bytes)", text.get(..cut).unwrap_or_default(), text.len()),
    }
}

/// Expects a refusal of `kind` and gives the error back for a closer look.
///
/// # Errors
/// When the call succeeded or failed otherwise.
#[track_caller]
pub fn refused<T>(result: Result<T, Error>, kind: ErrorKind, what: &str) -> Result<Error, Failure> {
    match result {
        Ok(_) => Err(Failure::new(format!("{what}: succeeded, expected {kind}"))),
        Err(error) if error.kind() == kind => Ok(error),
        Err(error) => Err(Failure::new(format!("{what}: expected {kind}, found: {error}"))),
    }
}
