//! The scoreboard: engine × topic, from a run of the suite. A claim in prose cannot outrun it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use serde_json::{Value, json};

use crate::shell::{self, Outcome, cargo};

const JSON: &str = "docs/scoreboard.json";
const MARKDOWN: &str = "docs/scoreboard.md";

/// The `persist` command with every engine in it.
pub(crate) fn cli() -> Command {
    cargo(&["run", "--quiet", "--package", "persist-cli", "--all-features", "--"])
}

/// Runs the suite on all engines or one, prints the totals, and keeps or checks the scoreboard.
pub(crate) fn run(arguments: &[&str]) -> Outcome {
    let check = arguments.contains(&"--check");
    let engines: Vec<&str> = arguments.iter().copied().filter(|word| *word != "--check").collect();
    let (text, passed) = shell::output_of(cli().args(["conformance", "--json"]).args(&engines))?;
    let mut boards = Vec::new();
    for line in text.lines().filter(|line| line.starts_with('{')) {
        let report: Value =
            serde_json::from_str(line).map_err(|error| format!("unreadable report: {error}"))?;
        boards.push(board(&report));
    }
    print!("{}", table(&boards));
    for failure in
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).flat_map(|report| failures(&report))
    {
        println!("FAILED {failure}");
    }
    if !passed || boards.is_empty() {
        return Err("the suite did not pass on every engine".to_owned());
    }
    compare_with_committed(&boards)?;
    if engines.is_empty() {
        let json =
            serde_json::to_string_pretty(&json!({ "engines": boards })).map_err(|error| error.to_string())?;
        shell::write_or_check(JSON, &format!("{json}\n"), check, "conformance")?;
        shell::write_or_check(MARKDOWN, &markdown(&boards), check, "conformance")?;
    }
    Ok(())
}

/// What the scoreboard keeps of a report: counts, by topic and in all.
fn board(report: &Value) -> Value {
    let mut topics: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for case in report["cases"].as_array().into_iter().flatten() {
        let name = case["name"].as_str().unwrap_or_default();
        let topic = name.split("::").next().unwrap_or_default();
        let entry = topics.entry(topic.to_owned()).or_default();
        match case["outcome"].as_str() {
            Some("passed") => entry.0 += 1,
            Some("twin") => entry.1 += 1,
            _ => {}
        }
    }
    let topics: BTreeMap<_, _> = topics
        .into_iter()
        .map(|(topic, (passed, twins))| (topic, json!({ "passed": passed, "twins": twins })))
        .collect();
    json!({
        "engine": report["engine"],
        "library": report["library"],
        "caps": report["caps"],
        "limits": report["limits"],
        "passed": report["passed"],
        "twins": report["twins"],
        "failed": report["failed"],
        "topics": topics,
    })
}

fn failures(report: &Value) -> Vec<String> {
    let engine = report["engine"].as_str().unwrap_or_default();
    let cases = report["cases"].as_array().into_iter().flatten();
    cases
        .filter(|case| case["outcome"] == "failed")
        .map(|case| format!("{engine} {}: {}", case["name"], case["message"]))
        .collect()
}

fn total(board: &Value) -> u64 {
    board["passed"].as_u64().unwrap_or(0) + board["twins"].as_u64().unwrap_or(0)
}

/// A total may grow, never shrink.
fn compare_with_committed(boards: &[Value]) -> Outcome {
    let Ok(text) = shell::read(JSON) else { return Ok(()) };
    let committed: Value = serde_json::from_str(&text).map_err(|error| format!("{JSON}: {error}"))?;
    for old in committed["engines"].as_array().into_iter().flatten() {
        let Some(new) = boards.iter().find(|board| board["engine"] == old["engine"]) else { continue };
        if total(new) < total(old) {
            return Err(format!("{}: {} cases now, {} committed", old["engine"], total(new), total(old)));
        }
    }
    Ok(())
}

fn table(boards: &[Value]) -> String {
    let mut text = String::new();
    for board in boards {
        let _ = writeln!(
            text,
            "{:<10} {:>4} passed, {:>3} twins passed, {:>3} failed",
            board["engine"].as_str().unwrap_or_default(),
            board["passed"],
            board["twins"],
            board["failed"]
        );
    }
    text
}

fn markdown(boards: &[Value]) -> String {
    let mut topics: Vec<&String> = boards
        .iter()
        .filter_map(|board| board["topics"].as_object())
        .flat_map(|topics| topics.keys())
        .collect();
    topics.sort();
    topics.dedup();
    let mut text = String::from(
        "# Scoreboard\n\nWritten by `cargo xtask conformance`. Each cell: cases passed + negative twins passed, where a capability is\n\
         not offered and its refusal was tested instead. There are no skips.\n\n| topic |",
    );
    for board in boards {
        let _ = write!(text, " {} |", board["engine"].as_str().unwrap_or_default());
    }
    text.push_str("\n|---|");
    text.push_str(&"--:|".repeat(boards.len()));
    for topic in topics {
        let _ = write!(text, "\n| {topic} |");
        for board in boards {
            let cell = &board["topics"][topic];
            let _ = write!(text, " {} + {} |", cell["passed"], cell["twins"]);
        }
    }
    text.push_str("\n| **all** |");
    for board in boards {
        let _ = write!(text, " **{} + {}** |", board["passed"], board["twins"]);
    }
    text.push_str("\n| failed |");
    for board in boards {
        let _ = write!(text, " {} |", board["failed"]);
    }
    text.push('\n');
    text
}
