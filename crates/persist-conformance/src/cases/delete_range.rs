//! Ranges that a beat deletes.

use std::ops::Bound;

use persist_api::{KeyRange, Scan};

use crate::kit::{Stand, begin, commit, get, keys, put, put_keys};
use crate::{CaseResult, Fixture, check, check_eq};

const TEN: [&str; 10] = ["k0", "k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9"];

/// Deletes a range of the ten keys and says which are left, as their digits.
fn left_after(fx: &dyn Fixture, range: KeyRange<'_>) -> Result<String, crate::Failure> {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, TEN)?;
    commit(&*engine, |beat| beat.delete_range(range))?;
    let view = engine.view()?;
    let mut left = String::new();
    for key in TEN {
        if view.get_record(key.as_bytes())?.is_some() {
            left.push_str(key.trim_start_matches('k'));
        }
    }
    Ok(left)
}

fn bounds<'k>(start: Bound<&'k str>, end: Bound<&'k str>) -> KeyRange<'k> {
    KeyRange::new(start.map(str::as_bytes), end.map(str::as_bytes))
}

/// The lower bound is in, the upper bound is out.
pub(crate) fn half_open(fx: &dyn Fixture) -> CaseResult {
    let range = bounds(Bound::Included("k3"), Bound::Excluded("k6"));
    check_eq!(left_after(fx, range)?, "0126789", "keys left after deleting k3..k6");
    Ok(())
}

/// Both bounds in.
pub(crate) fn closed(fx: &dyn Fixture) -> CaseResult {
    let range = bounds(Bound::Included("k3"), Bound::Included("k6"));
    check_eq!(left_after(fx, range)?, "012789", "keys left after deleting k3..=k6");
    Ok(())
}

/// Both bounds out.
pub(crate) fn open(fx: &dyn Fixture) -> CaseResult {
    let range = bounds(Bound::Excluded("k3"), Bound::Excluded("k6"));
    check_eq!(left_after(fx, range)?, "01236789", "keys left after deleting between k3 and k6");
    Ok(())
}

/// No lower bound.
pub(crate) fn to_the_start(fx: &dyn Fixture) -> CaseResult {
    let range = bounds(Bound::Unbounded, Bound::Excluded("k4"));
    check_eq!(left_after(fx, range)?, "456789", "keys left after deleting ..k4");
    Ok(())
}

/// No upper bound.
pub(crate) fn to_the_end(fx: &dyn Fixture) -> CaseResult {
    let range = bounds(Bound::Included("k7"), Bound::Unbounded);
    check_eq!(left_after(fx, range)?, "0123456", "keys left after deleting k7..");
    Ok(())
}

/// Everything.
pub(crate) fn of_all(fx: &dyn Fixture) -> CaseResult {
    check_eq!(left_after(fx, KeyRange::all())?, "", "keys left after deleting all");
    Ok(())
}

/// Bounds between keys.
pub(crate) fn between_keys(fx: &dyn Fixture) -> CaseResult {
    let range = bounds(Bound::Included("k25"), Bound::Included("k45"));
    check_eq!(left_after(fx, range)?, "01256789", "keys left after deleting k25..=k45");
    Ok(())
}

/// One key.
pub(crate) fn of_one(fx: &dyn Fixture) -> CaseResult {
    let range = bounds(Bound::Included("k5"), Bound::Included("k5"));
    check_eq!(left_after(fx, range)?, "012346789", "keys left after deleting k5..=k5");
    Ok(())
}

/// The empty range removes nothing.
pub(crate) fn empty(fx: &dyn Fixture) -> CaseResult {
    let range = bounds(Bound::Included("k5"), Bound::Excluded("k5"));
    check_eq!(left_after(fx, range)?, "0123456789", "keys left after deleting k5..k5");
    Ok(())
}

/// The inverted range removes nothing and panics not.
pub(crate) fn inverted(fx: &dyn Fixture) -> CaseResult {
    let range = bounds(Bound::Included("k7"), Bound::Excluded("k2"));
    check_eq!(left_after(fx, range)?, "0123456789", "keys left after deleting k7..k2");
    Ok(())
}

/// An empty lower bound means the beginning.
pub(crate) fn from_the_empty_key(fx: &dyn Fixture) -> CaseResult {
    let range = bounds(Bound::Included(""), Bound::Excluded("k2"));
    check_eq!(left_after(fx, range)?, "23456789", "keys left after deleting \"\"..k2");
    Ok(())
}

