//! Durable commits of N rows.

use std::time::Instant;

use super::open::remove;
use crate::contender::{Ack, Contender, Entrant, Result, Settings};
use crate::limit::{RawSegment, nanoseconds};
use crate::record::{Raw, Sample};
use crate::rounds::{Case, interleave};
use crate::rows::{KEY_BYTES, Random, Row, VALUE_BYTES, fresh};
use crate::session::{Purpose, Session};

/// Rows of a commit, and commits of one sample.
pub(super) const SIZES: [(usize, usize); 4] = [(1, 200), (10, 200), (100, 100), (1_000, 40)];
/// The same in a store that has nothing in it.
const FRESH: [(usize, usize); 2] = [(1, 200), (100, 100)];

pub(super) fn run(session: &mut Session) -> Result<()> {
    let durable = session.durable();
    let ours: Vec<Entrant> = durable.iter().filter(|entrant| entrant.ours).copied().collect();
    // First, while no other store is open whose threads have work of their own.
    for (rows, times) in FRESH {
        let mut case = Case::new(session, "commit", format!("N={rows} fresh store"));
        case.rows = 0;
        let mut batches = Batches::new(rows, session.plan.steps(times));
        interleave(session, &case, &durable, |session, entrant, round| {
            let home = session.new_home()?;
            let store = (entrant.open)(&home, &Settings::USUAL)?;
            let batches = batches.of_round(round, &mut session.random);
            let sample = series(&*store, &mut session.raw, batches, Ack::Durable)?;
            store.close()?;
            remove(&home)?;
            Ok(sample)
        });
    }
    for (rows, times) in SIZES {
        let times = session.plan.steps(times);
        for (entrants, ack, mark) in
            [(&durable, Ack::Durable, ""), (&ours, Ack::DurableWithRoot, " with root")]
        {
            let case = Case::new(session, "commit", format!("N={rows}{mark}"));
            let mut batches = Batches::new(rows, times);
            interleave(session, &case, entrants, |session, entrant, round| {
                session.store(entrant, Purpose::Writing)?;
                let batches = batches.of_round(round, &mut session.random);
                let Session { stores, raw, .. } = session;
                let store = stores.get(entrant, Purpose::Writing)?;
                series(store, raw, batches, ack)
            });
        }
    }
    Ok(())
}

/// The batches of one round, the same for all contenders and made while no clock runs.
pub(super) struct Batches {
    rows: usize,
    times: usize,
    value_bytes: usize,
    round: Option<u32>,
    made: Vec<Vec<Row>>,
}

impl Batches {
    pub(super) fn new(rows: usize, times: usize) -> Self {
        Self { rows, times, value_bytes: VALUE_BYTES, round: None, made: Vec::new() }
    }

    pub(super) fn of_values(value_bytes: usize, times: usize) -> Self {
        Self { value_bytes, ..Self::new(1, times) }
    }

    pub(super) fn of_round(&mut self, round: u32, random: &mut Random) -> &[Vec<Row>] {
        if self.round != Some(round) {
            self.round = Some(round);
            self.made = (0..self.times).map(|_| fresh(random, self.rows, self.value_bytes)).collect();
        }
        &self.made
    }
}

/// Times each commit, between two raw series of the payload's bytes.
pub(super) fn series(
    store: &dyn Contender,
    raw: &mut RawSegment,
    batches: &[Vec<Row>],
    ack: Ack,
) -> Result<Sample> {
    let bytes = batches.first().map_or(0, |rows| rows.iter().map(|row| KEY_BYTES + row.value.len()).sum());
    let half = batches.len().div_ceil(2);
    let before = raw.commits(bytes, half)?;
    let mut times = Vec::with_capacity(batches.len());
    for batch in batches {
        let clock = Instant::now();
        store.commit(batch, ack)?;
        times.push(nanoseconds(clock.elapsed()));
    }
    let after = raw.commits(bytes, half)?;
    Ok(Sample::of_series("ns", times, Raw::of_series(before, after)))
}
