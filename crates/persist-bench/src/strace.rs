//! Counting system calls from outside, so that no library can be wrong about itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::contender::{Result, text};

/// Calls that matter. `sync_file_range` is traced, but it does not flush the device, so it is not a sync.
const CALLS: &str = "trace=fsync,fdatasync,msync,sync,syncfs,sync_file_range,write,pwrite64,writev,pwritev,pwritev2,\
                     sendfile,copy_file_range,openat,close,mmap,munmap,rename,renameat,renameat2,unlink,unlinkat,\
                     statx,stat,newfstatat,io_uring_enter";
/// Asking for a file of this name marks the beginning of what is counted.
pub(crate) const BEGIN: &str = "persist-bench-begin";
/// And this each return of a commit: what it wrote must be synced.
pub(crate) const COMMITTED: &str = "persist-bench-committed";
/// And this the end.
pub(crate) const END: &str = "persist-bench-end";
/// What SQLite makes anew from its log after a crash; it extends it by writing and syncs it never.
const MADE_ANEW: &str = "-shm";

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
    /// Commits that returned.
    pub(crate) returned: u64,
    /// Those of them that returned without a sync, or while bytes were not synced that those who commit had written: the
    /// thread that got the commit back, and the one that syncs more often than it, if there is one.
    pub(crate) at_risk: u64,
}

/// Runs a command, which marks beginning, commits and end by asking for files of those names, and counts what it does to
/// files below `home`.
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
    let calls = calls(log);
    let mark = |name: &str| {
        let found = calls.iter().position(|call| call.marks(name));
        found.ok_or_else(|| format!("the trace has no mark {name}"))
    };
    let (begin, end) = (mark(BEGIN)?, mark(END)?);
    let committing = &calls[begin].thread;
    let mut files = Files { home, ..Files::default() };
    for call in &calls[..begin] {
        files.take(call);
    }
    files.unsynced.clear();
    let counted: Vec<(&Call, Calls, Vec<Write>)> = calls[begin..end]
        .iter()
        .map(|call| {
            let done = files.take(call);
            // What is at stake when a commit returns; who commits is not known before all syncs are counted.
            let left = if call.marks(COMMITTED) { files.unsynced.clone() } else { Vec::new() };
            (call, done, left)
        })
        .collect();
    let mut syncs: BTreeMap<&str, u64> = BTreeMap::new();
    let mut trace = Trace::default();
    for (call, done, _) in &counted {
        *syncs.entry(&call.thread).or_default() += done.syncs;
        let all = if call.thread == *committing { &mut trace.commits } else { &mut trace.others };
        all.syncs += done.syncs;
        all.range_syncs += done.range_syncs;
        all.writes += done.writes;
        all.bytes += done.bytes;
    }
    // A helper thread commits for all, where awaiting is not done by committing.
    let helper = syncs.into_iter().filter(|(_, syncs)| *syncs > trace.commits.syncs).max_by_key(|it| it.1);
    let commits = |thread: &str| thread == committing || helper.is_some_and(|(name, _)| name == thread);
    let mut is_synced = false;
    for (call, done, left) in &counted {
        is_synced |= done.syncs > 0 && commits(&call.thread);
        if call.marks(COMMITTED) {
            trace.returned += 1;
            let is_safe = is_synced && !left.iter().any(|write| commits(&write.thread));
            trace.at_risk += u64::from(!is_safe);
            is_synced = false;
        }
    }
    Ok(trace)
}

/// One call.
#[derive(Debug)]
struct Call {
    thread: String,
    /// As strace shows it, in one piece.
    text: String,
    /// The lines at which it was made and at which it returned.
    begun: usize,
    ended: usize,
}

/// All calls in the order in which they returned; marks in that in which they were made.
fn calls(log: &str) -> Vec<Call> {
    let (mut calls, mut unfinished) = (Vec::new(), BTreeMap::new());
    for (at, line) in log.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        let (mut begun, mut text) = (at, rest.to_owned());
        // A call that another thread's interrupted is written in two parts; the first names the file.
        if let Some(first) = rest.strip_suffix("<unfinished ...>") {
            unfinished.insert(thread, (at, first));
            continue;
        } else if rest.starts_with("<... ") {
            let Some((line, first)) = unfinished.remove(thread) else { continue };
            let second = rest.split_once("resumed>").map_or("", |(_, second)| second);
            (begun, text) = (line, format!("{first}{second}"));
        }
        calls.push(Call { thread: thread.to_owned(), text, begun, ended: at });
    }
    let is_mark = |call: &Call| [BEGIN, COMMITTED, END].iter().any(|name| call.marks(name));
    calls.sort_by_key(|call| if is_mark(call) { call.begun } else { call.ended });
    calls
}

