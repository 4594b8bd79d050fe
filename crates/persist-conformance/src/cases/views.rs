//! Isolation, lifetime and number of views.

use std::ops::ControlFlow;

use persist_api::{BeatHeader, BeatNo, Engine, Error, ErrorKind, KeyRange, Scan};

use crate::kit::{Stand, begin, close, commit, get, get_in, joined, next_header, put, put_keys, rows};
use crate::{CaseResult, Failure, Fixture, check, check_eq, refused};

/// A view does not see a later overwrite.
pub(crate) fn does_not_see_later_overwrites(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("v", "then")])?;
    let view = engine.view()?;
    put(&*engine, [("v", "now")])?;
    check_eq!(get_in(&*view, "v")?, Some(b"then".to_vec()), "the record in the older view");
    Ok(())
}

/// Nor a later delete.
pub(crate) fn does_not_see_later_deletes(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["v"])?;
    let view = engine.view()?;
    commit(&*engine, |beat| beat.delete_record(b"v"))?;
    check_eq!(get_in(&*view, "v")?, Some(b"=v".to_vec()), "the record in the older view");
    Ok(())
}

/// Nor a later record.
pub(crate) fn does_not_see_later_records(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["v1"])?;
    let view = engine.view()?;
    put_keys(&*engine, ["v2"])?;
    check_eq!(get_in(&*view, "v2")?, None, "a later record in the older view");
    Ok(())
}

/// A view that was never read from is pinned, too, from the moment that it was opened.
pub(crate) fn is_pinned_before_its_first_read(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let untouched = engine.view()?;
    put_keys(&*engine, ["v"])?;
    check_eq!(get_in(&*untouched, "v")?, None, "a record later than the view");
    check_eq!(untouched.header().beat, BeatNo(0), "its beat");
    Ok(())
}

/// A view stays whole over forty beats, by scan as well.
pub(crate) fn stays_over_many_beats(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, (0..20_u8).map(|n| ([b'k', n], "first")))?;
    let view = engine.view()?;
    let before = rows(&*view, Scan::all())?;
    for turn in 0..40_u8 {
        put(&*engine, [([b'k', turn % 20], vec![turn; 300]), ([b'x', turn], vec![turn; 10])])?;
    }
    check!(rows(&*view, Scan::all())? == before, "the view changed over forty beats");
    Ok(())
}

/// Its scans do not see later beats.
pub(crate) fn scans_stay_at_their_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["s1", "s3"])?;
    let view = engine.view()?;
    let before = rows(&*view, Scan::all())?;
    commit(&*engine, |beat| {
        beat.put_record(b"s2", b"later")?;
        beat.delete_record(b"s1")
    })?;
    check_eq!(rows(&*view, Scan::all())?, before, "rows of the older view");
    check_eq!(rows(&*view, Scan::all().reverse())?.len(), 2, "rows backwards");
    Ok(())
}

/// A range deleted later is still there.
pub(crate) fn does_not_see_a_later_delete_range(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["vr1", "vr2"])?;
    let view = engine.view()?;
    commit(&*engine, |beat| beat.delete_range(KeyRange::all()))?;
    check_eq!(get_in(&*view, "vr1")?, Some(b"=vr1".to_vec()), "a record in the older view");
    check_eq!(get(&*engine, "vr1")?, None, "the record in a newer view");
    Ok(())
}

/// Its header stays.
pub(crate) fn header_stays(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["a"])?;
    let view = engine.view()?;
    let before = *view.header();
    put_keys(&*engine, ["b"])?;
    check_eq!(*view.header(), before, "the header of the older view");
    check_eq!(view.header().beat, BeatNo(1), "its beat");
    Ok(())
}

/// A new view shows the beat whose commit has returned.
pub(crate) fn shows_the_newest_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    for turn in 1..=10_u8 {
        put(&*engine, [("turn", [turn])])?;
        check_eq!(get(&*engine, "turn")?, Some(vec![turn]), "the record after beat {turn}");
    }
    Ok(())
}

/// An older view that is still open does not hold newer ones back.
pub(crate) fn older_views_do_not_hold_back_newer(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("v", "1")])?;
    let older = engine.view()?;
    put(&*engine, [("v", "2")])?;
    let newer = engine.view()?;
    check_eq!(get_in(&*newer, "v")?, Some(b"2".to_vec()), "the record in the newer view");
    check_eq!(get_in(&*older, "v")?, Some(b"1".to_vec()), "the record in the older view");
    Ok(())
}

/// A view opened after another was dropped is not that one again.
pub(crate) fn is_not_one_that_was_dropped(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    for turn in 0..3_u8 {
        drop(engine.view()?);
        put(&*engine, [("reuse", [turn])])?;
        let view = engine.view()?;
        check_eq!(get_in(&*view, "reuse")?, Some(vec![turn]), "the record in a view opened anew");
    }
    Ok(())
}

/// Header and records belong together.
pub(crate) fn header_and_records_agree(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let mut views = vec![engine.view()?];
    for turn in 1..=5_u64 {
        put(&*engine, [("beat", turn.to_be_bytes())])?;
        views.push(engine.view()?);
    }
    for view in views.iter().skip(1) {
        let beat = view.header().beat.0.to_be_bytes();
        check_eq!(get_in(&**view, "beat")?, Some(beat.to_vec()), "the record of the beat in the header");
    }
    Ok(())
}

/// Six views at six beats, read in any order.
pub(crate) fn many_at_different_beats(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let mut views = Vec::new();
    for turn in 1..=6_u8 {
        put(&*engine, [(vec![b'm'], vec![turn]), (vec![b'm', turn], vec![turn])])?;
        views.push((turn, engine.view()?));
    }
    views.rotate_left(2);
    for (turn, view) in &views {
        check_eq!(get_in(&**view, "m")?, Some(vec![*turn]), "the shared record at beat {turn}");
        check_eq!(rows(&**view, Scan::all())?.len(), usize::from(*turn) + 1, "rows at beat {turn}");
    }
    Ok(())
}

