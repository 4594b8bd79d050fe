//! Rounds: every contender in every round, the order rotated, samples from bad moments dropped and counted.

use crate::contender::{Entrant, Result};
use crate::record::{Record, Sample};
use crate::session::Session;
use crate::stats::{quantile, sorted};

/// Fewer good samples than this are a failure.
pub(crate) const ROUNDS_MIN: usize = 5;
/// As [`ROUNDS_MIN`] where a round takes minutes.
pub(crate) const GROWTH_ROUNDS_MIN: usize = 3;
/// A sample whose raw row is slower than the best by this factor was taken in a bad moment.
const RAW_OVER_BEST: f64 = 1.5;

/// What is measured in rounds.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// The workload.
    pub(crate) workload: &'static str,
    /// Its name within the workload.
    pub(crate) name: String,
    /// Rows in the store.
    pub(crate) rows: u64,
    /// Good samples wanted of each contender.
    pub(crate) rounds: usize,
    /// With fewer the run fails.
    pub(crate) rounds_min: usize,
}

impl Case {
    /// A case with the plan's number of rounds.
    pub(crate) fn new(session: &Session, workload: &'static str, name: impl Into<String>) -> Self {
        let rounds = session.plan.rounds;
        let rounds_min = if session.plan.gated { ROUNDS_MIN } else { 1 };
        Self { workload, name: name.into(), rows: session.plan.rows, rounds, rounds_min }
    }
}

/// Measures every entrant in rounds until each has enough good samples, or three times as many rounds were tried. Samples
/// that do not count are kept with the reason. An entrant that fails is left out from then on and the run fails at its end.
pub(crate) fn interleave(
    session: &mut Session,
    case: &Case,
    entrants: &[Entrant],
    mut measure: impl FnMut(&mut Session, &Entrant, u32) -> Result<Sample>,
) {
    let mut records: Vec<Record> = Vec::new();
    let mut out: Vec<&str> = Vec::new();
    for round in 0..u32::try_from(3 * case.rounds).unwrap_or(u32::MAX) {
        let left = |entrant: &&Entrant| !out.contains(&entrant.name);
        if entrants.iter().filter(left).all(|entrant| good(&records, case, entrant.name) >= case.rounds) {
            break;
        }
        for turn in 0..entrants.len() {
            let entrant = &entrants[(turn + round as usize) % entrants.len()];
            if out.contains(&entrant.name) {
                continue;
            }
            let before = session.meter.read();
            match measure(session, entrant, round) {
                Ok(sample) => {
                    let pressure = before.worse(session.meter.read());
                    records.push(Record {
                        workload: case.workload.to_owned(),
                        case: case.name.clone(),
                        engine: entrant.name.to_owned(),
                        rows: case.rows,
                        round,
                        sample,
                        pressure,
                        dropped: None,
                    });
                }
                Err(error) => {
                    out.push(entrant.name);
                    session.fail(format!("{} {}, {}: {error}", case.workload, case.name, entrant.name));
                }
            }
        }
        if session.plan.gated {
            judge(&mut records);
        }
    }
    for entrant in entrants.iter().filter(|entrant| !out.contains(&entrant.name)) {
        require(session, case, entrant.name, &records);
    }
    session.publish(records);
}

fn of_case<'r>(records: &'r [Record], case: &'r Case, engine: &'r str) -> impl Iterator<Item = &'r Record> {
    records.iter().filter(move |record| record.engine == engine && record.case == case.name)
}

/// How many samples of a contender count.
pub(crate) fn good(records: &[Record], case: &Case, engine: &str) -> usize {
    of_case(records, case, engine).filter(|record| record.dropped.is_none()).count()
}

/// Fails the run when too few samples of a contender count.
pub(crate) fn require(session: &mut Session, case: &Case, engine: &str, records: &[Record]) {
    let (all, kept) = (of_case(records, case, engine).count(), good(records, case, engine));
    if kept < case.rounds_min {
        let why = records.iter().rev().find_map(|record| record.dropped.as_deref()).unwrap_or_default();
        session.fail(format!(
            "{} {}, {engine}: only {kept} of {all} samples count ({why}); try again when the machine is quiet",
            case.workload, case.name
        ));
    }
}

/// Marks the samples that do not count.
pub(crate) fn judge(records: &mut [Record]) {
    // The best quarter, not the best: one lucky moment of a disk would make all others look disturbed.
    let raws = sorted(records.iter().filter_map(|record| Some(record.sample.raw?.value)).collect());
    let best = quantile(&raws, 0.25);
    for record in records {
        let Record { pressure, sample, .. } = &*record;
        record.dropped = if pressure.disturbs() {
            Some(format!(
                "pressure {:.0} %, {:.0} % of the CPUs used by others",
                pressure.cpu, pressure.foreign
            ))
        } else {
            sample.raw.and_then(|raw| {
                let (low, high) = (raw.before.min(raw.after), raw.before.max(raw.after));
                if raw.value > RAW_OVER_BEST * best {
                    Some(format!("raw row at {:.2} of the best", raw.value / best))
                } else if high > RAW_OVER_BEST * low {
                    Some(format!("raw row changed by {:.2} meanwhile", high / low))
                } else {
                    None
                }
            })
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pressure::Pressure;
    use crate::record::Raw;

    fn record(before: f64, after: f64, pressure: Pressure) -> Record {
        Record {
            workload: "w".into(),
            case: "c".into(),
            engine: "e".into(),
            rows: 1,
            round: 0,
            sample: Sample::beside("ns", 1.0, Raw::of_pair(before, after)),
            pressure,
            dropped: None,
        }
    }

    #[test]
    fn samples_of_bad_moments_do_not_count_and_say_why() {
        let quiet = Pressure::default();
        let own = Pressure { cpu: 90.0, ..quiet };
        let others = Pressure { cpu: 90.0, foreign: 30.0, ..quiet };
        let mut records = vec![
            record(50.0, 52.0, quiet),
            record(50.0, 50.0, own),
            record(50.0, 50.0, others),
            record(80.0, 80.0, quiet),
            record(40.0, 70.0, quiet),
        ];
        judge(&mut records);
        let why: Vec<&str> =
            records.iter().map(|record| record.dropped.as_deref().unwrap_or("counts")).collect();
        assert_eq!(why[..2], ["counts", "counts"]);
        assert!(why[2].starts_with("pressure 90 %, 30 %"), "{}", why[2]);
        assert_eq!(why[3], "raw row at 1.60 of the best");
        assert_eq!(why[4], "raw row changed by 1.75 meanwhile");
    }
}
