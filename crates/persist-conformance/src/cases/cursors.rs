//! The lending cursor: where it starts, where it stays, and what it shows.

use std::ops::Bound;

use persist_api::{Cursor, Engine, Error, KeyRange, Scan};

use crate::kit::{Stand, commit, cursor_rows, put, put_keys, rows, value_of};
use crate::{CaseResult, Failure, Fixture, check, check_eq};

const KEYS: [&str; 6] = ["c1", "c2", "c3", "c5", "c6", "c7"];

/// A store with these keys.
pub(super) fn laid(at: &Stand<'_>) -> Result<Box<dyn Engine>, Error> {
    let engine = at.open()?;
    put_keys(&*engine, KEYS)?;
    Ok(engine)
}

/// Checks the current row, by its key; the value must belong to it.
#[track_caller]
pub(super) fn stands_at(cursor: &dyn Cursor, key: &str) -> CaseResult {
    if cursor.key() == key.as_bytes() && cursor.value() == value_of(key.as_bytes()) {
        return Ok(());
    }
    let (found, value) = (cursor.key().escape_ascii(), cursor.value().escape_ascii());
    Err(Failure::new(format!("the cursor stands at {found} = {value}, expected {key}")))
}

/// Before the first row there is no row.
pub(crate) fn starts_before_the_first_row(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let view = engine.view()?;
    let mut cursor = view.cursor(Scan::all())?;
    check!(cursor.key().is_empty() && cursor.value().is_empty(), "a row before the first step");
    check!(cursor.advance()?, "no first row");
    stands_at(&*cursor, "c1")
}

/// The same backwards: the first step shows the last row.
pub(crate) fn starts_after_the_last_row_backwards(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let view = engine.view()?;
    let mut cursor = view.cursor(Scan::all().reverse())?;
    check!(cursor.key().is_empty() && cursor.value().is_empty(), "a row before the first step");
    check!(cursor.advance()?, "no first row");
    stands_at(&*cursor, "c7")
}

/// Cursor and visitor show the same rows.
pub(crate) fn shows_what_the_visitor_shows(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let view = engine.view()?;
    check_eq!(cursor_rows(&*view, Scan::all())?, rows(&*view, Scan::all())?, "rows of cursor and visitor");
    check_eq!(cursor_rows(&*view, Scan::all())?.len(), KEYS.len(), "how many");
    Ok(())
}

/// Backwards, too.
pub(crate) fn shows_what_the_visitor_shows_backwards(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let view = engine.view()?;
    let scan = || Scan::all().reverse();
    check_eq!(cursor_rows(&*view, scan())?, rows(&*view, scan())?, "rows of cursor and visitor backwards");
    Ok(())
}

/// Each row of the cursor is what `get_record` finds.
pub(crate) fn shows_what_get_finds(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("g1", vec![]), ("g2", vec![1; 3]), ("g3", vec![2; 10_000])])?;
    let view = engine.view()?;
    for (key, value) in cursor_rows(&*view, Scan::prefix(b"g"))? {
        check!(view.get_record(&key)?.as_deref() == Some(&*value), "{} differs", key.escape_ascii());
    }
    Ok(())
}

/// The end is the end, however often one asks.
pub(crate) fn stays_at_the_end(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let view = engine.view()?;
    let mut cursor = view.cursor(Scan::prefix(b"c7"))?;
    check!(cursor.advance()?, "no row");
    for turn in 0..3 {
        check!(!cursor.advance()?, "a row after the end, in step {turn}");
    }
    Ok(())
}

/// Backwards, too.
pub(crate) fn stays_at_the_end_backwards(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let view = engine.view()?;
    let mut cursor = view.cursor(Scan::prefix(b"c1").reverse())?;
    check!(cursor.advance()?, "no row");
    for turn in 0..3 {
        check!(!cursor.advance()?, "a row after the end, in step {turn}");
    }
    Ok(())
}

/// At the end there is no row to look at.
pub(crate) fn shows_nothing_at_the_end(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let view = engine.view()?;
    let mut cursor = view.cursor(Scan::prefix(b"c7"))?;
    cursor.advance()?;
    cursor.advance()?;
    check!(cursor.key().is_empty() && cursor.value().is_empty(), "the last row is still shown at the end");
    Ok(())
}

