//! Bounds of every kind, forwards and backwards, by visitor and cursor: all must agree.

use std::ops::Bound::{self, Excluded, Included, Unbounded};

use persist_api::{KeyRange, Scan};

use crate::kit::{Row, Stand, cursor_rows, put_keys, rows};
use crate::{CaseResult, Fixture, check_eq};

const KEYS: [&[u8]; 8] = [b"\0", b"a", b"b", b"b\0", b"c", b"d", b"\xff", b"\xff\xff"];

fn names(rows: &[Row]) -> String {
    rows.iter().map(|(key, _)| key.escape_ascii().to_string()).collect::<Vec<_>>().join(" ")
}

/// Checks which of [`KEYS`] lie between two bounds, by the visitor, both ways.
fn between(fx: &dyn Fixture, start: Bound<&[u8]>, end: Bound<&[u8]>, expected: &str) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, KEYS)?;
    let view = engine.view()?;
    let scan = || Scan::range(KeyRange::new(start, end));
    check_eq!(names(&rows(&*view, scan())?), expected, "keys in {start:?} to {end:?}");
    let mut turned: Vec<&str> = expected.split(' ').collect();
    turned.reverse();
    let back = names(&rows(&*view, scan().reverse())?);
    check_eq!(back, turned.join(" "), "keys backwards in {start:?} to {end:?}");
    Ok(())
}

/// Lower in, upper out.
pub(crate) fn half_open(fx: &dyn Fixture) -> CaseResult {
    between(fx, Included(b"b"), Excluded(b"d"), r"b b\x00 c")
}

/// Both in.
pub(crate) fn closed(fx: &dyn Fixture) -> CaseResult {
    between(fx, Included(b"b"), Included(b"d"), r"b b\x00 c d")
}

/// Both out.
pub(crate) fn open(fx: &dyn Fixture) -> CaseResult {
    between(fx, Excluded(b"b"), Excluded(b"d"), r"b\x00 c")
}

/// Lower out, upper in.
pub(crate) fn open_closed(fx: &dyn Fixture) -> CaseResult {
    between(fx, Excluded(b"a"), Included(b"c"), r"b b\x00 c")
}

/// No upper bound.
pub(crate) fn from_a_key(fx: &dyn Fixture) -> CaseResult {
    between(fx, Included(b"d"), Unbounded, r"d \xff \xff\xff")
}

/// No upper bound, lower out.
pub(crate) fn after_a_key(fx: &dyn Fixture) -> CaseResult {
    between(fx, Excluded(b"d"), Unbounded, r"\xff \xff\xff")
}

/// No lower bound.
pub(crate) fn up_to_a_key(fx: &dyn Fixture) -> CaseResult {
    between(fx, Unbounded, Included(b"b"), r"\x00 a b")
}

/// No lower bound, upper out.
pub(crate) fn before_a_key(fx: &dyn Fixture) -> CaseResult {
    between(fx, Unbounded, Excluded(b"b"), r"\x00 a")
}

/// No bounds.
pub(crate) fn everything(fx: &dyn Fixture) -> CaseResult {
    between(fx, Unbounded, Unbounded, r"\x00 a b b\x00 c d \xff \xff\xff")
}

/// Bounds that are no keys of the store.
pub(crate) fn bounds_between_keys(fx: &dyn Fixture) -> CaseResult {
    between(fx, Included(b"aa"), Excluded(b"cc"), r"b b\x00 c")
}

/// A lower bound of no bytes is the beginning: the trap of LMDB.
pub(crate) fn empty_lower_bound(fx: &dyn Fixture) -> CaseResult {
    between(fx, Included(b""), Excluded(b"b"), r"\x00 a")
}

/// The same, excluded.
pub(crate) fn empty_lower_bound_excluded(fx: &dyn Fixture) -> CaseResult {
    between(fx, Excluded(b""), Included(b"a"), r"\x00 a")
}

/// An upper bound of no bytes: there is nothing below.
pub(crate) fn empty_upper_bound(fx: &dyn Fixture) -> CaseResult {
    between(fx, Unbounded, Excluded(b""), "")
}

/// The same, included: the empty key is no record.
pub(crate) fn empty_upper_bound_included(fx: &dyn Fixture) -> CaseResult {
    between(fx, Unbounded, Included(b""), "")
}

/// Both bounds of no bytes.
pub(crate) fn empty_bounds(fx: &dyn Fixture) -> CaseResult {
    between(fx, Included(b""), Included(b""), "")
}

