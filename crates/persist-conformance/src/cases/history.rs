//! Views of earlier beats.

use std::collections::BTreeMap;

use persist_api::{BeatHeader, BeatNo, CompactScope, Engine, Error, ErrorKind, KeyRange, Quiet, Scan, View};

use crate::kit::{Row, Stand, begin, close, commit, cursor_rows, get_in, level, put, rows};
use crate::{CaseResult, Failure, Fixture, check, check_eq, refused};

/// So many beats before the newest are kept, whatever else is done (contract V-8).
pub(crate) const WINDOW: u64 = 16;

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

/// Before the first beat there is nothing, or it is not kept.
pub(crate) fn before_the_first_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    counted(&*engine, 1..=3)?;
    let Some(view) = kept(&*engine, 0)? else { return Ok(()) };
    for key in ["last", "c0", "c1", "c2"] {
        check_eq!(get_in(&*view, key)?, None, "record {key} before the first beat");
    }
    Ok(())
}

/// What a store showed at some beat.
type Picture = BTreeMap<Vec<u8>, Vec<u8>>;

/// Eight beats that put, overwrite, delete, put again and do nothing; what each shows.
fn grown(engine: &dyn Engine) -> Result<Vec<Picture>, Error> {
    let beats: [&[(&str, Option<&str>)]; 8] = [
        &[("a", Some("a1")), ("b", Some("b1")), ("c", Some("c1")), ("d", Some("d1"))],
        &[("b", Some("longer than before")), ("e", Some("e2"))],
        &[("c", None)],
        &[("c", Some("c4")), ("a", None)],
        &[],
        &[("a", Some("a6")), ("b", Some("b6")), ("d", Some("d6"))],
        &[("e", None), ("f", Some("f7"))],
        &[("f", Some("f8")), ("d", None)],
    ];
    let mut now = Picture::new();
    let mut pictures = vec![now.clone()];
    for changes in beats {
        commit(engine, |beat| {
            changes.iter().try_for_each(|(key, value)| match value {
                Some(value) => beat.put_record(key.as_bytes(), value.as_bytes()),
                None => beat.delete_record(key.as_bytes()),
            })
        })?;
        for (key, value) in changes {
            match value {
                Some(value) => now.insert(key.as_bytes().to_vec(), value.as_bytes().to_vec()),
                None => now.remove(key.as_bytes()),
            };
        }
        pictures.push(now.clone());
    }
    Ok(pictures)
}

/// Every earlier beat shows its records, and none of another.
pub(crate) fn shows_every_beat_by_key(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let pictures = grown(&*engine)?;
    for (beat, picture) in (0..8).zip(&pictures).skip(1) {
        let view = engine.view_at(BeatNo(beat))?;
        for key in ["a", "b", "c", "d", "e", "f"] {
            let expected = picture.get(key.as_bytes()).cloned();
            check_eq!(get_in(&*view, key)?, expected, "record {key} at beat {beat}");
        }
    }
    Ok(())
}

/// Every earlier beat scans as it did, both ways, and a cursor shows the same.
pub(crate) fn shows_every_beat_by_scan(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let pictures = grown(&*engine)?;
    for (beat, picture) in (0..8).zip(pictures).skip(1) {
        let view = engine.view_at(BeatNo(beat))?;
        let mut expected: Vec<Row> = picture.into_iter().collect();
        check_eq!(rows(&*view, Scan::all())?, expected, "the rows at beat {beat}");
        check_eq!(cursor_rows(&*view, Scan::all())?, expected, "the rows of a cursor at beat {beat}");
        expected.reverse();
        check_eq!(rows(&*view, Scan::all().reverse())?, expected, "the rows backwards at beat {beat}");
    }
    Ok(())
}

/// An earlier beat comes with the header that it was committed with.
pub(crate) fn shows_the_header_of_the_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let mut headers = Vec::<BeatHeader>::new();
    for turn in 1..=6_u8 {
        let header = engine.view()?.header().next(u64::from(turn), level(&*engine), Some([turn; 32]))?;
        let mut beat = engine.begin_beat(header)?;
        beat.put_record(b"h", &[turn; 2])?;
        beat.put_record(b"i", &[turn; 2])?;
        beat.commit_beat()?;
        headers.push(header);
    }
    for header in headers.iter().take(5) {
        let view = engine.view_at(header.beat)?;
        check_eq!(view.header(), header, "the header at beat {}", header.beat);
    }
    Ok(())
}

/// Beats before a range was deleted still show its records; beats after show what was put again.
pub(crate) fn knows_deleted_ranges(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("ra", "old"), ("rb", "old"), ("s", "old")])?;
    commit(&*engine, |beat| beat.delete_range(KeyRange::prefix(b"r")))?;
    put(&*engine, [("ra", "new")])?;
    put(&*engine, [("s", "new")])?;
    let seen = |beat| -> Result<Vec<Option<Vec<u8>>>, Error> {
        let view = engine.view_at(BeatNo(beat))?;
        ["ra", "rb", "s"].map(|key| get_in(&*view, key)).into_iter().collect()
    };
    let (old, new) = (Some(b"old".to_vec()), Some(b"new".to_vec()));
    check_eq!(seen(1)?, [old.clone(), old.clone(), old.clone()], "before the range was deleted");
    check_eq!(seen(2)?, [None, None, old.clone()], "when the range was deleted");
    check_eq!(seen(3)?, [new, None, old], "after the range was deleted");
    Ok(())
}

