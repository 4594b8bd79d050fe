//! `compact`: gives room back and changes nothing.

use persist_api::{BeatNo, CompactScope, CompactStat, Engine, Error, ErrorKind, KeyRange, Quiet};

use super::laid::{goes_on, holds_all, laid, stopping, watched};
use crate::kit::{Stand, close, commit, get, get_in, put, put_keys};
use crate::{CaseResult, Fixture, check, check_eq, refused};

fn compacted(engine: &dyn Engine) -> Result<CompactStat, Error> {
    engine.compact(CompactScope::default(), &Quiet)
}

/// Compacting changes no record.
pub(crate) fn keeps_the_records(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    compacted(&*engine)?;
    holds_all(&*engine, "after compacting")
}

/// Compacting is no beat, and beats go on after it.
pub(crate) fn is_no_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let before = *engine.view()?.header();
    compacted(&*engine)?;
    check_eq!(*engine.view()?.header(), before, "the header after compacting");
    put_keys(&*engine, ["next"])?;
    Ok(())
}

/// A store that was emptied does not grow by compacting.
pub(crate) fn does_not_grow_the_store(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    for turn in 0..5_u8 {
        put(&*engine, (0..40_u8).map(|n| ([b'g', n], vec![turn; 2000])))?;
    }
    commit(&*engine, |beat| (0..40_u8).try_for_each(|n| beat.delete_record(&[b'g', n])))?;
    let stat = compacted(&*engine)?;
    check!(stat.bytes_after <= stat.bytes_before, "compacting grew the store: {stat:?}");
    Ok(())
}

/// What is compacted is found by the next open.
pub(crate) fn then_reopen(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    compacted(&*engine)?;
    put_keys(&*engine, ["later"])?;
    close(engine)?;
    let engine = at.open()?;
    holds_all(&*engine, "after compacting and reopening")?;
    check_eq!(get(&*engine, "later")?, Some(b"=later".to_vec()), "the record after compacting");
    Ok(())
}

/// Compacting beside a view is `Busy` or leaves the view as it is.
pub(crate) fn beside_a_view(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("c", "then"), ("d", "then")])?;
    let view = engine.view()?;
    commit(&*engine, |beat| {
        beat.put_record(b"c", b"now")?;
        beat.delete_record(b"d")
    })?;
    let done = compacted(&*engine);
    let fair = done.as_ref().err().is_none_or(|error| error.kind() == ErrorKind::Busy);
    check!(fair, "compacting beside a view: {done:?}");
    check_eq!(get_in(&*view, "c")?, Some(b"then".to_vec()), "an overwritten record in the older view");
    check_eq!(get_in(&*view, "d")?, Some(b"then".to_vec()), "a deleted record in the older view");
    Ok(())
}

/// Compacting twice, and a new store.
pub(crate) fn of_a_new_store(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    for turn in 0..2 {
        let done = compacted(&*engine);
        check!(done.is_ok(), "compacting a new store, time {turn}: {:?}", done.err());
    }
    check_eq!(engine.view()?.header().beat, BeatNo(0), "the beat after it");
    Ok(())
}

/// After a whole range was deleted and compacted, it stays deleted.
pub(crate) fn revives_nothing(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    commit(&*engine, |beat| beat.delete_range(KeyRange::prefix(b"r")))?;
    compacted(&*engine)?;
    drop(engine);
    let engine = at.open()?;
    for n in [0, 15, 29, 35_u8] {
        check_eq!(get(&*engine, [b'r', n])?, None, "deleted record r{n} after compacting and reopening");
    }
    Ok(())
}

/// `compact` reports progress that goes on.
pub(crate) fn progress_goes_on(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let seen = watched(|seen| engine.compact(CompactScope::default(), seen).map(drop))?;
    check!(!seen.is_empty(), "compact reports no progress");
    goes_on(&seen)
}

/// `compact` stops when asked and leaves the store whole.
pub(crate) fn stops_when_asked(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let stopped = engine.compact(CompactScope::default(), &stopping(1));
    refused(stopped, ErrorKind::Cancelled, "compact under a stopping observer")?;
    holds_all(&*engine, "after compacting was stopped")?;
    drop(engine);
    holds_all(&*at.open()?, "after compacting was stopped, and reopening")
}
