//! Standard output: lines for people, or one JSON object a line with `--json`. A command whose work is more than its output
//! does it to the end when the pipe is closed; the others end quietly.

use std::fmt;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::path::Path;

use persist::{Advice, Error, ErrorKind, RealDisk};
use serde::Serialize;

use crate::fail::{Failure, Result};

/// Where a command's results go.
pub(crate) struct Out {
    json: bool,
    terminal: bool,
    /// Whether a closed pipe ends the command.
    needs_reader: bool,
    /// Gone when the pipe is closed.
    to: Option<BufWriter<StdoutLock<'static>>>,
}

impl Out {
    pub(crate) fn new(json: bool) -> Self {
        let to = io::stdout().lock();
        let terminal = to.is_terminal();
        Self { json, terminal, needs_reader: false, to: Some(BufWriter::with_capacity(64 << 10, to)) }
    }

    /// Says that this command does nothing but print: once nobody reads it any more, it ends ([`Failure::Pipe`]).
    pub(crate) fn needs_reader(&mut self) {
        self.needs_reader = true;
    }

    /// True when results are JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// True when a person is looking: lines then appear one by one, and need no bar beside them.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Writes one JSON object and ends the line.
    pub(crate) fn object(&mut self, value: &impl Serialize) -> Result<()> {
        self.write(|to| {
            serde_json::to_writer(&mut *to, value)?;
            to.write_all(b"\n")
        })
    }

    /// Writes one line of text.
    pub(crate) fn line(&mut self, text: impl fmt::Display) -> Result<()> {
        self.write(|to| writeln!(to, "{text}"))?;
        if self.terminal { self.flush() } else { Ok(()) }
    }

    /// Writes a name and what belongs to it, aligned with its neighbours.
    pub(crate) fn field(&mut self, name: &str, value: impl fmt::Display) -> Result<()> {
        self.line(format_args!("{name:<17} {value}"))
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.write(|to| to.write_all(bytes))
    }

    /// Makes what was written visible.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.write(Write::flush)
    }

    fn write(
        &mut self,
        write: impl FnOnce(&mut BufWriter<StdoutLock<'static>>) -> io::Result<()>,
    ) -> Result<()> {
        let done = self.to.as_mut().map_or(Ok(()), write);
        if done.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            self.to = None;
        }
        match done {
            _ if self.to.is_none() && self.needs_reader => Err(Failure::Pipe),
            Err(error) if self.to.is_some() => Err(unwritten(error).into()),
            _ => Ok(()),
        }
    }
}

/// What keeps results from standard output: a full disk, say.
fn unwritten(error: io::Error) -> Error {
    let context = format!("standard output: {error}");
    let kind = Error::io("write", Path::new(""), error).kind();
    Error::new(kind, "write", context)
}

/// Puts bytes in the place of a file, whole and durably (`--out`).
pub(crate) fn save(path: &Path, bytes: &[u8]) -> Result<()> {
    let refuse = |what: &str| Err(Error::new(ErrorKind::Invalid, "write", what).with_path(path).into());
    if path.is_dir() {
        return refuse("this is a directory; name a file in it");
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    if Path::new(&beside).symlink_metadata().is_ok() {
        return refuse("the same name with .new is taken and would be lost: move it, or write elsewhere");
    }
    persist_io::replace(&RealDisk, path, bytes).map_err(|error| match error.kind() {
        ErrorKind::Io => error.with_advice(Advice::FixPath).into(),
        _ => error.into(),
    })
}