/// Commits these beats. Each puts its number under one key that all share, and under one of three.
fn counted(engine: &dyn Engine, beats: impl IntoIterator<Item = u64>) -> Result<(), Error> {
    for beat in beats {
        let shared = format!("c{}", beat % 3);
        put(engine, [("last", beat.to_be_bytes()), (shared.as_str(), beat.to_be_bytes())])?;
    }
    Ok(())
}

/// Checks that a view of a counted store shows this beat.
#[track_caller]
fn shows(view: &dyn View, beat: u64, when: &str) -> CaseResult {
    let number = Some(beat.to_be_bytes().to_vec());
    check_eq!(get_in(view, "last")?, number, "the last record of beat {beat} {when}");
    check_eq!(get_in(view, format!("c{}", beat % 3))?, number, "the own record of beat {beat} {when}");
    Ok(())
}

/// A view of this beat, or none where it is `Stale`.
#[track_caller]
fn kept(engine: &dyn Engine, beat: u64) -> Result<Option<Box<dyn View>>, Failure> {
    match engine.view_at(BeatNo(beat)) {
        Ok(view) => Ok(Some(view)),
        Err(error) => {
            check_eq!(error.kind(), ErrorKind::Stale, "why beat {beat} is not shown: {error}");
            Ok(None)
        }
    }
}

/// Beats that are open or come later change nothing in a view of history, nor stop a new one.
pub(crate) fn goes_on_beside_beats(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    counted(&*engine, 1..=5)?;
    let before = engine.view_at(BeatNo(3))?;
    let mut beat = begin(&*engine)?;
    beat.put_record(b"last", b"unfinished")?;
    beat.delete_record(b"c0")?;
    let beside = engine.view_at(BeatNo(3))?;
    shows(&*beside, 3, "beside an open beat")?;
    drop(beat);
    counted(&*engine, 6..=9)?;
    shows(&*before, 3, "after more beats")?;
    shows(&*beside, 3, "after more beats")?;
    shows(&*engine.view_at(BeatNo(3))?, 3, "when asked for again")
}

/// After reopening, earlier beats are still there.
pub(crate) fn is_kept_over_reopening(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    counted(&*engine, 1..=6)?;
    close(engine)?;
    let engine = at.open()?;
    for beat in 2..6 {
        shows(&*engine.view_at(BeatNo(beat))?, beat, "after reopening")?;
    }
    counted(&*engine, 7..=8)?;
    shows(&*engine.view_at(BeatNo(4))?, 4, "after reopening and more beats")
}

/// A checkpoint gives no history up.
pub(crate) fn is_kept_by_a_checkpoint(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    counted(&*engine, 1..=6)?;
    engine.checkpoint()?;
    counted(&*engine, 7..=8)?;
    engine.checkpoint()?;
    for beat in 1..8 {
        shows(&*engine.view_at(BeatNo(beat))?, beat, "after two checkpoints")?;
    }
    Ok(())
}

/// `compact` keeps as many beats as it was told to.
pub(crate) fn is_kept_by_compact_as_asked(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    counted(&*engine, 1..=9)?;
    engine.compact(CompactScope { keep_beats: 3 }, &Quiet)?;
    for beat in 6..9 {
        shows(&*engine.view_at(BeatNo(beat))?, beat, "after compact was told to keep three")?;
    }
    counted(&*engine, 10..=11)?;
    engine.compact(CompactScope { keep_beats: 2 }, &Quiet)?;
    shows(&*engine.view_at(BeatNo(9))?, 9, "after compact was told to keep two")
}

/// What `compact` was not told to keep is right or `Stale`, also after more beats.
pub(crate) fn is_right_or_stale_after_compact(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    counted(&*engine, 1..=6)?;
    engine.compact(CompactScope::default(), &Quiet)?;
    counted(&*engine, 7..=9)?;
    for beat in 1..9 {
        if let Some(view) = kept(&*engine, beat)? {
            shows(&*view, beat, "after compact")?;
        }
    }
    Ok(())
}

/// A view of an earlier beat that is open stays what it is while `compact` gives the beat up.
pub(crate) fn views_of_it_outlive_compact(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    counted(&*engine, 1..=6)?;
    let view = engine.view_at(BeatNo(2))?;
    // An open view may be a reason not to compact.
    if let Err(error) = engine.compact(CompactScope::default(), &Quiet) {
        check_eq!(error.kind(), ErrorKind::Busy, "compact beside a view: {error}");
    }
    counted(&*engine, 7..=8)?;
    shows(&*view, 2, "after compact")
}

/// The newest beats are kept; further back, from some beat on, all are `Stale`; and those in between are right.
pub(crate) fn ends_somewhere_and_stays_ended(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let newest = 100;
    counted(&*engine, 1..=newest)?;
    let mut ended = None;
    for beat in (1..newest).rev() {
        let Some(view) = kept(&*engine, beat)? else {
            check!(newest - beat > WINDOW, "beat {beat} of {newest} is not kept");
            ended.get_or_insert(beat);
            continue;
        };
        check!(ended.is_none(), "beat {beat} is kept, though {ended:?} is not");
        shows(&*view, beat, "of a hundred")?;
    }
    Ok(())
}
