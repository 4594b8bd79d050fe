//! A commit for people, and as JSON.

use std::ops::Bound;

use persist::{FeedCommit, Op};
use serde::Serialize;

use crate::fail::Result;
use crate::out::Out;
use crate::text::{hex, printable, show};

#[derive(Serialize)]
struct CommitJson<'c> {
    commit: String,
    beat: String,
    beat_commits: u64,
    durability: &'static str,
    beat_root: Option<String>,
    operations: Vec<OpJson<'c>>,
}

#[derive(Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum OpJson<'c> {
    Put { key: Option<&'c str>, key_hex: String, value: Option<&'c str>, value_hex: String },
    Delete { key: Option<&'c str>, key_hex: String },
    DeleteRange { from: BoundJson, to: BoundJson },
}

#[derive(Serialize)]
struct BoundJson {
    bound: &'static str,
    key_hex: Option<String>,
}

pub(super) fn print(commit: &FeedCommit, as_hex: bool, out: &mut Out) -> Result<()> {
    let header = &commit.header;
    if out.is_json() {
        return out.object(&CommitJson {
            commit: commit.commit.to_string(),
            beat: header.beat.to_string(),
            beat_commits: header.commits,
            durability: header.durability.name(),
            beat_root: header.root.map(|root| hex(&root)),
            operations: commit.log.ops().map(op_json).collect(),
        });
    }
    let operations = commit.log.len();
    let plural = if operations == 1 { "" } else { "s" };
    out.line(format_args!("commit {}, beat {}: {operations} operation{plural}", commit.commit, header.beat))?;
    for op in commit.log.ops() {
        match op {
            Op::Put { key, value } => {
                out.line(format_args!("  put\t{}\t{}", show(key, as_hex), show(value, as_hex)))?;
            }
            Op::Delete { key } => out.line(format_args!("  delete\t{}", show(key, as_hex)))?,
            Op::DeleteRange { range } => {
                let start = match range.start() {
                    Bound::Unbounded => "from the first".to_owned(),
                    Bound::Included(key) => format!("from {}", show(key, as_hex)),
                    Bound::Excluded(key) => format!("after {}", show(key, as_hex)),
                };
                let end = match range.end() {
                    Bound::Unbounded => "to the last".to_owned(),
                    Bound::Included(key) => format!("to {}", show(key, as_hex)),
                    Bound::Excluded(key) => format!("before {}", show(key, as_hex)),
                };
                out.line(format_args!("  delete range\t{start}\t{end}"))?;
            }
        }
    }
    Ok(())
}

fn op_json(op: Op<'_>) -> OpJson<'_> {
    match op {
        Op::Put { key, value } => {
            let (text, key_hex) = (printable(key), hex(key));
            OpJson::Put { key: text, key_hex, value: printable(value), value_hex: hex(value) }
        }
        Op::Delete { key } => OpJson::Delete { key: printable(key), key_hex: hex(key) },
        Op::DeleteRange { range } => {
            let bound = |bound: Bound<&[u8]>| match bound {
                Bound::Unbounded => BoundJson { bound: "none", key_hex: None },
                Bound::Included(key) => BoundJson { bound: "included", key_hex: Some(hex(key)) },
                Bound::Excluded(key) => BoundJson { bound: "excluded", key_hex: Some(hex(key)) },
            };
            OpJson::DeleteRange { from: bound(range.start()), to: bound(range.end()) }
        }
    }
}
