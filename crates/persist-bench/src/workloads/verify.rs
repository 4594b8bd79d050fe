//! How fast an engine of ours checks every byte of a store.

use std::time::Instant;

use persist_api::{Quiet, Severity};

use crate::contender::{Entrant, Result, text};
use crate::limit::nanoseconds;
use crate::record::Sample;
use crate::rounds::{Case, interleave};
use crate::session::{Purpose, Session};

pub(super) fn run(session: &mut Session) -> Result<()> {
    let ours: Vec<Entrant> = session.entrants.iter().filter(|it| it.ours && it.durable).copied().collect();
    let case = Case::new(session, "verify", "warm");
    interleave(session, &case, &ours, |session, entrant, _| {
        let store = session.store(entrant, Purpose::Reading)?;
        let engine = store.engine().ok_or("not an engine of ours")?;
        let mut damage = None;
        let clock = Instant::now();
        let stat = engine
            .verify(
                &mut |finding| {
                    if finding.severity == Severity::Damage {
                        damage = Some(finding.what);
                    }
                },
                &Quiet,
            )
            .map_err(text)?;
        let spent = nanoseconds(clock.elapsed());
        if let Some(what) = damage {
            return Err(format!("a store in order is said to be damaged: {what}"));
        }
        #[allow(clippy::cast_precision_loss, reason = "bytes of a store of millions of rows")]
        Ok(Sample::bare("GB/s", stat.bytes as f64 / spent))
    });
    session.close(Purpose::Reading);
    Ok(())
}
