//! strace makes system calls of the real command on the real file system fail, and kills it at them: the n-th call of each
//! kind, for every n until the command no longer gets that far. Whatever was acknowledged must then be there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::shell::Outcome;

/// What is done to which call.
const FAULTS: [(&str, &str); 9] = [
    ("fdatasync", "error=EIO"),
    ("fsync", "error=EIO"),
    ("pwrite64", "error=EIO"),
    ("pwrite64", "error=ENOSPC"),
    ("rename", "error=EIO"),
    ("fdatasync", "signal=KILL"),
    ("pwrite64", "signal=KILL"),
    ("rename", "signal=KILL"),
    ("unlink", "signal=KILL"),
];
/// No command makes so many calls of a kind in one thread.
const CALLS_MAX: u32 = 60;

/// Strikes every call of the command `program`.
pub(super) fn run(program: &Path) -> Outcome {
    let dir = std::env::temp_dir().join(format!("persist-outside-{}", std::process::id()));
    std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut patient = Patient { program: program.to_owned(), dir, acknowledged: BTreeMap::new(), hits: 0 };
    let done = patient.everything();
    // Where something was found the store is kept, to be looked at.
    if done.is_ok() {
        let _ = std::fs::remove_dir_all(&patient.dir);
    }
    done
}

/// A store, and what its commands have promised.
struct Patient {
    program: PathBuf,
    dir: PathBuf,
    acknowledged: BTreeMap<String, String>,
    hits: u32,
}

impl Patient {
    fn everything(&mut self) -> Outcome {
        self.must(&["init", "--store", "flatfile:store"])?;
        for (call, fault) in FAULTS {
            let before = self.hits;
            for command in ["put", "checkpoint", "compact"] {
                let mut at = 1;
                while at <= CALLS_MAX && self.strike(command, call, fault, at)? {
                    at += 1;
                }
            }
            self.must(&["verify"])?;
            println!("R6: {call} {fault}: {} places, nothing acknowledged is missing", self.hits - before);
        }
        if self.hits < 50 {
            return Err(format!("only {} calls were struck: strace does not do what it is told", self.hits));
        }
        Ok(())
    }

    /// Runs a command with one call struck; false when it did not get that far.
    fn strike(&mut self, command: &str, call: &str, fault: &str, at: u32) -> Result<bool, String> {
        let key = format!("{call}-{}-{command}-{at}", fault.replace('=', "-"));
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o", "trace", "-e", &format!("trace={call}")]);
        strace.args(["-e", &format!("inject={call}:{fault}:when={at}")]).arg(&self.program).arg(command);
        if command == "put" {
            strace.args([&key, &key]);
        }
        let output = self.finish(&mut strace)?;
        let trace = std::fs::read_to_string(self.dir.join("trace")).map_err(|error| error.to_string())?;
        let struck = trace.contains("INJECTED") || trace.contains("killed by SIGKILL");
        self.hits += u32::from(struck);
        if !struck && !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{command} fails after {call} {fault} was struck {} times: {said}", at - 1));
        }
        if command == "put" && output.status.success() {
            self.acknowledged.insert(key.clone(), key.clone());
        }
        self.check(&key)?;
        Ok(struck)
    }

    /// What was acknowledged is there, and nothing else but the one that was under way, which is then there for good.
    fn check(&mut self, under_way: &str) -> Outcome {
        let text = self.must(&["scan", "--json"])?;
        let mut found = BTreeMap::new();
        for line in text.lines() {
            let record: serde_json::Value =
                serde_json::from_str(line).map_err(|error| format!("{line}: {error}"))?;
            if let (Some(key), Some(value)) = (record["key"].as_str(), record["value"].as_str()) {
                found.insert(key.to_owned(), value.to_owned());
            }
        }
        if let Some(value) = found.get(under_way) {
            self.acknowledged.insert(under_way.to_owned(), value.clone());
        }
        if found == self.acknowledged {
            return Ok(());
        }
        let missing: Vec<_> =
            self.acknowledged.iter().filter(|(key, value)| found.get(*key) != Some(value)).collect();
        Err(format!("after {under_way} in {}: missing or different: {missing:?}", self.dir.display()))
    }

    /// Runs a command that nothing is done to.
    fn must(&self, words: &[&str]) -> Result<String, String> {
        let output = self.finish(Command::new(&self.program).args(words))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{} in {}: {said}", words.join(" "), self.dir.display()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn finish(&self, command: &mut Command) -> Result<Output, String> {
        let run = command.current_dir(&self.dir).env_remove("PERSIST_STORE").stdin(Stdio::null()).output();
        run.map_err(|error| format!("{command:?}: {error}"))
    }
}
