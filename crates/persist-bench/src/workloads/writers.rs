//! Durable single puts by several threads at once.

use std::sync::{Barrier, Mutex, PoisonError};
use std::time::Instant;

use crate::contender::{Contender, Result};
use crate::limit::{RawSegment, nanoseconds};
use crate::record::{Raw, Sample};
use crate::rounds::{Case, interleave};
use crate::rows::{KEY_BYTES, Row, VALUE_BYTES, fresh};
use crate::session::{Purpose, Session};

/// How many threads write.
pub(super) const WRITERS: [usize; 4] = [1, 2, 4, 8];
const PUTS: usize = 3_200;
/// Puts for each raw write beside them.
const PUTS_A_RAW: usize = 64;

pub(super) fn run(session: &mut Session) -> Result<()> {
    let durable = session.durable();
    let puts = session.plan.steps(PUTS).max(4 * WRITERS[3]);
    for writers in WRITERS {
        let case = Case::new(session, "writers", format!("writers={writers}"));
        interleave(session, &case, &durable, |session, entrant, _| {
            let rows = fresh(&mut session.random, puts, VALUE_BYTES);
            session.store(entrant, Purpose::Writing)?;
            sample(session.stores.get(entrant, Purpose::Writing)?, &mut session.raw, &rows, writers)
        });
    }
    Ok(())
}

/// Nanoseconds for each put, all writers together.
pub(super) fn sample(
    store: &dyn Contender,
    raw: &mut RawSegment,
    rows: &[Row],
    writers: usize,
) -> Result<Sample> {
    let raw_times = (rows.len() / PUTS_A_RAW).max(4);
    let before = raw.commits(KEY_BYTES + VALUE_BYTES, raw_times)?;
    let spent = together(store, rows, writers)?;
    let after = raw.commits(KEY_BYTES + VALUE_BYTES, raw_times)?;
    #[allow(clippy::cast_precision_loss, reason = "thousands")]
    let each = spent / rows.len() as f64;
    Ok(Sample::beside("ns a put", each, Raw::of_series(before, after)))
}

/// All rows by so many threads, each with its share; nanoseconds from the start to the last acknowledgement.
pub(super) fn together(store: &dyn Contender, rows: &[Row], writers: usize) -> Result<f64> {
    let mut spent = 0.0;
    store.with_shared(&mut |put| {
        let failed = Mutex::new(None);
        let shares: Vec<&[Row]> = rows.chunks(rows.len().div_ceil(writers)).collect();
        let barrier = Barrier::new(shares.len() + 1);
        let mut clock = Instant::now();
        std::thread::scope(|scope| {
            for share in shares {
                let (failed, barrier) = (&failed, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    if let Err(error) = share.iter().try_for_each(put) {
                        *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    }
                });
            }
            barrier.wait();
            clock = Instant::now();
        });
        spent = nanoseconds(clock.elapsed());
        failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    })?;
    Ok(spent)
}
