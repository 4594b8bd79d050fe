//! Reading a beat that is open.

use persist_api::{Beat, Engine, Error, KeyRange, Value};

use crate::kit::{Stand, begin, commit, get, put};
use crate::{CaseResult, Fixture, check_eq};

fn peeked(beat: &dyn Beat, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    Ok(beat.peek_record(key)?.map(Value::into_vec))
}

fn with_base(at: &Stand<'_>) -> Result<Box<dyn Engine>, Error> {
    let engine = at.open()?;
    put(&*engine, [("base", "old"), ("other", "old")])?;
    Ok(engine)
}

/// Peeking sees the beat's own put.
pub(crate) fn sees_own_put(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = with_base(&at)?;
    let mut beat = begin(&*engine)?;
    beat.put_record(b"fresh", b"new")?;
    check_eq!(peeked(&*beat, b"fresh")?, Some(b"new".to_vec()), "a put of this beat");
    Ok(())
}

/// Peeking sees the newest of several puts.
pub(crate) fn sees_the_last_put(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = with_base(&at)?;
    let mut beat = begin(&*engine)?;
    beat.put_record(b"base", b"newer")?;
    beat.put_record(b"base", b"newest")?;
    check_eq!(peeked(&*beat, b"base")?, Some(b"newest".to_vec()), "a key put twice in this beat");
    Ok(())
}

/// Peeking sees the beat's own delete.
pub(crate) fn sees_own_delete(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = with_base(&at)?;
    let mut beat = begin(&*engine)?;
    beat.delete_record(b"base")?;
    check_eq!(peeked(&*beat, b"base")?, None, "a delete of this beat");
    Ok(())
}

/// Peeking sees what was there before.
pub(crate) fn sees_the_state_before(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = with_base(&at)?;
    let mut beat = begin(&*engine)?;
    beat.put_record(b"fresh", b"new")?;
    check_eq!(peeked(&*beat, b"base")?, Some(b"old".to_vec()), "a record of an earlier beat");
    check_eq!(peeked(&*beat, b"absent")?, None, "a key that is nowhere");
    Ok(())
}

/// Peeking sees that a range was deleted.
pub(crate) fn sees_deleted_range(fx: &dyn Fixture) -> CaseResult {
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
pub(crate) fn of_impossible_keys(fx: &dyn Fixture) -> CaseResult {
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
pub(crate) fn leaves_no_trace(fx: &dyn Fixture) -> CaseResult {
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
