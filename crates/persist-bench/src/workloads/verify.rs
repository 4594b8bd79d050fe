//! How fast an engine of ours checks every byte of a store, in memory and from the disk.

use std::path::Path;
use std::time::Instant;

use persist_api::{Engine, Quiet, Severity, VerifyStat};

use crate::contender::{Contender, Entrant, Result, Settings, text};
use crate::disk::{forget, read_all};
use crate::limit::nanoseconds;
use crate::record::{Raw, Sample};
use crate::rounds::{Case, interleave};
use crate::session::{Purpose, Session};

pub(super) fn run(session: &mut Session) -> Result<()> {
    let ours: Vec<Entrant> = session.entrants.iter().filter(|it| it.ours && it.durable).copied().collect();
    let case = Case::new(session, "verify", "warm");
    interleave(session, &case, &ours, |session, entrant, _| warm(session.store(entrant, Purpose::Reading)?));
    session.close(Purpose::Reading);
    let homes = session.closed_stores(&ours)?;
    let case = Case::new(session, "verify", "cold");
    interleave(session, &case, &ours, |_, entrant, _| cold(entrant, &homes[entrant.name]));
    for home in homes.into_values() {
        super::open::remove(&home)?;
    }
    Ok(())
}

/// Checks an open store.
pub(super) fn warm(store: &dyn Contender) -> Result<Sample> {
    let clock = Instant::now();
    let stat = verify(store.engine())?;
    let spent = nanoseconds(clock.elapsed());
    #[allow(clippy::cast_precision_loss, reason = "bytes of a store of millions of rows")]
    Ok(Sample::bare("GB/s", stat.bytes as f64 / spent))
}

/// Opens a store of which nothing is in memory and checks it; beside it, the same files only read.
pub(super) fn cold(entrant: &Entrant, home: &Path) -> Result<Sample> {
    let read = || {
        forget(home)?;
        let clock = Instant::now();
        read_all(home)?;
        Ok::<_, String>(nanoseconds(clock.elapsed()) / 1e6)
    };
    let before = read()?;
    forget(home)?;
    let clock = Instant::now();
    let store = (entrant.open)(home, &Settings::USUAL)?;
    verify(store.engine())?;
    let spent = nanoseconds(clock.elapsed()) / 1e6;
    store.close()?;
    Ok(Sample::beside("ms", spent, Raw::of_pair(before, read()?)))
}

/// Checks everything; damage is an error.
fn verify(engine: Option<&dyn Engine>) -> Result<VerifyStat> {
    let mut damage = None;
    let engine = engine.ok_or("not an engine of ours")?;
    let found = &mut |finding: persist_api::Finding| {
        if finding.severity == Severity::Damage {
            damage = Some(finding.what);
        }
    };
    let stat = engine.verify(found, &Quiet).map_err(text)?;
    match damage {
        Some(what) => Err(format!("a store in order is said to be damaged: {what}")),
        None => Ok(stat),
    }
}
