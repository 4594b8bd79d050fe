//! Work in a process of its own, so that its memory is its own, and so that it can die without closing anything.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::de::DeserializeOwned;

use crate::contender::{Entrant, Result, text};
use crate::entrants::find;
use crate::flips;
use crate::valgrind;
use crate::workloads::{bulk_child, commits_child, rest_child, tail_child, writers_child};

/// The command that does `verb` with this program.
///
/// # Errors
/// When this program cannot be found.
pub(crate) fn command(verb: &str, entrant: &str, home: &Path, words: &[String]) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().map_err(text)?);
    command.args(["child", verb, entrant]).arg(home).args(words);
    Ok(command)
}

/// Runs the verb and reads the JSON that it prints.
///
/// # Errors
/// What the child said.
pub(crate) fn run<T: DeserializeOwned>(
    verb: &str,
    entrant: &str,
    home: &Path,
    words: &[String],
) -> Result<T> {
    let done = command(verb, entrant, home, words)?
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot start a child: {error}"))?;
    if !done.status.success() {
        return Err(format!("child {verb}: {}: {}", done.status, String::from_utf8_lossy(&done.stderr)));
    }
    serde_json::from_slice(&done.stdout).map_err(|error| format!("child {verb}: {error}"))
}

/// The child's side.
///
/// # Errors
/// A sentence.
pub(crate) fn main(entrants: &[Entrant], words: &[&str]) -> Result<()> {
    let [verb, name, home, rest @ ..] = words else {
        return Err("child: too few arguments".to_owned());
    };
    let entrant = find(entrants, name)?;
    let home = PathBuf::from(home);
    match (*verb, rest) {
        ("commits", [rows, times]) => commits_child(entrant, &home, rows, times),
        ("writers", []) => writers_child(entrant, &home),
        ("tail", [beats, rows, first]) => tail_child(entrant, &home, beats, rows, first),
        ("bulk", [rows, order, then]) => bulk_child(entrant, &home, rows, order, then),
        ("rest", [rows]) => rest_child(entrant, &home, rows),
        ("look", [rows]) => flips::look_child(entrant, &home, rows),
        ("probe", [step, count, like_ours]) => valgrind::probe(entrant, &home, step, count, like_ours),
        _ => Err(format!("child: unknown work: {}", words.join(" "))),
    }
}
