//! `cargo xtask sanitize`: what watches the tests of the storage engine from below (R11 of `docs/testing.md`): sanitizers of
//! memory and of threads, and Miri. They need a nightly toolchain, two of them a component of it as well; what is missing is
//! installed where that is allowed, and told where it is not.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::shell::{Outcome, output, root, run as shown};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// One that watches.
struct Watch {
    name: &'static str,
    /// The component of nightly that it needs.
    component: Option<&'static str>,
    environment: (&'static str, &'static str),
    /// The command of cargo, and what it is told.
    command: &'static [&'static str],
    /// What it watches: packages and targets.
    tests: &'static [&'static [&'static str]],
    /// The tests among the first of those for which there is always time.
    few: &'static [&'static str],
}

const FLATFILE: &[&str] = &["--package", "persist-flatfile", "--lib"];
const IO: &[&str] = &["--package", "persist-io", "--lib"];
/// The suite with tiny tables and threads of upkeep.
const BUSY: &[&str] =
    &["--package", "persist-flatfile", "--test", "it", "--", "busy::conformance", "beside::"];
const CODEC_AND_PINS: &[&str] = &[
    "--package",
    "persist-flatfile",
    "--lib",
    "--",
    "memtable::appended",
    "memtable::index",
    "coding::",
    "pins::",
    "run::block",
];
/// Commits, transactions, views, feed and swaps from real threads: the unit tests have schedules of their own instead.
const STORE: &[&str] = &[
    "--package",
    "persist-store",
    "--test",
    "it",
    "--",
    "group::",
    "queue::",
    "futures::",
    "transact::",
    "views::",
    "feed::",
    "swp_03",
];

const WATCHES: [Watch; 3] = [
    Watch {
        name: "Miri: what the language forbids",
        component: Some("miri"),
        environment: ("MIRIFLAGS", "-Zmiri-disable-isolation"),
        command: &["miri", "test"],
        // It cannot do what touches real files, and takes hundreds of times as long: the codec, the list and the index that readers share, pins.
        tests: &[CODEC_AND_PINS],
        few: &["memtable::appended", "memtable::index", "coding::", "pins::", "run::block"],
    },
    Watch {
        name: "the thread sanitizer, in a standard library of its own",
        component: Some("rust-src"),
        environment: ("RUSTFLAGS", "-Zsanitizer=thread"),
        command: &["test", "-Zbuild-std", "--target", TARGET],
        tests: &[FLATFILE, IO, BUSY, STORE],
        few: &["memtable::", "maintain::", "tables_tests::", "timeline::writer"],
    },
    Watch {
        name: "the address and leak sanitizers",
        component: None,
        environment: ("RUSTFLAGS", "-Zsanitizer=address"),
        command: &["test", "--target", TARGET],
        tests: &[FLATFILE, IO, BUSY],
        few: &["run::", "payload::", "memtable::"],
    },
];

/// All of it, or a few tests for each.
pub(crate) fn run(all: bool) -> Outcome {
    let nightly = format!("nightly-{TARGET}");
    if !asked(&["toolchain", "list"]).lines().any(|line| line.starts_with(&nightly)) {
        println!("R11: absent: no nightly toolchain is installed (rustup toolchain install nightly)");
        return Ok(());
    }
    for watch in &WATCHES {
        if let Some(component) = watch.component.filter(|component| !has(component)) {
            println!("R11: absent: {} (rustup component add {component} --toolchain nightly)", watch.name);
            continue;
        }
        let few = [FLATFILE, &["--"], watch.few].concat();
        let tests = if all { watch.tests } else { &[few.as_slice()] };
        for tests in tests {
            println!("R11: {}: {}", watch.name, tests.join(" "));
            watch.run(tests)?;
        }
    }
    Ok(())
}

impl Watch {
    fn run(&self, tests: &[&str]) -> Outcome {
        if let Some(at) = tests.iter().position(|word| *word == "--") {
            // A filter that fits no test would pass.
            let listed = output(self.test(tests).arg("--list"))?;
            if let Some(filter) = tests[at + 1..].iter().find(|filter| !listed.contains(**filter)) {
                return Err(format!("no test has {filter} in its name"));
            }
        }
        shown(&mut self.test(tests))
    }

    fn test(&self, tests: &[&str]) -> Command {
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
        // Not the cargo that runs this: it would keep its own toolchain.
        let mut test = Command::new("cargo");
        test.arg("+nightly").args(self.command).args(tests).current_dir(root());
        test.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").env_remove("RUSTC");
        test.env("CARGO_TARGET_DIR", target.join("sanitize")).env(self.environment.0, self.environment.1);
        test.env("TSAN_OPTIONS", format!("suppressions={}", root().join("xtask/tsan.supp").display()));
        test
    }
}

/// Whether nightly has a component, installing it where that is allowed.
fn has(component: &str) -> bool {
    let installed = || {
        let all = asked(&["component", "list", "--toolchain", "nightly", "--installed"]);
        all.lines().any(|line| line.starts_with(component))
    };
    if !installed() {
        asked(&["component", "add", component, "--toolchain", "nightly"]);
    }
    installed()
}

/// What rustup answers; nothing where it cannot.
fn asked(arguments: &[&str]) -> String {
    let mut ask = Command::new("rustup");
    ask.args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
    ask.output().map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}
