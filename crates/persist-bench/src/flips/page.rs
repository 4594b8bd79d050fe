//! The page of results.

use std::fmt::Write as _;
use std::path::Path;

use persist_io::{RealDisk, replace};

use super::{Count, SAMPLES};
use crate::contender::{Result, text};

const TABLE: &str = "flips.md";

/// The table again, from the samples; nothing where there are none.
///
/// # Errors
/// A sentence.
pub(crate) fn render(dir: &Path) -> Result<()> {
    let Ok(lines) = std::fs::read_to_string(dir.join(SAMPLES)) else { return Ok(()) };
    let counts = lines.lines().map(serde_json::from_str).collect::<std::result::Result<Vec<Count>, _>>();
    replace(&RealDisk, &dir.join(TABLE), table(&counts.map_err(text)?).as_bytes()).map_err(text)
}

fn table(counts: &[Count]) -> String {
    let mut page = String::from(
        "# One flipped bit\n\nWritten by `cargo xtask flips`. A store of 116-byte rows is filled by durable commits and closed. In a copy \
         of it one bit is\nturned over, any non-zero sector of 512 bytes equally likely; a process of its own opens the copy, gets every \
         row by its key\nand scans all. The worst that happened in a trial counts. *Died*: a panic, a signal, or no answer.\n\n*At rest*: after \
         the library's checkpoint or compaction. *Just written*: closed after the last commit.\n`persist-` engines are \
         ours over that library, without the checksums that the runtime adds on top (`docs/contract.md`);\nthe others are called by hand.\n",
    );
    for state in ["at rest", "just written"] {
        let _ = write!(
            page,
            "\n## {}{}\n\n| | trials | no effect | reported | died | **silent: wrong bytes** | **silent: rows missing** |\n\
             |---|--:|--:|--:|--:|--:|--:|\n",
            state[..1].to_uppercase(),
            &state[1..]
        );
        let mut rows: Vec<&Count> = counts.iter().filter(|count| count.state == state).collect();
        rows.sort_by_key(|count| count.silent());
        for count in rows {
            let Count { engine, trials, no_effect, reported, died, wrong, missing, .. } = count;
            let _ = writeln!(
                page,
                "| {engine} | {trials} | {no_effect} | {reported} | {died} | {wrong} | {missing} |"
            );
        }
    }
    if let Some(count) = counts.first() {
        let _ = write!(page, "\n{} rows, seed {}, taken {}.\n", count.rows, count.seed, count.taken);
    }
    page
}