/// A view works after its engine was dropped.
pub(crate) fn outlives_its_engine(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["left"])?;
    let view = engine.view()?;
    drop(engine);
    check_eq!(get_in(&*view, "left")?, Some(b"=left".to_vec()), "a record after the engine was dropped");
    check_eq!(rows(&*view, Scan::all())?.len(), 1, "rows after the engine was dropped");
    Ok(())
}

/// A view works on another thread than the one that opened it.
pub(crate) fn moves_to_another_thread(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["moved"])?;
    let view = engine.view()?;
    let found = std::thread::scope(|scope| {
        joined(scope.spawn(move || get_in(&*view, "moved").map_err(Failure::from)))
    })?;
    check_eq!(found, Some(b"=moved".to_vec()), "a record read on another thread");
    put_keys(&*engine, ["after"])?;
    Ok(())
}

/// A view outlives its engine on another thread.
pub(crate) fn outlives_its_engine_elsewhere(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["far"])?;
    let view = engine.view()?;
    drop(engine);
    std::thread::scope(|scope| {
        joined(scope.spawn(move || {
            check_eq!(get_in(&*view, "far")?, Some(b"=far".to_vec()), "a record read elsewhere");
            Ok(())
        }))
    })?;
    close(at.open()?)?;
    Ok(())
}

fn with_views(at: &Stand<'_>, most: u64) -> Result<Box<dyn Engine>, Error> {
    at.open_with(|options| options.views_max = Some(most))
}

/// As many views as allowed, and one more is `Busy`.
pub(crate) fn beyond_the_limit_is_busy(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = with_views(&at, 3)?;
    let _held = [engine.view()?, engine.view()?, engine.view()?];
    refused(engine.view().map(drop), ErrorKind::Busy, "a fourth view of three")?;
    Ok(())
}

/// The limit is what the offer says.
pub(crate) fn limit_is_offered(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = with_views(&at, 3)?;
    check_eq!(engine.offer().limits.views_max, 3, "views_max of the offer");
    Ok(())
}

/// Dropping one makes room for one.
pub(crate) fn dropping_makes_room(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = with_views(&at, 2)?;
    for _ in 0..4 {
        let (one, two) = (engine.view()?, engine.view()?);
        drop(one);
        let three = engine.view();
        check!(three.is_ok(), "a view after one of two was dropped: {:?}", three.err());
        drop(two);
    }
    Ok(())
}

/// A refused view does not count.
pub(crate) fn refused_view_does_not_count(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = with_views(&at, 2)?;
    let (one, two) = (engine.view()?, engine.view()?);
    for _ in 0..5 {
        let _ = engine.view().map(drop);
    }
    drop((one, two));
    let both = (engine.view(), engine.view());
    check!(both.0.is_ok() && both.1.is_ok(), "views after refusals: {:?} {:?}", both.0.err(), both.1.err());
    Ok(())
}

/// With all views taken, beats go on.
pub(crate) fn taken_views_do_not_stop_beats(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = with_views(&at, 1)?;
    let header = next_header(&*engine)?;
    let view = engine.view()?;
    let mut beat = engine.begin_beat(header)?;
    beat.put_record(b"on", b"1")?;
    beat.commit_beat()?;
    drop(view);
    check_eq!(get(&*engine, "on")?, Some(b"1".to_vec()), "the record committed meanwhile");
    Ok(())
}

/// A beat commits while a scan is in progress, even from inside its visitor.
pub(crate) fn writer_does_not_wait_for_a_scan(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["r1", "r2", "r3"])?;
    let header = *engine.view()?.header();
    let view = engine.view()?;
    let (mut seen, mut wrote) = (0, Ok(header));
    view.scan(Scan::all(), &mut |_, _| {
        seen += 1;
        wrote = wrote.as_ref().map_err(Clone::clone).copied().and_then(|last| write_once(&*engine, last));
        ControlFlow::Continue(())
    })?;
    check_eq!(wrote.map(|header| header.beat), Ok(BeatNo(4)), "beats committed inside a scan");
    check_eq!(seen, 3, "rows of the scan around them");
    Ok(())
}

fn write_once(engine: &dyn Engine, last: BeatHeader) -> Result<BeatHeader, String> {
    let run = || {
        let header = last.next(1, crate::kit::level(engine), None)?;
        let mut beat = engine.begin_beat(header)?;
        beat.put_record(format!("r9{}", header.beat).as_bytes(), b"later")?;
        Ok(beat.commit_beat()?.header)
    };
    run().map_err(|error: Error| error.to_string())
}

/// Views open and read while a beat is open, on the same thread.
pub(crate) fn readers_do_not_wait_for_the_writer(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["calm"])?;
    let mut beat = begin(&*engine)?;
    beat.put_record(b"storm", b"1")?;
    let one = engine.view()?;
    check_eq!(get_in(&*one, "calm")?, Some(b"=calm".to_vec()), "a record read beside an open beat");
    beat.put_record(b"storm2", b"1")?;
    beat.commit_beat()?;
    check_eq!(get_in(&*one, "storm")?, None, "the beat's record in the view opened before its commit");
    Ok(())
}

/// A view opened while a beat is open stays at the beat before it.
pub(crate) fn opened_beside_a_beat_stays_before_it(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("b", "1")])?;
    let beat = begin(&*engine)?;
    let view = engine.view()?;
    beat.commit_beat()?;
    check_eq!(view.header().beat, BeatNo(1), "the beat of a view opened before the commit");
    Ok(())
}
