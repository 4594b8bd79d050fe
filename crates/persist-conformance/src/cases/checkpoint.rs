//! `checkpoint`: bounds the work of the next open and changes nothing.

use persist_api::BeatNo;

use super::laid::{holds_all, laid};
use crate::kit::{Stand, close, get, get_in, put, put_keys};
use crate::{CaseResult, Fixture, check, check_eq};

/// A checkpoint changes no record.
pub(crate) fn keeps_the_records(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    engine.checkpoint()?;
    holds_all(&*engine, "after a checkpoint")
}

/// A checkpoint says up to which beat it went: the newest.
pub(crate) fn names_the_newest_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    check_eq!(engine.checkpoint()?.beat, BeatNo(3), "the beat of the checkpoint");
    Ok(())
}

/// A checkpoint is no beat.
pub(crate) fn is_no_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let before = *engine.view()?.header();
    engine.checkpoint()?;
    check_eq!(*engine.view()?.header(), before, "the header after a checkpoint");
    put_keys(&*engine, ["next"])?;
    Ok(())
}

/// A checkpoint of a new store is no error.
pub(crate) fn of_a_new_store(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let done = engine.checkpoint();
    check!(done.is_ok(), "a checkpoint of a new store: {:?}", done.err());
    check_eq!(engine.view()?.header().beat, BeatNo(0), "the beat after it");
    Ok(())
}

/// A checkpoint is found by the next open, with what came after it.
pub(crate) fn then_reopen(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    engine.checkpoint()?;
    put_keys(&*engine, ["later"])?;
    close(engine)?;
    let engine = at.open()?;
    holds_all(&*engine, "after a checkpoint and reopening")?;
    check_eq!(get(&*engine, "later")?, Some(b"=later".to_vec()), "the record after the checkpoint");
    Ok(())
}

/// A checkpoint with a view open moves not the view.
pub(crate) fn beside_a_view(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("c", "then")])?;
    let view = engine.view()?;
    put(&*engine, [("c", "now")])?;
    engine.checkpoint()?;
    check_eq!(get_in(&*view, "c")?, Some(b"then".to_vec()), "the older view after a checkpoint");
    check_eq!(get(&*engine, "c")?, Some(b"now".to_vec()), "a newer view after a checkpoint");
    Ok(())
}

/// A checkpoint every beat does no harm.
pub(crate) fn after_every_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    for turn in 0..6_u8 {
        put_keys(&*engine, [[b'e', turn]])?;
        engine.checkpoint()?;
    }
    drop(engine);
    let engine = at.open()?;
    for turn in 0..6_u8 {
        check!(get(&*engine, [b'e', turn])?.is_some(), "the record of beat {} is gone", turn + 1);
    }
    Ok(())
}
