//! Reading a store that may be damaged, in a process that may die of it.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::child;
use crate::contender::{Entrant, Result, Settings, text};
use crate::rows::Data;

/// Nothing that works needs so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a reader of a store saw.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Look {
    /// Rows with other bytes than were put.
    wrong: u64,
    /// Rows that are not there, or rows too many in a scan.
    missing: u64,
    /// Errors.
    reported: u64,
}

/// How a trial ended. The worst that was seen counts: who serves one wrong row has served it, whatever else it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    NoEffect,
    Reported,
    /// A panic, a signal, or no answer at all: noticed, though not nicely.
    Died,
    Wrong,
    Missing,
}

impl Look {
    const fn outcome(&self) -> Outcome {
        match self {
            Self { wrong: 1.., .. } => Outcome::Wrong,
            Self { missing: 1.., .. } => Outcome::Missing,
            Self { reported: 1.., .. } => Outcome::Reported,
            _ => Outcome::NoEffect,
        }
    }
}

/// Reads the store in `home` in a process of its own.
///
/// # Errors
/// When there can be no such process.
pub(super) fn look_in_child(entrant: &Entrant, home: &Path, rows: u64) -> Result<Outcome> {
    let mut child = child::command("look", entrant.name, home, &[rows.to_string()])?
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(text)?;
    let begun = Instant::now();
    while child.try_wait().map_err(text)?.is_none() {
        if begun.elapsed() > PATIENCE {
            child.kill().map_err(text)?;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    let done = child.wait_with_output().map_err(text)?;
    if !done.status.success() {
        return Ok(Outcome::Died);
    }
    // Some libraries print too.
    let said = String::from_utf8_lossy(&done.stdout);
    let look = said.lines().find_map(|line| serde_json::from_str::<Look>(line).ok());
    Ok(look.map_or(Outcome::Died, |look| look.outcome()))
}

/// The child's side: opens the store, reads all, prints what it saw.
///
/// # Errors
/// When it cannot print.
pub(crate) fn look_child(entrant: &Entrant, home: &Path, rows: &str) -> Result<()> {
    let rows = rows.parse().map_err(text)?;
    let mut seen = Look::default();
    if look(entrant, home, rows, &mut seen).is_err() {
        seen.reported += 1;
    }
    println!("{}", serde_json::to_string(&seen).map_err(text)?);
    Ok(())
}

fn look(entrant: &Entrant, home: &Path, rows: u64, seen: &mut Look) -> Result<()> {
    let data = Data { rows };
    let store = (entrant.open)(home, &Settings::USUAL)?;
    {
        let mut reader = store.reader()?;
        for row in (0..rows).map(|row| data.row(row)) {
            match reader.value(&row.key) {
                Ok(Some(value)) if *value == *row.value => {}
                Ok(Some(_)) => seen.wrong += 1,
                Ok(None) => seen.missing += 1,
                Err(_) => seen.reported += 1,
            }
        }
        match reader.scan() {
            Ok(all) if all.rows != rows => seen.missing += 1,
            Ok(all) if all.bytes != data.payload() => seen.wrong += 1,
            Ok(_) => {}
            Err(_) => seen.reported += 1,
        }
    }
    store.close()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_that_was_seen_counts() {
        let look = |wrong, missing, reported| Look { wrong, missing, reported }.outcome();
        assert_eq!(look(0, 0, 0), Outcome::NoEffect);
        assert_eq!(look(0, 0, 7), Outcome::Reported);
        assert_eq!(look(0, 1, 7), Outcome::Missing);
        assert_eq!(look(1, 1, 7), Outcome::Wrong);
    }
}
