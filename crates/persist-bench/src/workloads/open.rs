//! Opening a store: closed well, with a tail of beats behind a checkpoint, and after a killed load.

use std::path::Path;
use std::time::Instant;

use crate::child;
use crate::contender::{Ack, Contender, Entrant, Reader, Result, Settings, text};
use crate::limit::nanoseconds;
use crate::record::Sample;
use crate::rounds::{Case, interleave};
use crate::rows::{Data, Random, Row, VALUE_BYTES, fresh};
use crate::session::Session;

/// Beats behind the checkpoint.
pub(super) const TAIL_BEATS: usize = 1_000;
/// Beats of the killed loads, and rows of each.
const KILLED: [(usize, usize); 2] = [(2_000, 100), (50_000, 1)];
/// In place of a seed: beats that are synced once, at their end.
const UNSYNCED: &str = "unsynced";
/// Loaded rows that are looked at behind each opening.
const LOADED: usize = 1_000;

pub(super) fn run(session: &mut Session) -> Result<()> {
    let durable = session.durable();
    let homes = session.closed_stores(&durable)?;
    let (data, one) = (session.data, session.data.row(session.data.rows / 2));
    let case = Case::new(session, "open", "closed well");
    interleave(session, &case, &durable, |_, entrant, _| {
        opened(entrant, &homes[entrant.name], &one, |store| check_loaded(store, data))
    });
    let beats = session.plan.steps(TAIL_BEATS);
    let case = Case::new(session, "open", format!("checkpoint and a tail of {beats} beats"));
    interleave(session, &case, &durable, |_, entrant, round| {
        let (home, tail) = (&homes[entrant.name], Tail::behind_checkpoint(beats, u64::from(round)));
        tail.write(entrant, home)?;
        tail.opened(entrant, home, |store| check_loaded(store, data))
    });
    for (beats, rows) in KILLED {
        let tail = Tail { beats: session.plan.steps(beats), rows, checkpoint: None };
        let name = format!("killed after {} beats of {rows}", tail.beats);
        let mut case = Case::new(session, "open", name);
        case.rows = (tail.beats * rows) as u64;
        interleave(session, &case, &durable, |session, entrant, _| {
            let home = session.new_home()?;
            tail.write(entrant, &home)?;
            let sample = tail.opened(entrant, &home, |_| Ok(()))?;
            remove(&home)?;
            Ok(sample)
        });
    }
    for home in homes.into_values() {
        remove(&home)?;
    }
    Ok(())
}

/// Beats that a child writes before it dies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tail {
    beats: usize,
    rows: usize,
    /// Durable beats behind a checkpoint, their rows by this seed; `None`: beats and one sync at the end.
    checkpoint: Option<u64>,
}

impl Tail {
    /// Durable beats of one row behind a checkpoint.
    pub(super) fn behind_checkpoint(beats: usize, seed: u64) -> Self {
        Self { beats, rows: 1, checkpoint: Some(seed) }
    }

    /// The rows of each beat: the same here as in the child.
    fn batches(self) -> impl Iterator<Item = Vec<Row>> {
        let mut random = Random(100 + self.checkpoint.unwrap_or(0));
        (0..self.beats).map(move |_| fresh(&mut random, self.rows, VALUE_BYTES))
    }

    /// Lets a child write the beats and die.
    pub(super) fn write(self, entrant: &Entrant, home: &Path) -> Result<()> {
        let seed = self.checkpoint.map_or(UNSYNCED.to_owned(), |seed| seed.to_string());
        let words = [self.beats.to_string(), self.rows.to_string(), seed];
        let done: usize = child::run("tail", entrant.name, home, &words)?;
        if done == self.beats { Ok(()) } else { Err(format!("{done} beats instead of {}", self.beats)) }
    }

    /// As [`opened`], reading the newest row of the tail. That all others are there is checked behind the clock.
    pub(super) fn opened(
        self,
        entrant: &Entrant,
        home: &Path,
        check: impl FnOnce(&dyn Contender) -> Result<()>,
    ) -> Result<Sample> {
        let newest = self.batches().last().and_then(|mut rows| rows.pop()).ok_or("a tail of nothing")?;
        opened(entrant, home, &newest, |store| {
            let mut reader = store.reader()?;
            for (at, row) in self.batches().flatten().enumerate() {
                require(&mut *reader, &row).map_err(|why| format!("row {at} of the killed child {why}"))?;
            }
            drop(reader);
            check(store)
        })
    }
}

