//! Counting system calls from outside, so that no library can be wrong about itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::contender::{Result, text};

/// Calls that matter. `sync_file_range` is traced, but it does not flush the device, so it is not a sync.
const CALLS: &str = "trace=fsync,fdatasync,msync,sync,syncfs,sync_file_range,write,pwrite64,writev,pwritev,pwritev2,\
                     sendfile,copy_file_range,openat,close,statx,stat,newfstatat,io_uring_enter";
/// Asking for a file of this name marks the beginning of what is counted.
pub(crate) const BEGIN: &str = "persist-bench-begin";
/// And this the end.
pub(crate) const END: &str = "persist-bench-end";

/// Calls on files of one directory between the two marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Calls {
    /// Syncs that reach the device; a write through a descriptor opened with O_DSYNC is one too.
    pub(crate) syncs: u64,
    /// Calls of `sync_file_range`, which do not.
    pub(crate) range_syncs: u64,
    /// Writes.
    pub(crate) writes: u64,
    /// Bytes written.
    pub(crate) bytes: u64,
}

/// What was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Trace {
    /// By the thread that committed.
    pub(crate) commits: Calls,
    /// By all other threads.
    pub(crate) others: Calls,
    /// Bytes that no sync followed before the end.
    pub(crate) unsynced_bytes: u64,
}

/// Runs a command, which marks beginning and end by asking for files of those names, and counts what it does to files
/// below `home`.
///
/// # Errors
/// When strace is missing, or the command failed.
pub(crate) fn run(command: &mut Command, home: &Path) -> Result<Trace> {
    let log = tempfile::NamedTempFile::new().map_err(text)?;
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-s", "0", "-e", CALLS, "-o"]).arg(log.path()).arg("--");
    strace.arg(command.get_program()).args(command.get_args());
    let done = strace
        .output()
        .map_err(|error| format!("cannot run strace: {error}; install it with: apt-get install strace"))?;
    if !done.status.success() {
        return Err(format!("{}: {}", done.status, String::from_utf8_lossy(&done.stderr)));
    }
    let log = std::fs::read_to_string(log.path()).map_err(text)?;
    parse(&log, &home.to_string_lossy())
}

