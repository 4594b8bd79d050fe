//! Beats in which an operation failed.

use persist_api::{Beat, BeatNo, ErrorKind, KeyRange};

use crate::kit::{Stand, begin, put, put_keys};
use crate::{CaseResult, Fixture, check, check_eq, refused};

/// A failed operation, here a put without key.
fn poison(beat: &mut dyn Beat) -> CaseResult {
    refused(beat.put_record(b"", b"x"), ErrorKind::Invalid, "a put without key")?;
    Ok(())
}

/// After a failed operation, puts are refused.
pub(crate) fn refuses_puts(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let mut beat = begin(&*engine)?;
    poison(&mut *beat)?;
    refused(beat.put_record(b"k", b"v"), ErrorKind::Poisoned, "a put in a poisoned beat")?;
    Ok(())
}

/// And deletes.
pub(crate) fn refuses_deletes(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let mut beat = begin(&*engine)?;
    poison(&mut *beat)?;
    refused(beat.delete_record(b"k"), ErrorKind::Poisoned, "a delete in a poisoned beat")?;
    Ok(())
}

/// And deletes of ranges.
pub(crate) fn refuses_ranges(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let mut beat = begin(&*engine)?;
    poison(&mut *beat)?;
    let range = KeyRange::prefix(b"k");
    refused(beat.delete_range(range), ErrorKind::Poisoned, "a range deleted in a poisoned beat")?;
    Ok(())
}

/// And peeks: what a failed operation left staged is nobody's.
pub(crate) fn refuses_peeks(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("kept", "old")])?;
    let mut beat = begin(&*engine)?;
    poison(&mut *beat)?;
    refused(beat.peek_record(b"kept").map(drop), ErrorKind::Poisoned, "a peek in a poisoned beat")?;
    Ok(())
}

/// And the commit.
pub(crate) fn refuses_commit(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let mut beat = begin(&*engine)?;
    poison(&mut *beat)?;
    refused(beat.commit_beat(), ErrorKind::Poisoned, "the commit of a poisoned beat")?;
    Ok(())
}

/// Nothing that a poisoned beat did before stays.
pub(crate) fn changes_nothing(fx: &dyn Fixture) -> CaseResult {
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
