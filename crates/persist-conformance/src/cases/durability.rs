//! What receipts and `sync` promise. Whether the promise holds is the business of the kill and power-cut classes.

use persist_api::{BeatNo, Caps, Durability, Engine, Error, ErrorKind};

use crate::kit::{Stand, close, get, put_keys};
use crate::{CaseResult, Fixture, check, check_eq, refused};

fn commit_at(engine: &dyn Engine, level: Durability, key: &str) -> Result<Durability, Error> {
    let header = engine.view()?.header().next(1, level, None)?;
    let mut beat = engine.begin_beat(header)?;
    beat.put_record(key.as_bytes(), b"1")?;
    Ok(beat.commit_beat()?.reached)
}

/// The highest durability on offer is reached when asked for.
pub(crate) fn highest_on_offer_is_reached(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let most = engine.offer().durability_max();
    check_eq!(commit_at(&*engine, most, "most")?, most, "what a beat at the highest durability reached");
    Ok(())
}

/// A durable beat is `Durable`.
pub(crate) fn durable_is_reached(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    check_eq!(commit_at(&*engine, Durability::Durable, "d")?, Durability::Durable, "what it reached");
    let asked = engine.view()?.header().durability;
    check_eq!(asked, Durability::Durable, "the durability in the header");
    Ok(())
}

/// A buffered beat is at least `Buffered`.
pub(crate) fn buffered_is_reached(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let reached = commit_at(&*engine, Durability::Buffered, "b")?;
    check!(reached >= Durability::Buffered, "a buffered beat reached only {reached}");
    Ok(())
}

/// Levels may change from beat to beat, down as well as up.
pub(crate) fn levels_may_alternate(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let caps = engine.offer().caps;
    let levels = [(Durability::Durable, Caps::DURABLE), (Durability::Buffered, Caps::BUFFERED)];
    for turn in 0..4_usize {
        for (level, cap) in levels {
            if caps.contains(cap) {
                let reached = commit_at(&*engine, level, &format!("{level}{turn}"))?;
                check!(reached >= level, "asked for {level}, reached {reached} in turn {turn}");
            }
        }
    }
    let last = if caps.contains(Caps::DURABLE) { "durable3" } else { "buffered3" };
    check!(get(&*engine, last)?.is_some(), "the record {last} is missing");
    Ok(())
}

/// What is beyond the offer is refused at the beginning of the beat.
pub(crate) fn beyond_the_offer_is_refused(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let most = engine.offer().durability_max();
    for level in [Durability::Volatile, Durability::Buffered, Durability::Durable] {
        let header = engine.view()?.header().next(1, level, None)?;
        let begun = engine.begin_beat(header).map(drop);
        if level > most {
            refused(begun, ErrorKind::Unsupported, "a beat beyond the durability on offer")?;
        } else if let Err(error) = begun {
            // Without BUFFERED, a buffered beat may be refused instead of made durable.
            let may = level == Durability::Buffered && !engine.offer().caps.contains(Caps::BUFFERED);
            check!(
                may && error.kind() == ErrorKind::Unsupported,
                "a beat at {level}, {most} on offer: {error}"
            );
        }
    }
    put_keys(&*engine, ["next"])?;
    Ok(())
}

/// `sync` says which beat is the newest durable one: the last.
pub(crate) fn sync_names_the_last_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    for key in ["s1", "s2", "s3"] {
        put_keys(&*engine, [key])?;
    }
    check_eq!(engine.sync()?, BeatNo(3), "the beat that sync names");
    Ok(())
}

/// `sync` of a store without beats names beat 0.
pub(crate) fn sync_of_a_new_store(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    check_eq!(engine.sync()?, BeatNo(0), "the beat that sync names in a new store");
    Ok(())
}

/// `sync` after `sync` is no error and changes nothing.
pub(crate) fn sync_twice(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["s"])?;
    let first = engine.sync()?;
    check_eq!(engine.sync()?, first, "the beat that a second sync names");
    check_eq!(get(&*engine, "s")?, Some(b"=s".to_vec()), "the record");
    Ok(())
}

/// After a reopening, `sync` still names the last beat.
pub(crate) fn sync_after_reopening(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["s1"])?;
    put_keys(&*engine, ["s2"])?;
    close(engine)?;
    check_eq!(at.open()?.sync()?, BeatNo(2), "the beat that sync names after reopening");
    Ok(())
}

/// A durable beat after buffered ones: all of them are found by the next open.
pub(crate) fn durable_after_buffered(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    for turn in 0..5 {
        put_keys(&*engine, [format!("early{turn}")])?;
    }
    commit_at(&*engine, Durability::Durable, "sealed")?;
    drop(engine);
    let engine = at.open()?;
    for turn in 0..5 {
        check!(get(&*engine, format!("early{turn}"))?.is_some(), "buffered beat {turn} is missing");
    }
    check!(get(&*engine, "sealed")?.is_some(), "the durable beat is missing");
    Ok(())
}

/// The same with `sync` in place of the durable beat.
pub(crate) fn sync_after_buffered(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    for turn in 0..5 {
        put_keys(&*engine, [format!("synced{turn}")])?;
    }
    engine.sync()?;
    drop(engine);
    let engine = at.open()?;
    for turn in 0..5 {
        check!(get(&*engine, format!("synced{turn}"))?.is_some(), "beat {turn} before sync is missing");
    }
    Ok(())
}
