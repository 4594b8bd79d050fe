//! Each figure over the size of the store.

use super::bulk::{After, further, load};
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
            more.extend(load.after.iter().flat_map(|after| figures(&case, entrant, round, pressure, after)));
            Ok(Sample::beside("ns a row", load.ordered, load.raw))
        });
        session.publish_with(&case.name, more);
    }
    Ok(())
}

fn figures(case: &Case, entrant: &Entrant, round: u32, pressure: Pressure, after: &After) -> Vec<Record> {
    let samples = [
        ("get", Sample::bare("ns", after.get)),
        ("miss", Sample::bare("ns", after.miss)),
        ("get skewed", Sample::bare("ns", after.skewed)),
        ("scan", Sample::bare("ns a row", after.scan_row)),
        ("prefix of 100 rows", Sample::bare("ns", after.prefix)),
        ("commit of 1", Sample::beside("ns", after.commit_1, after.commit_1_raw)),
        ("commit of 100", Sample::beside("ns", after.commit_100, after.commit_100_raw)),
        ("open, closed well", Sample::bare("ms", after.open)),
        ("open, tail of 1000 beats", Sample::bare("ms", after.open_tail)),
        ("memory at rest", Sample::bare("MiB RssAnon", after.at_rest / f64::from(1 << 20))),
    ];
    let record = |(name, sample): (&str, Sample)| Record {
        workload: case.workload.to_owned(),
        case: format!("{}, {name}", case.name),
        engine: entrant.name.to_owned(),
        rows: case.rows,
        round,
        sample,
        pressure,
        dropped: None,
    };
    samples.map(record).into()
}
