//! Operations within a beat: their order, poison, ranges that are deleted, and peeking.

use std::ops::Bound;

use persist_api::{Beat, BeatNo, Engine, Error, ErrorKind, KeyRange, Scan, Value};

use crate::kit::{Stand, begin, commit, get, keys, put, put_keys};
use crate::{CaseResult, Fixture, check, check_eq, refused};

/// Of two puts, the last one wins.
pub(crate) fn last_put_wins(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("twice", "first"), ("twice", "second")])?;
    check_eq!(get(&*engine, "twice")?, Some(b"second".to_vec()), "a key put twice");
    Ok(())
}

/// A put, then a delete: gone.
pub(crate) fn delete_after_put(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    commit(&*engine, |beat| {
        beat.put_record(b"pd", b"1")?;
        beat.delete_record(b"pd")
    })?;
    check_eq!(get(&*engine, "pd")?, None, "a key put and deleted in one beat");
    Ok(())
}

/// A delete, then a put: there.
pub(crate) fn put_after_delete(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("dp", "old")])?;
    commit(&*engine, |beat| {
        beat.delete_record(b"dp")?;
        beat.put_record(b"dp", b"new")
    })?;
    check_eq!(get(&*engine, "dp")?, Some(b"new".to_vec()), "a key deleted and put in one beat");
    Ok(())
}

/// Deleting what is not there is no error.
pub(crate) fn delete_of_nothing(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let deleted = commit(&*engine, |beat| beat.delete_record(b"never was"));
    check!(deleted.is_ok(), "deleting an absent key: {:?}", deleted.err());
    Ok(())
}

/// Deleting twice is no error either, within a beat and over two.
pub(crate) fn delete_twice(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["twice", "other"])?;
    commit(&*engine, |beat| {
        beat.delete_record(b"twice")?;
        beat.delete_record(b"twice")
    })?;
    commit(&*engine, |beat| beat.delete_record(b"twice"))?;
    check_eq!(get(&*engine, "twice")?, None, "a key deleted three times");
    check_eq!(get(&*engine, "other")?, Some(b"=other".to_vec()), "its neighbour");
    Ok(())
}

/// A delete takes its own key and none that begins with it.
pub(crate) fn delete_takes_one_key(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["ab", "abc", "a"])?;
    commit(&*engine, |beat| beat.delete_record(b"ab"))?;
    for (key, stays) in [("a", true), ("ab", false), ("abc", true)] {
        check_eq!(get(&*engine, key)?.is_some(), stays, "presence of {key}");
    }
    Ok(())
}

/// A shorter value replaces a longer one whole.
pub(crate) fn shorter_value_replaces(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("v", "a long value")])?;
    put(&*engine, [("v", "short")])?;
    check_eq!(get(&*engine, "v")?, Some(b"short".to_vec()), "the replaced value");
    Ok(())
}

/// A longer value replaces a shorter one whole.
pub(crate) fn longer_value_replaces(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("v", vec![1_u8; 3])])?;
    put(&*engine, [("v", vec![2_u8; 9000])])?;
    check!(get(&*engine, "v")? == Some(vec![2; 9000]), "the replaced value differs");
    Ok(())
}

/// The empty value replaces another.
pub(crate) fn empty_value_replaces(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("v", "full")])?;
    put(&*engine, [("v", "")])?;
    check_eq!(get(&*engine, "v")?, Some(Vec::new()), "the replaced value");
    Ok(())
}

/// The same value again is a beat like any other.
pub(crate) fn same_value_again(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("same", "same")])?;
    put(&*engine, [("same", "same")])?;
    check_eq!(get(&*engine, "same")?, Some(b"same".to_vec()), "the value");
    check_eq!(engine.view()?.header().beat, BeatNo(2), "the beat");
    Ok(())
}

/// A failed operation, here a put without key.
fn poison(beat: &mut dyn Beat) -> CaseResult {
    refused(beat.put_record(b"", b"x"), ErrorKind::Invalid, "a put without key")?;
    Ok(())
}

