//! One flipped bit in a closed store: who notices?
//!
//! A store is filled and closed. Then, over and over, one bit of a copy is turned over, any non-zero sector of 512 bytes
//! equally likely, and a process of its own opens the copy and reads every row, one by one and in a scan. What it says is
//! compared with what was put in.

mod copies;
mod look;
mod page;

use std::path::PathBuf;

use persist_io::{RealDisk, create_dir_durably, remove_tree, replace};
use serde::{Deserialize, Serialize};

use crate::contender::{Entrant, Result, text};
use crate::machine::now;
use crate::rows::Random;
use copies::{SECTOR, copied, fill, flip, sectors};
use look::{Outcome, look_in_child};

pub(crate) use look::look_child;
pub(crate) use page::render;

const SAMPLES: &str = "flips.jsonl";

/// How a run is made.
pub(crate) struct Plan {
    /// Bits flipped for each contender and state.
    pub(crate) trials: u32,
    /// Rows in each store.
    pub(crate) rows: u64,
    /// All chance follows from it.
    pub(crate) seed: u64,
    /// Where the results go.
    pub(crate) out: PathBuf,
    /// Where the stores lie meanwhile.
    pub(crate) dir: PathBuf,
}

/// What came out for one contender in one state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Count {
    engine: String,
    /// `at rest`: after a checkpoint, as far as the library has one; `just written`: closed after the last commit.
    state: String,
    rows: u64,
    seed: u64,
    taken: String,
    trials: u32,
    no_effect: u32,
    reported: u32,
    died: u32,
    wrong: u32,
    missing: u32,
}

impl Count {
    fn add(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::NoEffect => &mut self.no_effect,
            Outcome::Reported => &mut self.reported,
            Outcome::Died => &mut self.died,
            Outcome::Wrong => &mut self.wrong,
            Outcome::Missing => &mut self.missing,
        } += 1;
        self.trials += 1;
    }

    const fn silent(&self) -> u32 {
        self.wrong + self.missing
    }
}

/// Flips bits for everybody, and writes samples and table.
///
/// # Errors
/// A sentence; also when an engine of ours that promises verified reads answered wrongly.
pub(crate) fn run(entrants: &[Entrant], plan: &Plan) -> Result<()> {
    let mut counts = Vec::new();
    for entrant in entrants.iter().filter(|entrant| entrant.durable) {
        for state in ["at rest", "just written"] {
            let count = trials(entrant, state, plan)?;
            println!("{:<16} {:<13} {count:?}", entrant.name, state);
            counts.push(count);
        }
    }
    create_dir_durably(&RealDisk, &plan.out).map_err(text)?;
    let lines = counts.iter().map(|count| serde_json::to_string(count).map(|line| line + "\n"));
    let lines: String = lines.collect::<std::result::Result<_, _>>().map_err(text)?;
    replace(&RealDisk, &plan.out.join(SAMPLES), lines.as_bytes()).map_err(text)?;
    render(&plan.out)?;
    let silent = counts.iter().find(|count| count.engine == "flatfile" && count.silent() > 0);
    silent.map_or(Ok(()), |count| Err(format!("{}: {} silent answers", count.engine, count.silent())))
}

fn trials(entrant: &Entrant, state: &str, plan: &Plan) -> Result<Count> {
    let dir = tempfile::tempdir_in(&plan.dir).map_err(text)?;
    let pristine = dir.path().join("pristine");
    fill(entrant, &pristine, plan.rows, state == "at rest")?;
    let sectors = sectors(&pristine)?;
    let mut random = Random(plan.seed);
    let mut count = Count {
        engine: entrant.name.to_owned(),
        state: state.to_owned(),
        rows: plan.rows,
        seed: plan.seed,
        taken: now(),
        trials: 0,
        no_effect: 0,
        reported: 0,
        died: 0,
        wrong: 0,
        missing: 0,
    };
    // Without damage it must be right, or the trials say nothing.
    let whole = copied(&pristine, &dir.path().join("whole"))?;
    if look_in_child(entrant, &whole, plan.rows)? != Outcome::NoEffect {
        return Err(format!("{}: the undamaged store is not read back", entrant.name));
    }
    for trial in 0..plan.trials {
        let home = copied(&pristine, &dir.path().join(trial.to_string()))?;
        let sector = random.below(sectors.len() as u64);
        let bit = random.below(SECTOR as u64 * 8);
        let (file, at) = &sectors[usize::try_from(sector).map_err(text)?];
        flip(&home.join(file), *at, bit)?;
        count.add(look_in_child(entrant, &home, plan.rows)?);
        remove_tree(&RealDisk, &home).map_err(text)?;
    }
    Ok(count)
}
