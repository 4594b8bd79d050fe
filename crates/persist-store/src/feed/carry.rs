//! The feed of a store, carried over to the engine of a swap. Holds are the readers' claims on the store, not on its engine:
//! what they need is stored in the target too, in its own pieces, and their rows come with the last beat.

use std::sync::Arc;

use persist_api::{Beat, Error, ErrorKind, Result, View};

use super::record::{Head, cost, keys_of, put_key, read_head};
use super::state::{FeedState, Loaded, load_table};
use super::table::{Row, TABLE_KEY, Table};
use super::{FeedCommit, HoldOptions};
use crate::shared::Terms;

/// The feed of a target, while it is being filled.
pub(crate) struct Carry {
    table: Table,
    /// Not written yet.
    dirty: bool,
}

/// What holds of a source need, as a view of it shows.
pub(crate) struct Wanted(Table);

impl Wanted {
    /// All holds but the one of this name.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `Stale`.
    pub(crate) fn read(source: &dyn View, except: &str) -> Result<Self> {
        let mut table = load_table(source, source.header())?.table;
        table.rows.retain(|row| *row.name != *except);
        Ok(Self(table))
    }

    /// The first commit that one of them needs.
    pub(crate) fn first(&self) -> Option<u64> {
        self.0.floor()
    }
}

