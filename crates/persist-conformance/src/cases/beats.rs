//! The gate, giving up, and what a commit shows.

use persist_api::{BeatHeader, BeatNo, Durability, ErrorKind};

use crate::kit::{Stand, begin, commit, get, joined, level, next_header, put, put_keys};
use crate::{CaseResult, Fixture, check, check_eq, refused};

/// A refused beginning leaves the gate open.
pub(crate) fn refused_begin_leaves_the_gate_open(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let header = next_header(&*engine)?;
    let _ = engine.begin_beat(BeatHeader { beat: BeatNo(7), ..header }).map(drop);
    let beat = engine.begin_beat(header);
    check!(beat.is_ok(), "the right beat after a refused one: {:?}", beat.err());
    Ok(())
}

/// On one thread, a second beat is `Busy` instead of a deadlock.
pub(crate) fn second_beat_is_busy(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let header = next_header(&*engine)?;
    let first = engine.begin_beat(header)?;
    refused(engine.begin_beat(header).map(drop), ErrorKind::Busy, "a second beat on this thread")?;
    drop(first);
    Ok(())
}

/// On another thread as well.
pub(crate) fn second_beat_elsewhere_is_busy(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let header = next_header(&*engine)?;
    let first = engine.begin_beat(header)?;
    let other = &*engine;
    std::thread::scope(|scope| {
        joined(scope.spawn(move || {
            let second = other.begin_beat(header).map(drop);
            refused(second, ErrorKind::Busy, "a second beat on another thread")
        }))
    })?;
    drop(first);
    Ok(())
}

/// The beat that is open does not notice the refused one.
pub(crate) fn busy_leaves_the_open_beat_alone(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let header = next_header(&*engine)?;
    let mut first = engine.begin_beat(header)?;
    first.put_record(b"before", b"1")?;
    let _ = engine.begin_beat(header).map(drop);
    first.put_record(b"after", b"2")?;
    first.commit_beat()?;
    check_eq!(get(&*engine, "before")?, Some(b"1".to_vec()), "the record before the refusal");
    check_eq!(get(&*engine, "after")?, Some(b"2".to_vec()), "the record after it");
    Ok(())
}

/// Asked wrongly while a beat is open, an engine may name either fault, but lets no second beat in.
pub(crate) fn busy_holds_for_any_header(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let header = next_header(&*engine)?;
    let first = engine.begin_beat(header)?;
    let after = header.next(1, level(&*engine), None)?;
    check!(engine.begin_beat(after).is_err(), "the beat after an open one was let in");
    first.commit_beat()?;
    let next = engine.begin_beat(after);
    check!(next.is_ok(), "the next beat after the commit: {:?}", next.err());
    Ok(())
}

/// A dropped beat changes nothing.
pub(crate) fn dropped_beat_changes_nothing(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("drop", "old")])?;
    let mut beat = begin(&*engine)?;
    beat.put_record(b"drop", b"new")?;
    drop(beat);
    check_eq!(get(&*engine, "drop")?, Some(b"old".to_vec()), "the record after the drop");
    Ok(())
}

/// An aborted beat changes nothing.
pub(crate) fn aborted_beat_changes_nothing(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("abort", "old")])?;
    let mut beat = begin(&*engine)?;
    beat.put_record(b"abort", b"new")?;
    beat.delete_record(b"abort")?;
    beat.abort_beat();
    check_eq!(get(&*engine, "abort")?, Some(b"old".to_vec()), "the record after the abort");
    Ok(())
}

/// The number of an aborted beat is free again.
pub(crate) fn aborted_number_is_free(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let header = next_header(&*engine)?;
    engine.begin_beat(header)?.abort_beat();
    let again = engine.begin_beat(header);
    check!(again.is_ok(), "the same number after an abort: {:?}", again.err());
    Ok(())
}

