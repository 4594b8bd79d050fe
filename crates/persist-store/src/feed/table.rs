//! Who holds the feed, and what of it is stored: one small record. Format: `docs/format.md`.

use std::sync::Arc;

use persist_api::{Error, ErrorKind, Result};

use super::HoldOptions;
use super::record::Totals;

/// Engine key of the table. It is missing while nobody holds the feed and nothing of it is left.
pub(crate) const TABLE_KEY: &[u8] = b"\x00holds";
/// Most holds at once.
pub(super) const HOLDS_MAX: usize = 16;
/// Most stretches of the feed that wait to be freed, the newest included: with so many, no hold is made.
pub(super) const RUNS_MAX: usize = 16;
/// Longest name of a hold, in bytes.
pub(super) const NAME_BYTES_MAX: usize = 64;
const MAGIC: &[u8; 4] = b"PFH1";
const HEAD_BYTES: usize = 32;
const RUN_BYTES: usize = 16;
/// Bytes of a hold beside its name.
const ROW_BYTES: usize = 42;

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: Arc<str>,
    /// The commit that made it.
    pub(super) born: u64,
    /// Its reader needs every commit after this one.
    pub(super) position: u64,
    /// The running sum of bytes at its position.
    pub(super) bytes_at: u64,
    pub(super) options: HoldOptions,
    /// It was left too far behind: what its reader needs is not kept any more.
    pub(super) stale: bool,
}

/// Commits `from..until` are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) from: u64,
    pub(super) until: u64,
}

/// The state of the feed. Only the holder of the lane changes it, together with the beat that stores it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Table {
    pub(super) rows: Vec<Row>,
    /// What is stored, ascending. While anybody holds, the last one ends at the newest commit.
    pub(super) runs: Vec<Run>,
    pub(super) totals: Totals,
    /// The newest commit that is stored in more than one record.
    pub(super) split_last: u64,
}

