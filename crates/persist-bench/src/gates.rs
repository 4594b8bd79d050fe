//! What must not grow: counts that are the same for the same program, so that a build can fail over them.

use crate::contender::{Entrant, Result, text};
use crate::entrants::find;
use crate::valgrind::{Count, Step, per_step};
use crate::workloads::{Counted, count, count_writers};

/// A count with its limits.
struct Limit {
    engine: &'static str,
    what: What,
    /// Less is wrong, not good: a sync is missing.
    min: f64,
    max: f64,
}

/// What is counted. Commits are durable; rows have keys of 16 and values of 100 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// Syncs that the thread makes that commits, for each commit, counted by strace.
    Syncs { rows: usize },
    /// Writes that it makes.
    Writes { rows: usize },
    /// Bytes that it writes for each byte of payload.
    Bytes { rows: usize },
    /// Allocations of a step.
    Allocations(Step),
    /// Instructions of a step.
    Instructions(Step),
}

const fn limit(engine: &'static str, what: What, max: f64) -> Limit {
    Limit { engine, what, min: 0.0, max }
}

const fn exactly(engine: &'static str, what: What, figure: f64) -> Limit {
    Limit { engine, what, min: figure, max: figure }
}

const fn between(engine: &'static str, what: What, min: f64, max: f64) -> Limit {
    Limit { engine, what, min, max }
}

/// The limits. A change that makes a figure smaller makes its limit smaller too; one that makes it larger has to say why.
const LIMITS: &[Limit] = &[
    exactly("flatfile", What::Syncs { rows: 1 }, 1.0),
    exactly("flatfile", What::Writes { rows: 1 }, 1.0),
    exactly("flatfile", What::Syncs { rows: 100 }, 1.0),
    exactly("flatfile", What::Writes { rows: 100 }, 1.0),
    limit("flatfile", What::Bytes { rows: 100 }, 1.04),
    limit("flatfile", What::Allocations(Step::Commit), 4.0),
    limit("flatfile", What::Allocations(Step::Get), 0.01),
    limit("flatfile", What::Allocations(Step::Row), 0.01),
    limit("flatfile", What::Allocations(Step::View), 2.01),
    limit("flatfile", What::Instructions(Step::Commit), 27_000.0),
    limit("flatfile", What::Instructions(Step::Get), 1_400.0),
    limit("flatfile", What::Instructions(Step::Row), 155.0),
    limit("flatfile", What::Instructions(Step::View), 1_000.0),
    between("persist-sqlite", What::Syncs { rows: 100 }, 1.0, 1.4),
    limit("persist-sqlite", What::Writes { rows: 100 }, 310.0),
    limit("persist-sqlite", What::Bytes { rows: 100 }, 64.0),
    limit("persist-sqlite", What::Allocations(Step::Commit), 75.0),
    limit("persist-sqlite", What::Instructions(Step::Get), 5_200.0),
    limit("persist-sqlite", What::Instructions(Step::Row), 1_200.0),
    limit("persist-sqlite", What::Instructions(Step::View), 1_400.0),
    between("persist-lmdb", What::Syncs { rows: 100 }, 1.0, 2.0),
    limit("persist-lmdb", What::Writes { rows: 100 }, 87.0),
    limit("persist-lmdb", What::Bytes { rows: 100 }, 37.0),
    limit("persist-lmdb", What::Allocations(Step::Commit), 4.0),
    limit("persist-lmdb", What::Instructions(Step::Get), 1_700.0),
    limit("persist-lmdb", What::Instructions(Step::Row), 160.0),
    limit("persist-lmdb", What::Instructions(Step::View), 2_700.0),
];