impl Call {
    fn marks(&self, name: &str) -> bool {
        self.text.contains(&format!("\"{name}\""))
    }

    /// Its name and its arguments.
    fn parts(&self) -> (&str, &str) {
        let call = self.text.rsplit_once(" = ").map_or(&*self.text, |(call, _)| call);
        call.split_once('(').unwrap_or((call, ""))
    }

    /// What it gave; `None` if it failed or never returned.
    fn result(&self) -> Option<u64> {
        number(self.text.rsplit_once(" = ")?.1)
    }

    /// The files that its arguments name with absolute paths, or below the directory of the argument before.
    fn names(&self) -> Vec<String> {
        let pieces: Vec<&str> = self.parts().1.split('"').collect();
        let named = |pair: &[&str]| {
            let directory = pair[0].rsplit_once('<').and_then(|(_, rest)| rest.split_once('>'));
            match directory {
                Some((directory, _)) if !pair[1].starts_with('/') => format!("{directory}/{}", pair[1]),
                _ => pair[1].to_owned(),
            }
        };
        pieces.chunks_exact(2).map(named).collect()
    }
}

/// The number at the beginning of a word.
fn number(word: &str) -> Option<u64> {
    let word = word.trim_start();
    let end = word.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(word.len());
    let word = &word[..end];
    word.strip_prefix("0x").map_or_else(|| word.parse().ok(), |hex| u64::from_str_radix(hex, 16).ok())
}

/// A write that no sync followed.
#[derive(Debug, Clone)]
struct Write {
    thread: String,
    file: String,
    /// The line at which it was done.
    done: usize,
}

/// What is known of the files below `home`.
#[derive(Default)]
struct Files<'h> {
    home: &'h str,
    /// Descriptors through which every write is synced.
    through: BTreeSet<u64>,
    /// Mappings of files: where each begins, how long it is, and of what.
    mapped: BTreeMap<u64, (u64, String)>,
    unsynced: Vec<Write>,
}

