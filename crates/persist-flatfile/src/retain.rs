//! Which versions a new run keeps: those that a beat in the history window shows.
//!
//! Tables are merged version by version, newest first for each key. A version goes when something newer of the same beat,
//! or of a beat at or below the floor, decides the same key: another version, or a range delete.

use std::ops::Bound;
use std::sync::Arc;

use persist_api::{BeatNo, Result};

use crate::cover::{Cover, CoverCursor};
use crate::memtable::{Chunk, Memtable, prefix_of};
use crate::run::{Run, RunCursor, Stored};

/// So many records of a memtable are taken at once.
const AHEAD: usize = 64;

/// One version on its way into a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Versioned<'t> {
    pub(crate) key: &'t [u8],
    pub(crate) beat: BeatNo,
    pub(crate) stored: Stored<'t>,
    /// Its place among versions and marks of its table.
    order: u64,
}

enum Input<'t> {
    Table(TableInput<'t>),
    Run(RunCursor<'t>),
}

impl<'t> Input<'t> {
    #[inline]
    fn next(&mut self) -> Result<Option<Versioned<'t>>> {
        match self {
            Self::Table(input) => Ok(input.next()),
            Self::Run(cursor) => {
                let row = cursor.next()?;
                Ok(row.map(|(key, version)| Versioned {
                    key,
                    beat: version.beat,
                    stored: version.stored,
                    order: version.beat.0,
                }))
            }
        }
    }
}

/// The records of a memtable in order, taken a number at a time.
struct TableInput<'t> {
    table: &'t Memtable,
    chunk: Arc<Chunk>,
    /// Entries taken so far.
    taken: usize,
    /// Those taken last, the next one at the end.
    ready: Vec<Versioned<'t>>,
}

impl<'t> TableInput<'t> {
    fn new(table: &'t Memtable) -> Self {
        Self { table, chunk: table.sorted(), taken: 0, ready: Vec::with_capacity(AHEAD) }
    }

    #[inline]
    fn next(&mut self) -> Option<Versioned<'t>> {
        if self.ready.is_empty() {
            self.take();
        }
        self.ready.pop()
    }

    fn take(&mut self) {
        let rest = self.chunk.entries.get(self.taken..).unwrap_or_default();
        let next = rest.get(..AHEAD).unwrap_or(rest);
        self.taken += next.len();
        let places = next.iter().rev().map(|entry| entry.place);
        self.table.records_at(places, |place, (key, beat, stored)| {
            self.ready.push(Versioned { key, beat, stored, order: place.0 });
        });
    }
}

struct Head<'t> {
    row: Versioned<'t>,
    prefix: u64,
    input: Input<'t>,
    cover: Option<CoverCursor>,
}

/// The versions of several tables that a run with a certain floor keeps, in order.
pub(crate) struct Retained<'t> {
    floor: BeatNo,
    /// Nothing older exists, so that deletes at or below the floor have nothing left to hide.
    oldest: bool,
    /// By age of the table, newest first.
    heads: Vec<Head<'t>>,
    /// The heads that stand on a version, the next first.
    order: Vec<usize>,
    /// What was seen of the current key.
    key: Option<&'t [u8]>,
    decided: Option<BeatNo>,
    /// Versions read so far.
    pub(crate) read: u64,
}

impl<'t> Retained<'t> {
    pub(crate) fn new(floor: BeatNo, oldest: bool) -> Self {
        Self { floor, oldest, heads: Vec::new(), order: Vec::new(), key: None, decided: None, read: 0 }
    }

    /// Adds a memtable, older than all before.
    pub(crate) fn add_table(&mut self, table: &'t Memtable) -> Result<()> {
        self.add(Input::Table(TableInput::new(table)), table.whole_cover())
    }

    /// Adds a run, older than all before.
    pub(crate) fn add_run(&mut self, run: &'t Run, cover: &Arc<Cover>) -> Result<()> {
        let mut cursor = run.cursor();
        cursor.seek(Bound::Unbounded)?;
        self.add(Input::Run(cursor), Arc::clone(cover))
    }

