//! Views of earlier beats.

use persist_api::{BeatNo, ErrorKind};

use crate::kit::{Stand, get_in, put};
use crate::{CaseResult, Fixture, check_eq, refused};

/// `view_at` shows an earlier beat exactly.
pub(crate) fn at_an_earlier_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    for turn in 1..=3_u8 {
        put(&*engine, [("h", [turn])])?;
    }
    let view = engine.view_at(BeatNo(2))?;
    check_eq!(view.header().beat, BeatNo(2), "its beat");
    check_eq!(get_in(&*view, "h")?, Some(vec![2]), "the record at beat 2");
    Ok(())
}

/// `view_at` the newest beat is `view`.
pub(crate) fn at_the_newest_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("h", "1")])?;
    put(&*engine, [("h", "2")])?;
    let view = engine.view_at(BeatNo(2))?;
    check_eq!(*view.header(), *engine.view()?.header(), "the header at the newest beat");
    check_eq!(get_in(&*view, "h")?, Some(b"2".to_vec()), "the record at the newest beat");
    Ok(())
}

/// A beat that is not there, earlier or later, is `Stale`.
pub(crate) fn at_a_beat_that_is_not_kept(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("h", "1")])?;
    refused(engine.view_at(BeatNo(9)).map(drop), ErrorKind::Stale, "a view of a beat to come")?;
    Ok(())
}
