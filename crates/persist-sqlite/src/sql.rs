//! Every SQL text of this engine. All are constants: keys and values are only ever bound.
//!
//! A record whose value is short lies whole in `record`. A longer value lies in `body`, and `record.value` holds its
//! number, an INTEGER instead of a BLOB. SQLite compares keys by loading whole rows of a WITHOUT ROWID table, so a long
//! value left inside a row would be read again at every step of every search.

use std::ops::Bound;

use persist_api::{Direction, KeyRange};
use rusqlite::{CachedStatement, Connection};

/// Longest key. SQLite itself would take longer ones; every search would load them.
pub(crate) const KEY_BYTES_MAX: usize = 1 << 20;

/// SQLite refuses rows beyond 1,000,000,000 bytes; the row of a body has at most 7 bytes of its own.
pub(crate) const VALUE_BYTES_MAX: u64 = 1_000_000_000 - 16;

pub(crate) const SCHEMA: &str = "\
    CREATE TABLE record(key BLOB PRIMARY KEY NOT NULL, value NOT NULL) WITHOUT ROWID;\
    CREATE TABLE body(id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);\
    CREATE TABLE beat(id INTEGER PRIMARY KEY CHECK(id = 1), header BLOB NOT NULL);";

pub(crate) const INSERT_HEADER: &str = "INSERT INTO beat(id, header) VALUES(1, ?1)";
pub(crate) const READ_HEADER: &str = "SELECT header FROM beat WHERE id = 1";
pub(crate) const WRITE_HEADER: &str = "UPDATE beat SET header = ?1 WHERE id = 1";

pub(crate) const BEGIN_READ: &str = "BEGIN";
pub(crate) const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";
pub(crate) const COMMIT: &str = "COMMIT";
pub(crate) const ROLLBACK: &str = "ROLLBACK";

pub(crate) const GET: &str = "SELECT value FROM record WHERE key = ?1";
pub(crate) const GET_BODY: &str = "SELECT bytes FROM body WHERE id = ?1";
pub(crate) const PUT: &str = "REPLACE INTO record(key, value) VALUES(?1, ?2)";
pub(crate) const PUT_BODY: &str = "INSERT INTO body(bytes) VALUES(?1)";
pub(crate) const DELETE: &str = "DELETE FROM record WHERE key = ?1";
pub(crate) const DELETE_BODY_OF: &str = "DELETE FROM body WHERE id = \
    (SELECT value FROM record WHERE key = ?1 AND typeof(value) = 'integer')";
pub(crate) const DELETE_ALL: &str = "DELETE FROM record";
pub(crate) const DELETE_ALL_BODIES: &str = "DELETE FROM body";
pub(crate) const HAS_BODIES: &str = "SELECT EXISTS(SELECT 1 FROM body)";
pub(crate) const COUNT_BODIES: &str = "SELECT count(*) FROM body";

/// How many bytes of key and value together stay in one row: what fits beside three others on a page, so that SQLite
/// never has to follow an overflow chain to compare keys. The formula is that of SQLite's file format for index pages,
/// less a row's own header.
pub(crate) const fn inline_max(page_bytes: usize) -> usize {
    (page_bytes - 12) * 64 / 255 - 23 - 12
}

/// A text and the bounds that it takes as `?1` and `?2`.
pub(crate) struct Ranged<'k> {
    pub(crate) text: &'static str,
    pub(crate) start: &'k [u8],
    pub(crate) end: Option<&'k [u8]>,
}

impl Ranged<'_> {
    /// The statement with its bounds bound.
    pub(crate) fn prepare<'c>(&self, conn: &'c Connection) -> rusqlite::Result<CachedStatement<'c>> {
        let mut statement = conn.prepare_cached(self.text)?;
        statement.raw_bind_parameter(1, self.start)?;
        if let Some(end) = self.end {
            statement.raw_bind_parameter(2, end)?;
        }
        Ok(statement)
    }
}

/// Lower bound: `>=` or `>`; an open one is `>=` the empty key. Upper bound: none, `<=` or `<`.
macro_rules! by_bounds {
    ($range:expr, $before:literal, $after:literal) => {{
        let range: &KeyRange<'_> = $range;
        match (matches!(range.start(), Bound::Excluded(_)), range.end()) {
            (false, Bound::Unbounded) => concat!($before, "key >= ?1", $after),
            (false, Bound::Included(_)) => concat!($before, "key >= ?1 AND key <= ?2", $after),
            (false, Bound::Excluded(_)) => concat!($before, "key >= ?1 AND key < ?2", $after),
            (true, Bound::Unbounded) => concat!($before, "key > ?1", $after),
            (true, Bound::Included(_)) => concat!($before, "key > ?1 AND key <= ?2", $after),
            (true, Bound::Excluded(_)) => concat!($before, "key > ?1 AND key < ?2", $after),
        }
    }};
}

/// The text that scans a range.
pub(crate) fn select<'r>(range: &'r KeyRange<'_>, direction: Direction, keys_only: bool) -> Ranged<'r> {
    let text = match (direction, keys_only) {
        (Direction::Forward, false) => {
            by_bounds!(range, "SELECT key, value FROM record WHERE ", " ORDER BY key")
        }
        (Direction::Forward, true) => by_bounds!(range, "SELECT key FROM record WHERE ", " ORDER BY key"),
        (Direction::Reverse, false) => {
            by_bounds!(range, "SELECT key, value FROM record WHERE ", " ORDER BY key DESC")
        }
        (Direction::Reverse, true) => {
            by_bounds!(range, "SELECT key FROM record WHERE ", " ORDER BY key DESC")
        }
    };
    ranged(text, range)
}

/// The text that deletes a range of records.
pub(crate) fn delete<'r>(range: &'r KeyRange<'_>) -> Ranged<'r> {
    ranged(by_bounds!(range, "DELETE FROM record WHERE ", ""), range)
}

/// The text that deletes the bodies of a range of records.
pub(crate) fn delete_bodies<'r>(range: &'r KeyRange<'_>) -> Ranged<'r> {
    let text = by_bounds!(
        range,
        "DELETE FROM body WHERE id IN (SELECT value FROM record WHERE typeof(value) = 'integer' AND ",
        ")"
    );
    ranged(text, range)
}

fn ranged<'r>(text: &'static str, range: &'r KeyRange<'_>) -> Ranged<'r> {
    let start = match range.start() {
        Bound::Included(key) | Bound::Excluded(key) => clip(key),
        Bound::Unbounded => &[],
    };
    let end = match range.end() {
        Bound::Included(key) | Bound::Excluded(key) => Some(clip(key)),
        Bound::Unbounded => None,
    };
    Ranged { text, start, end }
}

/// A bound longer than every key separates the same keys when cut to one byte more than the longest key: no key
/// reaches the cut. So any bound can be bound to a statement, whatever its length.
fn clip(bound: &[u8]) -> &[u8] {
    bound.get(..=KEY_BYTES_MAX).unwrap_or(bound)
}
