//! Earlier beats as they were committed.

use std::ops::{Bound, ControlFlow};

use persist_api::{
    BeatHeader, BeatNo, CompactScope, Engine, Error, ErrorKind, FeedItem, KeyRange, OpenOptions, Quiet,
};

use crate::kit::{Row, Stand, begin, close, commit, level, pattern, put};
use crate::{CaseResult, Fixture, check, check_eq, refused};

/// One operation of a beat.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Done {
    Put(Row),
    Delete(Vec<u8>),
    Range(KeyRange<'static>),
}

fn put_of(key: &str, value: impl AsRef<[u8]>) -> Done {
    Done::Put((key.as_bytes().to_vec(), value.as_ref().to_vec()))
}

/// What the feed shows after a beat.
fn fed(engine: &dyn Engine, after: u64) -> Result<Vec<(BeatHeader, Vec<Done>)>, Error> {
    let mut beats: Vec<(BeatHeader, Vec<Done>)> = Vec::new();
    engine.feed(BeatNo(after), &mut |item| {
        let done = match item {
            FeedItem::Beat(header) => {
                beats.push((header, Vec::new()));
                return ControlFlow::Continue(());
            }
            FeedItem::Put { key, value } => Done::Put((key.to_vec(), value.to_vec())),
            FeedItem::Delete { key } => Done::Delete(key.to_vec()),
            FeedItem::DeleteRange { range } => Done::Range(range.into_owned()),
        };
        if let Some((_, all)) = beats.last_mut() {
            all.push(done);
        }
        ControlFlow::Continue(())
    })?;
    Ok(beats)
}

fn numbers(beats: &[(BeatHeader, Vec<Done>)]) -> Vec<u64> {
    beats.iter().map(|(header, _)| header.beat.0).collect()
}

/// Opens a store that keeps all of its feed until it is told otherwise.
fn keeping(at: &Stand<'_>) -> Result<Box<dyn Engine>, Error> {
    at.open_with(keep)
}

fn keep(options: &mut OpenOptions) {
    options.keep_feed = true;
}

/// The operations of a beat come as they were staged, those without effect among them.
pub(crate) fn shows_operations_as_staged(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = keeping(&at)?;
    commit(&*engine, |beat| {
        beat.put_record(b"twice", b"first")?;
        beat.put_record(b"b", b"")?;
        beat.delete_record(b"never")?;
        beat.put_record(b"twice", b"second")?;
        beat.delete_record(b"b")
    })?;
    let staged = vec![
        put_of("twice", "first"),
        put_of("b", ""),
        Done::Delete(b"never".to_vec()),
        put_of("twice", "second"),
        Done::Delete(b"b".to_vec()),
    ];
    let beats = fed(&*engine, 0)?;
    check_eq!(beats.len(), 1, "beats in the feed");
    check_eq!(beats.into_iter().flat_map(|(_, all)| all).collect::<Vec<_>>(), staged, "the operations");
    Ok(())
}

/// Deletes of ranges come with their bounds.
pub(crate) fn shows_deleted_ranges(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = keeping(&at)?;
    let range = KeyRange::owned(Bound::Excluded(b"a".to_vec()), Bound::Included(b"c".to_vec()));
    commit(&*engine, |beat| {
        beat.put_record(b"b", b"before")?;
        beat.delete_range(range.borrowed())?;
        beat.put_record(b"c", b"after")
    })?;
    let staged = vec![put_of("b", "before"), Done::Range(range), put_of("c", "after")];
    let shown: Vec<_> = fed(&*engine, 0)?.into_iter().flat_map(|(_, all)| all).collect();
    check_eq!(shown, staged, "the operations");
    Ok(())
}

/// It begins behind the beat that is named, and each beat has its whole header; beats without operations are beats.
pub(crate) fn begins_after_a_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = keeping(&at)?;
    let mut headers = Vec::new();
    for turn in 1..=4_u8 {
        let header = engine.view()?.header().next(1, level(&*engine), Some([turn; 32]))?;
        let mut beat = engine.begin_beat(header)?;
        if turn != 3 {
            beat.put_record(b"f", &[turn])?;
        }
        beat.commit_beat()?;
        headers.push(header);
    }
    drop(begin(&*engine)?);
    for after in 0..=4_u8 {
        let shown: Vec<_> = fed(&*engine, u64::from(after))?.into_iter().map(|(header, _)| header).collect();
        let later: Vec<_> = headers.iter().copied().skip(usize::from(after)).collect();
        check_eq!(shown, later, "headers after beat {after}");
    }
    Ok(())
}

/// Nothing follows the newest beat.
pub(crate) fn ends_at_the_newest_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = keeping(&at)?;
    check_eq!(fed(&*engine, 0)?, Vec::new(), "the feed of an empty store");
    for turn in 1..=3_u8 {
        put(&*engine, [("f", [turn])])?;
        check_eq!(
            numbers(&fed(&*engine, u64::from(turn) - 1)?),
            vec![u64::from(turn)],
            "a follower's next beat"
        );
        check_eq!(numbers(&fed(&*engine, u64::from(turn))?), Vec::new(), "after the newest beat");
    }
    Ok(())
}

