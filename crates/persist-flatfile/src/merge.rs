//! Reading several tables as one: newest first for each key, hidden keys left out, both ways.

use std::ops::Bound;
use std::sync::Arc;

use persist_api::{BeatNo, Direction, KeyRange, Result};

use crate::cover::{Cover, CoverCursor, Cut};
use crate::lost::Lost;
use crate::memtable::{Chunk, Memtable, Sight, prefix_of};
use crate::run::{Row as RunRow, Run, RunCursor, Stored, Version};

/// The newest version of a key in one table that a reader may see.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'v> {
    pub(crate) key: &'v [u8],
    /// Its place among versions and marks of its table.
    pub(crate) order: u64,
    pub(crate) stored: Stored<'v>,
}

/// The rows of one sorted chunk of a memtable.
pub(crate) struct TableRows<'v> {
    table: &'v Memtable,
    chunk: Arc<Chunk>,
    sight: Sight,
    /// The next entry is this one; backwards the one before it.
    at: usize,
}

impl<'v> TableRows<'v> {
    fn new(table: &'v Memtable, chunk: Arc<Chunk>, sight: Sight) -> Self {
        Self { table, chunk, sight, at: 0 }
    }

    fn seek(&mut self, range: &KeyRange<'_>, direction: Direction) {
        let entries = self.chunk.entries.len();
        self.at = match direction {
            Direction::Forward => match range.start() {
                Bound::Unbounded => 0,
                Bound::Included(key) => self.chunk.seek(self.table, key, false),
                Bound::Excluded(key) => self.chunk.seek(self.table, key, true),
            },
            Direction::Reverse => match range.end() {
                Bound::Unbounded => entries,
                Bound::Included(key) => self.chunk.seek(self.table, key, true),
                Bound::Excluded(key) => self.chunk.seek(self.table, key, false),
            },
        };
    }

    fn row(&self, at: usize) -> Option<Row<'v>> {
        let place = self.chunk.entries.get(at)?.place;
        let (key, _, stored) = self.table.record_at(place)?;
        Some(Row { key, order: place.0, stored })
    }

    fn next(&mut self) -> Option<Row<'v>> {
        loop {
            let row = self.row(self.at)?;
            self.at += 1;
            if row.order >= self.sight.below {
                continue;
            }
            while self.chunk.same_key(self.table, self.at, self.at - 1) {
                self.at += 1;
            }
            return Some(row);
        }
    }

    fn previous(&mut self) -> Option<Row<'v>> {
        loop {
            self.at = self.at.checked_sub(1)?;
            let mut newest = self.row(self.at).filter(|row| row.order < self.sight.below);
            while self.at > 0 && self.chunk.same_key(self.table, self.at - 1, self.at) {
                self.at -= 1;
                newest = self.row(self.at).filter(|row| row.order < self.sight.below).or(newest);
            }
            if newest.is_some() {
                return newest;
            }
        }
    }
}

/// The rows of a run.
pub(crate) struct RunRows<'v> {
    cursor: RunCursor<'v>,
    at: BeatNo,
    /// No key has more than one version.
    single: bool,
    /// The first version of the next key, where it had to be read to know the end of the one before.
    ahead: Option<RunRow<'v>>,
}

impl<'v> RunRows<'v> {
    fn new(run: &'v Run, at: BeatNo) -> Self {
        let stat = run.stat();
        Self { cursor: run.cursor(), at, single: stat.keys == stat.records, ahead: None }
    }

    fn seek(&mut self, range: &KeyRange<'_>, direction: Direction) -> Result<()> {
        self.ahead = None;
        match direction {
            Direction::Forward => self.cursor.seek(range.start()),
            Direction::Reverse => self.cursor.seek_back(range.end()),
        }
    }

