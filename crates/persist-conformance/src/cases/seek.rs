//! Where `seek` leads.

use std::ops::Bound;

use persist_api::{KeyRange, Scan};

use super::cursors::{laid, stands_at};
use crate::kit::Stand;
use crate::{CaseResult, Fixture, check, check_eq};

fn sought(fx: &dyn Fixture, scan: Scan<'_>, key: impl AsRef<[u8]>, expected: Option<&str>) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let view = engine.view()?;
    let mut cursor = view.cursor(scan)?;
    let found = cursor.seek(key.as_ref())?;
    let wanted = key.as_ref().escape_ascii();
    check_eq!(found, expected.is_some(), "whether seek {wanted} finds a row");
    if let Some(key) = expected {
        return stands_at(&*cursor, key);
    }
    check!(cursor.key().is_empty() && cursor.value().is_empty(), "a row after seek {wanted} failed");
    check!(!cursor.advance()?, "a row after the end that seek {wanted} found");
    Ok(())
}

/// To a key that is there.
pub(crate) fn a_key(fx: &dyn Fixture) -> CaseResult {
    sought(fx, Scan::all(), "c3", Some("c3"))
}

/// Between keys: the next one.
pub(crate) fn between_keys(fx: &dyn Fixture) -> CaseResult {
    sought(fx, Scan::all(), "c4", Some("c5"))
}

/// Before all keys: the first.
pub(crate) fn before_all_keys(fx: &dyn Fixture) -> CaseResult {
    sought(fx, Scan::all(), "a", Some("c1"))
}

/// Beyond all keys: none.
pub(crate) fn beyond_all_keys(fx: &dyn Fixture) -> CaseResult {
    sought(fx, Scan::all(), "d", None)
}

/// Backwards, to a key that is there.
pub(crate) fn a_key_backwards(fx: &dyn Fixture) -> CaseResult {
    sought(fx, Scan::all().reverse(), "c3", Some("c3"))
}

/// Backwards, between keys: the one before.
pub(crate) fn between_keys_backwards(fx: &dyn Fixture) -> CaseResult {
    sought(fx, Scan::all().reverse(), "c4", Some("c3"))
}

/// Backwards, beyond all keys: the last.
pub(crate) fn beyond_all_keys_backwards(fx: &dyn Fixture) -> CaseResult {
    sought(fx, Scan::all().reverse(), "d", Some("c7"))
}

/// Backwards, before all keys: none.
pub(crate) fn before_all_keys_backwards(fx: &dyn Fixture) -> CaseResult {
    sought(fx, Scan::all().reverse(), "a", None)
}

fn c2_to_c6<'k>() -> KeyRange<'k> {
    KeyRange::of(b"c2".as_slice()..b"c6".as_slice())
}

/// Before the range: its first row, not an earlier one.
pub(crate) fn before_the_range(fx: &dyn Fixture) -> CaseResult {
    sought(fx, Scan::range(c2_to_c6()), "c1", Some("c2"))
}

/// Beyond the range: none, though the store goes on.
pub(crate) fn beyond_the_range(fx: &dyn Fixture) -> CaseResult {
    sought(fx, Scan::range(c2_to_c6()), "c6", None)
}

/// Backwards, beyond the range: its last row.
pub(crate) fn beyond_the_range_backwards(fx: &dyn Fixture) -> CaseResult {
    sought(fx, Scan::range(c2_to_c6()).reverse(), "c7", Some("c5"))
}

/// Backwards, before the range: none.
pub(crate) fn before_the_range_backwards(fx: &dyn Fixture) -> CaseResult {
    sought(fx, Scan::range(c2_to_c6()).reverse(), "c1", None)
}

/// To a lower bound that is excluded: the row after it.
pub(crate) fn an_excluded_start(fx: &dyn Fixture) -> CaseResult {
    let range = KeyRange::new(Bound::Excluded(b"c2"), Bound::Unbounded);
    sought(fx, Scan::range(range), "c2", Some("c3"))
}

/// Backwards, to an upper bound that is excluded: the row before it.
pub(crate) fn an_excluded_end_backwards(fx: &dyn Fixture) -> CaseResult {
    sought(fx, Scan::range(c2_to_c6()).reverse(), "c6", Some("c5"))
}

/// To the empty key: the first row.
pub(crate) fn the_empty_key(fx: &dyn Fixture) -> CaseResult {
    sought(fx, Scan::all(), "", Some("c1"))
}

/// Backwards, to the empty key: none.
pub(crate) fn the_empty_key_backwards(fx: &dyn Fixture) -> CaseResult {
    sought(fx, Scan::all().reverse(), "", None)
}

/// To a key longer than any may be.
pub(crate) fn a_long_key(fx: &dyn Fixture) -> CaseResult {
    let long = [b"c3".as_slice(), &vec![b'x'; 70_000]].concat();
    sought(fx, Scan::all(), &long, Some("c5"))
}

/// Backwards, to a key longer than any may be.
pub(crate) fn a_long_key_backwards(fx: &dyn Fixture) -> CaseResult {
    let long = [b"c3".as_slice(), &vec![b'x'; 70_000]].concat();
    sought(fx, Scan::all().reverse(), &long, Some("c3"))
}

/// With a limit of 0 there is no row to seek.
pub(crate) fn under_a_limit_of_zero(fx: &dyn Fixture) -> CaseResult {
    sought(fx, Scan::all().limit(0), "c3", None)
}

/// From the row found, the cursor goes on.
pub(crate) fn goes_on_after_seek(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let view = engine.view()?;
    let mut cursor = view.cursor(Scan::all())?;
    check!(cursor.seek(b"c2")?, "c2 is not found");
    check!(cursor.advance()?, "no row after c2");
    stands_at(&*cursor, "c3")?;
    check!(cursor.advance()?, "no row after c3");
    stands_at(&*cursor, "c5")
}

/// Backwards, too.
pub(crate) fn goes_on_after_seek_backwards(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let view = engine.view()?;
    let mut cursor = view.cursor(Scan::all().reverse())?;
    check!(cursor.seek(b"c5")?, "c5 is not found");
    check!(cursor.advance()?, "no row before c5");
    stands_at(&*cursor, "c3")
}

/// `seek` goes back as well as on.
pub(crate) fn goes_back(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let view = engine.view()?;
    let mut cursor = view.cursor(Scan::all())?;
    check!(cursor.seek(b"c6")?, "c6 is not found");
    check!(cursor.seek(b"c2")?, "c2 is not found after c6");
    stands_at(&*cursor, "c2")
}

/// `seek` leads back from the end.
pub(crate) fn leads_back_from_the_end(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let view = engine.view()?;
    let mut cursor = view.cursor(Scan::all())?;
    while cursor.advance()? {}
    check!(cursor.seek(b"c3")?, "c3 is not found from the end");
    stands_at(&*cursor, "c3")?;
    check!(cursor.advance()?, "no row after it");
    stands_at(&*cursor, "c5")
}

/// The limit counts anew after `seek`.
pub(crate) fn limit_counts_anew_after_seek(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let view = engine.view()?;
    let mut cursor = view.cursor(Scan::all().limit(2))?;
    while cursor.advance()? {}
    check!(cursor.seek(b"c2")?, "c2 is not found after the limit was reached");
    check!(cursor.advance()?, "the second row after seek");
    stands_at(&*cursor, "c3")?;
    check!(!cursor.advance()?, "a third row under a limit of 2");
    Ok(())
}
