//! Beats as they were committed, from the segments of the timeline.
//!
//! While something is kept for the feed, a segment whose frames are all in runs stays under another name, and so do the payload
//! segments that its frames refer to. Nothing is written twice for it.

use std::ops::ControlFlow;

use persist_api::{BeatNo, ErrorKind, FeedItem, FeedStat, FeedVisit, KeyRange, Result};

use crate::core::Core;
use crate::error::is_no_room;
use crate::names::Kind;
use crate::payload::Payload;
use crate::payload_ref::PayloadRef;
use crate::timeline::feed::{FeedFrame, FeedPlace, FeedWalk, gone};
use crate::timeline::kept::Keep;
use crate::timeline::{Op, Ops, Timeline};

/// So many places where a follower may go on are remembered.
const PLACES: usize = 8;

/// Where followers stopped, newest last, so that going on needs no search.
#[derive(Default)]
pub(crate) struct FeedPlaces {
    places: Vec<(BeatNo, FeedPlace)>,
    /// Frames of this beat were gone when the feed was to be kept.
    in_part: BeatNo,
}

impl FeedPlaces {
    fn take(&mut self, after: BeatNo) -> Option<FeedPlace> {
        let at = self.places.iter().position(|(beat, _)| *beat == after)?;
        Some(self.places.remove(at).1)
    }

    fn put(&mut self, beat: BeatNo, place: FeedPlace) {
        self.places.retain(|(other, _)| *other != beat);
        if self.places.len() == PLACES {
            self.places.remove(0);
        }
        self.places.push((beat, place));
    }

    /// Forgets the places from which nobody may go on any more.
    fn forget_before(&mut self, after: BeatNo) {
        self.places.retain(|(beat, _)| *beat >= after);
    }
}

/// Visits the beats after `after`.
///
/// # Errors
/// `Stale`, `Corrupt`, `Io`.
pub(crate) fn feed(core: &Core, after: BeatNo, visit: &mut FeedVisit<'_>) -> Result<()> {
    let (newest, upto) = newest(core);
    if after >= newest {
        return Ok(());
    }
    let mut walk = {
        let timeline = &core.log.lock().timeline;
        let mut places = core.feed_places.lock();
        let remembered = places.take(after).map_or(Ok(None), |place| place.resumed(timeline))?;
        match remembered {
            Some(walk) => Some(walk),
            None if after < places.in_part.max(in_part(core, timeline)?) => None,
            None => timeline.feed_from(after)?,
        }
        .ok_or_else(|| gone(&format!("the beats after {after}")))?
    };
    let mut reached = after;
    while let Some(frame) = walk.next(core, after, upto)? {
        reached = frame.footer.header.beat;
        if hand_out(core, &frame, visit)?.is_break() {
            return Ok(());
        }
    }
    core.feed_places.lock().put(reached, walk.rest());
    Ok(())
}

/// Reads every frame that is kept, with its large values; nothing where nothing is kept.
///
/// # Errors
/// `Stale` when what comes next was given up meanwhile, `Corrupt`, `Io`.
pub(crate) fn read_kept(core: &Core, visit: &mut FeedVisit<'_>) -> Result<()> {
    let (_, upto) = newest(core);
    let Some(mut walk) = oldest(core)? else { return Ok(()) };
    while let Some(frame) = walk.next(core, BeatNo(0), upto)? {
        if hand_out(core, &frame, visit)?.is_break() {
            break;
        }
    }
    Ok(())
}