    #[inline]
    fn version(&mut self, direction: Direction) -> Result<Option<RunRow<'v>>> {
        match direction {
            Direction::Forward => self.cursor.next(),
            Direction::Reverse => self.cursor.previous(),
        }
    }

    #[inline]
    fn step(&mut self, direction: Direction) -> Result<Option<Row<'v>>> {
        loop {
            let first = match self.ahead.take() {
                Some(ahead) => Some(ahead),
                None => self.version(direction)?,
            };
            let Some((key, version)) = first else { return Ok(None) };
            let mut newest = Some(version).filter(|version| version.beat <= self.at);
            while !self.single {
                self.ahead = self.version(direction)?;
                let Some((_, version)) = self.ahead.filter(|(next, _)| *next == key) else { break };
                let seen = Some(version).filter(|version| version.beat <= self.at);
                // Forward, newer versions come first; backwards, last.
                newest = if direction == Direction::Forward { newest.or(seen) } else { seen.or(newest) };
            }
            if let Some(Version { beat, stored }) = newest {
                return Ok(Some(Row { key, order: beat.0, stored }));
            }
        }
    }
}

enum Source<'v> {
    Table(TableRows<'v>),
    Run(Box<RunRows<'v>>),
}

impl<'v> Source<'v> {
    fn seek(&mut self, range: &KeyRange<'_>, direction: Direction) -> Result<()> {
        match self {
            Self::Table(rows) => rows.seek(range, direction),
            Self::Run(rows) => rows.seek(range, direction)?,
        }
        Ok(())
    }

    #[inline]
    fn step(&mut self, direction: Direction) -> Result<Option<Row<'v>>> {
        match (self, direction) {
            (Self::Table(rows), Direction::Forward) => Ok(rows.next()),
            (Self::Table(rows), Direction::Reverse) => Ok(rows.previous()),
            (Self::Run(rows), direction) => rows.step(direction),
        }
    }
}

/// A source and the row that it stands on.
struct Head<'v> {
    row: Row<'v>,
    /// The first eight bytes of the key.
    prefix: u64,
    /// Which table it is of; the smaller is the newer.
    table: usize,
    source: Source<'v>,
}

impl Head<'_> {
    /// Goes to the next row; false at the end.
    #[inline]
    fn step(&mut self, direction: Direction) -> Result<bool> {
        let Some(row) = self.source.step(direction)? else { return Ok(false) };
        self.prefix = prefix_of(row.key, 0);
        self.row = row;
        Ok(true)
    }

    /// Whether this head comes before another: by key, then the newer first.
    #[inline]
    fn is_before(&self, other: &Self, direction: Direction) -> bool {
        let keys = self.prefix.cmp(&other.prefix).then_with(|| self.row.key.cmp(other.row.key));
        let keys = if direction == Direction::Reverse { keys.reverse() } else { keys };
        keys.then_with(|| (self.table, other.row.order).cmp(&(other.table, self.row.order))).is_lt()
    }
}

/// What lies over the keys of a table.
struct Layer {
    table: usize,
    cover: CoverCursor,
    sight: Sight,
}

/// The visible rows of several tables, merged.
pub(crate) struct Rows<'v> {
    direction: Direction,
    heads: Vec<Head<'v>>,
    /// The heads that stand on a row, the next first.
    order: Vec<usize>,
    /// Newest first; tables without marks are left out.
    layers: Vec<Layer>,
}

impl<'v> Rows<'v> {
    /// Rows of no table yet.
    pub(crate) fn new(direction: Direction) -> Self {
        Self { direction, heads: Vec::new(), order: Vec::new(), layers: Vec::new() }
    }

    /// Adds a memtable. Tables are numbered from the newest on.
    pub(crate) fn add_table(&mut self, number: usize, table: &'v Memtable, sight: Sight) {
        for chunk in table.chunks(sight) {
            self.add(number, Source::Table(TableRows::new(table, chunk, sight)));
        }
        self.add_cover(number, table.whole_cover(), sight);
    }

    /// Adds a run.
    pub(crate) fn add_run(&mut self, number: usize, run: &'v Run, cover: &Arc<Cover>, at: BeatNo) {
        self.add(number, Source::Run(Box::new(RunRows::new(run, at))));
        self.add_cover(number, Arc::clone(cover), Sight { below: u64::MAX, at });
    }

    fn add(&mut self, table: usize, source: Source<'v>) {
        let row = Row { key: &[], order: 0, stored: Stored::Deleted };
        self.heads.push(Head { row, prefix: 0, table, source });
    }

    fn add_cover(&mut self, table: usize, cover: Arc<Cover>, sight: Sight) {
        if !cover.is_empty() {
            self.layers.push(Layer { table, cover: CoverCursor::new(cover), sight });
        }
    }

