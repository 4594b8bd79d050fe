//! Opening a store: closed well, with a tail of beats behind a checkpoint, and after a killed load.

use std::path::Path;
use std::time::Instant;

use crate::child;
use crate::contender::{Ack, Entrant, Result, Settings, text};
use crate::limit::nanoseconds;
use crate::record::Sample;
use crate::rounds::{Case, interleave};
use crate::rows::{Data, Random, VALUE_BYTES, fresh};
use crate::session::Session;

/// Beats behind the checkpoint.
pub(super) const TAIL_BEATS: usize = 1_000;
/// Beats of the killed loads, and rows of each.
const KILLED: [(usize, usize); 2] = [(2_000, 100), (50_000, 1)];

pub(super) fn run(session: &mut Session) -> Result<()> {
    let durable = session.durable();
    let homes = session.closed_stores(&durable)?;
    let case = Case::new(session, "open", "closed well");
    interleave(session, &case, &durable, |_, entrant, _| opened(entrant, &homes[entrant.name]));
    let beats = session.plan.steps(TAIL_BEATS);
    let case = Case::new(session, "open", format!("checkpoint and a tail of {beats} beats"));
    interleave(session, &case, &durable, |session, entrant, round| {
        let home = &homes[entrant.name];
        tail(entrant, home, beats, 1, &format!("checkpoint-{round}"))?;
        let sample = opened(entrant, home)?;
        check(entrant, home, session.data)?;
        Ok(sample)
    });
    for (beats, rows) in KILLED {
        let beats = session.plan.steps(beats);
        let mut case = Case::new(session, "open", format!("killed after {beats} beats of {rows}"));
        case.rows = (beats * rows) as u64;
        interleave(session, &case, &durable, |session, entrant, _| {
            let home = session.new_home()?;
            tail(entrant, &home, beats, rows, "unsynced")?;
            let sample = opened(entrant, &home)?;
            remove(&home)?;
            Ok(sample)
        });
    }
    for home in homes.into_values() {
        remove(&home)?;
    }
    Ok(())
}

/// Lets a child write beats and die.
pub(super) fn tail(entrant: &Entrant, home: &Path, beats: usize, rows: usize, first: &str) -> Result<()> {
    let words = [beats.to_string(), rows.to_string(), first.to_owned()];
    let done: usize = child::run("tail", entrant.name, home, &words)?;
    if done == beats { Ok(()) } else { Err(format!("{done} beats instead of {beats}")) }
}

/// The child's side: with `checkpoint-<seed>`, a checkpoint and then durable beats; with `unsynced`, beats and one sync
/// at the end. It ends without closing anything.
pub(crate) fn child(entrant: &Entrant, home: &Path, beats: &str, rows: &str, first: &str) -> Result<()> {
    let (beats, rows): (usize, usize) = (beats.parse().map_err(text)?, rows.parse().map_err(text)?);
    let seed = first.strip_prefix("checkpoint-").map(|seed| seed.parse::<u64>().map_err(text));
    let store = (entrant.open)(home, &Settings { bulk: seed.is_none(), ..Settings::USUAL })?;
    let (ack, mut random) = match seed {
        Some(seed) => {
            store.checkpoint()?;
            (Ack::Durable, Random(100 + seed?))
        }
        None => (Ack::Unsynced, Random(100)),
    };
    for _ in 0..beats {
        store.commit(&fresh(&mut random, rows, VALUE_BYTES), ack)?;
    }
    // A checkpoint would be the end of the tail, and with SQLite a sync is one; its log survives the process without.
    if ack == Ack::Unsynced && !entrant.name.contains("sqlite") {
        store.sync()?;
    }
    println!("{beats}");
    std::process::exit(0);
}

/// Milliseconds to open and read one row; closes afterwards.
pub(super) fn opened(entrant: &Entrant, home: &Path) -> Result<Sample> {
    let clock = Instant::now();
    let store = (entrant.open)(home, &Settings::USUAL)?;
    store.reader()?.value(&[0; 16])?;
    let spent = nanoseconds(clock.elapsed());
    store.close()?;
    Ok(Sample::bare("ms", spent / 1e6))
}

/// Checks that no loaded row was lost.
fn check(entrant: &Entrant, home: &Path, data: Data) -> Result<()> {
    let store = (entrant.open)(home, &Settings::USUAL)?;
    let mut random = Random(5);
    let keys = data.uniform_keys(&mut random, 1_000);
    let seen = store.reader()?.gets(&keys)?;
    store.close()?;
    if seen.rows == 1_000 { Ok(()) } else { Err(format!("{} of 1000 rows are missing", 1_000 - seen.rows)) }
}

/// Removes a store.
pub(super) fn remove(home: &Path) -> Result<()> {
    persist_io::remove_tree(&persist_io::RealDisk, home).map_err(text)
}