/// The number of a dropped beat is free again.
pub(crate) fn dropped_number_is_free(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let header = next_header(&*engine)?;
    drop(engine.begin_beat(header)?);
    let again = engine.begin_beat(header);
    check!(again.is_ok(), "the same number after a drop: {:?}", again.err());
    Ok(())
}

/// What an aborted beat staged does not appear with the next.
pub(crate) fn abort_does_not_leak_into_the_next_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let mut beat = begin(&*engine)?;
    beat.put_record(b"leak", b"1")?;
    beat.abort_beat();
    put(&*engine, [("kept", "2")])?;
    check_eq!(get(&*engine, "leak")?, None, "the aborted record after the next beat");
    Ok(())
}

/// While a beat is open, nobody sees anything of it.
pub(crate) fn open_beat_is_invisible(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("seen", "old")])?;
    let mut beat = begin(&*engine)?;
    beat.put_record(b"seen", b"new")?;
    beat.put_record(b"unseen", b"new")?;
    let view = engine.view()?;
    check_eq!(view.get_record(b"seen")?.as_deref(), Some(b"old".as_slice()), "an overwritten record");
    check!(view.get_record(b"unseen")?.is_none(), "a record of an open beat is visible");
    Ok(())
}

/// All records of a beat appear with its commit, as does the removal of others.
pub(crate) fn commit_shows_all_of_the_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["w-dead"])?;
    let wanted: Vec<String> = (0..300).map(|n| format!("w{n:03}")).collect();
    commit(&*engine, |beat| {
        beat.delete_record(b"w-dead")?;
        wanted.iter().try_for_each(|key| beat.put_record(key.as_bytes(), b"1"))
    })?;
    let view = engine.view()?;
    for key in &wanted {
        check!(view.get_record(key.as_bytes())?.is_some(), "record {key} of the beat is missing");
    }
    check!(view.get_record(b"w-dead")?.is_none(), "the deleted record is still there");
    Ok(())
}

/// An empty beat has a number and a receipt.
pub(crate) fn empty_beat_is_ordinary(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let header = next_header(&*engine)?;
    let receipt = engine.begin_beat(header)?.commit_beat()?;
    check_eq!(receipt.header, header, "the header of the receipt");
    check_eq!(engine.view()?.header().beat, BeatNo(1), "the beat after an empty one");
    Ok(())
}

/// An empty beat after others keeps their records.
pub(crate) fn empty_beat_keeps_the_records(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["stay"])?;
    begin(&*engine)?.commit_beat()?;
    check_eq!(get(&*engine, "stay")?, Some(b"=stay".to_vec()), "the record after an empty beat");
    Ok(())
}

/// The receipt repeats the header, root and all.
pub(crate) fn receipt_carries_the_header(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let header = engine.view()?.header().next(2, level(&*engine), Some([0x5A; 32]))?;
    let receipt = engine.begin_beat(header)?.commit_beat()?;
    check_eq!(receipt.header, header, "the header of the receipt");
    Ok(())
}

/// A beat that asks for no durability is not refused, and the receipt names some.
pub(crate) fn volatile_is_always_accepted(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let header = engine.view()?.header().next(1, Durability::Volatile, None)?;
    let receipt = engine.begin_beat(header)?.commit_beat()?;
    check_eq!(receipt.header.durability, Durability::Volatile, "the durability asked for, in the receipt");
    let most = engine.offer().durability_max();
    check!(receipt.reached <= most, "reached {} where {most} is the most on offer", receipt.reached);
    Ok(())
}

/// Three thousand records in one beat.
pub(crate) fn three_thousand_records(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let key = |n: u32| (n.wrapping_mul(2_654_435_761)).to_be_bytes();
    put(&*engine, (0..3000_u32).map(|n| (key(n), n.to_be_bytes())))?;
    let view = engine.view()?;
    for n in 0..3000_u32 {
        let found = view.get_record(&key(n))?;
        check_eq!(found.as_deref(), Some(n.to_be_bytes().as_slice()), "record {n} of 3000");
    }
    Ok(())
}