/// One key, both bounds in.
pub(crate) fn one_key(fx: &dyn Fixture) -> CaseResult {
    between(fx, Included(b"c"), Included(b"c"), "c")
}

/// One key, one bound out: nothing.
pub(crate) fn one_key_half_open(fx: &dyn Fixture) -> CaseResult {
    between(fx, Included(b"c"), Excluded(b"c"), "")?;
    between(fx, Excluded(b"c"), Included(b"c"), "")
}

/// One key, both bounds out: nothing, and no panic (`BTreeMap` panics here).
pub(crate) fn one_key_open(fx: &dyn Fixture) -> CaseResult {
    between(fx, Excluded(b"c"), Excluded(b"c"), "")
}

/// Upside down: nothing, and no panic.
pub(crate) fn inverted(fx: &dyn Fixture) -> CaseResult {
    between(fx, Included(b"d"), Excluded(b"a"), "")?;
    between(fx, Excluded(b"d"), Excluded(b"a"), "")
}

/// Upside down with both bounds in.
pub(crate) fn inverted_closed(fx: &dyn Fixture) -> CaseResult {
    between(fx, Included(b"d"), Included(b"b"), "")
}

/// An upper bound of `FF` bytes is no end of the world.
pub(crate) fn upper_bound_of_ff(fx: &dyn Fixture) -> CaseResult {
    between(fx, Included(b"d"), Included(b"\xff"), r"d \xff")?;
    between(fx, Included(b"d"), Excluded(b"\xff\xff"), r"d \xff")
}

/// A lower bound beyond all keys.
pub(crate) fn beyond_all_keys(fx: &dyn Fixture) -> CaseResult {
    between(fx, Included(b"\xff\xff\x00"), Unbounded, "")
}

/// Bounds longer than any key may be.
pub(crate) fn long_bounds(fx: &dyn Fixture) -> CaseResult {
    let long = |first: u8| [vec![first], vec![b'x'; 70_000]].concat();
    between(fx, Included(&long(b'a')), Included(&long(b'c')), r"b b\x00 c")
}

/// Long bounds of `FF` alone.
pub(crate) fn long_bounds_of_ff(fx: &dyn Fixture) -> CaseResult {
    let long = vec![0xFF; 70_000];
    between(fx, Included(b"d"), Excluded(&long), r"d \xff \xff\xff")?;
    between(fx, Included(&long), Unbounded, "")
}

/// A zero byte after a bound makes it another bound.
pub(crate) fn trailing_zero_bounds(fx: &dyn Fixture) -> CaseResult {
    between(fx, Included(b"b\0"), Excluded(b"c\0"), r"b\x00 c")?;
    between(fx, Excluded(b"b"), Excluded(b"b\0"), "")
}

/// Every pair of bounds out of a dozen, each kind of bound: visitor and plain filter agree, both ways.
pub(crate) fn every_pair_by_visitor(fx: &dyn Fixture) -> CaseResult {
    every_pair(fx, rows)
}

/// The same, by cursor.
pub(crate) fn every_pair_by_cursor(fx: &dyn Fixture) -> CaseResult {
    every_pair(fx, cursor_rows)
}

type Read = fn(&dyn persist_api::View, Scan<'_>) -> Result<Vec<Row>, persist_api::Error>;

fn every_pair(fx: &dyn Fixture, read: Read) -> CaseResult {
    const BOUNDS: [&[u8]; 7] = [b"", b"a", b"b", b"b\0", b"c\x01", b"\xff", b"\xff\xff\xff"];
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, KEYS)?;
    let view = engine.view()?;
    let kinds = |key| [Included(key), Excluded(key), Unbounded];
    for start in BOUNDS.into_iter().flat_map(kinds) {
        for end in BOUNDS.into_iter().flat_map(kinds) {
            let range = KeyRange::new(start, end);
            let expected: Vec<&[u8]> = KEYS.into_iter().filter(|key| range.contains(key)).collect();
            let mut found = read(&*view, Scan::range(range.clone()))?;
            check_eq!(found.iter().map(|row| &*row.0).collect::<Vec<_>>(), expected, "{start:?} to {end:?}");
            let back = read(&*view, Scan::range(range).reverse())?;
            found.reverse();
            check_eq!(back, found, "backwards, {start:?} to {end:?}");
        }
    }
    Ok(())
}
