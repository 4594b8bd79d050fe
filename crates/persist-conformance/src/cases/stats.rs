//! `stats`: right where they are given.

use persist_api::BeatNo;

use super::laid::laid;
use crate::kit::{Stand, begin, put, put_keys};
use crate::{CaseResult, Fixture, check, check_eq};

/// `stats` name the newest beat.
pub(crate) fn name_the_newest_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    check_eq!(engine.stats()?.beat, BeatNo(0), "the beat of a new store");
    put_keys(&*engine, ["a"])?;
    put_keys(&*engine, ["b"])?;
    check_eq!(engine.stats()?.beat, BeatNo(2), "the beat after two");
    Ok(())
}

/// `stats` count records, where they do.
pub(crate) fn count_records(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    if let Some(records) = engine.stats()?.records {
        check_eq!(records, 30, "records");
    }
    Ok(())
}

/// `stats` count open views.
pub(crate) fn count_views(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    check_eq!(engine.stats()?.views_open, 0, "views of a new store");
    let (one, two) = (engine.view()?, engine.view()?);
    check_eq!(engine.stats()?.views_open, 2, "open views");
    drop(one);
    check_eq!(engine.stats()?.views_open, 1, "open views after one was dropped");
    drop(two);
    check_eq!(engine.stats()?.views_open, 0, "open views after both were dropped");
    Ok(())
}

/// `stats` know the oldest view.
pub(crate) fn know_the_oldest_view(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    check_eq!(engine.stats()?.oldest_view_beat, None, "the oldest view of none");
    put_keys(&*engine, ["a"])?;
    let oldest = engine.view()?;
    put_keys(&*engine, ["b"])?;
    let _newer = engine.view()?;
    let stats = engine.stats()?;
    check_eq!(stats.oldest_view_beat, Some(BeatNo(1)), "the beat of the oldest view");
    check!(stats.oldest_view_age.is_some(), "the oldest view has no age");
    drop(oldest);
    check_eq!(
        engine.stats()?.oldest_view_beat,
        Some(BeatNo(2)),
        "the oldest view after the older was dropped"
    );
    Ok(())
}

/// `stats` of an engine with a medium say how much lies there.
pub(crate) fn know_the_bytes_on_disk(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, (0..20_u8).map(|n| ([b'd', n], vec![n; 3000])))?;
    check!(engine.stats()?.bytes_on_disk > 0, "no bytes on disk after a beat of 60 KB");
    Ok(())
}

/// `stats` of a beat that is open do not count it.
pub(crate) fn do_not_count_an_open_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let mut beat = begin(&*engine)?;
    beat.put_record(b"unfinished", b"1")?;
    check_eq!(engine.stats()?.beat, BeatNo(3), "the newest beat beside an open one");
    drop(beat);
    Ok(())
}
