//! Running commands and finding the workspace.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a verb gives: nothing, or a sentence for the user.
pub(crate) type Outcome = Result<(), String>;

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// A cargo command in the workspace, with the environment that RocksDB's build wants.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root()).envs(crate::rocks::environment());
    command
}

/// Runs a command with its output shown.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let line = describe(command);
    println!("$ {line}");
    let status =
        command.stdin(Stdio::null()).status().map_err(|error| format!("cannot run {line}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{line}: {status}")) }
}

/// Runs a command and returns what it printed to standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let (text, success) = output_of(command)?;
    if success { Ok(text) } else { Err(format!("{} failed", describe(command))) }
}

/// Runs a command and returns its standard output and whether it succeeded.
pub(crate) fn output_of(command: &mut Command) -> Result<(String, bool), String> {
    let line = describe(command);
    let done = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run {line}: {error}"))?;
    Ok((String::from_utf8_lossy(&done.stdout).into_owned(), done.status.success()))
}

fn describe(command: &Command) -> String {
    let program =
        Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let arguments = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
    std::iter::once(program).chain(arguments).collect::<Vec<_>>().join(" ")
}

/// True if a program of this name is on the search path.
pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// Reads a file of the workspace.
pub(crate) fn read(relative: &str) -> Result<String, String> {
    let path = root().join(relative);
    std::fs::read_to_string(&path).map_err(|error| format!("cannot read {relative}: {error}"))
}

/// Writes a generated file, or with `check` says that it is out of date.
pub(crate) fn write_or_check(relative: &str, text: &str, check: bool, verb: &str) -> Outcome {
    if read(relative).is_ok_and(|now| now == text) {
        return Ok(());
    }
    if check {
        return Err(format!("{relative} is out of date; run `cargo xtask {verb}`"));
    }
    std::fs::write(root().join(relative), text)
        .map_err(|error| format!("cannot write {relative}: {error}"))?;
    println!("wrote {relative}");
    Ok(())
}
