//! Programs that handle disks, none of which may hang; and file systems that are mounted no longer than they are wanted.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::super::report::CrashError;

/// Seconds after which a program is stopped, and killed five later. Generous: each takes milliseconds.
const PATIENCE: &str = "30";

/// Runs a program to its end.
///
/// # Errors
/// `Device` with what it said, when it failed, took too long or is not there.
pub(super) fn run(tool: &'static str, args: &[&OsStr]) -> Result<(), CrashError> {
    let failed = |why: String| CrashError::Device { tool, why };
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", PATIENCE, tool]).args(args).stdin(Stdio::null());
    let output = command.output().map_err(|error| failed(format!("timeout: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    Err(failed(match output.status.code() {
        Some(124 | 137) => format!("not done after {PATIENCE} s"),
        _ if said.is_empty() => output.status.to_string(),
        _ => said,
    }))
}

/// A mounted ext4. Dropping it unmounts it, whatever is still open on it.
pub(super) struct Mounted {
    at: Option<PathBuf>,
}

impl Mounted {
    /// Mounts the ext4 in a file on a directory. Its journal is replayed as after any power failure.
    pub(super) fn new(file: &Path, at: &Path) -> Result<Self, CrashError> {
        let words = ["-t", "ext4", "-o", "loop,nosuid,nodev"].map(OsStr::new);
        run("mount", &[words.as_slice(), &[file.as_os_str(), at.as_os_str()]].concat())?;
        Ok(Self { at: Some(at.to_owned()) })
    }

    /// Unmounts it, with everything written.
    pub(super) fn end(mut self) -> Result<(), CrashError> {
        let Some(at) = self.at.take() else { return Ok(()) };
        run("umount", &[at.as_os_str()]).inspect_err(|_| detach(&at))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(at) = self.at.take()
            && run("umount", &[at.as_os_str()]).is_err()
        {
            detach(&at);
        }
    }
}

/// Takes a file system out of the tree at once; it ends when nobody uses it any more.
pub(super) fn detach(at: &Path) {
    // Where nothing is mounted there is nothing to do, and where that fails nothing more can be done.
    let _ = run("umount", &["--lazy".as_ref(), at.as_os_str()]);
}
