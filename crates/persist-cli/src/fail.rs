//! How commands fail: one line on standard error, one exit code per kind of error. `docs/cli.md` lists both.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use persist_api::{Advice, Error, ErrorKind};
use serde::Serialize;

/// Exit code for a key that is not there (CPS status -8).
const NOT_FOUND: u8 = 8;
/// Exit code for a wrong command line, as clap uses it.
const USAGE: u8 = 2;

/// Results of commands.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a command did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An error of the substrate.
    Error(Error),
    /// A key that is not there, in its printed form.
    NotFound(String),
    /// A command line that cannot be meant.
    Usage(String),
    /// The results themselves say what is wrong; only the exit code is left.
    Told(ErrorKind),
    /// Whoever read the output has gone.
    Pipe,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(for_people(error))
    }
}

/// Says what a library cannot know to be wanted: what helps somebody who typed a command.
fn for_people(error: Error) -> Error {
    match (error.kind(), error.engine()) {
        (ErrorKind::Corrupt, Some("flatfile")) if !matches!(error.op(), "doctor" | "import") => {
            let context = format!("{}; `persist doctor` says what is lost", error.context());
            with_context(error, context)
        }
        (ErrorKind::Io, _) if error.advice() == Advice::CopyToWrite => {
            let context =
                format!("{}; `persist doctor` examines a store of flatfile where it is", error.context());
            with_context(error, context)
        }
        (ErrorKind::Io, _) if error.advice() == Advice::Reopen => wrong_path(error),
        _ => error,
    }
}

/// Where the path itself is the trouble, says so: to close and open again would not help.
fn wrong_path(error: Error) -> Error {
    let source = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<io::Error>());
    let (Some(kind), Some(path)) = (source.map(io::Error::kind), error.path()) else { return error };
    match kind {
        io::ErrorKind::NotADirectory => {
            let part = if path.is_file() { "this is" } else { "a part of this path is" };
            let context = format!("{part} a file, not a directory");
            with_context(error, context).with_advice(Advice::FixPath)
        }
        io::ErrorKind::NotFound
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::PermissionDenied
        | io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::InvalidFilename => error.with_advice(Advice::FixPath),
        _ => error,
    }
}

/// The same error with another sentence.
pub(crate) fn with_context(error: Error, context: String) -> Error {
    error.reworded(context).with_source(error)
}

/// A file that the command line names and that cannot be read.
pub(crate) fn unreadable(op: &'static str, path: &Path, error: io::Error) -> Error {
    Error::io(op, path, error).with_advice(Advice::FixPath)
}

/// The exit code of a kind: its status code without the sign.
pub(crate) fn exit_code(kind: ErrorKind) -> u8 {
    u8::try_from(kind.code().unsigned_abs()).unwrap_or(u8::MAX)
}

#[derive(Serialize)]
struct Report<'r> {
    error: Detail<'r>,
}

#[derive(Serialize)]
struct Detail<'r> {
    kind: &'r str,
    code: i32,
    op: Option<&'r str>,
    message: &'r str,
    engine: Option<&'r str>,
    engine_code: Option<i64>,
    path: Option<String>,
    beat: Option<String>,
    advice: &'r str,
}

impl Failure {
    /// The exit code.
    pub(crate) fn exit(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Error(error) => exit_code(error.kind()),
            Self::NotFound(_) => NOT_FOUND,
            Self::Usage(_) => USAGE,
            Self::Told(kind) => exit_code(*kind),
            Self::Pipe => 0,
        })
    }

    /// Says on standard error what went wrong.
    pub(crate) fn report(&self, json: bool) {
        if let Some(detail) = self.detail() {
            let line = if json { serde_json::to_string(&Report { error: detail }).ok() } else { None };
            // Who closed standard error does not want to know; the exit code stays.
            let _ = writeln!(io::stderr(), "{}", line.unwrap_or_else(|| self.sentence()));
        }
    }

    fn sentence(&self) -> String {
        match self {
            Self::Error(error) => format!("persist: {error}"),
            Self::NotFound(key) => format!("persist: no record {key}"),
            Self::Usage(what) => format!("persist: {what}"),
            Self::Told(_) | Self::Pipe => String::new(),
        }
    }

    fn detail(&self) -> Option<Detail<'_>> {
        let plain = |kind, code, message, advice| Detail {
            kind,
            code,
            op: None,
            message,
            engine: None,
            engine_code: None,
            path: None,
            beat: None,
            advice,
        };
        match self {
            Self::Error(error) => Some(Detail {
                kind: error.kind().name(),
                code: error.code(),
                op: Some(error.op()),
                message: error.context(),
                engine: error.engine(),
                engine_code: error.engine_code(),
                path: error.path().map(|path| path.display().to_string()),
                beat: error.beat().map(|beat| beat.to_string()),
                advice: error.advice().sentence(),
            }),
            Self::NotFound(key) => Some(plain("not_found", -i32::from(NOT_FOUND), key, "check the key")),
            Self::Usage(what) => Some(plain("usage", -i32::from(USAGE), what, "see --help")),
            Self::Told(_) | Self::Pipe => None,
        }
    }
}
