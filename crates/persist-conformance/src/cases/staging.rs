//! Puts and deletes within a beat, and over several.

use persist_api::BeatNo;

use crate::kit::{Stand, commit, get, put, put_keys};
use crate::{CaseResult, Fixture, check, check_eq};

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
