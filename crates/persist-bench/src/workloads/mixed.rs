//! Reads and durable single writes in one stream.

use std::time::Instant;

use crate::contender::{Ack, Contender, Result};
use crate::limit::{RawSegment, nanoseconds};
use crate::record::{Raw, Sample};
use crate::rounds::{Case, interleave};
use crate::rows::{Data, KEY_BYTES, Key, Random, Row, VALUE_BYTES, fresh};
use crate::session::{Purpose, Session};

/// Name, operations of a sample, writes among twenty.
pub(super) const MIXES: [(&str, usize, usize); 2] = [("50/50", 400, 10), ("95/5", 4_000, 1)];

/// Raw writes on either side of a sample.
pub(super) const RAW_TIMES: usize = 50;

pub(super) fn run(session: &mut Session) -> Result<()> {
    let durable = session.durable();
    for (name, operations, writes) in MIXES {
        let operations = session.plan.steps(operations);
        let case = Case::new(session, "mixed", name);
        interleave(session, &case, &durable, |session, entrant, _| {
            session.store(entrant, Purpose::Writing)?;
            let raw_times = session.plan.steps(RAW_TIMES);
            let Session { stores, raw, random, data, .. } = session;
            let store = stores.get(entrant, Purpose::Writing)?;
            sample(store, (raw, raw_times), (*data, random), (operations, writes))
        });
    }
    Ok(())
}

/// So many operations, `writes` among twenty of which replace popular rows.
pub(super) fn sample(
    store: &dyn Contender,
    (raw, raw_times): (&mut RawSegment, usize),
    (data, random): (Data, &mut Random),
    (operations, writes): (usize, usize),
) -> Result<Sample> {
    let keys = data.skewed_keys(random, operations);
    let values = fresh(random, operations, VALUE_BYTES);
    let values: Vec<Row> = values.into_iter().zip(&keys).map(|(row, key)| Row { key: *key, ..row }).collect();
    let before = raw.commits(KEY_BYTES + VALUE_BYTES, raw_times)?;
    let spent = stream(store, &keys, &values, writes)?;
    let after = raw.commits(KEY_BYTES + VALUE_BYTES, raw_times)?;
    #[allow(clippy::cast_precision_loss, reason = "thousands")]
    let each = spent / operations as f64;
    Ok(Sample::beside("ns an operation", each, Raw::of_series(before, after)))
}

/// Every read opens a snapshot of its own, so that it sees the write before.
fn stream(store: &dyn Contender, keys: &[Key], values: &[Row], writes: usize) -> Result<f64> {
    let clock = Instant::now();
    for (at, (key, row)) in keys.iter().zip(values).enumerate() {
        if at % 20 < writes {
            store.commit(std::slice::from_ref(row), Ack::Durable)?;
        } else {
            let seen = store.reader()?.gets(std::slice::from_ref(key))?;
            if seen.rows != 1 {
                return Err("a row is missing".to_owned());
            }
        }
    }
    Ok(nanoseconds(clock.elapsed()))
}
