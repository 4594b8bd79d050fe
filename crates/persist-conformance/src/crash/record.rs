//! Records one run of the workload under `strace`.

use std::ffi::OsString;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::Command;

use super::event::Tree;
use super::kernel::{RAW, Recording, TRACED, follow};
use super::parent::{Order, Reentry, Running};
use super::report::CrashError;
use super::trace;
use super::words::Word;

/// The longest buffer of one call that is recorded, in bytes. A longer one is an error, not a gap.
const BUFFER_MAX: &str = "16777216";

/// Runs the child to its end and writes what it did to `into`.
pub(crate) fn record(
    reentry: &Reentry,
    order: Order<'_>,
    lose_syncs: bool,
    into: &Path,
) -> Result<(), CrashError> {
    works("strace", &["-V"])?;
    let mut wrapper: Vec<OsString> = Vec::new();
    if lose_syncs {
        works("eatmydata", &["true"])?;
        wrapper.push("eatmydata".into());
    }
    let trace = format!("trace={TRACED}");
    let raw = format!("raw={RAW}");
    for word in [
        "strace",
        "-f",
        "--seccomp-bpf",
        "-v",
        "-xx",
        "-s",
        BUFFER_MAX,
        "-e",
        "signal=none",
        "-e",
        &raw,
        "-e",
        &trace,
        "-o",
    ] {
        wrapper.push(word.into());
    }
    wrapper.push(into.into());
    wrapper.push("--".into());
    let mut running = Running::start(reentry.command(&wrapper)?, order)?;
    let (mut heard, mut done) = (false, false);
    while let Some(word) = running.hear()? {
        heard = true;
        done |= word == Word::Done;
        if let Word::Fail(why) = word {
            return Err(CrashError::Lost { status: "the workload failed".to_owned(), said: why });
        }
    }
    let (status, said) = running.finish()?;
    match (heard, done) {
        (_, true) => Ok(()),
        (true, false) => Err(CrashError::Lost { status: status.to_string(), said }),
        (false, false) => Err(CrashError::Tool { tool: "strace", why: format!("{status}; {said}") }),
    }
}

/// Reads a record back as events below `root`.
pub(crate) fn read(base: Tree, root: &Path, from: &Path) -> Result<Recording, CrashError> {
    let failed = |source| CrashError::io(from.display().to_string(), source);
    let file = File::open(from).map_err(failed)?;
    follow(base, root, &trace::read(BufReader::new(file))?)
}

fn works(tool: &'static str, args: &[&str]) -> Result<(), CrashError> {
    let ran = Command::new(tool).args(args).output();
    match ran {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let why = format!("{} {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
            Err(CrashError::Tool { tool, why })
        }
        Err(error) => Err(CrashError::Tool { tool, why: error.to_string() }),
    }
}