/// After a failed operation, puts are refused.
pub(crate) fn poisoned_beat_refuses_puts(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let mut beat = begin(&*engine)?;
    poison(&mut *beat)?;
    refused(beat.put_record(b"k", b"v"), ErrorKind::Poisoned, "a put in a poisoned beat")?;
    Ok(())
}

/// And deletes.
pub(crate) fn poisoned_beat_refuses_deletes(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let mut beat = begin(&*engine)?;
    poison(&mut *beat)?;
    refused(beat.delete_record(b"k"), ErrorKind::Poisoned, "a delete in a poisoned beat")?;
    Ok(())
}

/// And deletes of ranges.
pub(crate) fn poisoned_beat_refuses_ranges(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let mut beat = begin(&*engine)?;
    poison(&mut *beat)?;
    let range = KeyRange::prefix(b"k");
    refused(beat.delete_range(range), ErrorKind::Poisoned, "a range deleted in a poisoned beat")?;
    Ok(())
}

/// And the commit.
pub(crate) fn poisoned_beat_refuses_commit(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let mut beat = begin(&*engine)?;
    poison(&mut *beat)?;
    refused(beat.commit_beat(), ErrorKind::Poisoned, "the commit of a poisoned beat")?;
    Ok(())
}

/// Nothing that a poisoned beat did before stays.
pub(crate) fn poisoned_beat_changes_nothing(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("kept", "old")])?;
    let mut beat = begin(&*engine)?;
    beat.put_record(b"kept", b"new")?;
    let _ = beat.put_record(b"", b"x");
    let _ = beat.commit_beat();
    let view = engine.view()?;
    check_eq!(view.get_record(b"kept")?.as_deref(), Some(b"old".as_slice()), "the record");
    check_eq!(view.header().beat, BeatNo(1), "the newest beat");
    Ok(())
}

/// A failed delete poisons, too.
pub(crate) fn failed_delete_poisons(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let mut beat = begin(&*engine)?;
    refused(beat.delete_record(b""), ErrorKind::Invalid, "a delete without key")?;
    refused(beat.commit_beat(), ErrorKind::Poisoned, "the commit after a failed delete")?;
    Ok(())
}

/// The next beat after a poisoned one is sound.
pub(crate) fn poison_ends_with_the_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let mut beat = begin(&*engine)?;
    poison(&mut *beat)?;
    drop(beat);
    let receipt = put_keys(&*engine, ["sound"]);
    check!(receipt.is_ok(), "the beat after a poisoned one: {:?}", receipt.err());
    Ok(())
}

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
pub(crate) fn range_half_open(fx: &dyn Fixture) -> CaseResult {
    let range = bounds(Bound::Included("k3"), Bound::Excluded("k6"));
    check_eq!(left_after(fx, range)?, "0126789", "keys left after deleting k3..k6");
    Ok(())
}

/// Both bounds in.
pub(crate) fn range_closed(fx: &dyn Fixture) -> CaseResult {
    let range = bounds(Bound::Included("k3"), Bound::Included("k6"));
    check_eq!(left_after(fx, range)?, "012789", "keys left after deleting k3..=k6");
    Ok(())
}

/// Both bounds out.
pub(crate) fn range_open(fx: &dyn Fixture) -> CaseResult {
    let range = bounds(Bound::Excluded("k3"), Bound::Excluded("k6"));
    check_eq!(left_after(fx, range)?, "01236789", "keys left after deleting between k3 and k6");
    Ok(())
}

/// No lower bound.
pub(crate) fn range_to_the_start(fx: &dyn Fixture) -> CaseResult {
    let range = bounds(Bound::Unbounded, Bound::Excluded("k4"));
    check_eq!(left_after(fx, range)?, "456789", "keys left after deleting ..k4");
    Ok(())
}

