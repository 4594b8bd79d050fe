//! The state at the end of an earlier beat, as far as the store still knows it.

use persist_api::{Advice, BeatNo, CommitNo, Engine as _, Error, ErrorKind, Observer, Result};

use super::manifest::BundleBase;
use crate::Store;
use crate::feed::read_commit;

/// What an increment that begins after `beat` goes on from: see [`Store::base_at`].
pub(crate) fn base_at(store: &Store, beat: BeatNo, seen: &dyn Observer) -> Result<BundleBase> {
    let (_, newest) = store.view_for("export")?;
    let header = *newest.header();
    if beat > header.beat {
        let context = format!("the store stands at beat {}; there is no beat {beat}", header.beat);
        return Err(Error::new(ErrorKind::Conflict, "export", context));
    }
    if beat == header.beat {
        let digest = Some(newest.digest(seen)?.blake3);
        return Ok(BundleBase { beat, commit: header.last_commit(), digest });
    }
    // Some engines could show the beat still. The increment is the same from every engine, so none is asked.
    Ok(BundleBase { beat, commit: last_commit_of(store, beat)?, digest: None })
}

/// The newest commit of a beat, as the commits after it tell that holds have kept.
///
/// # Errors
/// `Stale` when the first of them is not among those.
fn last_commit_of(store: &Store, beat: BeatNo) -> Result<CommitNo> {
    let view = store.0.with_running("export", |_, running| running.engine.view())?;
    let kept = store.holds()?.into_iter().filter(|hold| !hold.stale).map(|hold| hold.position.0).min();
    let kept = kept.ok_or_else(|| not_kept(beat, "no hold keeps any"))?;
    let beat_of = |commit| -> Result<(BeatNo, CommitNo)> {
        let read = read_commit(view.as_ref(), commit)?;
        let read = read.ok_or_else(|| not_kept(beat, "no hold keeps them"))?;
        Ok((read.header.beat, read.header.first_commit))
    };
    // The first of all commits that are kept and come after the beat. Beats rise with their commits.
    let (mut from, mut to) = (kept.saturating_add(1), view.header().last_commit().0);
    while from < to {
        let middle = from.midpoint(to);
        if beat_of(middle)?.0 > beat { to = middle } else { from = middle.saturating_add(1) }
    }
    let (found, first) = beat_of(from)?;
    if found.0 == beat.0.saturating_add(1) && first.0 == from {
        return Ok(CommitNo(from.saturating_sub(1)));
    }
    // Of a beat that is not kept from its first commit on, the end is the earliest base.
    let earliest = if first.0 == from { found.0.saturating_sub(1) } else { found.0 };
    Err(not_kept(beat, &format!("the earliest to begin after is beat {earliest}")))
}

fn not_kept(beat: BeatNo, why: &str) -> Error {
    let context = format!("the beats after {beat} are not kept: {why}; export the whole store, with a hold");
    Error::new(ErrorKind::Stale, "export", context).with_advice(Advice::FixCode)
}