/// An empty upper bound means nothing.
pub(crate) fn up_to_the_empty_key(fx: &dyn Fixture) -> CaseResult {
    let range = bounds(Bound::Unbounded, Bound::Excluded(""));
    check_eq!(left_after(fx, range)?, "0123456789", "keys left after deleting ..\"\"");
    Ok(())
}

/// Bounds may be longer than any key.
pub(crate) fn with_long_bounds(fx: &dyn Fixture) -> CaseResult {
    let long = |key: &str| [key.as_bytes(), &vec![b'x'; 70_000]].concat();
    let range = KeyRange::owned(Bound::Included(long("k2")), Bound::Included(long("k8")));
    check_eq!(left_after(fx, range)?, "0129", "keys left after deleting from k2xxx… to k8xxx…");
    Ok(())
}

/// A prefix of `FF` has no successor, and still an end.
pub(crate) fn of_an_ff_prefix(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let records: [&[u8]; 4] = [b"\xfe\xff", b"\xff", b"\xff\xff", b"\xff\xff\x01"];
    put_keys(&*engine, records)?;
    commit(&*engine, |beat| beat.delete_range(KeyRange::prefix(b"\xff\xff")))?;
    let view = engine.view()?;
    for (key, stays) in records.into_iter().zip([true, true, false, false]) {
        check_eq!(view.get_record(key)?.is_some(), stays, "presence of {key:x?}");
    }
    Ok(())
}

/// The beat's own puts before it are removed.
pub(crate) fn takes_own_puts(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    commit(&*engine, |beat| {
        beat.put_record(b"own1", b"1")?;
        beat.delete_range(KeyRange::prefix(b"own"))
    })?;
    check_eq!(get(&*engine, "own1")?, None, "a put before the range was deleted");
    Ok(())
}

/// Its own puts after it stay.
pub(crate) fn spares_later_puts(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["late1", "late2"])?;
    commit(&*engine, |beat| {
        beat.delete_range(KeyRange::prefix(b"late"))?;
        beat.put_record(b"late2", b"again")
    })?;
    check_eq!(get(&*engine, "late1")?, None, "a record of the range");
    check_eq!(get(&*engine, "late2")?, Some(b"again".to_vec()), "a put after the range was deleted");
    Ok(())
}

/// A beat may delete several ranges.
pub(crate) fn after_range(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, TEN)?;
    commit(&*engine, |beat| {
        beat.delete_range(bounds(Bound::Included("k1"), Bound::Excluded("k3")))?;
        beat.put_record(b"k2", b"back")?;
        beat.delete_range(bounds(Bound::Included("k5"), Bound::Excluded("k8")))
    })?;
    for (key, stays) in
        [("k1", false), ("k2", true), ("k4", true), ("k5", false), ("k7", false), ("k8", true)]
    {
        check_eq!(get(&*engine, key)?.is_some(), stays, "presence of {key}");
    }
    Ok(())
}

/// An aborted beat deletes no range.
pub(crate) fn is_undone_by_abort(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["undo1", "undo2"])?;
    let mut beat = begin(&*engine)?;
    beat.delete_range(KeyRange::prefix(b"undo"))?;
    beat.abort_beat();
    check_eq!(get(&*engine, "undo2")?, Some(b"=undo2".to_vec()), "a record after the abort");
    Ok(())
}

/// A thousand records go at once, and their neighbours stay.
pub(crate) fn of_a_thousand(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(
        &*engine,
        (0..1000_u32).map(|n| (format!("m{n:04}"), "x")).chain([("l".into(), "x"), ("n".into(), "x")]),
    )?;
    commit(&*engine, |beat| beat.delete_range(KeyRange::prefix(b"m")))?;
    let view = engine.view()?;
    for n in 0..1000_u32 {
        check!(view.get_record(format!("m{n:04}").as_bytes())?.is_none(), "record {n} of the range is left");
    }
    check!(view.get_record(b"l")?.is_some() && view.get_record(b"n")?.is_some(), "a neighbour is gone");
    Ok(())
}

/// After a range was deleted, scans both ways and counts agree.
pub(crate) fn is_gone_from_scans(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["s1", "s2", "s3", "s4"])?;
    commit(&*engine, |beat| beat.delete_range(bounds(Bound::Included("s2"), Bound::Excluded("s4"))))?;
    let view = engine.view()?;
    check_eq!(keys(&*view, Scan::all())?, ["s1", "s4"], "keys after the range was deleted");
    check_eq!(keys(&*view, Scan::all().reverse())?, ["s4", "s1"], "keys backwards");
    Ok(())
}