/// Counts everything and fails beyond the limits.
pub(crate) fn run(entrants: &[Entrant]) -> Result<()> {
    let mut beyond = Vec::new();
    let mut traced: Vec<(&str, usize, Counted)> = Vec::new();
    for limit @ Limit { engine, what, min, max } in LIMITS {
        let entrant = find(entrants, engine)?;
        let figure = match *what {
            What::Syncs { rows } => trace(&mut traced, entrant, rows)?.syncs(),
            What::Writes { rows } => trace(&mut traced, entrant, rows)?.writes(),
            What::Bytes { rows } => trace(&mut traced, entrant, rows)?.amplification(),
            What::Allocations(step) => per_step(entrant, Count::Allocations, step, false)?,
            What::Instructions(step) => per_step(entrant, Count::Instructions, step, false)?,
        };
        let (what, unit) = what.words();
        println!(
            "{engine:<15} {what:<32} {figure:>12.2} {unit:<12} at least {min:>5.2}, at most {max:>10.2}  {}",
            if limit.allows(figure) { "ok" } else { "BEYOND THE LIMIT" }
        );
        if !limit.allows(figure) {
            beyond.push(format!("{engine}: {what}: {figure:.3} is not between {min} and {max}"));
        }
    }
    for (engine, rows, counted) in &traced {
        if !counted.power_safe() {
            beyond.push(format!("{engine}: commits of {rows} are acknowledged before they are synced"));
        }
    }
    for engine in ["flatfile", "persist-sqlite", "persist-lmdb"] {
        let home = tempfile::tempdir().map_err(text)?;
        let (syncs, safe) = count_writers(find(entrants, engine)?, home.path())?;
        println!("{engine:<15} puts of eight threads            {syncs:>12.2} syncs a put");
        if !safe {
            beyond.push(format!("{engine}: puts of eight threads are acknowledged before they are synced"));
        }
    }
    if beyond.is_empty() { Ok(()) } else { Err(format!("beyond the limits: {}", beyond.join(", "))) }
}

/// Runs strace once for each size.
fn trace<'e>(
    traced: &mut Vec<(&'e str, usize, Counted)>,
    entrant: &'e Entrant,
    rows: usize,
) -> Result<Counted> {
    let known = traced.iter().find(|(name, size, _)| *name == entrant.name && *size == rows);
    if let Some((_, _, counted)) = known {
        return Ok(*counted);
    }
    let home = tempfile::tempdir().map_err(text)?;
    let counted = count(entrant, home.path(), rows)?;
    traced.push((entrant.name, rows, counted));
    Ok(counted)
}

impl Limit {
    fn allows(&self, figure: f64) -> bool {
        (self.min..=self.max).contains(&figure)
    }
}

impl What {
    fn words(self) -> (String, &'static str) {
        match self {
            Self::Syncs { rows } => (format!("syncs, commit of {rows}"), ""),
            Self::Writes { rows } => (format!("writes, commit of {rows}"), ""),
            Self::Bytes { rows } => (format!("bytes, commit of {rows}"), "÷ payload"),
            Self::Allocations(step) => (format!("allocations, {}", step.words()), ""),
            Self::Instructions(step) => (step.words().to_owned(), "instructions"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_sync_is_beyond_the_limits_as_one_too_many_is() {
        let syncs = LIMITS.iter().filter(|limit| matches!(limit.what, What::Syncs { .. }));
        let mut engines: Vec<&str> = syncs.clone().map(|limit| limit.engine).collect();
        engines.dedup();
        assert_eq!(engines, ["flatfile", "persist-sqlite", "persist-lmdb"]);
        for limit in syncs {
            assert!(limit.allows(1.0) && limit.allows(limit.max), "{}", limit.engine);
            assert!(!limit.allows(0.995) && !limit.allows(limit.max + 0.005), "{}", limit.engine);
        }
        let flatfile = LIMITS.iter().filter(|limit| limit.engine == "flatfile");
        for limit in flatfile.filter(|it| matches!(it.what, What::Syncs { .. } | What::Writes { .. })) {
            assert!(limit.allows(1.0) && !limit.allows(0.995) && !limit.allows(1.005), "{:?}", limit.what);
        }
    }
}