/// No upper bound.
pub(crate) fn range_to_the_end(fx: &dyn Fixture) -> CaseResult {
    let range = bounds(Bound::Included("k7"), Bound::Unbounded);
    check_eq!(left_after(fx, range)?, "0123456", "keys left after deleting k7..");
    Ok(())
}

/// Everything.
pub(crate) fn range_of_all(fx: &dyn Fixture) -> CaseResult {
    check_eq!(left_after(fx, KeyRange::all())?, "", "keys left after deleting all");
    Ok(())
}

/// Bounds between keys.
pub(crate) fn range_between_keys(fx: &dyn Fixture) -> CaseResult {
    let range = bounds(Bound::Included("k25"), Bound::Included("k45"));
    check_eq!(left_after(fx, range)?, "01256789", "keys left after deleting k25..=k45");
    Ok(())
}

/// One key.
pub(crate) fn range_of_one(fx: &dyn Fixture) -> CaseResult {
    let range = bounds(Bound::Included("k5"), Bound::Included("k5"));
    check_eq!(left_after(fx, range)?, "012346789", "keys left after deleting k5..=k5");
    Ok(())
}

/// The empty range removes nothing.
pub(crate) fn range_empty(fx: &dyn Fixture) -> CaseResult {
    let range = bounds(Bound::Included("k5"), Bound::Excluded("k5"));
    check_eq!(left_after(fx, range)?, "0123456789", "keys left after deleting k5..k5");
    Ok(())
}

/// The inverted range removes nothing and panics not.
pub(crate) fn range_inverted(fx: &dyn Fixture) -> CaseResult {
    let range = bounds(Bound::Included("k7"), Bound::Excluded("k2"));
    check_eq!(left_after(fx, range)?, "0123456789", "keys left after deleting k7..k2");
    Ok(())
}

/// An empty lower bound means the beginning.
pub(crate) fn range_from_the_empty_key(fx: &dyn Fixture) -> CaseResult {
    let range = bounds(Bound::Included(""), Bound::Excluded("k2"));
    check_eq!(left_after(fx, range)?, "23456789", "keys left after deleting \"\"..k2");
    Ok(())
}

/// An empty upper bound means nothing.
pub(crate) fn range_up_to_the_empty_key(fx: &dyn Fixture) -> CaseResult {
    let range = bounds(Bound::Unbounded, Bound::Excluded(""));
    check_eq!(left_after(fx, range)?, "0123456789", "keys left after deleting ..\"\"");
    Ok(())
}

/// Bounds may be longer than any key.
pub(crate) fn range_with_long_bounds(fx: &dyn Fixture) -> CaseResult {
    let long = |key: &str| [key.as_bytes(), &vec![b'x'; 70_000]].concat();
    let range = KeyRange::owned(Bound::Included(long("k2")), Bound::Included(long("k8")));
    check_eq!(left_after(fx, range)?, "0129", "keys left after deleting from k2xxx… to k8xxx…");
    Ok(())
}

