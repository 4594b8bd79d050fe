//! Rules of the workspace that no compiler checks.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::shell::{self, Outcome, cargo};

/// A rule returns a sentence for each thing that breaks it.
type Rule = fn(&Workspace) -> Vec<String>;

const RULES: [(&str, Rule); 10] = [
    ("persist-api depends on bitflags and thiserror at most", api_is_bare),
    ("an engine depends on api and io, never on another engine or the runtime", engines_stand_alone),
    ("a library below an engine appears in exactly one crate, and in the benches", c_libraries_appear_once),
    ("RocksDB is outside default-members", rocksdb_is_not_default),
    ("only the facade, the command and the benches turn engines on", engines_are_turned_on_above),
    ("persist-conformance is a dev-dependency, except of the command that runs it", suite_is_for_tests),
    ("every licence in the tree is allowed by deny.toml", licences_are_allowed),
    ("unsafe code only where a crate argues it", unsafe_is_argued),
    ("docs/cps.md names every test of a defect of the original, and no other", defects_have_tests),
    ("source files: no long ones, no leftovers, no paths of a machine", sources_are_tidy),
];

const ENGINES: [&str; 5] =
    ["persist-memory", "persist-flatfile", "persist-sqlite", "persist-lmdb", "persist-rocksdb"];
const C_LIBRARIES: [&str; 3] = ["heed", "rusqlite", "rocksdb"];
/// What may open a library by hand: a benchmark of our interface has to, to compare with it.
const BENCHES: [&str; 2] = ["persist-bench", "persist-bench-peers"];
/// Rivals are opened by one crate, which nothing depends on.
const RIVALS: [&str; 3] = ["redb", "fjall", "sled"];
/// What may hold unsafe code.
const UNSAFE_ARGUED: [&str; 5] = [
    "crates/persist-io/src/real.rs",
    "crates/persist-lmdb/",
    "crates/persist-sqlite/src/cache.rs",
    "crates/persist-sqlite/src/session.rs",
    "crates/persist-bench/src/raw/lmdb.rs",
];
const LINES_MAX: usize = 450;
/// One table, which is as long as the suite has cases.
const TABLES: [&str; 1] = ["crates/persist-conformance/src/registry/list.rs"];

/// What the rules look at.
struct Workspace {
    packages: Vec<Value>,
    default_members: BTreeSet<String>,
    members: BTreeSet<String>,
    sources: Vec<(String, String)>,
}

/// Checks every rule and lists all breaches.
pub(crate) fn run() -> Outcome {
    let workspace = Workspace::load()?;
    let mut breaches = 0;
    for (rule, check) in RULES {
        for breach in check(&workspace) {
            eprintln!("tidy: {breach}\n      rule: {rule}");
            breaches += 1;
        }
    }
    if breaches > 0 {
        return Err(format!("{breaches} breaches of the workspace's rules"));
    }
    println!("tidy: {} rules hold over {} files", RULES.len(), workspace.sources.len());
    Ok(())
}

impl Workspace {
    fn load() -> Result<Self, String> {
        let text = shell::output(&mut cargo(&["metadata", "--format-version", "1", "--all-features"]))?;
        let metadata: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let ids = |field: &str| -> BTreeSet<String> {
            let ids = metadata[field].as_array().into_iter().flatten();
            ids.filter_map(|id| id.as_str().map(str::to_owned)).collect()
        };
        let listed = shell::output(Command::new("git").arg("ls-files").current_dir(shell::root()))?;
        let sources =
            listed.lines().filter_map(|path| Some((path.to_owned(), shell::read(path).ok()?))).collect();
        Ok(Self {
            packages: metadata["packages"].as_array().cloned().unwrap_or_default(),
            default_members: ids("workspace_default_members"),
            members: ids("workspace_members"),
            sources,
        })
    }

    fn ours(&self) -> impl Iterator<Item = &Value> {
        self.packages
            .iter()
            .filter(|package| package["id"].as_str().is_some_and(|id| self.members.contains(id)))
    }
}

fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap_or_default()
}

