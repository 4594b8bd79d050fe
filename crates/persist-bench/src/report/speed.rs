//! The few figures that the README shows: ours beside the peers that are power-safe.

use std::fmt::Write as _;

use super::summary::{figure, find};
use crate::record::Samples;
use crate::workloads::Workload;

/// The page that they are taken from. `cargo xtask generate` puts it into the README.
pub(crate) const FILE: &str = "speed.md";

const CONTENDERS: [&str; 6] = ["flatfile", "rocksdb", "lmdb", "sqlite", "redb", "fjall"];

/// A row: what it says, the case that it is of, and the figure from the sample's.
struct Row {
    what: &'static str,
    workload: &'static str,
    case: &'static str,
    of: fn(f64) -> f64,
}

const ROWS: [Row; 8] = [
    Row { what: "durable commit of one row, µs", workload: "commit", case: "N=1", of: |ns| ns / 1e3 },
    Row { what: "durable commit of 100 rows, µs", workload: "commit", case: "N=100", of: |ns| ns / 1e3 },
    Row {
        what: "durable puts a second, eight threads",
        workload: "writers",
        case: "writers=8",
        of: |ns| 1e9 / ns,
    },
    Row {
        what: "load in random order, million rows a second",
        workload: "bulk",
        case: "random",
        of: |ns| 1e3 / ns,
    },
    Row { what: "get, ns", workload: "read", case: "get", of: |ns| ns },
    Row { what: "get of what is not there, ns", workload: "read", case: "miss", of: |ns| ns },
    Row { what: "scan, million rows a second", workload: "read", case: "scan", of: |ns| 1e3 / ns },
    Row {
        what: "disk after compaction ÷ keys and values",
        workload: "bulk",
        case: "random, disk after compaction",
        of: |ratio| ratio,
    },
];

/// The table.
#[must_use]
pub(crate) fn table(all: &[(&'static Workload, Samples)]) -> String {
    let mut text = format!("| | {} |\n|---|{}\n", CONTENDERS.join(" | "), "--:|".repeat(CONTENDERS.len()));
    for row in &ROWS {
        let samples = all.iter().find(|(workload, _)| workload.name == row.workload);
        let cells = CONTENDERS.map(|contender| {
            let found = samples.and_then(|(_, samples)| find(&samples.records, row.case, contender));
            found.map_or("–".to_owned(), |found| figure((row.of)(found.value.median)))
        });
        let _ = writeln!(text, "| {} | {} |", row.what, cells.join(" | "));
    }
    text
}