    fn add(&mut self, mut input: Input<'t>, cover: Arc<Cover>) -> Result<()> {
        let first = input.next()?;
        let row = first.unwrap_or(Versioned { key: &[], beat: BeatNo(0), stored: Stored::Deleted, order: 0 });
        let cover = (!cover.is_empty()).then(|| CoverCursor::new(cover));
        self.heads.push(Head { prefix: prefix_of(row.key, 0), row, input, cover });
        if first.is_some() {
            self.order.insert(0, self.heads.len() - 1);
            self.sink();
        }
        Ok(())
    }

    /// Puts the first head where it belongs: by key, then the newer table first.
    fn sink(&mut self) {
        let mut at = 0;
        while let Some(&[one, two]) = self.order.get(at..at + 2).and_then(|pair| pair.first_chunk()) {
            let (Some(first), Some(second)) = (self.heads.get(one), self.heads.get(two)) else { break };
            let keys = second.prefix.cmp(&first.prefix).then_with(|| second.row.key.cmp(first.row.key));
            if keys.then(two.cmp(&one)).is_gt() {
                break;
            }
            self.order.swap(at, at + 1);
            at += 1;
        }
    }

    /// The next version that is kept.
    pub(crate) fn next(&mut self) -> Result<Option<Versioned<'t>>> {
        while let Some(&at) = self.order.first() {
            let Some(head) = self.heads.get_mut(at) else { break };
            let row = head.row;
            if let Some(next) = head.input.next()? {
                head.prefix = prefix_of(next.key, 0);
                head.row = next;
                self.sink();
            } else {
                self.order.remove(0);
            }
            self.read += 1;
            if self.keeps(&row, at) {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    fn keeps(&mut self, row: &Versioned<'t>, table: usize) -> bool {
        if self.key != Some(row.key) {
            (self.key, self.decided) = (Some(row.key), None);
        }
        let floor = self.floor;
        let decides = |beat: BeatNo| beat == row.beat || beat <= floor;
        let replaced = self.decided.is_some_and(decides);
        let dropped = replaced || self.is_covered(row, table, decides);
        self.decided = Some(row.beat);
        let pointless = row.stored == Stored::Deleted && self.oldest && row.beat <= self.floor;
        !(dropped || pointless)
    }

    /// Whether a newer range delete decides the key in the version's stead.
    fn is_covered(&mut self, row: &Versioned<'_>, table: usize, decides: impl Fn(BeatNo) -> bool) -> bool {
        self.heads.iter_mut().enumerate().take(table + 1).any(|(at, head)| {
            let Some(cover) = &mut head.cover else { return false };
            let newer = |order: u64| at < table || order > row.order;
            cover.over(row.key).any(|mark| mark.lost.is_none() && newer(mark.order) && decides(mark.beat))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::FrameBuilder;
    use persist_api::BeatHeader;

    /// A table with one beat after the other, each a put of a value or a deletion of the key `k`.
    fn table(first: u64, puts: &[bool]) -> Memtable {
        let table = Memtable::new(0, &Arc::default());
        for (beat, put) in (first..).zip(puts) {
            let mut built = FrameBuilder::default();
            if *put {
                built.put(b"k", b"value");
            } else {
                built.delete(b"k");
            }
            let body = (built.body().to_vec(), 0..built.body().len());
            let header = BeatHeader { beat: BeatNo(beat), ..BeatHeader::default() };
            assert!(table.push(header, beat, body, built.ops(), false));
        }
        table
    }

    /// The beats whose versions are kept, newest first.
    fn kept(table: &Memtable, floor: u64, oldest: bool) -> Vec<u64> {
        let mut rows = Retained::new(BeatNo(floor), oldest);
        rows.add_table(table).unwrap();
        std::iter::from_fn(|| rows.next().unwrap()).map(|row| row.beat.0).collect()
    }

    #[test]
    fn versions_stay_that_a_beat_from_the_floor_on_shows() {
        let table = table(1, &[true; 5]);
        let wanted = [(0, 1), (1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 5)];
        for (floor, last) in wanted {
            let beats: Vec<u64> = (last..=5).rev().collect();
            assert_eq!(kept(&table, floor, false), beats, "floor {floor}");
        }
    }

    #[test]
    fn a_deletion_goes_only_where_nothing_older_is_left_that_it_hides() {
        let table = table(1, &[true, false]);
        assert_eq!(kept(&table, 2, false), [2]);
        assert_eq!(kept(&table, 2, true), []);
        assert_eq!(kept(&table, 1, true), [2, 1], "the beat before it is still shown");
    }
}