fn hand_out(core: &Core, frame: &FeedFrame<'_>, visit: &mut FeedVisit<'_>) -> Result<ControlFlow<()>> {
    if visit(FeedItem::Beat(frame.footer.header)).is_break() {
        return Ok(ControlFlow::Break(()));
    }
    for (_, op) in Ops::new(frame.body) {
        let value;
        let item = match op {
            Op::Put { key, value } => FeedItem::Put { key, value },
            Op::PutLarge { key, payload } => {
                let read = large(core, frame.segment, &payload);
                value = read.map_err(|error| error.with_beat(frame.footer.header.beat))?;
                FeedItem::Put { key, value: &value }
            }
            Op::Delete { key } => FeedItem::Delete { key },
            Op::DeleteRange { start, end } => FeedItem::DeleteRange { range: KeyRange::new(start, end) },
        };
        if visit(item).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// A large value of a frame in `segment`. Where that is not kept, a compaction may just have removed the value.
fn large(core: &Core, segment: u32, payload: &PayloadRef) -> Result<Payload> {
    let payloads = core.published().state.payloads.clone();
    if payloads.get(payload.segment).is_none() {
        let timeline = &core.log.lock().timeline;
        if timeline.kept().keep() == Keep::Nothing || timeline.feed_end(segment).is_none() {
            return Err(gone(&format!("the values in {}", Kind::Payload.name(payload.segment))));
        }
    }
    payloads.read(payload)
}

/// The beat with which the feed begins, if the frame before its oldest one was of that beat, too, and is gone; otherwise 0.
/// Only an import gives several frames to a beat.
///
/// # Errors
/// `Io`.
fn in_part(core: &Core, timeline: &Timeline) -> Result<BeatNo> {
    let Some((frame, beat)) = timeline.oldest_frame()? else { return Ok(BeatNo(0)) };
    let state = core.published().state;
    let heads = || state.runs.iter().map(|run| run.run.head());
    let is_part = heads().any(|head| head.span.upto.saturating_add(1) == frame && head.last_beat >= beat);
    Ok(if is_part { beat } else { BeatNo(0) })
}

/// Says what is to be kept from now on.
///
/// # Errors
/// `Io`.
pub(crate) fn keep(core: &Core, after: Option<BeatNo>) -> Result<FeedStat> {
    let kept = set_kept(core, after)?;
    // What cannot be removed now is tried again after the next run.
    let put_away = core.judge(core.put_away_in_runs());
    match put_away {
        Err(error) if !is_no_room(&error) => Err(error),
        _ => Ok(kept),
    }
}

fn set_kept(core: &Core, after: Option<BeatNo>) -> Result<FeedStat> {
    let mut log = core.log.lock();
    // Not before the lock: a compaction that comes in between may remove values of what has become a run meanwhile.
    let in_runs = core.published().state.runs.first().map_or(0, |run| run.run.head().span.upto);
    let newest = core.beat_header().beat;
    let oldest = log.timeline.keep(after.map_or(Keep::Nothing, Keep::After), newest, in_runs)?;
    // A store whose beats are all in runs serves the next one.
    let served_from = oldest.map_or(newest, |first| BeatNo(first.0.saturating_sub(1)));
    let mut places = core.feed_places.lock();
    places.in_part = places.in_part.max(in_part(core, &log.timeline)?);
    let after = after.unwrap_or(newest).max(served_from).max(places.in_part);
    places.forget_before(after);
    Ok(FeedStat { after, bytes: log.timeline.kept().bytes() })
}

/// The oldest payload segment that a kept frame may refer to; `None` when nothing is kept.
///
/// # Errors
/// `Io`.
pub(crate) fn payloads_from(core: &Core) -> Result<Option<u32>> {
    let (_, upto) = newest(core);
    let Some(mut walk) = oldest(core)? else { return Ok(None) };
    let frame = match walk.next(core, BeatNo(0), upto) {
        Ok(Some(frame)) => frame,
        Ok(None) => return Ok(None),
        // Nothing is given up for being unreadable.
        Err(error) if [ErrorKind::Corrupt, ErrorKind::Stale].contains(&error.kind()) => return Ok(Some(0)),
        Err(error) => return Err(error),
    };
    let named = Ops::new(frame.body).filter_map(|(_, op)| match op {
        Op::PutLarge { payload, .. } => Some(payload.segment),
        _ => None,
    });
    // Later frames refer to what was appended behind the values of this one.
    Ok(named.chain([frame.footer.payload_end.segment]).min())
}

/// The newest beat and frame, without holding what their readers need: a walk may take long.
fn newest(core: &Core) -> (BeatNo, u64) {
    let newest = core.published.lock();
    (newest.header.beat, newest.frame)
}

/// A walk from the oldest frame that is kept; `None` where nothing is.
fn oldest(core: &Core) -> Result<Option<FeedWalk>> {
    let log = core.log.lock();
    if log.timeline.kept().keep() == Keep::Nothing { Ok(None) } else { log.timeline.feed_from_oldest() }
}
