//! Counting instructions and allocations: the same for the same program, whatever else the machine does.

use std::path::Path;
use std::process::Command;

use crate::child;
use crate::contender::{Ack, Contender, Entrant, Result, Settings, text};
use crate::rows::{Data, Random, Row, VALUE_BYTES, fresh};
use crate::session::fill;

/// Rows in the store that is read.
pub(crate) const LOADED_ROWS: u64 = 20_000;
/// Rows of a commit.
const ROWS_A_COMMIT: usize = 100;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    /// Instructions, by callgrind.
    Instructions,
    /// Calls of `malloc` and its like by Rust and C alike, by memcheck.
    Allocations,
}

/// A step, with the two numbers of steps whose counts are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// One get in a snapshot.
    Get,
    /// One row of a scan.
    Row,
    /// One durable commit of a hundred rows.
    Commit,
    /// One snapshot, opened and let go, with nothing written since the last.
    View,
}

impl Step {
    fn word(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Row => "row",
            Self::Commit => "commit",
            Self::View => "view",
        }
    }

    /// The step for people.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Row => "row of a scan",
            Self::Commit => "commit of 100",
            Self::Get | Self::View => self.word(),
        }
    }

    fn runs(self) -> (u64, u64) {
        match self {
            Self::Get => (1_000, 21_000),
            Self::Row => (1, 6),
            Self::Commit => (20, 120),
            Self::View => (1_000, 11_000),
        }
    }
}

/// What one step costs: two runs that differ only in the number of steps.
#[allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]
pub(crate) fn per_step(entrant: &Entrant, count: Count, step: Step, like_ours: bool) -> Result<f64> {
    let (few, many) = step.runs();
    let steps = if step == Step::Row { (many - few) * LOADED_ROWS } else { many - few };
    let of = |steps: u64| counted(entrant, count, step, steps, like_ours);
    Ok(of(many)?.saturating_sub(of(few)?) as f64 / steps as f64)
}

fn counted(entrant: &Entrant, count: Count, step: Step, steps: u64, like_ours: bool) -> Result<u64> {
    let dir = tempfile::tempdir().map_err(text)?;
    let words = [step.word().to_owned(), steps.to_string(), like_ours.to_string()];
    let child = child::command("probe", entrant.name, dir.path(), &words)?;
    let (tool, before) = match count {
        Count::Instructions => (&["--tool=callgrind", "--callgrind-out-file=/dev/null"][..], "Collected :"),
        Count::Allocations => (&["--tool=memcheck", "--undef-value-errors=no"][..], "total heap usage:"),
    };
    let done = Command::new("valgrind")
        .args(tool)
        .arg(child.get_program())
        .args(child.get_args())
        .output()
        .map_err(|error| {
        format!("cannot run valgrind: {error}; install it with: apt-get install valgrind")
    })?;
    let log = String::from_utf8_lossy(&done.stderr);
    if !done.status.success() {
        return Err(format!("{} {} under valgrind: {}: {log}", entrant.name, step.word(), done.status));
    }
    let found = log.lines().find_map(|line| line.split_once(before));
    let number = found.and_then(|(_, rest)| rest.split_whitespace().next());
    number
        .and_then(|number| number.replace(',', "").parse().ok())
        .ok_or_else(|| format!("valgrind gave no count for {} {}: {log}", entrant.name, step.word()))
}

/// How both sides of a comparison of our interface with a library are opened.
pub(crate) fn settings(entrant: &Entrant) -> Settings {
    // The default of our SQLite engine on one side, what each connection has on the other.
    let cache_bytes = if entrant.ours { 128 << 20 } else { 64 << 20 };
    Settings { cache_bytes, with_header: true, ..Settings::USUAL }
}

/// What runs under valgrind: load, then so many steps.
pub(crate) fn probe(entrant: &Entrant, home: &Path, step: &str, count: &str, like_ours: &str) -> Result<()> {
    let count: usize = count.parse().map_err(text)?;
    let settings = if like_ours == "true" { settings(entrant) } else { Settings::USUAL };
    let data = Data { rows: LOADED_ROWS };
    let store = (entrant.open)(home, &settings)?;
    fill(&*store, data, |at| data.shuffled(at), &mut |_| {})?;
    store.settle()?;
    steps(&*store, data, step, count)
}

fn steps(store: &dyn Contender, data: Data, step: &str, count: usize) -> Result<()> {
    let mut random = Random(1);
    if step == "commit" {
        // Equally many in both runs, so that making them cancels out; the same for the keys below.
        let most = usize::try_from(Step::Commit.runs().1).map_err(text)?;
        let batches: Vec<Vec<Row>> =
            (0..most).map(|_| fresh(&mut random, ROWS_A_COMMIT, VALUE_BYTES)).collect();
        return batches.iter().take(count).try_for_each(|rows| store.commit(rows, Ack::Durable));
    }
    if step == "view" {
        return (0..count).try_for_each(|_| store.reader().map(drop));
    }
    let keys = data.uniform_keys(&mut random, usize::try_from(Step::Get.runs().1).map_err(text)?);
    let mut reader = store.reader()?;
    if step == "row" {
        return (0..count).try_for_each(|_| reader.scan().map(drop));
    }
    reader.gets(&keys[..count]).map(drop)
}