    /// Stands before the first row of a range (in the direction of the rows).
    pub(crate) fn seek(&mut self, range: &KeyRange<'_>) -> Result<()> {
        self.order.clear();
        for (at, head) in self.heads.iter_mut().enumerate() {
            head.source.seek(range, self.direction)?;
            if head.step(self.direction)? {
                self.order.push(at);
            }
        }
        let (heads, direction) = (&self.heads, self.direction);
        self.order.sort_unstable_by(|one, two| match (heads.get(*one), heads.get(*two)) {
            (Some(one), Some(two)) if one.is_before(two, direction) => std::cmp::Ordering::Less,
            _ => std::cmp::Ordering::Greater,
        });
        Ok(())
    }

    /// The next row; `None` at the end of the tables.
    pub(crate) fn next(&mut self) -> Result<Option<Row<'v>>> {
        while let Some(head) = self.order.first().and_then(|at| self.heads.get(*at)) {
            let (row, table) = (head.row, head.table);
            self.pass(row.key)?;
            if row.stored != Stored::Deleted && !self.is_hidden(&row, table) {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// Takes every source that stands on `key` beyond it.
    fn pass(&mut self, key: &[u8]) -> Result<()> {
        while let Some(&at) = self.order.first() {
            let Some(head) = self.heads.get_mut(at).filter(|head| head.row.key == key) else { break };
            if head.step(self.direction)? {
                self.sink();
            } else {
                self.order.remove(0);
            }
        }
        Ok(())
    }

    /// Puts the first head where it belongs.
    #[inline]
    fn sink(&mut self) {
        let mut at = 0;
        while let Some(&[one, two]) = self.order.get(at..at + 2).and_then(|pair| pair.first_chunk()) {
            let (Some(first), Some(second)) = (self.heads.get(one), self.heads.get(two)) else { break };
            if !second.is_before(first, self.direction) {
                break;
            }
            self.order.swap(at, at + 1);
            at += 1;
        }
    }

    /// Whether something newer than the row lies over its key.
    fn is_hidden(&mut self, row: &Row<'_>, table: usize) -> bool {
        self.layers.iter_mut().take_while(|layer| layer.table <= table).any(|layer| {
            let Layer { table: of, cover, sight } = layer;
            let mut marks = cover.over(row.key).filter(|mark| mark.lost.is_none() && sight.sees(mark));
            marks.next().is_some_and(|newest| *of < table || newest.order > row.order)
        })
    }
}

/// The part of a range that can be read although beats were lost: up to the first key (in the direction) over which
/// nothing is newer than the loss, and what to say there.
pub(crate) fn readable<'r>(
    range: &'r KeyRange<'_>,
    direction: Direction,
    covers: &[(Arc<Cover>, Sight)],
) -> (KeyRange<'r>, Option<Arc<Lost>>) {
    let lost = |key_in: &Cut| {
        covers.iter().find_map(|(cover, sight)| {
            cover.at(key_in).find(|mark| sight.sees(mark)).map(|mark| mark.lost.clone())
        })
    };
    let (start, end) = (Cut::start(range.start()), Cut::end(range.end()));
    // Between two neighbouring cuts of all covers the answer is the same.
    let mut cuts: Vec<Cut> = covers.iter().flat_map(|(cover, _)| cover.cuts().iter().cloned()).collect();
    cuts.extend([start.clone(), end.clone()]);
    cuts.retain(|cut| start <= *cut && *cut <= end);
    cuts.sort();
    cuts.dedup();
    let mut pieces: Vec<_> = cuts.windows(2).filter_map(|pair| Some((pair.first()?, pair.get(1)?))).collect();
    if direction == Direction::Reverse {
        pieces.reverse();
    }
    for (from, upto) in pieces {
        if let Some(Some(lost)) = lost(from) {
            let part = match direction {
                Direction::Forward => from.as_end().map(|end| KeyRange::new(range.start(), end).into_owned()),
                Direction::Reverse => {
                    upto.as_start().map(|start| KeyRange::new(start, range.end()).into_owned())
                }
            };
            let nothing = || KeyRange::new(Bound::Excluded(&[]), Bound::Excluded(&[]));
            return (part.unwrap_or_else(nothing), Some(lost));
        }
    }
    (range.borrowed(), None)
}
