//! Reading a store at rest: gets, misses, skewed gets, scans, prefixes; each beside a map in memory with the same rows.

use std::time::Instant;

use crate::contender::{Entrant, Reader, Result};
use crate::limit::nanoseconds;
use crate::record::{Raw, Sample};
use crate::rounds::{Case, interleave};
use crate::rows::{Data, Key, ROWS_A_PREFIX, Random};
use crate::session::{Purpose, Session};

const GETS: usize = 40_000;
const OWN_VIEWS: usize = 4_000;
const PREFIXES: usize = 2_000;

type Keys = fn(Data, &mut Random, usize) -> Vec<Key>;

pub(super) fn run(session: &mut Session) -> Result<()> {
    let entrants = session.entrants.clone();
    let kinds: [(&str, Keys, bool); 3] = [
        ("get", Data::uniform_keys, true),
        ("get skewed", Data::skewed_keys, true),
        ("miss", Data::absent_keys, false),
    ];
    for (name, keys, present) in kinds {
        let case = Case::new(session, "read", name);
        let count = session.plan.steps(GETS);
        let mut round_keys = (None, Vec::new());
        interleave(session, &case, &entrants, |session, entrant, round| {
            if round_keys.0 != Some(round) {
                round_keys = (Some(round), keys(session.data, &mut session.random, count));
            }
            let floor_keys = [(); 3].map(|()| keys(session.data, &mut session.random, count));
            gets(session, entrant, &round_keys.1, &floor_keys, present)
        });
    }
    own_views(session, &entrants);
    scans(session, &entrants);
    prefixes(session, &entrants);
    session.close(Purpose::Reading);
    Ok(())
}

/// Times `work` on a reader of the entrant's store at rest; nanoseconds in all.
fn timed(
    session: &mut Session,
    entrant: &Entrant,
    work: impl FnOnce(&mut dyn Reader) -> Result<()>,
) -> Result<f64> {
    let store = session.store(entrant, Purpose::Reading)?;
    let mut reader = store.reader()?;
    let clock = Instant::now();
    work(&mut *reader)?;
    Ok(nanoseconds(clock.elapsed()))
}

#[allow(clippy::cast_precision_loss, reason = "counts of millions")]
fn gets(
    session: &mut Session,
    entrant: &Entrant,
    keys: &[Key],
    [warm, first, second]: &[Vec<Key>; 3],
    present: bool,
) -> Result<Sample> {
    session.store(entrant, Purpose::Reading)?;
    // What was timed before has left nothing of the maps in the caches, some contenders more than others.
    let _ = session.floor().gets(warm);
    let before = session.floor().gets(first);
    let want = if present { keys.len() as u64 } else { 0 };
    let spent = timed(session, entrant, |reader| {
        let seen = reader.gets(keys)?;
        if seen.rows == want { Ok(()) } else { Err(format!("{} keys found instead of {want}", seen.rows)) }
    })?;
    let _ = session.floor().gets(warm);
    let after = session.floor().gets(second);
    Ok(Sample::beside("ns", spent / keys.len() as f64, Raw::of_pair(before, after)))
}

/// Gets that open a snapshot each, as a program does that reads one thing.
#[allow(clippy::cast_precision_loss, reason = "counts of millions")]
fn own_views(session: &mut Session, entrants: &[Entrant]) {
    let case = Case::new(session, "read", "get with a snapshot of its own");
    let count = session.plan.steps(OWN_VIEWS);
    interleave(session, &case, entrants, |session, entrant, _| {
        let [keys, first, second] = [(); 3].map(|()| session.data.uniform_keys(&mut session.random, count));
        session.store(entrant, Purpose::Reading)?;
        let before = session.floor().gets(&first);
        let store = session.store(entrant, Purpose::Reading)?;
        let clock = Instant::now();
        for key in &keys {
            store.reader()?.gets(std::slice::from_ref(key))?;
        }
        let spent = nanoseconds(clock.elapsed());
        let after = session.floor().gets(&second);
        Ok(Sample::beside("ns", spent / count as f64, Raw::of_pair(before, after)))
    });
}

#[allow(clippy::cast_precision_loss, reason = "counts of millions")]
fn scans(session: &mut Session, entrants: &[Entrant]) {
    let case = Case::new(session, "read", "scan");
    let rows = session.data.rows;
    interleave(session, &case, entrants, |session, entrant, _| {
        session.store(entrant, Purpose::Reading)?;
        let before = session.floor().scan();
        let spent = timed(session, entrant, |reader| {
            let seen = reader.scan()?;
            if seen.rows == rows { Ok(()) } else { Err(format!("{} rows instead of {rows}", seen.rows)) }
        })?;
        let after = session.floor().scan();
        Ok(Sample::beside("ns a row", spent / rows as f64, Raw::of_pair(before, after)))
    });
}

#[allow(clippy::cast_precision_loss, reason = "counts of millions")]
fn prefixes(session: &mut Session, entrants: &[Entrant]) {
    let case = Case::new(session, "read", "prefix of 100 rows");
    let count = session.plan.steps(PREFIXES);
    interleave(session, &case, entrants, |session, entrant, _| {
        let prefixes = session.data.prefixes(&mut session.random, count);
        session.store(entrant, Purpose::Reading)?;
        let before = session.floor().prefixes(&prefixes);
        let want = count as u64 * ROWS_A_PREFIX;
        let spent = timed(session, entrant, |reader| {
            let seen = reader.prefixes(&prefixes)?;
            if seen.rows == want { Ok(()) } else { Err(format!("{} rows instead of {want}", seen.rows)) }
        })?;
        let after = session.floor().prefixes(&prefixes);
        Ok(Sample::beside("ns", spent / count as f64, Raw::of_pair(before, after)))
    });
}