/// Names of the dependencies of a kind: `None` is the ordinary one.
fn dependencies<'p>(package: &'p Value, kind: Option<&'p str>) -> impl Iterator<Item = &'p str> {
    let all = package["dependencies"].as_array().into_iter().flatten();
    all.filter(move |dependency| dependency["kind"].as_str() == kind).filter_map(|it| it["name"].as_str())
}

fn api_is_bare(workspace: &Workspace) -> Vec<String> {
    let api = workspace.ours().filter(|package| name(package) == "persist-api");
    api.flat_map(|package| dependencies(package, None))
        .filter(|dependency| !["bitflags", "thiserror"].contains(dependency))
        .map(|dependency| format!("persist-api depends on {dependency}"))
        .collect()
}

fn engines_stand_alone(workspace: &Workspace) -> Vec<String> {
    let engines = workspace.ours().filter(|package| ENGINES.contains(&name(package)));
    let pairs = engines
        .flat_map(|package| dependencies(package, None).map(move |dependency| (name(package), dependency)));
    pairs
        .filter(|(_, dependency)| dependency.starts_with("persist"))
        .filter(|(_, dependency)| !["persist-api", "persist-io"].contains(dependency))
        .map(|(engine, dependency)| format!("{engine} depends on {dependency}"))
        .collect()
}

fn c_libraries_appear_once(workspace: &Workspace) -> Vec<String> {
    let mut breaches = Vec::new();
    for library in C_LIBRARIES {
        let users: Vec<&str> = workspace
            .ours()
            .filter(|package| !BENCHES.contains(&name(package)))
            .filter(|package| dependencies(package, None).any(|dependency| dependency == library))
            .map(name)
            .collect();
        if users.len() != 1 {
            breaches.push(format!("{library} is used by {users:?}"));
        }
    }
    let others = workspace.ours().filter(|package| name(package) != "persist-bench-peers");
    let pairs = others
        .flat_map(|package| dependencies(package, None).map(move |dependency| (name(package), dependency)));
    let strays =
        pairs.filter(|(_, dependency)| RIVALS.contains(dependency) || *dependency == "persist-bench-peers");
    breaches.extend(strays.map(|(user, library)| format!("{user} depends on {library}")));
    breaches
}

fn rocksdb_is_not_default(workspace: &Workspace) -> Vec<String> {
    let heavy = |id: &&String| id.contains("persist-rocksdb") || id.contains("persist-bench");
    workspace.default_members.iter().filter(heavy).map(|id| format!("{id} is a default member")).collect()
}

fn engines_are_turned_on_above(workspace: &Workspace) -> Vec<String> {
    let lower = workspace.ours().filter(|package| {
        !["persist", "persist-cli", "persist-conformance"].contains(&name(package))
            && !BENCHES.contains(&name(package))
    });
    let pairs = lower
        .flat_map(|package| dependencies(package, None).map(move |dependency| (name(package), dependency)));
    pairs
        .filter(|(_, dependency)| ENGINES.contains(dependency))
        .map(|(user, engine)| format!("{user} depends on {engine}"))
        .collect()
}

fn suite_is_for_tests(workspace: &Workspace) -> Vec<String> {
    let others = workspace.ours().filter(|package| name(package) != "persist-cli");
    others
        .filter(|package| dependencies(package, None).any(|dependency| dependency == "persist-conformance"))
        .map(|package| format!("{} depends on persist-conformance", name(package)))
        .collect()
}