impl Table {
    /// True when nobody holds the feed and nothing of it is left.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.runs.is_empty()
    }

    pub(super) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| *row.name == *name)
    }

    pub(super) fn row_mut(&mut self, name: &str) -> Option<&mut Row> {
        self.rows.iter_mut().find(|row| *row.name == *name)
    }

    /// The first commit that somebody needs; `None` while nobody holds.
    pub(super) fn floor(&self) -> Option<u64> {
        let live = self.rows.iter().filter(|row| !row.stale);
        live.map(|row| row.position.saturating_add(1)).min()
    }

    pub(super) fn is_live(&self) -> bool {
        self.rows.iter().any(|row| !row.stale)
    }

    /// True when this commit is stored.
    pub(super) fn has(&self, commit: u64) -> bool {
        self.runs.iter().any(|run| (run.from..run.until).contains(&commit))
    }

    /// The oldest commit that is stored.
    pub(super) fn first(&self) -> Option<u64> {
        self.runs.iter().find(|run| run.from < run.until).map(|run| run.from)
    }

    /// Records of the engine, its own included, when each commit is stored in one.
    pub(super) fn plain_records(&self) -> u64 {
        let runs = self.runs.iter().map(|run| run.until.saturating_sub(run.from));
        runs.fold(u64::from(!self.is_empty()), u64::saturating_add)
    }

    /// Notes that a commit is stored. True when that begins a run.
    pub(super) fn extend(&mut self, commit: u64) -> bool {
        match self.runs.last_mut() {
            Some(run) if run.until == commit => {
                run.until = commit.saturating_add(1);
                false
            }
            _ => {
                self.runs.push(Run { from: commit, until: commit.saturating_add(1) });
                true
            }
        }
    }

    /// The oldest commit that is stored and that nobody needs. An empty run stays while it may still grow.
    pub(super) fn first_unneeded(&mut self) -> Option<u64> {
        let floor = self.floor();
        while let Some(run) = self.runs.first() {
            if run.from < run.until {
                return Some(run.from).filter(|commit| floor.is_none_or(|floor| *commit < floor));
            }
            if floor.is_some() && self.runs.len() == 1 {
                return None;
            }
            self.runs.remove(0);
        }
        None
    }

    /// Takes the oldest commit out.
    pub(super) fn drop_first(&mut self) {
        if let Some(run) = self.runs.first_mut() {
            run.from = run.from.saturating_add(1);
        }
    }

    /// True when one more hold fits, by their number, by what is still to be freed, and by how long the table's value may be.
    pub(super) fn has_room(&self, name: &str, value_bytes_max: u64) -> bool {
        let bytes = self.bytes_soon().saturating_add((ROW_BYTES + name.len()) as u64);
        self.rows.len() < HOLDS_MAX && self.runs.len() < RUNS_MAX && bytes <= value_bytes_max
    }

    /// How many bytes key and value may have after the next beat, where a run may come up.
    pub(super) fn bytes_soon(&self) -> u64 {
        let names = self.rows.iter().map(|row| row.name.len()).sum::<usize>();
        let parts = HEAD_BYTES + self.rows.len() * ROW_BYTES + (self.runs.len() + 1) * RUN_BYTES;
        (TABLE_KEY.len() + parts + names) as u64
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for count in [self.rows.len(), self.runs.len()] {
            bytes.extend_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes());
        }
        for word in [self.totals.bytes, self.totals.records, self.split_last] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        for run in &self.runs {
            for word in [run.from, run.until] {
                bytes.extend_from_slice(&word.to_le_bytes());
            }
        }
        for row in &self.rows {
            let Row { born, position, bytes_at, options, stale, name } = row;
            for word in [*born, *position, *bytes_at, options.bytes_max, options.commits_max] {
                bytes.extend_from_slice(&word.to_le_bytes());
            }
            bytes.extend_from_slice(&[u8::from(*stale), u8::try_from(name.len()).unwrap_or(u8::MAX)]);
            bytes.extend_from_slice(name.as_bytes());
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader(bytes);
        if reader.array()? != *MAGIC {
            return Err(corrupt("not a table of this format"));
        }
        let rows = usize::from(u16::from_le_bytes(reader.array()?));
        let runs = usize::from(u16::from_le_bytes(reader.array()?));
        // However many: the record has a length.
        let totals = Totals { bytes: reader.word()?, records: reader.word()? };
        let mut table = Self { totals, split_last: reader.word()?, ..Self::default() };
        for _ in 0..runs {
            let run = Run { from: reader.word()?, until: reader.word()? };
            let after = table.runs.last().map_or(0, |run| run.until);
            if run.from < after || run.until < run.from {
                return Err(corrupt("runs out of order"));
            }
            table.runs.push(run);
        }
        for _ in 0..rows {
            let row = reader.row()?;
            if table.row(&row.name).is_some() {
                return Err(corrupt("two holds of one name"));
            }
            table.rows.push(row);
        }
        if !reader.0.is_empty() {
            return Err(corrupt("bytes after its end"));
        }
        Ok(table)
    }
}

struct Reader<'b>(&'b [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk().ok_or_else(|| corrupt("cut short"))?;
        self.0 = rest;
        Ok(*array)
    }

    fn word(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn row(&mut self) -> Result<Row> {
        let [born, position, bytes_at, bytes_max, commits_max] =
            [self.word()?, self.word()?, self.word()?, self.word()?, self.word()?];
        let [stale, length] = self.array()?;
        let (name, rest) =
            self.0.split_at_checked(usize::from(length)).ok_or_else(|| corrupt("cut short"))?;
        self.0 = rest;
        let name = str::from_utf8(name).map_err(|_| corrupt("a name that is no text"))?;
        if stale > 1 || position < born {
            return Err(corrupt("a hold that cannot be"));
        }
        let options = HoldOptions { bytes_max, commits_max };
        Ok(Row { name: name.into(), born, position, bytes_at, options, stale: stale == 1 })
    }
}

fn corrupt(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, "read_holds", format!("table of holds: {what}"))
}
