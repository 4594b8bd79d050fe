//! The power of a real ext4 is cut at any write that its disk is asked for, with each engine on it: the class `block` of
//! `persist conformance`, in namespaces of its own. Mounts in them are seen by nobody else, and whatever ends the class ends
//! its processes and its mounts with it.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::shell::Outcome;

const ENGINES: [&str; 4] = ["flatfile", "sqlite", "lmdb", "rocksdb"];
const APART: [&str; 6] =
    ["--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// Cuts the power at `moments` moments of each engine; says so where this machine does not allow it.
pub(super) fn run(program: &Path, moments: u32) -> Outcome {
    if let Some(why) = refused() {
        println!("R6: block: absent: {why}");
        return Ok(());
    }
    for engine in ENGINES {
        let mut class = apart();
        class.arg(program).args(["conformance", engine, "--class", "block", "--json"]);
        class.args(["--rounds", &moments.to_string()]).env_remove("PERSIST_STORE");
        let output = class.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
        let output = output.map_err(|error| format!("unshare: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let report: Value = serde_json::from_str(text.trim())
            .map_err(|error| format!("block: {engine}: {}: {error}: {text}", output.status))?;
        if judge(engine, &report, output.status.success())? == Told::Absent {
            // Nor can any other engine be cut.
            break;
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// Something was shown. What this machine lacks for the rest was printed.
    Passed,
    /// This machine lacks something, which was printed.
    Absent,
}

/// Prints each case of a report.
fn judge(engine: &str, report: &Value, success: bool) -> Result<Told, String> {
    let cases = report["cases"].as_array().map(Vec::as_slice).unwrap_or_default();
    let (mut passed, mut absent) = (0, 0);
    for case in cases {
        let message = case["message"].as_str().unwrap_or_default();
        match case["outcome"].as_str() {
            Some("passed") => {
                passed += 1;
                println!("R6: {engine}: {message}");
            }
            Some("absent") => {
                absent += 1;
                println!("R6: {} of {engine}: {message}", case["name"]);
            }
            _ => return Err(format!("{} of {engine}: {message}", case["name"])),
        }
    }
    match (passed, absent) {
        (2, 0) if success => Ok(Told::Passed),
        (1, 1) => Ok(Told::Passed),
        (0, 1) => Ok(Told::Absent),
        _ => Err(format!("block: {engine}: two cases were to pass: {report}")),
    }
}

fn apart() -> Command {
    let mut unshare = Command::new("unshare");
    unshare.args(APART);
    unshare
}

/// Why namespaces cannot be had.
fn refused() -> Option<String> {
    match apart().arg("true").stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("unshare: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judged(outcomes: &[&str], success: bool) -> Result<Told, String> {
        let cases: Vec<_> = outcomes
            .iter()
            .map(|outcome| json!({ "name": "a", "outcome": outcome, "message": "m" }))
            .collect();
        judge("flatfile", &json!({ "cases": cases }), success)
    }

    #[test]
    fn only_two_passes_are_a_pass() {
        assert_eq!(judged(&["passed", "passed"], true), Ok(Told::Passed));
        assert_eq!(judged(&["absent"], false), Ok(Told::Absent));
        assert_eq!(judged(&["passed", "absent"], false), Ok(Told::Passed), "without eatmydata");
        assert_eq!(judged(&["passed", "failed"], false), Err("\"a\" of flatfile: m".to_owned()));
        assert_eq!(judged(&["failed", "absent"], false), Err("\"a\" of flatfile: m".to_owned()));
        for (outcomes, success) in
            [(vec!["passed", "passed"], false), (vec!["passed"], true), (vec!["twin"], true), (vec![], true)]
        {
            assert!(judged(&outcomes, success).is_err(), "{outcomes:?}");
        }
    }
}