/// A cursor over nothing.
pub(crate) fn over_nothing(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let view = engine.view()?;
    let mut cursor = view.cursor(Scan::prefix(b"c4"))?;
    check!(!cursor.advance()?, "a row in a range without rows");
    check!(!cursor.seek(b"c1")?, "a row found in a range without rows");
    Ok(())
}

/// A cursor over an inverted range.
pub(crate) fn over_an_inverted_range(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let view = engine.view()?;
    let range = || KeyRange::new(Bound::Excluded(b"c6"), Bound::Excluded(b"c2"));
    for scan in [Scan::range(range()), Scan::range(range()).reverse()] {
        let mut cursor = view.cursor(scan)?;
        check!(!cursor.advance()?, "a row in an inverted range");
        check!(!cursor.seek(b"c3")?, "a row found in an inverted range");
    }
    Ok(())
}

/// The limit ends a cursor as it ends a scan.
pub(crate) fn limit_ends_it(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let view = engine.view()?;
    check_eq!(cursor_rows(&*view, Scan::all().limit(2))?.len(), 2, "rows under a limit of 2");
    check_eq!(cursor_rows(&*view, Scan::all().limit(0))?.len(), 0, "rows under a limit of 0");
    Ok(())
}

/// A cursor without values shows keys, and no wrong value.
pub(crate) fn keys_only_shows_no_wrong_value(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let view = engine.view()?;
    let found = cursor_rows(&*view, Scan::all().keys_only())?;
    check_eq!(found.len(), KEYS.len(), "rows of a cursor without values");
    for ((key, value), expected) in found.iter().zip(KEYS) {
        check_eq!(key, expected.as_bytes(), "a key");
        check!(value.is_empty() || *value == value_of(key), "a wrong value: {}", value.escape_ascii());
    }
    Ok(())
}

/// Two cursors over one view do not disturb each other.
pub(crate) fn two_do_not_disturb_each_other(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let view = engine.view()?;
    let (mut one, mut two) = (view.cursor(Scan::all())?, view.cursor(Scan::all().reverse())?);
    check!(one.advance()? && two.advance()? && one.advance()? && two.advance()?, "a row is missing");
    stands_at(&*one, "c2")?;
    stands_at(&*two, "c6")
}

/// Reading records does not move a cursor.
pub(crate) fn reads_do_not_move_it(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let view = engine.view()?;
    let mut cursor = view.cursor(Scan::all())?;
    check!(cursor.seek(b"c2")?, "c2 is not found");
    view.get_record(b"c6")?;
    rows(&*view, Scan::all())?;
    stands_at(&*cursor, "c2")?;
    check!(cursor.advance()?, "no row after reading others");
    stands_at(&*cursor, "c3")
}

/// Later beats do not move it either.
pub(crate) fn beats_do_not_move_it(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let view = engine.view()?;
    let mut cursor = view.cursor(Scan::all())?;
    check!(cursor.seek(b"c2")?, "c2 is not found");
    commit(&*engine, |beat| {
        beat.delete_record(b"c2")?;
        beat.delete_record(b"c3")?;
        beat.put_record(b"c21", b"later")
    })?;
    stands_at(&*cursor, "c2")?;
    check!(cursor.advance()?, "no row after a later beat");
    stands_at(&*cursor, "c3")
}

/// It walks a thousand rows and finds each again.
pub(crate) fn a_thousand_rows(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let key = |n: u32| n.wrapping_mul(40_503).to_be_bytes();
    put(&*engine, (0..1000_u32).map(|n| (key(n), n.to_be_bytes())))?;
    let view = engine.view()?;
    let walked = cursor_rows(&*view, Scan::all())?;
    check_eq!(walked.len(), 1000, "rows walked");
    check!(walked.is_sorted_by(|one, two| one.0 < two.0), "the rows are not in order");
    let mut cursor = view.cursor(Scan::all())?;
    for (key, value) in walked.iter().step_by(37) {
        check!(cursor.seek(key)?, "{key:x?} is not found again");
        check!(cursor.key() == key && cursor.value() == value, "another row at {key:x?}");
    }
    Ok(())
}
