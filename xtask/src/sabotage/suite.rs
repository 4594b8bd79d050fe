//! The tests that must see a sabotage.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{SWITCH, Sabotage, Tree};
use crate::shell::{cargo, output_of};

/// No program of tests takes longer while nothing is broken.
const LONGEST: Duration = Duration::from_secs(1800);
/// A search that fails makes its find smaller before it says so. It may take so many times as long as without sabotage.
const PATIENCE: u32 = 4;

/// Whose tests are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suite {
    Flatfile,
    Io,
}

/// Who has to see a sabotage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// The test that the table names.
    Name,
    /// Any test, the quick ones first.
    Any,
}

/// Some tests of a program.
struct Part {
    package: &'static str,
    which: &'static [&'static str],
    filter: &'static str,
}

const fn flatfile(which: &'static [&'static str], filter: &'static str) -> Part {
    Part { package: "persist-flatfile", which, filter }
}

const fn io(which: &'static [&'static str]) -> Part {
    Part { package: "persist-io", which, filter: "" }
}

static FLATFILE: [Part; 3] =
    [flatfile(&["--lib"], ""), flatfile(&["--test", "it"], ""), flatfile(&["--test", "reader"], "")];
/// The same, the quick ones first.
static FLATFILE_IN_ORDER: [Part; 6] = [
    flatfile(&["--lib"], ""),
    flatfile(&["--test", "it"], "full"),
    flatfile(&["--test", "it"], "sim::headless"),
    flatfile(&["--test", "it"], "simulated::"),
    flatfile(&["--test", "it"], "sim::"),
    flatfile(&["--test", "reader"], ""),
];
static IO: [Part; 2] = [io(&["--lib"]), io(&["--test", "it"])];

/// The built tests of a suite, in the order in which they are asked.
pub(super) struct Built {
    by: By,
    parts: Vec<Ready>,
}

struct Ready {
    part: &'static Part,
    path: PathBuf,
    /// How long it may take.
    patience: Duration,
}

/// What running tests came to.
#[derive(Default)]
struct Ran {
    passed: BTreeSet<String>,
    failed: Option<String>,
}

impl Suite {
    /// Builds the tests in a tree.
    pub(super) fn build(self, tree: &Tree, by: By) -> Result<Built, String> {
        let parts: &'static [Part] = match (self, by) {
            (Self::Flatfile, By::Name) => &FLATFILE,
            (Self::Flatfile, By::Any) => &FLATFILE_IN_ORDER,
            (Self::Io, _) => &IO,
        };
        let ready = |part: &'static Part| Ok(Ready { part, path: part.build(tree)?, patience: LONGEST });
        Ok(Built { by, parts: parts.iter().map(ready).collect::<Result<_, String>>()? })
    }
}

impl Built {
    /// Runs the tests with nothing switched on, of those that `sabotages` name each, and learns how long they take.
    pub(super) fn healthy(&mut self, tree: &Tree, sabotages: &[&Sabotage]) -> Result<(), String> {
        let named = sabotages.iter().map(|sabotage| sabotage.seen_by).filter(|_| self.by == By::Name);
        let mut names: BTreeSet<&str> = named.collect();
        for ready in &mut self.parts {
            if self.by == By::Name && names.is_empty() {
                break;
            }
            let start = Instant::now();
            let asked: Vec<&str> = match self.by {
                By::Name => std::iter::once("--exact").chain(names.iter().copied()).collect(),
                By::Any => vec![ready.part.filter],
            };
            let ran = ready.run(tree, &asked, None)?;
            if let Some(test) = ran.failed {
                return Err(format!("{test} fails without any sabotage"));
            }
            names.retain(|name| !ran.passed.contains(*name));
            ready.patience = start.elapsed() * PATIENCE + Duration::from_secs(60);
        }
        match names.first() {
            Some(name) => Err(format!("the table names a test that there is not: {name}")),
            None => Ok(()),
        }
    }

    /// The test that fails with a sabotage switched on: the one that it names, or the first.
    pub(super) fn failing(&self, tree: &Tree, sabotage: &Sabotage) -> Result<Option<String>, String> {
        for ready in &self.parts {
            let asked = match self.by {
                By::Name => &["--exact", sabotage.seen_by][..],
                By::Any => &[ready.part.filter],
            };
            match ready.run(tree, asked, Some(sabotage.name))?.failed {
                Some(other) if self.by == By::Name && other != sabotage.seen_by => {
                    return Err(format!("{}: not seen by {}, but {other}", sabotage.name, sabotage.seen_by));
                }
                None => {}
                failed => return Ok(failed),
            }
        }
        Ok(None)
    }
}

impl Part {
    fn build(&self, tree: &Tree) -> Result<PathBuf, String> {
        let mut build =
            cargo(&["test", "--no-run", "--quiet", "--message-format=json", "--package", self.package]);
        build.args(self.which).current_dir(&tree.dir).env("CARGO_TARGET_DIR", &tree.target);
        // Unoptimised the searches would take too long, fully optimised the builds; and nobody steps through this.
        for setting in [
            "persist-flatfile.debug=false",
            "persist-flatfile.opt-level=1",
            "persist-io.debug=false",
            "persist-io.opt-level=1",
        ] {
            build.args(["--config", &format!("profile.dev.package.{setting}")]);
        }
        let (text, built) = output_of(build.env("CARGO_INCREMENTAL", "1"))?;
        let messages = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let mut programs = messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
        programs
            .next_back()
            .filter(|_| built)
            .ok_or_else(|| format!("the tests of {} do not build", self.package))
    }
}

impl Ready {
    /// Runs what is asked for until a test fails; the others are not waited for.
    fn run(&self, tree: &Tree, asked: &[&str], on: Option<&str>) -> Result<Ran, String> {
        let Self { part, path, patience } = self;
        let mut run = Command::new(path);
        let dir = tree.dir.join("crates").join(part.package);
        run.args(asked).current_dir(&dir).env("CARGO_MANIFEST_DIR", &dir).env_remove(SWITCH);
        if let Some(on) = on {
            run.env(SWITCH, on);
        }
        run.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = run.spawn().map_err(|error| format!("cannot run {}: {error}", path.display()))?;
        let Some(out) = child.stdout.take() else { return Err("no output".to_owned()) };
        let (tell, told) = std::sync::mpsc::channel();
        let reading = std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let Some(line) = line.strip_prefix("test ") else { continue };
                let ended = [(" ... ok", true), (" ... FAILED", false)];
                for (test, passed) in
                    ended.into_iter().filter_map(|(end, ok)| Some((line.strip_suffix(end)?, ok)))
                {
                    // Nobody listens any more once one has failed.
                    let _ = tell.send((test.to_owned(), passed));
                }
            }
        });
        let mut ran = Ran::default();
        let end = Instant::now() + *patience;
        while ran.failed.is_none() {
            match told.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok((test, true)) => _ = ran.passed.insert(test),
                Ok((test, false)) => ran.failed = Some(test),
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    let seconds = patience.as_secs();
                    ran.failed = Some(format!("{}, which did not end in {seconds} s", part.which.join(" ")));
                }
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
            }
        }
        if ran.failed.is_some() {
            // It may have ended by itself.
            let _ = child.kill();
        }
        let ended = child.wait().map_err(|error| format!("cannot wait for {}: {error}", path.display()))?;
        let _ = reading.join();
        if ran.failed.is_none() && !ended.success() {
            ran.failed = Some(format!("{}, which ended with {ended}", part.which.join(" ")));
        }
        Ok(ran)
    }
}
