//! Documents made from code: the capability list, and the tables of the README.

use std::fmt::Write as _;

use persist_api::{CapOwner, CostWhenEmulated, ErrorKind, FindingCode, REGISTRY};
use serde_json::Value;

use crate::shell::{self, Outcome};

/// Writes, or with `check` compares, every generated document.
pub(crate) fn run(check: bool) -> Outcome {
    shell::write_or_check("docs/capabilities.md", &capabilities(), check, "generate")?;
    shell::write_or_check("docs/errors.md", &errors(), check, "generate")?;
    let readme = shell::read("README.md")?;
    let scoreboard: Value =
        serde_json::from_str(&shell::read("docs/scoreboard.json")?).map_err(|error| error.to_string())?;
    let readme = between(&readme, "<!-- engines -->", "<!-- /engines -->", &engines(&scoreboard))?;
    shell::write_or_check("README.md", &readme, check, "generate")
}

fn capabilities() -> String {
    let mut text = String::from(
        "# Capabilities\n\nWritten by `cargo xtask generate` from the registry in `persist-api`. Numbers are append-only; 0 to 12 are those of\n\
         CEP persistent storage.\n\n| bit | name | provided by | where granted | without it | emulation costs |\n|--:|---|---|---|---|---|\n",
    );
    for cap in REGISTRY {
        let owner = match cap.owner {
            CapOwner::Engine => "engine",
            CapOwner::EngineOrLayer => "engine or layer",
            CapOwner::Layer => "layer",
            CapOwner::Service => "service",
        };
        let cost = match cap.cost {
            CostWhenEmulated::Never => "not emulated",
            CostWhenEmulated::PerRecord => "a constant per record",
            CostWhenEmulated::PerByte => "in proportion to the bytes",
        };
        let _ = writeln!(
            text,
            "| {} | `{}` | {owner} | {} | {} | {cost} |",
            cap.number, cap.name, cap.meaning, cap.without
        );
    }
    text
}

fn errors() -> String {
    let mut text = String::from(
        "# Errors\n\nWritten by `cargo xtask generate` from `persist-api`. A kind exists only if a caller acts differently on it. The exit code of\n\
         the `persist` command is the code without its sign; 8 means that a key was not found, 2 that the command line is wrong. An\n\
         error may know better than its kind what to do: where a path is the trouble, it says \"choose another path\".\n\n\
         | kind | code | what to do |\n|---|--:|---|\n",
    );
    for kind in ErrorKind::ALL {
        let _ = writeln!(text, "| `{kind}` | {} | {} |", kind.code(), kind.advice().sentence());
    }
    text.push_str(
        "\n## What verify finds\n\nDamage and doubts are findings, not errors: one object each in `persist verify --json`. Programs go by `code`.\n\n\
         | code | what it says |\n|---|---|\n",
    );
    for code in FindingCode::ALL {
        let _ = writeln!(text, "| `{}` | {} |", code.name(), code.sentence());
    }
    text
}

/// The engine matrix: what each engine offers and how it stands in the suite.
fn engines(scoreboard: &Value) -> String {
    let boards: Vec<&Value> = scoreboard["engines"].as_array().into_iter().flatten().collect();
    let mut text = String::from("| |");
    for board in &boards {
        let _ = write!(text, " {} |", board["engine"].as_str().unwrap_or_default());
    }
    text.push_str("\n|---|");
    text.push_str(&":-:|".repeat(boards.len()));
    let mut row = |name: &str, cell: &dyn Fn(&Value) -> String| {
        let _ = write!(text, "\n| {name} |");
        for board in &boards {
            let _ = write!(text, " {} |", cell(board));
        }
    };
    row("library", &|board| board["library"].as_str().unwrap_or_default().to_owned());
    for cap in REGISTRY.iter().filter(|cap| matches!(cap.owner, CapOwner::Engine | CapOwner::EngineOrLayer)) {
        let offers = |board: &Value| {
            board["caps"].as_array().is_some_and(|caps| caps.iter().any(|offered| offered == cap.name))
        };
        if boards.iter().any(|board| offers(board)) {
            row(&format!("`{}`", cap.name), &|board| {
                if offers(board) { "✓".into() } else { String::new() }
            });
        }
    }
    row("longest key", &|board| size(&board["limits"]["key_bytes_max"]));
    row("longest value", &|board| size(&board["limits"]["value_bytes_max"]));
    row("conformance", &|board| {
        format!("{} + {} twins, {} failed", board["passed"], board["twins"], board["failed"])
    });
    text.push('\n');
    text
}

/// A size in the largest unit that it fills, with one decimal where it is not whole.
fn size(bytes: &Value) -> String {
    let Some(bytes) = bytes.as_u64().filter(|bytes| *bytes != u64::MAX) else { return "–".to_owned() };
    let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, unit)| bytes >= *unit) {
        None => format!("{bytes} B"),
        Some((name, unit)) if bytes.is_multiple_of(unit) => format!("{} {name}", bytes / unit),
        Some((name, unit)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
    }
}

fn between(text: &str, start: &str, end: &str, inner: &str) -> Result<String, String> {
    let (before, rest) = text.split_once(start).ok_or_else(|| format!("README.md lacks {start}"))?;
    let (_, after) = rest.split_once(end).ok_or_else(|| format!("README.md lacks {end}"))?;
    Ok(format!("{before}{start}\n{inner}{end}{after}"))
}
