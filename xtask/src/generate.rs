//! Documents made from code: the capability list, and the tables of the README.

use std::fmt::Write as _;

use persist_api::{CapOwner, CostWhenEmulated, ErrorKind, FindingCode, REGISTRY};
use serde_json::Value;

use crate::shell::{self, Outcome};

/// Writes, or with `check` compares, every generated document.
pub(crate) fn run(check: bool) -> Outcome {
    shell::write_or_check("docs/capabilities.md", &capabilities(), check, "generate")?;
    shell::write_or_check("docs/errors.md", &errors(), check, "generate")?;
    shell::write_or_check("docs/configuration.md", &configuration(), check, "generate")?;
    let readme = shell::read("README.md")?;
    let scoreboard: Value =
        serde_json::from_str(&shell::read("docs/scoreboard.json")?).map_err(|error| error.to_string())?;
    let readme = between(&readme, "<!-- engines -->", "<!-- /engines -->", &engines(&scoreboard))?;
    let speed = shell::read("docs/bench/speed.md")?;
    let readme = between(&readme, "<!-- speed -->", "<!-- /speed -->", &speed)?;
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
         error may know better than its kind what to do: where a path is the trouble, it says \"choose another path\", and where\n\
         too many files are open, \"raise the limit of open files (`ulimit -n`), then repeat\".\n\n\
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

fn configuration() -> String {
    format!("{CONFIGURATION}{}", persist_lifecycle::config::reference())
}

const CONFIGURATION: &str = r#"# Configuration

Written by `cargo xtask generate`; the tables are the comments of `persist-lifecycle/src/config/mod.rs`.

A configuration names stores. `persist --config FILE` opens them by these names, and so does a service through
`persist::lifecycle` (feature `lifecycle`). `persist config default` prints a file to begin with, `persist config check` says all
that is wrong with one, `persist config show` prints what is in effect.

```toml
data_dir = "data"                # beside this file

[stores.users]
engine = "sqlite"

[stores.orders]
engine = "flatfile"
after = ["users"]                # opened after users, closed before it
store_bytes_max = "20 GiB"

[stores.orders.knobs]
history_beats = 128              # docs/engines/flatfile.md

[stores.orders.maintenance]
checkpoint_after = "1 min"
```

- **Format.** TOML or JSON, as the name of the file ends; at most 1 MiB. Both have the same keys. In JSON `null` is as if the key was
  not there.
- **Strict.** An unknown key, a value of another type, a name that refers to nothing: each is an error with line and key, and
  with the right name where one is near. All of them are told at once, and nothing is opened. What an engine says of its settings
  (knobs, sizes, the request) is told once all of that is right.
- **Values.** Sizes are whole numbers of bytes, or texts with `B`, `KiB`, `MiB`, `GiB`, `TiB`. Times are texts with `ns`, `us`, `ms`,
  `s`, `min`, `h`, `d`. A number without a unit is no time.
- **Environment.** A variable that begins with `PERSIST__` overrides one key: upper case, `__` for each dot. `stores.orders.close_wait` is
  `PERSIST__STORES__ORDERS__CLOSE_WAIT`. The text is read by the type of the key; lists have commas. A variable that names no key is an
  error, and so is one for a store that the file does not have. Other variables, as `PERSIST_STORE`, are none of these.
- **Paths.** A relative `data_dir` is meant from the directory of the file, a relative `path` from `data_dir`. Nothing lies in
  a temporary directory unless a path says so.

## The whole file
"#;

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