/// `Break` ends it where it is, without an error.
pub(crate) fn ends_when_told(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = keeping(&at)?;
    for turn in 1..=3_u8 {
        put(&*engine, [("a", [turn]), ("b", [turn])])?;
    }
    for most in 1..=7 {
        let mut seen = 0;
        engine.feed(BeatNo(0), &mut |_| {
            seen += 1;
            if seen == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        check_eq!(seen, most, "pieces until it was told to end");
    }
    check_eq!(numbers(&fed(&*engine, 0)?), vec![1, 2, 3], "the feed after it was broken off");
    Ok(())
}

/// Fills a store with beats that overwrite each other; what the feed must show.
fn grown(engine: &dyn Engine) -> Result<Vec<Vec<Done>>, Error> {
    let mut all = Vec::new();
    for turn in 1..=24_u8 {
        let large = pattern(5000, turn);
        put(engine, [("same", &[turn][..]), ("large", &large)])?;
        all.push(vec![put_of("same", [turn]), put_of("large", large)]);
    }
    Ok(all)
}

fn shows_all(engine: &dyn Engine, all: &[Vec<Done>], when: &str) -> CaseResult {
    let shown: Vec<_> = fed(engine, 0)?.into_iter().map(|(_, done)| done).collect();
    check!(shown == all, "the feed {when} is not what was committed: {} of {} beats", shown.len(), all.len());
    Ok(())
}

/// What is kept for the feed outlives checkpoints and compactions.
pub(crate) fn outlives_compact(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let kept = engine.keep_feed(Some(BeatNo(0)))?;
    check_eq!(kept.after, BeatNo(0), "where the feed begins");
    let mut all = grown(&*engine)?;
    engine.checkpoint()?;
    shows_all(&*engine, &all, "after a checkpoint")?;
    put(&*engine, [("same", "more")])?;
    all.push(vec![put_of("same", "more")]);
    engine.compact(CompactScope::default(), &Quiet)?;
    shows_all(&*engine, &all, "after compact")
}

/// What is kept for the feed is there after reopening.
pub(crate) fn outlives_reopening(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    engine.keep_feed(Some(BeatNo(0)))?;
    let mut all = grown(&*engine)?;
    close(engine)?;
    for turn in ["once", "twice"] {
        let engine = keeping(&at)?;
        check_eq!(
            engine.keep_feed(Some(BeatNo(0)))?.after,
            BeatNo(0),
            "where the feed begins, reopened {turn}"
        );
        shows_all(&*engine, &all, "after reopening")?;
        put(&*engine, [("same", turn)])?;
        all.push(vec![put_of("same", turn)]);
        shows_all(&*engine, &all, "of a store that went on")?;
        close(engine)?;
    }
    Ok(())
}

/// What is not kept is `Stale` as a whole; there is no feed with a gap.
pub(crate) fn is_whole_or_stale(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let all = grown(&*engine)?;
    engine.keep_feed(None)?;
    engine.compact(CompactScope::default(), &Quiet)?;
    let newest = all.len() as u64;
    let kept = engine.keep_feed(Some(BeatNo(0)))?;
    put(&*engine, [("same", "later")])?;
    check!(kept.after.0 <= newest, "the feed begins after beat {}, of {newest}", kept.after);
    for after in 0..=newest {
        let mut visited = 0;
        let shown = engine.feed(BeatNo(after), &mut |_| {
            visited += 1;
            ControlFlow::Continue(())
        });
        if after >= kept.after.0 || shown.is_ok() {
            let beats: Vec<u64> = (after + 1..=newest + 1).collect();
            check_eq!(numbers(&fed(&*engine, after)?), beats, "beats after {after}");
        } else {
            refused(shown, ErrorKind::Stale, "a feed from a beat that is not kept")?;
            check_eq!(visited, 0, "pieces before it was refused");
        }
    }
    Ok(())
}

/// What nobody needs any more is given back.
pub(crate) fn gives_back(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    engine.keep_feed(Some(BeatNo(0)))?;
    let all = grown(&*engine)?;
    engine.checkpoint()?;
    let newest = all.len() as u64;
    let kept = engine.keep_feed(Some(BeatNo(newest)))?;
    check_eq!(kept.after, BeatNo(newest), "where the feed begins when all was read");
    check_eq!(kept.bytes, 0, "bytes that are kept when all was read");
    put(&*engine, [("same", "later")])?;
    check_eq!(numbers(&fed(&*engine, newest)?), vec![newest + 1], "what came later");
    check_eq!(engine.keep_feed(None)?.bytes, 0, "bytes that are kept for nobody");
    Ok(())
}
