//! Gets from a store that is larger than the cache, and with none of its pages in memory.

use std::path::Path;
use std::time::Instant;

use crate::contender::{Entrant, Result, Settings};
use crate::disk::forget;
use crate::limit::nanoseconds;
use crate::record::Sample;
use crate::rounds::{Case, interleave};
use crate::rows::{Data, Random};
use crate::session::Session;

/// A tenth of a million rows' payload.
const CACHE_BYTES: u64 = 12 << 20;
pub(super) const WARM_GETS: usize = 20_000;
pub(super) const COLD_GETS: usize = 400;

pub(super) fn run(session: &mut Session) -> Result<()> {
    let durable = session.durable();
    let homes = session.closed_stores(&durable)?;
    for (name, gets, cold) in [
        ("cache of 12 MiB, file in the page cache", WARM_GETS, false),
        ("cache of 12 MiB, nothing in memory", COLD_GETS, true),
    ] {
        let gets = session.plan.steps(gets);
        let case = Case::new(session, "cache", name);
        interleave(session, &case, &durable, |session, entrant, _| {
            sample(session.data, &mut session.random, entrant, &homes[entrant.name], (gets, cold))
        });
    }
    for home in homes.into_values() {
        super::open::remove(&home)?;
    }
    Ok(())
}

/// So many gets of a closed store, warmed by others or with nothing of it in memory.
pub(super) fn sample(
    data: Data,
    random: &mut Random,
    entrant: &Entrant,
    home: &Path,
    (gets, cold): (usize, bool),
) -> Result<Sample> {
    let warm = data.skewed_keys(random, gets);
    let keys = data.uniform_keys(random, gets);
    if cold {
        forget(home)?;
    }
    let store = (entrant.open)(home, &Settings { cache_bytes: CACHE_BYTES, ..Settings::USUAL })?;
    let mut reader = store.reader()?;
    if !cold {
        reader.gets(&warm)?;
    }
    let clock = Instant::now();
    let seen = reader.gets(&keys)?;
    let spent = nanoseconds(clock.elapsed());
    drop(reader);
    store.close()?;
    if seen.rows != keys.len() as u64 {
        return Err(format!("{} keys found instead of {}", seen.rows, keys.len()));
    }
    #[allow(clippy::cast_precision_loss, reason = "thousands")]
    Ok(Sample::bare("ns", spent / keys.len() as f64))
}
