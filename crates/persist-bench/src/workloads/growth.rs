//! Each figure over the size of the store.

use super::bulk::{further, load};
use crate::contender::{Entrant, Result};
use crate::pressure::Pressure;
use crate::record::{Record, Sample};
use crate::rounds::{Case, GROWTH_ROUNDS_MIN, interleave};
use crate::session::Session;

/// Beyond this many rows only these take part, for the others need hours or all memory.
const LARGE: u64 = 5_000_000;
const LARGE_ONES: [&str; 4] = ["flatfile", "lmdb", "rocksdb", "fjall"];

pub(super) fn run(session: &mut Session) -> Result<()> {
    let durable = session.durable();
    let wanted = session.plan.growth_rounds;
    for rows in session.plan.growth.into_iter().filter(|rows| *rows > 0) {
        let entrants: Vec<Entrant> = durable
            .iter()
            .filter(|entrant| rows < LARGE || LARGE_ONES.contains(&entrant.name))
            .copied()
            .collect();
        let mut case = Case::new(session, "growth", format!("{rows} rows"));
        (case.rows, case.rounds, case.rounds_min) = (rows, wanted, wanted.min(GROWTH_ROUNDS_MIN));
        let mut more = Vec::new();
        interleave(session, &case, &entrants, |session, entrant, round| {
            let load = load(session, entrant, rows, "random", true)?;
            more.extend(further(session, &case, entrant, round, &load));
            let pressure = session.meter.read();
            more.extend(figures(&case, entrant, round, pressure, load.loaded));
            Ok(Sample::beside("ns a row", load.ordered, load.raw))
        });
        session.publish_with(&case.name, more);
    }
    Ok(())
}

fn figures(
    case: &Case,
    entrant: &Entrant,
    round: u32,
    pressure: Pressure,
    loaded: Vec<(String, Sample)>,
) -> Vec<Record> {
    let record = |(name, sample): (String, Sample)| Record {
        workload: case.workload.to_owned(),
        case: format!("{}, {name}", case.name),
        engine: entrant.name.to_owned(),
        rows: case.rows,
        round,
        sample,
        pressure,
        dropped: None,
    };
    loaded.into_iter().map(record).collect()
}