impl Carry {
    /// What a target has of the feed.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub(crate) fn load(target: &dyn View) -> Result<Self> {
        let table = match target.get_record(TABLE_KEY)? {
            Some(stored) => Table::decode(&stored)?,
            None => Table::default(),
        };
        Ok(Self { table: Table { rows: Vec::new(), ..table }, dirty: false })
    }

    /// What an engine has of the feed that was a store until now: of what was stored since, its table says nothing.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `Stale`.
    pub(crate) fn adopt(target: &dyn View) -> Result<Self> {
        let Loaded { table, damaged } = load_table(target, target.header())?;
        if damaged {
            let context = "the feed of the engine that is to be the store again cannot be read";
            return Err(Error::new(ErrorKind::Corrupt, "swap", context));
        }
        Ok(Self { table: Table { rows: Vec::new(), ..table }, dirty: true })
    }

    /// The first commit that it lacks of those that are wanted. Where that does not follow the last that it has, nobody
    /// needs what it has: [`free`](Self::free) that first.
    pub(crate) fn next(&self, wanted: &Wanted) -> Option<u64> {
        let first = wanted.first()?;
        let last = self.table.runs.last().filter(|run| (run.from..=run.until).contains(&first));
        Some(last.map_or(first, |run| run.until))
    }

    /// True when what it has ends before this commit, so that there would be a gap.
    pub(crate) fn is_cut_off(&self, next: u64) -> bool {
        self.table.runs.last().is_some_and(|run| run.until != next)
    }

    /// Takes out commits that it has, oldest first, until that staged about so many bytes. True when none is left; what is
    /// stored from then on begins anew.
    ///
    /// # Errors
    /// Those of the view and the beat.
    pub(crate) fn free(&mut self, target: &dyn View, beat: &mut dyn Beat, bytes_max: u64) -> Result<bool> {
        let mut staged = 0_u64;
        self.dirty = true;
        while let Some(commit) = self.table.first_unneeded() {
            if staged >= bytes_max {
                return Ok(false);
            }
            let keys = if commit <= self.table.split_last {
                keys_of(target, commit)?
            } else {
                let mut key = Vec::new();
                put_key(commit, 0, &mut key);
                vec![key]
            };
            for key in keys {
                beat.delete_record(&key)?;
                staged = staged.saturating_add(key.len() as u64);
            }
            self.table.drop_first();
        }
        self.table = Table::default();
        Ok(true)
    }

    /// Stores a commit; they come in order. Says how many bytes that stages.
    ///
    /// # Errors
    /// Those of the beat.
    pub(crate) fn store(&mut self, terms: &Terms, read: &FeedCommit, beat: &mut dyn Beat) -> Result<u64> {
        let limits = terms.limits();
        let log_bytes = read.log.canonical_bytes().len() as u64;
        let cost = cost(log_bytes, limits.value_bytes_max, terms.codec.value_overhead());
        let (commit, table) = (read.commit.0, &mut self.table);
        table.totals = table.totals.plus(cost);
        table.extend(commit);
        if cost.records > 1 {
            table.split_last = commit;
        }
        self.dirty = true;
        let pieces = u32::try_from(cost.records).unwrap_or(u32::MAX);
        let head = Head { header: read.header, commit, totals: table.totals, pieces, log_bytes };
        let (mut record, mut key) = (Vec::new(), Vec::new());
        head.encode(&read.log, &mut record);
        let piece_max = usize::try_from(limits.value_bytes_max).unwrap_or(usize::MAX).max(1);
        for (piece, value) in (0..).zip(record.chunks(piece_max)) {
            put_key(commit, piece, &mut key);
            beat.put_record(&key, value)?;
        }
        Ok(cost.bytes)
    }

    /// Writes what is stored so far, if that changed.
    ///
    /// # Errors
    /// Those of the beat.
    pub(crate) fn write(&mut self, beat: &mut dyn Beat) -> Result<()> {
        if std::mem::take(&mut self.dirty) { self.put_table(beat) } else { Ok(()) }
    }

    fn put_table(&self, beat: &mut dyn Beat) -> Result<()> {
        if self.table.is_empty() {
            return beat.delete_record(TABLE_KEY);
        }
        beat.put_record(TABLE_KEY, &self.table.encode())
    }

    /// Takes the holds over, at the newest commit of both sides; `follow_back` is one more, from there on.
    ///
    /// # Errors
    /// `Corrupt` when a commit that a hold needs is not here; those of the view and the beat.
    pub(crate) fn take_rows(
        &mut self,
        terms: &Terms,
        wanted: &Wanted,
        follow_back: Option<(&str, HoldOptions)>,
        target: &dyn View,
        beat: &mut dyn Beat,
    ) -> Result<()> {
        let newest = target.header().last_commit().0;
        let mut rows = Vec::new();
        for row in &wanted.0.rows {
            let needs = !row.stale && row.position < newest;
            if needs && !(self.has(row.position.saturating_add(1)) && self.has(newest)) {
                let context = format!(
                    "what hold {:?} needs after commit {} is not in the target",
                    row.name, row.position
                );
                return Err(Error::new(ErrorKind::Corrupt, "swap", context));
            }
            rows.push(Row { bytes_at: self.sum_at(terms, row.position, target)?, ..row.clone() });
        }
        if let Some((name, options)) = follow_back {
            let (name, bytes_at) = (Arc::from(name), self.table.totals.bytes);
            rows.push(Row { name, born: newest, position: newest, bytes_at, options, stale: false });
        }
        self.table.rows = rows;
        self.put_table(beat)
    }

    fn has(&self, commit: u64) -> bool {
        self.table.has(commit)
    }

    /// The running sum of bytes after a commit.
    fn sum_at(&self, terms: &Terms, commit: u64, target: &dyn View) -> Result<u64> {
        if self.has(commit) {
            return Ok(read_head(target, commit)?.map_or(0, |head| head.totals.bytes));
        }
        let next = commit.saturating_add(1);
        if !self.has(next) {
            // After the last there is all of it. Who needs what is not here is stale.
            return Ok(self.table.totals.bytes);
        }
        let Some(head) = read_head(target, next)? else { return Ok(0) };
        let cost = cost(head.log_bytes, terms.limits().value_bytes_max, terms.codec.value_overhead());
        Ok(head.totals.bytes.saturating_sub(cost.bytes))
    }
}

impl FeedState {
    /// Goes on with the feed of another engine, which has the same holds, and exchanges the engines meanwhile: nobody finds the
    /// sums of the one and the way to the other. Call it with the lane taken.
    pub(crate) fn exchange(&self, carry: Carry, engines: impl FnOnce()) {
        let mut state = self.lock();
        engines();
        let table = carry.table;
        self.note_reserve(&table);
        let rows = &table.rows;
        state.advances.retain(|name, advance| {
            let row = rows.iter().find(|row| row.name == *name && row.born == advance.born);
            row.is_some_and(|row| !row.stale)
        });
        for (name, advance) in &mut state.advances {
            if let Some(row) = rows.iter().find(|row| row.name == *name) {
                // The sums of the two engines differ; that of the row is right, and on the safe side.
                advance.bytes_at = row.bytes_at;
            }
        }
        state.table = table;
        state.outdated = false;
        state.engines = state.engines.wrapping_add(1);
    }
}