fn licences_are_allowed(workspace: &Workspace) -> Vec<String> {
    let Ok(deny) = shell::read("deny.toml") else { return vec!["deny.toml is missing".to_owned()] };
    let quoted =
        |text: &str| -> Vec<String> { text.split('"').skip(1).step_by(2).map(str::to_owned).collect() };
    let list = |from: &str| {
        let list = deny.split_once(from).and_then(|(_, rest)| rest.split_once(']'));
        list.map(|(list, _)| quoted(list)).unwrap_or_default()
    };
    let allowed = list("\nallow = [");
    // Each on a line of its own: the licence, then the crate that may have it.
    let exceptions: Vec<Vec<String>> =
        deny.lines().filter(|line| line.trim_start().starts_with("{ allow = [")).map(quoted).collect();
    let is_allowed = |package: &Value| {
        let expression = package["license"].as_str().unwrap_or("none");
        let expression = expression.replace('/', " OR ").replace(['(', ')'], " ");
        let fits = |licence: &str| {
            allowed.iter().any(|allowed| allowed == licence)
                || exceptions.iter().any(|pair| *pair == [licence, name(package)])
        };
        // Every part joined by AND needs one alternative that is allowed.
        expression.split(" AND ").all(|part| part.split(" OR ").any(|licence| fits(licence.trim())))
    };
    let foreign = workspace.packages.iter().filter(|package| !package["source"].is_null());
    foreign
        .filter(|package| !is_allowed(package))
        .map(|package| format!("{} has licence {}", name(package), package["license"]))
        .collect()
}

fn unsafe_is_argued(workspace: &Workspace) -> Vec<String> {
    let marker = ["allow(", "unsafe_code"].concat();
    let library = workspace.sources.iter().filter(|(path, _)| is_rust(path) && !is_test(path));
    library
        .filter(|(path, text)| {
            text.contains(&marker) && !UNSAFE_ARGUED.iter().any(|argued| path.starts_with(argued))
        })
        .map(|(path, _)| format!("{path} allows unsafe code"))
        .collect()
}

/// True if `start`, the start of an absolute path, occurs where a path begins.
fn holds_absolute(text: &str, start: &str) -> bool {
    let begins = |at: usize| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        before.is_none_or(|before| !before.is_alphanumeric() && !"._-/~$}".contains(before))
    };
    text.match_indices(start).any(|(at, _)| begins(at))
}

fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "rs")
}

fn is_test(path: &str) -> bool {
    ["/tests/", "/examples/", "/fuzz/", "/benches/"].iter().any(|part| path.contains(part))
}

fn defects_have_tests(workspace: &Workspace) -> Vec<String> {
    let table = workspace.sources.iter().find(|(path, _)| path == "docs/cps.md");
    let named: BTreeSet<&str> = table
        .into_iter()
        .flat_map(|(_, text)| text.split('`').skip(1).step_by(2))
        .filter(|name| name.starts_with("cps_s"))
        .collect();
    // Right behind the attribute: what is not run counts for nothing.
    let tests = workspace.sources.iter().filter(|(path, _)| is_rust(path) && is_test(path));
    let there: BTreeSet<&str> = tests
        .flat_map(|(_, text)| text.split("#[test]\nfn ").skip(1))
        .filter_map(|rest| rest.split_once('(').map(|(name, _)| name))
        .filter(|name| name.starts_with("cps_s"))
        .collect();
    let missing =
        named.difference(&there).map(|name| format!("docs/cps.md names {name}, and no test is called so"));
    missing.chain(there.difference(&named).map(|name| format!("docs/cps.md does not name {name}"))).collect()
}

fn sources_are_tidy(workspace: &Workspace) -> Vec<String> {
    // Written in parts, so that this file does not find itself.
    let leftovers = [["to", "do!("].concat(), ["dbg", "!("].concat(), ["#[ig", "nore"].concat()];
    let machine = [["/ro", "ot/"].concat(), ["/ho", "me/"].concat(), ["/wo", "rk/"].concat()];
    let mut breaches = Vec::new();
    for (path, text) in &workspace.sources {
        if machine.iter().any(|part| holds_absolute(text, part)) && !path.starts_with("fixtures/") {
            breaches.push(format!("{path} holds a path of a machine"));
        }
        if !is_rust(path) {
            continue;
        }
        let lines = text.lines().count();
        if lines > LINES_MAX && !TABLES.contains(&path.as_str()) {
            breaches.push(format!("{path} has {lines} lines, more than {LINES_MAX}"));
        }
        if leftovers.iter().any(|part| text.contains(part.as_str())) {
            breaches.push(format!("{path} holds a leftover"));
        }
    }
    breaches
}
