//! What a durable commit asks of the system, counted by strace.

use std::path::Path;

use super::writers::together;
use crate::child;
use crate::contender::{Ack, Entrant, Result, Settings, text};
use crate::record::{Record, Sample};
use crate::rows::{KEY_BYTES, Random, VALUE_BYTES, fresh};
use crate::session::Session;
use crate::strace::{self, BEGIN, COMMITTED, END, Trace};

const SIZES: [usize; 4] = [1, 10, 100, 1_000];
/// Threads that put single rows at once, each waiting for its put before the next, and their puts.
const WRITERS: usize = 8;
const PUTS: usize = 800;
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

/// Syncs for each put of several threads at once, and whether there were enough: one can acknowledge a put of each thread.
pub(crate) fn count_writers(entrant: &Entrant, home: &Path) -> Result<(f64, bool)> {
    let home = home.canonicalize().map_err(text)?;
    let trace = strace::run(&mut child::command("writers", entrant.name, &home, &[])?, &home)?;
    let syncs = trace.commits.syncs.saturating_add(trace.others.syncs);
    let counted = Counted { trace, commits: PUTS as u64, payload: 0 };
    Ok((counted.each(syncs), syncs.saturating_mul(WRITERS as u64) >= counted.commits))
}

/// What runs under strace: puts of several threads, marks around them.
pub(crate) fn writers_child(entrant: &Entrant, home: &Path) -> Result<()> {
    let store = (entrant.open)(home, &Settings::USUAL)?;
    let mut random = Random(3);
    let mut puts = |count| together(&*store, &fresh(&mut random, count, VALUE_BYTES), WRITERS);
    puts(WRITERS)?;
    mark(BEGIN);
    puts(PUTS)?;
    mark(END);
    store.close()
}

/// Asks for a file that does not exist.
fn mark(name: &str) {
    let _ = std::fs::metadata(name);
}

pub(super) fn run(session: &mut Session) -> Result<()> {
    for entrant in session.durable() {
        for rows in SIZES {
            let home = session.new_home()?;
            let figures = count(&entrant, &home, rows).map(|counted| {
                vec![
                    ("syncs", "a commit", counted.syncs()),
                    ("writes", "a commit", counted.writes()),
                    ("bytes", "of payload", counted.amplification()),
                    ("syncs behind", "a commit", counted.syncs_behind()),
                    ("bytes behind", "of payload", counted.amplification_behind()),
                    ("power-safe", "1 = yes", yes(counted.power_safe())),
                ]
            });
            publish(session, &entrant, &format!("N={rows}"), figures);
        }
        let home = session.new_home()?;
        let figures = count_writers(&entrant, &home)
            .map(|(syncs, safe)| vec![("syncs", "a put", syncs), ("power-safe", "1 = yes", yes(safe))]);
        publish(session, &entrant, &format!("writers={WRITERS}"), figures);
    }
    Ok(())
}

fn yes(is_so: bool) -> f64 {
    if is_so { 1.0 } else { 0.0 }
}

/// Takes the figures of a case: what, its unit, how much.
fn publish(
    session: &mut Session,
    entrant: &Entrant,
    case: &str,
    figures: Result<Vec<(&str, &'static str, f64)>>,
) {
    let figures = match figures {
        Ok(figures) => figures,
        Err(error) => return session.fail(format!("syscalls {case}, {}: {error}", entrant.name)),
    };
    let record = |(what, unit, value)| Record {
        workload: "syscalls".to_owned(),
        case: format!("{case} {what}"),
        engine: entrant.name.to_owned(),
        rows: 0,
        round: 0,
        sample: Sample::bare(unit, value),
        pressure: session.meter.read(),
        dropped: None,
    };
    let records = figures.into_iter().map(record).collect();
    session.publish(records);
}