/// A prefix of `FF` has no successor, and still an end.
pub(crate) fn range_of_an_ff_prefix(fx: &dyn Fixture) -> CaseResult {
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
pub(crate) fn range_takes_own_puts(fx: &dyn Fixture) -> CaseResult {
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
pub(crate) fn range_spares_later_puts(fx: &dyn Fixture) -> CaseResult {
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
pub(crate) fn range_after_range(fx: &dyn Fixture) -> CaseResult {
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
pub(crate) fn range_is_undone_by_abort(fx: &dyn Fixture) -> CaseResult {
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
pub(crate) fn range_of_a_thousand(fx: &dyn Fixture) -> CaseResult {
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
pub(crate) fn range_is_gone_from_scans(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["s1", "s2", "s3", "s4"])?;
    commit(&*engine, |beat| beat.delete_range(bounds(Bound::Included("s2"), Bound::Excluded("s4"))))?;
    let view = engine.view()?;
    check_eq!(keys(&*view, Scan::all())?, ["s1", "s4"], "keys after the range was deleted");
    check_eq!(keys(&*view, Scan::all().reverse())?, ["s4", "s1"], "keys backwards");
    Ok(())
}

fn peeked(beat: &dyn Beat, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    Ok(beat.peek_record(key)?.map(Value::into_vec))
}

fn with_base(at: &Stand<'_>) -> Result<Box<dyn Engine>, Error> {
    let engine = at.open()?;
    put(&*engine, [("base", "old"), ("other", "old")])?;
    Ok(engine)
}

/// Peeking sees the beat's own put.
pub(crate) fn peek_sees_own_put(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = with_base(&at)?;
    let mut beat = begin(&*engine)?;
    beat.put_record(b"fresh", b"new")?;
    check_eq!(peeked(&*beat, b"fresh")?, Some(b"new".to_vec()), "a put of this beat");
    Ok(())
}

/// Peeking sees the newest of several puts.
pub(crate) fn peek_sees_the_last_put(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = with_base(&at)?;
    let mut beat = begin(&*engine)?;
    beat.put_record(b"base", b"newer")?;
    beat.put_record(b"base", b"newest")?;
    check_eq!(peeked(&*beat, b"base")?, Some(b"newest".to_vec()), "a key put twice in this beat");
    Ok(())
}

/// Peeking sees the beat's own delete.
pub(crate) fn peek_sees_own_delete(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = with_base(&at)?;
    let mut beat = begin(&*engine)?;
    beat.delete_record(b"base")?;
    check_eq!(peeked(&*beat, b"base")?, None, "a delete of this beat");
    Ok(())
}

/// Peeking sees what was there before.
pub(crate) fn peek_sees_the_state_before(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = with_base(&at)?;
    let mut beat = begin(&*engine)?;
    beat.put_record(b"fresh", b"new")?;
    check_eq!(peeked(&*beat, b"base")?, Some(b"old".to_vec()), "a record of an earlier beat");
    check_eq!(peeked(&*beat, b"absent")?, None, "a key that is nowhere");
    Ok(())
}

/// Peeking sees that a range was deleted.
pub(crate) fn peek_sees_deleted_range(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = with_base(&at)?;
    let mut beat = begin(&*engine)?;
    beat.put_record(b"bas", b"new")?;
    beat.delete_range(KeyRange::prefix(b"ba"))?;
    check_eq!(peeked(&*beat, b"base")?, None, "an earlier record of the range");
    check_eq!(peeked(&*beat, b"bas")?, None, "an own put of the range");
    check_eq!(peeked(&*beat, b"other")?, Some(b"old".to_vec()), "a record outside");
    Ok(())
}

/// Peeking at keys that can not be finds nothing and harms nothing.
pub(crate) fn peek_of_impossible_keys(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = with_base(&at)?;
    let mut beat = begin(&*engine)?;
    beat.put_record(b"sound", b"1")?;
    check_eq!(peeked(&*beat, b"")?, None, "the empty key");
    let longer = engine.offer().limits.key_bytes_max.saturating_add(1);
    if let Ok(length) = usize::try_from(longer.min(1 << 22)) {
        check_eq!(peeked(&*beat, &vec![b'z'; length])?, None, "a key of {length} bytes");
    }
    beat.commit_beat()?;
    Ok(())
}

/// Peeking changes nothing of the beat.
pub(crate) fn peek_leaves_no_trace(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = with_base(&at)?;
    commit(&*engine, |beat| {
        beat.put_record(b"base", b"new")?;
        beat.peek_record(b"base")?;
        beat.peek_record(b"other")?;
        beat.peek_record(b"absent")?;
        Ok(())
    })?;
    check_eq!(get(&*engine, "base")?, Some(b"new".to_vec()), "the record put");
    check_eq!(get(&*engine, "other")?, Some(b"old".to_vec()), "the record only peeked at");
    check_eq!(get(&*engine, "absent")?, None, "the absent key");
    Ok(())
}
