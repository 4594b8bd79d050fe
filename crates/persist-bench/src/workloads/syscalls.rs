//! What a durable commit asks of the system, counted by strace.

use std::path::Path;

use crate::child;
use crate::contender::{Ack, Entrant, Result, Settings, text};
use crate::record::{Record, Sample};
use crate::rows::{KEY_BYTES, Random, VALUE_BYTES, fresh};
use crate::session::Session;
use crate::strace::{self, BEGIN, COMMITTED, END, Trace};

const SIZES: [usize; 4] = [1, 10, 100, 1_000];
const TIMES: u64 = 200;
/// Commits before the counting begins, so that files and caches exist.
const WARM: u64 = 20;

/// The calls of some commits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted {
    trace: Trace,
    commits: u64,
    payload: u64,
}

impl Counted {
    #[allow(clippy::cast_precision_loss, reason = "counts of thousands")]
    fn each(&self, total: u64) -> f64 {
        total as f64 / self.commits as f64
    }

    /// Syncs that the committing thread makes for each commit.
    pub(crate) fn syncs(&self) -> f64 {
        self.each(self.trace.commits.syncs)
    }

    /// Writes that the committing thread makes for each commit.
    pub(crate) fn writes(&self) -> f64 {
        self.each(self.trace.commits.writes)
    }

    /// Bytes that it writes for each byte of keys and values.
    #[allow(clippy::cast_precision_loss, reason = "megabytes")]
    pub(crate) fn amplification(&self) -> f64 {
        self.trace.commits.bytes as f64 / self.payload as f64
    }

    /// Bytes that other threads write for each byte of keys and values.
    #[allow(clippy::cast_precision_loss, reason = "megabytes")]
    fn amplification_behind(&self) -> f64 {
        self.trace.others.bytes as f64 / self.payload as f64
    }

    /// Syncs that other threads make for each commit: they share the device with it.
    fn syncs_behind(&self) -> f64 {
        self.each(self.trace.others.syncs)
    }

    /// Each commit was synced when it returned, and nothing that it wrote was not.
    pub(crate) fn power_safe(&self) -> bool {
        self.trace.returned == self.commits && self.trace.at_risk == 0
    }
}

/// Counts the calls of durable commits of so many rows in a fresh store.
pub(crate) fn count(entrant: &Entrant, home: &Path, rows: usize) -> Result<Counted> {
    let times = if rows >= 1_000 { TIMES / 10 } else { TIMES };
    let home = home.canonicalize().map_err(text)?;
    let words = [rows.to_string(), times.to_string()];
    let mut command = child::command("commits", entrant.name, &home, &words)?;
    let trace = strace::run(&mut command, &home)?;
    let payload = times * (rows * (KEY_BYTES + VALUE_BYTES)) as u64;
    Ok(Counted { trace, commits: times, payload })
}

/// What runs under strace: some commits, marks around them and after each.
pub(crate) fn child(entrant: &Entrant, home: &Path, rows: &str, times: &str) -> Result<()> {
    let (rows, times): (usize, u64) = (rows.parse().map_err(text)?, times.parse().map_err(text)?);
    let store = (entrant.open)(home, &Settings::USUAL)?;
    let mut random = Random(3);
    let mut commit = || store.commit(&fresh(&mut random, rows, VALUE_BYTES), Ack::Durable);
    for _ in 0..WARM {
        commit()?;
    }
    mark(BEGIN);
    for _ in 0..times {
        commit()?;
        mark(COMMITTED);
    }
    mark(END);
    store.close()
}

/// Asks for a file that does not exist.
fn mark(name: &str) {
    let _ = std::fs::metadata(name);
}

pub(super) fn run(session: &mut Session) -> Result<()> {
    let mut records = Vec::new();
    for entrant in session.durable() {
        for rows in SIZES {
            let home = session.new_home()?;
            let counted = match count(&entrant, &home, rows) {
                Ok(counted) => counted,
                Err(error) => {
                    session.fail(format!("syscalls N={rows}, {}: {error}", entrant.name));
                    continue;
                }
            };
            let safe = if counted.power_safe() { 1.0 } else { 0.0 };
            let figures = [
                ("syncs", "a commit", counted.syncs()),
                ("writes", "a commit", counted.writes()),
                ("bytes", "of payload", counted.amplification()),
                ("syncs behind", "a commit", counted.syncs_behind()),
                ("bytes behind", "of payload", counted.amplification_behind()),
                ("power-safe", "1 = yes", safe),
            ];
            for (what, unit, value) in figures {
                records.push(Record {
                    workload: "syscalls".to_owned(),
                    case: format!("N={rows} {what}"),
                    engine: entrant.name.to_owned(),
                    rows: 0,
                    round: 0,
                    sample: Sample::bare(unit, value),
                    pressure: session.meter.read(),
                    dropped: None,
                });
            }
        }
    }
    session.publish(records);
    Ok(())
}
