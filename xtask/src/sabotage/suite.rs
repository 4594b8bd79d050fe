//! The tests that must see a sabotage.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{SWITCH, Tree};
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

/// One program of tests.
struct Program {
    package: &'static str,
    which: &'static [&'static str],
    filter: &'static str,
    /// It takes seconds.
    is_quick: bool,
}

/// Those of flatfile, the quick ones first.
static FLATFILE: [Program; 6] = [
    Program { package: "persist-flatfile", which: &["--lib"], filter: "", is_quick: true },
    Program { package: "persist-flatfile", which: &["--test", "it"], filter: "full", is_quick: true },
    Program {
        package: "persist-flatfile",
        which: &["--test", "it"],
        filter: "sim::headless",
        is_quick: true,
    },
    Program { package: "persist-flatfile", which: &["--test", "it"], filter: "simulated::", is_quick: false },
    Program { package: "persist-flatfile", which: &["--test", "it"], filter: "sim::", is_quick: false },
    Program { package: "persist-flatfile", which: &["--test", "reader"], filter: "", is_quick: false },
];
static IO: [Program; 2] = [
    Program { package: "persist-io", which: &["--lib"], filter: "", is_quick: true },
    Program { package: "persist-io", which: &["--test", "it"], filter: "", is_quick: false },
];

/// The built programs of a suite, in the order in which they are asked.
pub(super) struct Built(Vec<Ready>);

struct Ready {
    program: &'static Program,
    path: PathBuf,
    /// How long it may take.
    patience: Duration,
}

impl Suite {
    /// Builds the tests in a tree: all, or those that are quick.
    pub(super) fn build(self, tree: &Tree, quick: bool) -> Result<Built, String> {
        let programs: &'static [Program] = match self {
            Self::Flatfile => &FLATFILE,
            Self::Io => &IO,
        };
        let ready = |program| Ok(Ready { program, path: program.build(tree)?, patience: LONGEST });
        programs
            .iter()
            .filter(|program| program.is_quick || !quick)
            .map(ready)
            .collect::<Result<_, String>>()
            .map(Built)
    }
}

impl Built {
    /// Runs the tests with nothing switched on, and learns how long they take.
    pub(super) fn healthy(&mut self, tree: &Tree) -> Result<(), String> {
        for ready in &mut self.0 {
            let start = Instant::now();
            if let Some(test) = ready.run(tree, None)? {
                return Err(format!("{test} fails without any sabotage"));
            }
            ready.patience = start.elapsed() * PATIENCE + Duration::from_secs(60);
        }
        Ok(())
    }

    /// The first test that fails with one sabotage switched on.
    pub(super) fn failing(&self, tree: &Tree, name: &str) -> Result<Option<String>, String> {
        for ready in &self.0 {
            if let Some(test) = ready.run(tree, Some(name))? {
                return Ok(Some(test));
            }
        }
        Ok(None)
    }
}

impl Program {
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
    /// The name of the first test that fails, if one does; the others are not waited for.
    fn run(&self, tree: &Tree, on: Option<&str>) -> Result<Option<String>, String> {
        let Self { program, path, patience } = self;
        let mut run = Command::new(path);
        let dir = tree.dir.join("crates").join(program.package);
        run.arg(program.filter).current_dir(&dir).env("CARGO_MANIFEST_DIR", &dir).env_remove(SWITCH);
        if let Some(on) = on {
            run.env(SWITCH, on);
        }
        run.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = run.spawn().map_err(|error| format!("cannot run {}: {error}", path.display()))?;
        let Some(out) = child.stdout.take() else { return Err("no output".to_owned()) };
        let (tell, told) = std::sync::mpsc::channel();
        let reading = std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let failed = line.strip_prefix("test ").and_then(|line| line.strip_suffix(" ... FAILED"));
                if let Some(test) = failed {
                    let _ = tell.send(test.to_owned());
                    return;
                }
            }
        });
        let failed = match told.recv_timeout(*patience) {
            Ok(test) => Some(test),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                Some(format!("{}, which did not end in {} s", program.which.join(" "), patience.as_secs()))
            }
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => None,
        };
        if failed.is_some() {
            // It may have ended by itself.
            let _ = child.kill();
        }
        let ended = child.wait().map_err(|error| format!("cannot wait for {}: {error}", path.display()))?;
        let _ = reading.join();
        let crashed =
            (!ended.success()).then(|| format!("{}, which ended with {ended}", program.which.join(" ")));
        Ok(failed.or(crashed))
    }
}