/// The child's side. It ends without closing anything.
pub(crate) fn child(entrant: &Entrant, home: &Path, beats: &str, rows: &str, seed: &str) -> Result<()> {
    let (beats, rows): (usize, usize) = (beats.parse().map_err(text)?, rows.parse().map_err(text)?);
    let checkpoint = if seed == UNSYNCED { None } else { Some(seed.parse().map_err(text)?) };
    let tail = Tail { beats, rows, checkpoint };
    let store = (entrant.open)(home, &Settings { bulk: checkpoint.is_none(), ..Settings::USUAL })?;
    let ack = if checkpoint.is_some() { Ack::Durable } else { Ack::Unsynced };
    if checkpoint.is_some() {
        store.checkpoint()?;
    }
    for batch in tail.batches() {
        store.commit(&batch, ack)?;
    }
    // A checkpoint would be the end of the tail, and with SQLite a sync is one; its log survives the process without.
    if ack == Ack::Unsynced && !entrant.name.contains("sqlite") {
        store.sync()?;
    }
    println!("{beats}");
    std::process::exit(0);
}

/// Milliseconds to open and read one row, which must be there; checks more behind the clock and closes.
pub(super) fn opened(
    entrant: &Entrant,
    home: &Path,
    row: &Row,
    check: impl FnOnce(&dyn Contender) -> Result<()>,
) -> Result<Sample> {
    let clock = Instant::now();
    let store = (entrant.open)(home, &Settings::USUAL)?;
    let found = store.reader()?.value(&row.key)?;
    let spent = nanoseconds(clock.elapsed());
    right(found.as_deref(), row).map_err(|why| format!("the row that is read first {why}"))?;
    check(&*store)?;
    store.close()?;
    Ok(Sample::bare("ms", spent / 1e6))
}

fn right(found: Option<&[u8]>, row: &Row) -> Result<()> {
    match found {
        Some(value) if *value == *row.value => Ok(()),
        Some(_) => Err("has a wrong value".to_owned()),
        None => Err("is missing".to_owned()),
    }
}

fn require(reader: &mut dyn Reader, row: &Row) -> Result<()> {
    right(reader.value(&row.key)?.as_deref(), row)
}

/// Checks a sample of the rows that were loaded.
fn check_loaded(store: &dyn Contender, data: Data) -> Result<()> {
    let (mut random, mut reader) = (Random(5), store.reader()?);
    for _ in 0..LOADED {
        let row = random.below(data.rows);
        require(&mut *reader, &data.row(row)).map_err(|why| format!("loaded row {row} {why}"))?;
    }
    Ok(())
}

/// Removes a store.
pub(super) fn remove(home: &Path) -> Result<()> {
    persist_io::remove_tree(&persist_io::RealDisk, home).map_err(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entrants::{engines, find};

    /// Opens a store in which a tail was written, but for what `change` did to its batches.
    fn found(change: impl FnOnce(&mut Vec<Vec<Row>>)) -> Result<Sample> {
        let (dir, all) = (tempfile::tempdir().unwrap(), engines());
        let entrant = find(&all, "flatfile").unwrap();
        let tail = Tail::behind_checkpoint(50, 7);
        let mut batches: Vec<Vec<Row>> = tail.batches().collect();
        assert_ne!(batches, Tail::behind_checkpoint(50, 8).batches().collect::<Vec<_>>());
        change(&mut batches);
        let store = (entrant.open)(dir.path(), &Settings::USUAL).unwrap();
        batches.iter().try_for_each(|rows| store.commit(rows, Ack::Durable)).unwrap();
        store.close().unwrap();
        tail.opened(entrant, dir.path(), |_| Ok(()))
    }

    #[test]
    fn a_row_of_the_tail_that_is_lost_or_wrong_is_noticed() {
        assert!(found(|_| {}).is_ok());
        let said = |change: fn(&mut Vec<Vec<Row>>)| found(change).unwrap_err();
        assert_eq!(said(|batches| drop(batches.pop())), "the row that is read first is missing");
        assert_eq!(said(|batches| drop(batches.remove(0))), "row 0 of the killed child is missing");
        assert_eq!(
            said(|batches| batches[30][0].value = [0; VALUE_BYTES].into()),
            "row 30 of the killed child has a wrong value"
        );
    }

    #[test]
    fn a_loaded_row_that_is_lost_is_noticed() {
        let (dir, all) = (tempfile::tempdir().unwrap(), engines());
        let store = (find(&all, "flatfile").unwrap().open)(dir.path(), &Settings::USUAL).unwrap();
        let rows: Vec<Row> = (0..100).map(|row| Data { rows: 100 }.row(row)).collect();
        store.commit(&rows[..99], Ack::Durable).unwrap();
        assert!(check_loaded(&*store, Data { rows: 100 }).is_err());
        store.commit(&rows[99..], Ack::Durable).unwrap();
        assert_eq!(check_loaded(&*store, Data { rows: 100 }), Ok(()));
    }
}
