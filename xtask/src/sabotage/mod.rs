//! `cargo xtask sabotage`: breaks the storage engine's own source, one patch at a time, and demands that a test sees it: the one
//! that the table names, or, with `--any`, whichever fails first.
//!
//! All patches are applied to a copy of the tree in `target/sabotage`, each behind a question to the environment whether it is
//! the one that is switched on. So everything is built once, and a patch costs no more than the tests until one fails.
//! A patch whose text is not found exactly once in its file is an error: the table follows the code.

mod suite;
mod table;

use std::path::PathBuf;
use std::time::Instant;

use crate::shell::{Outcome, output, read, root};
use suite::{By, Suite};

/// One way to break the source.
struct Sabotage {
    name: &'static str,
    /// What it breaks, in words.
    breaks: &'static str,
    file: &'static str,
    /// What is there, once in the file.
    text: &'static str,
    /// What comes in its place, `{on}` standing for the question whether this one is switched on.
    instead: &'static str,
    suite: Suite,
    /// A test that sees it, quickly and each time: none that draws other numbers in every run.
    seen_by: &'static str,
}

/// Reads the arguments: names of patches, all of them when none is named; before them `--any`.
pub(crate) fn run(words: &[&str]) -> Outcome {
    let (by, names) = match words {
        ["--any", names @ ..] => (By::Any, names),
        names => (By::Name, names),
    };
    let find = |name: &&str| {
        let known = || format!("no sabotage is called {name}; without a name all are tried");
        table::all().find(|sabotage| sabotage.name == *name).ok_or_else(known)
    };
    let chosen: Vec<&Sabotage> = match names {
        [] => table::all().collect(),
        names => names.iter().map(find).collect::<Result<_, _>>()?,
    };
    let tree = Tree::copy()?;
    let mut survivors = Vec::new();
    println!("| sabotage | what it breaks | seen by | after |\n|---|---|---|--:|");
    for suite in [Suite::Flatfile, Suite::Io] {
        let of_suite: Vec<&Sabotage> = chosen.iter().copied().filter(|it| it.suite == suite).collect();
        if of_suite.is_empty() {
            continue;
        }
        let mut built = suite.build(&tree, by)?;
        built.healthy(&tree, &of_suite)?;
        for sabotage in of_suite {
            let start = Instant::now();
            let seen = built.failing(&tree, sabotage)?;
            if seen.is_none() {
                survivors.push(sabotage.name);
            }
            let by = seen.map_or_else(|| "**nobody**".to_owned(), |test| format!("`{test}`"));
            println!("| {} | {} | {by} | {} s |", sabotage.name, sabotage.breaks, start.elapsed().as_secs());
        }
    }
    if survivors.is_empty() { Ok(()) } else { Err(format!("not seen: {}", survivors.join(", "))) }
}

/// What a patch asks to know whether it is the one.
const SWITCH: &str = "PERSIST_SABOTAGE";

impl Sabotage {
    /// Patches the text of its file.
    fn apply_to(&self, whole: &str) -> Result<String, String> {
        let Self { name, file, .. } = self;
        match whole.matches(self.text).count() {
            1 => {}
            times => {
                return Err(format!(
                    "{name}: its text is {times} times in {file}; the table must follow the code"
                ));
            }
        }
        let on = format!("std::env::var_os(\"{SWITCH}\").is_some_and(|on| on == \"{name}\")");
        Ok(whole.replace(self.text, &self.instead.replace("{on}", &format!("({on})"))))
    }
}

/// A file of the workspace with all its patches.
fn patched(file: &str) -> Result<String, String> {
    let whole = read(file)?;
    table::all()
        .filter(|sabotage| sabotage.file == file)
        .try_fold(whole, |text, sabotage| sabotage.apply_to(&text))
}

/// A copy of the workspace.
struct Tree {
    dir: PathBuf,
    target: PathBuf,
}

impl Tree {
    /// Copies what git knows of; files that are there already with the same bytes stay, so that nothing is built again.
    fn copy() -> Result<Self, String> {
        let target =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
        let within = target.join("sabotage");
        let tree = Self { dir: within.join("tree"), target: within.join("target") };
        let mut list = std::process::Command::new("git");
        let listed = output(
            list.args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(root()),
        )?;
        for name in listed.lines().filter(|name| !name.starts_with("docs/bench")) {
            let bytes = if table::all().any(|sabotage| sabotage.file == name) {
                patched(name)?.into_bytes()
            } else if let Ok(bytes) = std::fs::read(root().join(name)) {
                bytes
            } else {
                continue;
            };
            tree.put(name, &bytes)?;
        }
        Ok(tree)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Outcome {
        let to = self.dir.join(name);
        if std::fs::read(&to).is_ok_and(|there| there == bytes) {
            return Ok(());
        }
        let made = std::fs::create_dir_all(to.parent().unwrap_or(&self.dir));
        made.and_then(|()| std::fs::write(&to, bytes)).map_err(|error| format!("{}: {error}", to.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sabotage_finds_its_text_once_and_has_a_name_of_its_own() {
        assert!(table::all().count() >= 20, "R12 asks for twenty");
        for (at, sabotage) in table::all().enumerate() {
            assert!(patched(sabotage.file).unwrap().contains(&format!("\"{}\"", sabotage.name)));
            assert!(table::all().skip(at + 1).all(|other| other.name != sabotage.name), "{}", sabotage.name);
        }
    }
}
