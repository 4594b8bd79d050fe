//! One durable value of 4 KiB and of 1 MiB.

use super::commit::{Batches, series};
use crate::contender::{Ack, Result};
use crate::rounds::{Case, interleave};
use crate::session::{Purpose, Session};

const SIZES: [(&str, usize, usize); 2] = [("4 KiB", 4 << 10, 100), ("1 MiB", 1 << 20, 10)];

pub(super) fn run(session: &mut Session) -> Result<()> {
    let durable = session.durable();
    for (name, bytes, times) in SIZES {
        let case = Case::new(session, "values", name);
        let mut batches = Batches::of_values(bytes, session.plan.steps(times));
        interleave(session, &case, &durable, |session, entrant, round| {
            session.store(entrant, Purpose::Writing)?;
            let batches = batches.of_round(round, &mut session.random);
            series(session.stores.get(entrant, Purpose::Writing)?, &mut session.raw, batches, Ack::Durable)
        });
    }
    Ok(())
}
