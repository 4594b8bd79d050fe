//! Gets from a store that is larger than the cache, and with none of its pages in memory.

use std::path::Path;
use std::time::Instant;

use crate::contender::{Entrant, Result, Settings};
use crate::disk::forget;
use crate::limit::nanoseconds;
use crate::record::Sample;
use crate::rounds::{Case, interleave};
use crate::session::Session;

/// A tenth of a million rows' payload.
const CACHE_BYTES: u64 = 12 << 20;
const WARM_GETS: usize = 20_000;
const COLD_GETS: usize = 400;

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
            sample(session, entrant, &homes[entrant.name], gets, cold)
        });
    }
    for home in homes.into_values() {
        super::open::remove(&home)?;
    }
    Ok(())
}

fn sample(session: &mut Session, entrant: &Entrant, home: &Path, gets: usize, cold: bool) -> Result<Sample> {
    let warm = session.data.skewed_keys(&mut session.random, gets);
    let keys = session.data.uniform_keys(&mut session.random, gets);
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