/// Reads a log of `strace -f -y`.
fn parse(log: &str, home: &str) -> Result<Trace> {
    let mark = |name: &str| {
        let found = log.lines().position(|line| line.contains(name));
        found.ok_or_else(|| format!("the trace has no mark {name}"))
    };
    let (begin, end) = (mark(BEGIN)?, mark(END)?);
    let lines = || log.lines().skip(begin + 1).take(end.saturating_sub(begin + 1));
    let thread = |line: &str| line.split_whitespace().next().map(str::to_owned);
    let committing = log.lines().nth(begin).and_then(thread);
    let mut trace = Trace::default();
    let mut through = BTreeSet::new();
    for line in log.lines().take(begin) {
        note_descriptor(line, &mut through);
    }
    let mut unfinished = BTreeMap::new();
    for line in lines() {
        note_descriptor(line, &mut through);
        let Some((tid, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        // A call that another thread's interrupted is written in two parts; the first names the file.
        let call = if let Some(first) = rest.strip_suffix("<unfinished ...>") {
            unfinished.insert(tid.to_owned(), first.to_owned());
            continue;
        } else if rest.starts_with("<... ") {
            let first = unfinished.remove(tid).unwrap_or_default();
            format!("{first}{rest}")
        } else {
            rest.to_owned()
        };
        let ours = Some(tid) == committing.as_deref();
        let counted = if ours { &mut trace.commits } else { &mut trace.others };
        count(&call, home, &through, counted, &mut trace.unsynced_bytes);
    }
    Ok(trace)
}

/// Remembers descriptors through which every write is synced.
fn note_descriptor(line: &str, through: &mut BTreeSet<String>) {
    let number = |text: &str| text.split(['<', ')', ' ']).next().map(str::to_owned);
    if let Some((arguments, opened)) = line.split_once("openat(").and_then(|(_, rest)| rest.split_once(" = "))
        && let Some(descriptor) = number(opened)
    {
        if arguments.contains("O_DSYNC") || arguments.contains("O_SYNC") {
            through.insert(descriptor);
        } else {
            through.remove(&descriptor);
        }
    } else if let Some(descriptor) = line.split_once(" close(").and_then(|(_, rest)| number(rest)) {
        through.remove(&descriptor);
    }
}

/// Counts one call.
fn count(call: &str, home: &str, through: &BTreeSet<String>, counted: &mut Calls, unsynced: &mut u64) {
    let (name, arguments) = call.split_once('(').unwrap_or((call, ""));
    let result = call.rsplit_once(" = ").map_or("", |(_, result)| result);
    let result: u64 = result.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0);
    let on_file = arguments.contains(home);
    match name {
        "fsync" | "fdatasync" | "syncfs" if on_file => {
            counted.syncs += 1;
            *unsynced = 0;
        }
        "msync" if arguments.contains("MS_SYNC") => {
            counted.syncs += 1;
            *unsynced = 0;
        }
        "sync" => {
            counted.syncs += 1;
            *unsynced = 0;
        }
        "sync_file_range" if on_file => counted.range_syncs += 1,
        "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2" | "sendfile" | "copy_file_range"
            if on_file =>
        {
            counted.writes += 1;
            counted.bytes += result;
            let descriptor = arguments.split('<').next().unwrap_or_default();
            let synced = arguments.contains("RWF_DSYNC") || arguments.contains("RWF_SYNC");
            if synced || through.contains(descriptor) {
                counted.syncs += 1;
            } else {
                *unsynced += result;
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = r#"
10 openat(AT_FDCWD</t>, "/t/h/meta", O_WRONLY|O_DSYNC|O_CLOEXEC) = 7</t/h/meta>
10 openat(AT_FDCWD</t>, "/t/h/log", O_RDWR|O_DSYNC|O_CLOEXEC) = 5</t/h/log>
10 close(5</t/h/log>) = 0
10 openat(AT_FDCWD</t>, "/t/h/log", O_RDWR|O_CLOEXEC) = 5</t/h/log>
10 pwrite64(5</t/h/log>, ""..., 9, 0) = 9
10 statx(AT_FDCWD, "persist-bench-begin", 0, STATX_ALL, NULL) = -1 ENOENT (No such file or directory)
10 pwrite64(5</t/h/log>, ""..., 100, 0) = 100
11 write(3</t/other>, ""..., 8)        = 8
10 pwrite64(7</t/h/meta>, ""..., 16, 0) = 16
10 fdatasync(5</t/h/log> <unfinished ...>
11 pwrite64(6</t/h/next>, ""..., 4096, 0 <unfinished ...>
10 <... fdatasync resumed>)            = 0
11 <... pwrite64 resumed>)             = 4096
11 fsync(6</t/h/next>)                 = 0
10 pwrite64(5</t/h/log>, ""..., 50, 100) = 50
10 sync_file_range(5</t/h/log>, 100, 50, SYNC_FILE_RANGE_WRITE) = 0
10 statx(AT_FDCWD, "persist-bench-end", 0, STATX_ALL, NULL) = -1 ENOENT (No such file or directory)
10 fdatasync(5</t/h/log>) = 0
"#;

    #[test]
    fn calls_between_the_marks_are_counted_by_thread() {
        let trace = parse(LOG.trim_start(), "/t/h").unwrap();
        assert_eq!(trace.commits, Calls { syncs: 2, range_syncs: 1, writes: 3, bytes: 166 });
        assert_eq!(trace.others, Calls { syncs: 1, range_syncs: 0, writes: 1, bytes: 4096 });
        assert_eq!(trace.unsynced_bytes, 50, "a range sync is none");
        assert!(parse("1 write(1</t>, 0) = 0\n", "/t").is_err());
    }
}