impl Files<'_> {
    /// Notes what a call does and counts it.
    fn take(&mut self, call: &Call) -> Calls {
        let mut done = Calls::default();
        let (name, arguments) = call.parts();
        let Some(result) = call.result() else { return done };
        let mut words = arguments.split(", ");
        let first = words.next().and_then(number).unwrap_or(0);
        let second = words.next().and_then(number).unwrap_or(0);
        let mut paths = arguments.split('<').skip(1).filter_map(|rest| Some(rest.split_once('>')?.0));
        // Of the two files of a copy, the second is written.
        let path = if name == "copy_file_range" { paths.nth(1) } else { paths.next() };
        let file = path.filter(|path| {
            path.strip_prefix(self.home).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        match (name, file) {
            ("openat", _) => {
                self.through.remove(&result);
                if arguments.contains("O_DSYNC") || arguments.contains("O_SYNC") {
                    self.through.insert(result);
                }
            }
            ("close", _) => {
                self.through.remove(&first);
            }
            ("mmap", Some(file)) => drop(self.mapped.insert(result, (second, file.to_owned()))),
            ("munmap", _) => drop(self.mapped.remove(&first)),
            ("rename" | "renameat" | "renameat2", _) => {
                if let [from, to] = &call.names()[..] {
                    self.forget(to);
                    for write in self.unsynced.iter_mut().filter(|write| write.file == *from) {
                        write.file.clone_from(to);
                    }
                }
            }
            ("unlink" | "unlinkat", _) => call.names().iter().for_each(|name| self.forget(name)),
            ("fsync" | "fdatasync", Some(file)) => {
                done.syncs = 1;
                self.unsynced.retain(|write| write.file != file || write.done >= call.begun);
            }
            ("syncfs", Some(_)) | ("sync", _) => {
                done.syncs = 1;
                self.unsynced.retain(|write| write.done >= call.begun);
            }
            // What was written through descriptors it need not reach, for it syncs a part of a mapping.
            ("msync", _) if arguments.contains("MS_SYNC") => {
                let mapping = self.mapped.range(..=first).next_back();
                done.syncs = u64::from(mapping.is_some_and(|(start, (length, _))| first - start < *length));
            }
            ("sync_file_range", Some(_)) => done.range_syncs = 1,
            (
                "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2" | "sendfile" | "copy_file_range",
                Some(file),
            ) => {
                (done.writes, done.bytes) = (1, result);
                if arguments.contains("RWF_DSYNC")
                    || arguments.contains("RWF_SYNC")
                    || self.through.contains(&first)
                {
                    done.syncs = 1;
                } else if !file.ends_with(MADE_ANEW) && !arguments.contains(">(deleted)") {
                    let (thread, file) = (call.thread.clone(), file.to_owned());
                    self.unsynced.push(Write { thread, file, done: call.ended });
                }
            }
            _ => {}
        }
        done
    }

    /// What was written to a file that is there no longer.
    fn forget(&mut self, file: &str) {
        self.unsynced.retain(|write| write.file != file);
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
10 statx(AT_FDCWD</t>, "persist-bench-begin", 0, STATX_ALL, NULL) = -1 ENOENT (No such file or directory)
10 pwrite64(5</t/h/log>, ""..., 100, 0) = 100
11 write(3</t/other>, ""..., 8)        = 8
11 write(3</t/home-of-others>, ""..., 8) = 8
10 pwrite64(7</t/h/meta>, ""..., 16, 0) = 16
10 fdatasync(5</t/h/log> <unfinished ...>
11 pwrite64(6</t/h/next>, ""..., 4096, 0 <unfinished ...>
10 <... fdatasync resumed>)            = 0
11 <... pwrite64 resumed>)             = 4096
11 fsync(6</t/h/next>)                 = 0
10 statx(AT_FDCWD</t>, "persist-bench-committed", 0, STATX_ALL, NULL) = -1 ENOENT (No such file or directory)
10 pwrite64(5</t/h/log>, ""..., 50, 100) = 50
10 sync_file_range(5</t/h/log>, 100, 50, SYNC_FILE_RANGE_WRITE) = 0
10 fdatasync(5</t/h/log>) = -1 EIO (Input/output error)
10 statx(AT_FDCWD</t>, "persist-bench-committed", 0, STATX_ALL, NULL) = -1 ENOENT (No such file or directory)
10 statx(AT_FDCWD</t>, "persist-bench-end", 0, STATX_ALL, NULL) = -1 ENOENT (No such file or directory)
10 fdatasync(5</t/h/log>) = 0
"#;

    #[test]
    fn calls_between_the_marks_are_counted_by_thread() {
        let trace = parse(LOG.trim_start(), "/t/h").unwrap();
        assert_eq!(trace.commits, Calls { syncs: 2, range_syncs: 1, writes: 3, bytes: 166 });
        assert_eq!(trace.others, Calls { syncs: 1, range_syncs: 0, writes: 1, bytes: 4096 });
        assert_eq!((trace.returned, trace.at_risk), (2, 1), "neither a range sync nor one that fails is one");
        assert!(parse("1 write(1</t>, 0) = 0\n", "/t").is_err());
    }

    /// How many commits are at risk of so many, each of which makes these calls, the last of which is its return.
    fn at_risk(commits: &[&[&str]]) -> (u64, u64) {
        let mark = |name: &str| format!("1 statx(AT_FDCWD</t>, \"{name}\", 0) = -1 ENOENT (None)\n");
        let mut log = mark(BEGIN);
        for calls in commits {
            log.extend(calls.iter().map(|call| format!("{call}\n")));
            log += &mark(COMMITTED);
        }
        let trace = parse(&(log + &mark(END)), "/t/h").unwrap();
        assert_eq!(trace.returned, commits.len() as u64);
        (trace.at_risk, trace.returned)
    }

    const WRITE: &str = r#"1 write(5</t/h/log>, ""..., 100) = 100"#;
    const SYNC: &str = "1 fdatasync(5</t/h/log>) = 0";

    #[test]
    fn a_sync_is_of_its_own_file() {
        assert_eq!(at_risk(&[&[WRITE, SYNC], &[WRITE, SYNC]]), (0, 2));
        let other = "1 fdatasync(6</t/h/other>) = 0";
        assert_eq!(at_risk(&[&[WRITE, other], &[WRITE, other]]), (2, 2));
        for all in ["1 syncfs(6</t/h>) = 0", "1 sync() = 0"] {
            assert_eq!(at_risk(&[&[WRITE, all]]), (0, 1));
        }
    }

    #[test]
    fn every_return_counts_not_only_the_last() {
        assert_eq!(at_risk(&[&[WRITE], &[WRITE, SYNC]]), (1, 2), "the first is synced too late");
        assert_eq!(at_risk(&[&[WRITE, SYNC], &[], &[WRITE, SYNC]]), (1, 3), "the second does nothing");
        assert_eq!(at_risk(&[&[WRITE, SYNC], &[SYNC, WRITE]]), (1, 2), "the second writes after its sync");
    }

    #[test]
    fn a_sync_covers_what_was_written_before_it_began() {
        let begun = "2 fdatasync(5</t/h/log> <unfinished ...>";
        let done = "2 <... fdatasync resumed>) = 0";
        let own = [r#"1 write(6</t/h/o>, ""..., 1) = 1"#, "1 fdatasync(6</t/h/o>) = 0"];
        assert_eq!(at_risk(&[&[WRITE, begun, done, own[0], own[1]]]), (0, 1));
        assert_eq!(at_risk(&[&[begun, WRITE, done, own[0], own[1]]]), (1, 1));
    }

    #[test]
    fn what_other_threads_write_behind_is_no_part_of_a_commit() {
        let zeros = r#"2 pwrite64(5</t/h/log>, ""..., 4096, 8192) = 4096"#;
        assert_eq!(at_risk(&[&[WRITE, SYNC, zeros], &[zeros, WRITE, SYNC]]), (0, 2));
        // A helper commits for those who await: it syncs for each of them.
        let [write, sync] = [WRITE, SYNC].map(|call| call.replacen('1', "3", 1));
        assert_eq!(at_risk(&[&[&write, &sync, zeros], &[&write, &sync]]), (0, 2));
        assert_eq!(at_risk(&[&[&write, &sync, &write], &[&write, &sync]]), (1, 2));
        assert_eq!(at_risk(&[&[&write], &[&write]]), (2, 2));
    }

    #[test]
    fn libraries_that_write_elsewhere_than_they_sync_come_out_right() {
        let lmdb = [
            r#"1 openat(AT_FDCWD</t>, "/t/h/data.mdb", O_WRONLY|O_DSYNC) = 9</t/h/data.mdb>"#,
            r#"1 pwrite64(7</t/h/data.mdb>, ""..., 4096, 8192) = 4096"#,
            "1 fdatasync(7</t/h/data.mdb>) = 0",
            r#"1 pwrite64(9</t/h/data.mdb>, ""..., 64, 0) = 64"#,
        ];
        assert_eq!(at_risk(&[&lmdb, &lmdb]), (0, 2));
        let [open, pages, _, meta] = lmdb;
        assert_eq!(at_risk(&[&[open, pages, meta]]), (1, 1), "its meta page covers no other page");
        let index = r#"1 pwrite64(8</t/h/db-shm>, ""..., 1, 4095) = 1"#;
        assert_eq!(at_risk(&[&[WRITE, SYNC, index]]), (0, 1));
    }

    #[test]
    fn files_that_are_renamed_or_removed_are_followed() {
        let write = r#"1 write(6</t/h/new>, ""..., 1) = 1"#;
        for rename in [
            r#"1 rename("/t/h/new", "/t/h/kept") = 0"#,
            r#"1 renameat(4</t/h>, "new", AT_FDCWD</t>, "/t/h/kept") = 0"#,
        ] {
            assert_eq!(at_risk(&[&[WRITE, SYNC, write, rename]]), (1, 1));
            assert_eq!(at_risk(&[&[WRITE, SYNC, write, rename, "1 fsync(6</t/h/kept>) = 0"]]), (0, 1));
        }
        let removed = r#"1 unlinkat(4</t/h>, "new", 0) = 0"#;
        assert_eq!(at_risk(&[&[WRITE, SYNC, write, removed]]), (0, 1));
    }

    #[test]
    fn a_mapping_that_is_synced_has_to_be_of_a_file_of_the_store() {
        let map = |path: &str| format!("1 mmap(NULL, 8192, PROT_READ, MAP_SHARED, 4<{path}>, 0) = 0x7f0000");
        let sync = "1 msync(0x7f1000, 4096, MS_SYNC) = 0";
        assert_eq!(at_risk(&[&[&map("/t/h/data"), sync]]), (0, 1));
        assert_eq!(at_risk(&[&[&map("/t/other"), sync]]), (1, 1));
        assert_eq!(at_risk(&[&[&map("/t/h/data"), "1 munmap(0x7f0000, 8192) = 0", sync]]), (1, 1));
        assert_eq!(at_risk(&[&[&map("/t/h/data"), WRITE, sync]]), (1, 1), "nothing but its own pages");
    }
}
