//! Commits on a disk on which every sync takes a millisecond longer: what a design is worth elsewhere.

use super::commit::{Batches, SIZES, series};
use super::writers;
use crate::contender::{Ack, Result, Settings};
use crate::limit::RawSegment;
use crate::rounds::{Case, interleave};
use crate::rows::{VALUE_BYTES, fresh};
use crate::session::Session;

const PUTS: usize = 400;
/// The runtime over our own engine takes its disk from us too.
const RUNTIME: &str = "store";

pub(super) fn run(session: &mut Session) -> Result<()> {
    let settings = Settings { slow_disk: true, ..Settings::USUAL };
    let dir = session.new_home()?;
    let mut raw = RawSegment::create(&dir, session.data.payload(), true)?;
    let mut entrants = Vec::new();
    let mut stores = std::collections::BTreeMap::new();
    for entrant in session.durable() {
        if !entrant.ours && !entrant.name.starts_with(RUNTIME) {
            println!("slow-disk: not available for {}, which takes no disk from us", entrant.name);
            continue;
        }
        let home = session.new_home()?;
        match (entrant.open)(&home, &settings) {
            Ok(store) => {
                stores.insert(entrant.name, store);
                entrants.push(entrant);
            }
            Err(why) => println!("slow-disk: not available for {}: {why}", entrant.name),
        }
    }
    for (rows, times) in SIZES {
        let mut case = Case::new(session, "slow-disk", format!("N={rows}"));
        case.rows = 0;
        let mut batches = Batches::new(rows, session.plan.steps(times / 4));
        interleave(session, &case, &entrants, |session, entrant, round| {
            series(
                &*stores[entrant.name],
                &mut raw,
                batches.of_round(round, &mut session.random),
                Ack::Durable,
            )
        });
    }
    for writers in [1, 8] {
        let mut case = Case::new(session, "slow-disk", format!("writers={writers}"));
        case.rows = 0;
        let puts = session.plan.steps(PUTS);
        interleave(session, &case, &entrants, |session, entrant, _| {
            let rows = fresh(&mut session.random, puts, VALUE_BYTES);
            writers::sample(&*stores[entrant.name], &mut raw, &rows, writers)
        });
    }
    Ok(())
}
