//! Which frames of a branch a store has already: each import leaves a mark beside the frame that it brings.
//!
//! Place and digest alone do not tell frames apart: branches that began with the same operations have equal ones. So the
//! mark names the branch, too.

use persist_api::{Advice, BeatNo, Error, ErrorKind, Result, Scan};
use persist_store::StoreView;

use super::import::OP;
use super::note::BranchNote;
use super::survey::{BranchFrame, BranchSurvey};
use crate::keys;

/// How many of the frames, from the oldest on, an earlier import has brought.
///
/// # Errors
/// `Conflict` when a newer frame is there without an older one, and when one is there of which nobody can say whether it is
/// of this branch.
pub(super) fn present(view: &StoreView, survey: &BranchSurvey) -> Result<usize> {
    let others = if survey.branch_id.is_none() { branches(view)? } else { Vec::new() };
    let mut present = 0_usize;
    let mut absent: Option<&BranchFrame> = None;
    for frame in &survey.frames {
        match (is_there(view, survey.branch_id, &others, frame)?, absent) {
            (true, None) => present = present.saturating_add(1),
            (true, Some(absent)) => {
                let context = format!(
                    "frame {} was imported earlier, without frame {} before it: import into another store",
                    frame.frame_id, absent.frame_id
                );
                return Err(Error::new(ErrorKind::Conflict, OP, context).with_advice(Advice::FixPath));
            }
            (false, None) => absent = Some(frame),
            (false, Some(_)) => {}
        }
    }
    if survey.branch_id.is_none()
        && let Some(last) = present.checked_sub(1).and_then(|last| survey.frames.get(last))
    {
        ends_there(view, last)?;
    }
    Ok(present)
}

/// Without an identity, frames that are there may be those of another branch that began alike. Then the store goes on otherwise
/// than this branch does: after the last frame that both have, it was brought a later frame of a branch without an identity,
/// which this one has not; at once, or behind blobs and what others have committed.
fn ends_there(view: &StoreView, last: &BranchFrame) -> Result<()> {
    let mark = view.get(&keys::branch_key(None, last.idx_at, &last.digest))?;
    let mark =
        mark.map_or_else(|| view.get(&keys::old_branch_key(last.idx_at, &last.digest)), |it| Ok(Some(it)))?;
    let Some(newest) = mark.and_then(|mark| beat_in(&mark)) else { return Ok(()) };
    let end = last.idx_at.saturating_add(last.idx_len);
    let mut cursor = view.cursor(Scan::prefix(keys::BRANCHES))?;
    let mut more = cursor.seek(&keys::marks_from(end))?;
    while more {
        if let Some(behind) = keys::behind_other_marks(cursor.key(), end) {
            more = cursor.seek(&behind)?;
            continue;
        }
        let beat = beat_in(cursor.value()).filter(|beat| *beat > newest);
        let note = beat.map(|beat| note_of(view, beat)).transpose()?.flatten();
        if note.is_some_and(|note| note.branch_id.is_none() && note.idx_at >= end) {
            let context = format!(
                "after frame {} the store has a frame of a branch whose id is not known, and this branch, whose id is not known \
                 either, goes on otherwise: it is an older copy or another branch that began alike; import it into another \
                 store",
                last.frame_id
            );
            return Err(Error::new(ErrorKind::Conflict, OP, context).with_advice(Advice::FixPath));
        }
        more = cursor.advance()?;
    }
    Ok(())
}

/// The beat that a mark names.
fn beat_in(mark: &[u8]) -> Option<BeatNo> {
    mark.try_into().ok().map(u64::from_be_bytes).map(BeatNo)
}

/// Whether the mark of this imported frame is where it must be, as this or an earlier version writes it.
pub(crate) fn is_marked(view: &StoreView, note: &BranchNote, beat: BeatNo) -> Result<bool> {
    let names =
        |key: &[u8]| view.get(key).map(|value| value.is_some_and(|value| *value == beat.0.to_be_bytes()));
    Ok(names(&keys::branch_key(note.branch_id, note.idx_at, &note.digest))?
        || names(&keys::old_branch_key(note.idx_at, &note.digest))?)
}

/// Whether this frame was imported. `others` are the branches that the store knows, if the frame's own is not known.
fn is_there(
    view: &StoreView,
    branch_id: Option<[u8; 16]>,
    others: &[[u8; 16]],
    frame: &BranchFrame,
) -> Result<bool> {
    let has = |id| view.get(&keys::branch_key(id, frame.idx_at, &frame.digest)).map(|value| value.is_some());
    if has(branch_id)? {
        return Ok(true);
    }
    let old = match old_mark(view, frame)? {
        Some(note) if note.branch_id == branch_id => return Ok(true),
        // Two identities that are known and differ: two branches.
        Some(note) => note.branch_id.is_none() || branch_id.is_none(),
        None => false,
    };
    if old || branch_id.is_some() && has(None)? {
        return Err(unclear(frame));
    }
    for other in others {
        if has(Some(*other))? {
            return Err(unclear(frame));
        }
    }
    Ok(false)
}

/// One of two frames does not say of which branch it is: taking them for one could lose a frame, taking them for two could
/// let an old value pass for a newer one.
fn unclear(frame: &BranchFrame) -> Error {
    let context = format!(
        "the store has a frame like frame {}, and the id of its branch or of this one is not known, so that nothing tells \
         whether it is the same: import into another store",
        frame.frame_id
    );
    Error::new(ErrorKind::Conflict, OP, context).with_advice(Advice::FixPath)
}

/// The frame record that the mark of an earlier version leads to.
fn old_mark(view: &StoreView, frame: &BranchFrame) -> Result<Option<BranchNote>> {
    let Some(value) = view.get(&keys::old_branch_key(frame.idx_at, &frame.digest))? else { return Ok(None) };
    beat_in(&value).map_or(Ok(None), |beat| note_of(view, beat))
}

/// What this beat brought of a branch, if it did.
fn note_of(view: &StoreView, beat: BeatNo) -> Result<Option<BranchNote>> {
    let note = view.get(&keys::frame_key(beat))?.filter(|note| BranchNote::is_one(note));
    note.map(|note| BranchNote::decode(&note).map_err(|error| error.with_beat(beat))).transpose()
}

/// The branches of which the store has frames.
fn branches(view: &StoreView) -> Result<Vec<[u8; 16]>> {
    let mut found = Vec::new();
    let mut cursor = view.cursor(Scan::prefix(keys::BRANCHES).keys_only())?;
    let mut more = cursor.advance()?;
    while more {
        more = match keys::branch_of(cursor.key()) {
            Some(id) => {
                found.push(id);
                cursor.seek(&keys::behind_branch(id))?
            }
            None => cursor.advance()?,
        };
    }
    Ok(found)
}
