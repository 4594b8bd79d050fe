//! Checkpoint, backup, compact, verify, stats, and the observers of long verbs.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::path::Path;

use persist_api::{
    BeatNo, CompactScope, CompactStat, Engine, Error, ErrorKind, Finding, KeyRange, Probe, Progress, Quiet,
    Scan, Severity, VerifyStat,
};

use crate::kit::{Row, Stand, begin, close, commit, get, get_in, put, put_keys, rows};
use crate::{CaseResult, Failure, Fixture, check, check_eq, files, refused};

/// A store with three beats: forty records, some overwritten, some deleted.
fn laid(at: &Stand<'_>) -> Result<Box<dyn Engine>, Error> {
    let engine = at.open()?;
    put(&*engine, (0..40_u8).map(|n| ([b'r', n], vec![n; 100])))?;
    put(&*engine, (0..10_u8).map(|n| ([b'r', n], vec![n; 50])))?;
    commit(&*engine, |beat| (30..40_u8).try_for_each(|n| beat.delete_record(&[b'r', n])))?;
    Ok(engine)
}

/// What [`laid`] leaves.
fn expected() -> Vec<Row> {
    (0..30_u8).map(|n| (vec![b'r', n], vec![n; if n < 10 { 50 } else { 100 }])).collect()
}

/// Checks the records one by one, so that it needs no scan.
#[track_caller]
fn holds_all(engine: &dyn Engine, when: &str) -> CaseResult {
    let view = engine.view()?;
    for (key, value) in expected() {
        let found = get_in(&*view, &key)?;
        check!(found.as_ref() == Some(&value), "record {} {when}: {found:?}", key.escape_ascii());
    }
    for n in 30..40_u8 {
        check!(get_in(&*view, [b'r', n])?.is_none(), "deleted record r{n} is there {when}");
    }
    Ok(())
}

/// A checkpoint changes no record.
pub(crate) fn checkpoint_keeps_the_records(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    engine.checkpoint()?;
    holds_all(&*engine, "after a checkpoint")
}

/// A checkpoint says up to which beat it went: the newest.
pub(crate) fn checkpoint_names_the_newest_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    check_eq!(engine.checkpoint()?.beat, BeatNo(3), "the beat of the checkpoint");
    Ok(())
}

/// A checkpoint is no beat.
pub(crate) fn checkpoint_is_no_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let before = *engine.view()?.header();
    engine.checkpoint()?;
    check_eq!(*engine.view()?.header(), before, "the header after a checkpoint");
    put_keys(&*engine, ["next"])?;
    Ok(())
}

/// A checkpoint of a new store is no error.
pub(crate) fn checkpoint_of_a_new_store(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let done = engine.checkpoint();
    check!(done.is_ok(), "a checkpoint of a new store: {:?}", done.err());
    check_eq!(engine.view()?.header().beat, BeatNo(0), "the beat after it");
    Ok(())
}

/// A checkpoint is found by the next open, with what came after it.
pub(crate) fn checkpoint_then_reopen(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    engine.checkpoint()?;
    put_keys(&*engine, ["later"])?;
    close(engine)?;
    let engine = at.open()?;
    holds_all(&*engine, "after a checkpoint and reopening")?;
    check_eq!(get(&*engine, "later")?, Some(b"=later".to_vec()), "the record after the checkpoint");
    Ok(())
}

/// A checkpoint with a view open moves not the view.
pub(crate) fn checkpoint_beside_a_view(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("c", "then")])?;
    let view = engine.view()?;
    put(&*engine, [("c", "now")])?;
    engine.checkpoint()?;
    check_eq!(get_in(&*view, "c")?, Some(b"then".to_vec()), "the older view after a checkpoint");
    check_eq!(get(&*engine, "c")?, Some(b"now".to_vec()), "a newer view after a checkpoint");
    Ok(())
}

/// A checkpoint every beat does no harm.
pub(crate) fn checkpoint_after_every_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    for turn in 0..6_u8 {
        put_keys(&*engine, [[b'e', turn]])?;
        engine.checkpoint()?;
    }
    drop(engine);
    let engine = at.open()?;
    for turn in 0..6_u8 {
        check!(get(&*engine, [b'e', turn])?.is_some(), "the record of beat {} is gone", turn + 1);
    }
    Ok(())
}

fn backed_up(at: &Stand<'_>, engine: &dyn Engine) -> Result<Box<dyn Engine>, Error> {
    let into = at.home.beside("backup");
    engine.backup(&into, &Quiet)?;
    at.open_at(&into)
}

/// A backup opens by itself and holds the records.
pub(crate) fn backup_opens_by_itself(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let into = at.home.beside("backup");
    engine.backup(&into, &Quiet)?;
    close(engine)?;
    files::copy_dir(&into, &at.home.beside("elsewhere"))?;
    holds_all(&*at.open_at(&at.home.beside("elsewhere"))?, "in the backup")
}

/// A backup holds the header.
pub(crate) fn backup_holds_the_header(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let header = engine.view()?.header().next(4, crate::kit::level(&*engine), Some([0x33; 32]))?;
    engine.begin_beat(header)?.commit_beat()?;
    check_eq!(*backed_up(&at, &*engine)?.view()?.header(), header, "the header in the backup");
    Ok(())
}

/// A backup says which beat it shows and how much it wrote.
pub(crate) fn backup_names_its_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let stat = engine.backup(&at.home.beside("backup"), &Quiet)?;
    check_eq!(stat.beat, BeatNo(3), "the beat of the backup");
    check!(stat.bytes > 0, "a backup of thirty records wrote no bytes");
    Ok(())
}

/// A backup goes into an empty directory as well as a missing one.
pub(crate) fn backup_into_an_empty_directory(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let into = at.home.beside("bare");
    files::make_dir(&into)?;
    let done = engine.backup(&into, &Quiet);
    check!(done.is_ok(), "a backup into an empty directory: {:?}", done.err());
    Ok(())
}

/// A backup into a directory that holds anything is refused.
pub(crate) fn backup_into_a_used_directory_is_refused(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let into = at.home.beside("used");
    files::lay(&into.join("letter.txt"), b"dear all")?;
    refused(engine.backup(&into, &Quiet), ErrorKind::Mismatch, "a backup into a used directory")?;
    Ok(())
}

/// The refusal leaves that directory as it was.
pub(crate) fn backup_refused_touches_nothing(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let into = at.home.beside("used");
    files::lay(&into.join("letter.txt"), b"dear all")?;
    let before = files::listing(&into)?;
    let _ = engine.backup(&into, &Quiet);
    check!(files::listing(&into)? == before, "the refused backup changed the directory");
    Ok(())
}

/// A second backup does not overwrite the first.
pub(crate) fn backup_over_a_backup_is_refused(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let into = at.home.beside("backup");
    engine.backup(&into, &Quiet)?;
    put_keys(&*engine, ["later"])?;
    refused(engine.backup(&into, &Quiet), ErrorKind::Mismatch, "a backup over a backup")?;
    check_eq!(get(&*at.open_at(&into)?, "later")?, None, "a later record in the first backup");
    Ok(())
}

/// The store cannot be backed up into itself.
pub(crate) fn backup_into_the_store_is_refused(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    refused(engine.backup(at.path(), &Quiet), ErrorKind::Mismatch, "a backup into the store itself")?;
    holds_all(&*engine, "after the refusal")
}

/// What the store does later does not reach the backup.
pub(crate) fn backup_is_apart_from_the_store(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let copy = backed_up(&at, &*engine)?;
    put_keys(&*engine, ["only in the store"])?;
    put_keys(&*copy, ["only in the copy"])?;
    check_eq!(get(&*copy, "only in the store")?, None, "a record of the store in the backup");
    check_eq!(get(&*engine, "only in the copy")?, None, "a record of the backup in the store");
    Ok(())
}

/// Losing the store does not harm the backup.
pub(crate) fn backup_outlives_the_store(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let into = at.home.beside("backup");
    engine.backup(&into, &Quiet)?;
    close(engine)?;
    for (name, _) in files::files_with_bytes(at.path())? {
        files::cut(&at.path().join(name), 0)?;
    }
    holds_all(&*at.open_at(&into)?, "in the backup of a lost store")
}

/// A backup made while a beat is open shows the beat before it.
pub(crate) fn backup_beside_an_open_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let mut beat = begin(&*engine)?;
    beat.put_record(b"unfinished", b"1")?;
    let into = at.home.beside("backup");
    engine.backup(&into, &Quiet)?;
    beat.commit_beat()?;
    let copy = at.open_at(&into)?;
    check_eq!(get(&*copy, "unfinished")?, None, "a record of the open beat in the backup");
    check_eq!(copy.view()?.header().beat, BeatNo(3), "the beat of the backup");
    Ok(())
}

/// A backup of a new store opens and is new.
pub(crate) fn backup_of_a_new_store(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let copy = backed_up(&at, &*engine)?;
    check_eq!(copy.view()?.header().beat, BeatNo(0), "the beat of the backup of a new store");
    put_keys(&*copy, ["first"])?;
    Ok(())
}

/// Writes go on in a backup with the next number.
pub(crate) fn backup_continues_the_numbers(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let receipt = put_keys(&*backed_up(&at, &*engine)?, ["next"])?;
    check_eq!(receipt.header.beat, BeatNo(4), "the next beat of the backup");
    Ok(())
}

fn compacted(engine: &dyn Engine) -> Result<CompactStat, Error> {
    engine.compact(CompactScope::default(), &Quiet)
}

/// Compacting changes no record.
pub(crate) fn compact_keeps_the_records(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    compacted(&*engine)?;
    holds_all(&*engine, "after compacting")
}

/// Compacting is no beat, and beats go on after it.
pub(crate) fn compact_is_no_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let before = *engine.view()?.header();
    compacted(&*engine)?;
    check_eq!(*engine.view()?.header(), before, "the header after compacting");
    put_keys(&*engine, ["next"])?;
    Ok(())
}

/// A store that was emptied does not grow by compacting.
pub(crate) fn compact_does_not_grow_the_store(fx: &dyn Fixture) -> CaseResult {
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
pub(crate) fn compact_then_reopen(fx: &dyn Fixture) -> CaseResult {
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
pub(crate) fn compact_beside_a_view(fx: &dyn Fixture) -> CaseResult {
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
pub(crate) fn compact_of_a_new_store(fx: &dyn Fixture) -> CaseResult {
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
pub(crate) fn compact_revives_nothing(fx: &dyn Fixture) -> CaseResult {
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

fn verified(engine: &dyn Engine) -> Result<(VerifyStat, Vec<Finding>), Error> {
    let found = RefCell::new(Vec::new());
    let stat = engine.verify(&mut |finding| found.borrow_mut().push(finding), &Quiet)?;
    Ok((stat, found.into_inner()))
}

/// `verify` counts the records.
pub(crate) fn verify_counts_the_records(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    check_eq!(verified(&*engine)?.0.records, 30, "records that verify read");
    Ok(())
}

/// `verify` counts the bytes of keys and values.
pub(crate) fn verify_counts_the_bytes(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let bytes: usize = expected().iter().map(|(key, value)| key.len() + value.len()).sum();
    check_eq!(verified(&*engine)?.0.bytes, bytes as u64, "bytes that verify read");
    Ok(())
}

/// `verify` finds no damage where there is none.
pub(crate) fn verify_finds_no_damage(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let (stat, found) = verified(&*engine)?;
    check_eq!(stat.damaged, 0, "damage in a sound store");
    let bad: Vec<_> = found.iter().filter(|finding| finding.severity == Severity::Damage).collect();
    check!(bad.is_empty(), "findings in a sound store: {bad:?}");
    Ok(())
}

/// `verify` of a new store reads nothing.
pub(crate) fn verify_of_a_new_store(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    check_eq!(verified(&*engine)?.0, VerifyStat::default(), "what verify read in a new store");
    Ok(())
}

/// `verify` changes nothing and stops nobody.
pub(crate) fn verify_is_harmless(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let header = *engine.view()?.header();
    let _view = engine.view()?;
    verified(&*engine)?;
    check_eq!(*engine.view()?.header(), header, "the header after verify");
    put_keys(&*engine, ["next"])?;
    Ok(())
}

/// `verify` beside an open beat counts what is committed.
pub(crate) fn verify_beside_an_open_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let mut beat = begin(&*engine)?;
    beat.put_record(b"unfinished", b"1")?;
    check_eq!(verified(&*engine)?.0.records, 30, "records that verify read beside an open beat");
    drop(beat);
    Ok(())
}

/// `verify` after reopening counts the same.
pub(crate) fn verify_after_reopening(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    close(engine)?;
    let (stat, _) = verified(&*at.open()?)?;
    check_eq!((stat.records, stat.damaged), (30, 0), "records and damage after reopening");
    Ok(())
}

/// `stats` name the newest beat.
pub(crate) fn stats_name_the_newest_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    check_eq!(engine.stats()?.beat, BeatNo(0), "the beat of a new store");
    put_keys(&*engine, ["a"])?;
    put_keys(&*engine, ["b"])?;
    check_eq!(engine.stats()?.beat, BeatNo(2), "the beat after two");
    Ok(())
}

/// `stats` count records, where they do.
pub(crate) fn stats_count_records(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    if let Some(records) = engine.stats()?.records {
        check_eq!(records, 30, "records");
    }
    Ok(())
}

/// `stats` count open views.
pub(crate) fn stats_count_views(fx: &dyn Fixture) -> CaseResult {
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
pub(crate) fn stats_know_the_oldest_view(fx: &dyn Fixture) -> CaseResult {
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
pub(crate) fn stats_know_the_bytes_on_disk(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, (0..20_u8).map(|n| ([b'd', n], vec![n; 3000])))?;
    check!(engine.stats()?.bytes_on_disk > 0, "no bytes on disk after a beat of 60 KB");
    Ok(())
}

/// `stats` of a beat that is open do not count it.
pub(crate) fn stats_do_not_count_an_open_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let mut beat = begin(&*engine)?;
    beat.put_record(b"unfinished", b"1")?;
    check_eq!(engine.stats()?.beat, BeatNo(3), "the newest beat beside an open one");
    drop(beat);
    Ok(())
}

/// A refused open of the long verbs: what the observer saw. A verb that reports nothing saw nothing.
fn watched(
    run: impl FnOnce(&dyn persist_api::Observer) -> Result<(), Error>,
) -> Result<Vec<Progress>, Failure> {
    let seen = RefCell::new(Vec::new());
    run(&|progress: Progress| {
        seen.borrow_mut().push(progress);
        ControlFlow::Continue(())
    })?;
    Ok(seen.into_inner())
}

/// Within a phase, progress never goes back, nor beyond its total.
#[track_caller]
fn goes_on(seen: &[Progress]) -> CaseResult {
    for pair in seen.windows(2) {
        if let [one, two] = pair {
            let back = one.phase == two.phase && two.done < one.done;
            check!(!back, "progress went back: {one:?}, {two:?}");
        }
    }
    for step in seen {
        check!(step.total.is_none_or(|total| step.done <= total), "more was done than there is: {step:?}");
        check!(!step.phase.is_empty() && !step.unit.is_empty(), "progress without a name: {step:?}");
    }
    Ok(())
}

/// `verify` reports progress that goes on.
pub(crate) fn verify_progress_goes_on(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let seen = watched(|seen| engine.verify(&mut |_| (), seen).map(drop))?;
    check!(!seen.is_empty(), "verify reports no progress");
    goes_on(&seen)
}

/// `backup` reports progress that goes on.
pub(crate) fn backup_progress_goes_on(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let seen = watched(|seen| engine.backup(&at.home.beside("backup"), seen).map(drop))?;
    check!(!seen.is_empty(), "backup reports no progress");
    goes_on(&seen)
}

/// `compact` reports progress that goes on.
pub(crate) fn compact_progress_goes_on(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let seen = watched(|seen| engine.compact(CompactScope::default(), seen).map(drop))?;
    check!(!seen.is_empty(), "compact reports no progress");
    goes_on(&seen)
}

/// An observer that stops at its `n`th step.
fn stopping(n: u32) -> impl Fn(Progress) -> ControlFlow<()> {
    let left = Cell::new(n);
    move |_| {
        left.set(left.get().saturating_sub(1));
        if left.get() == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// `verify` stops when asked.
pub(crate) fn verify_stops_when_asked(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    refused(
        engine.verify(&mut |_| (), &stopping(1)),
        ErrorKind::Cancelled,
        "verify under a stopping observer",
    )?;
    put_keys(&*engine, ["after"])?;
    Ok(())
}

/// `backup` stops when asked.
pub(crate) fn backup_stops_when_asked(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let stopped = engine.backup(&at.home.beside("backup"), &stopping(1));
    refused(stopped, ErrorKind::Cancelled, "backup under a stopping observer")?;
    holds_all(&*engine, "after a backup that was stopped")
}

/// What a stopped backup leaves is nothing that would open as a whole store.
pub(crate) fn stopped_backup_is_no_store(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let into = at.home.beside("backup");
    if engine.backup(&into, &stopping(1)).is_ok() {
        return Ok(());
    }
    let mine = |path: &Path| matches!(at.driver().probe(path), Ok(Probe::Mine { .. }));
    if mine(&into)
        && let Ok(copy) = at.open_at(&into)
    {
        let beat = copy.view()?.header().beat;
        check!(beat == BeatNo(3), "a stopped backup opens as a store at beat {beat}");
        holds_all(&*copy, "in a stopped backup that opens")?;
    }
    Ok(())
}

/// `compact` stops when asked and leaves the store whole.
pub(crate) fn compact_stops_when_asked(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let stopped = engine.compact(CompactScope::default(), &stopping(1));
    refused(stopped, ErrorKind::Cancelled, "compact under a stopping observer")?;
    holds_all(&*engine, "after compacting was stopped")?;
    drop(engine);
    holds_all(&*at.open()?, "after compacting was stopped, and reopening")
}

/// All of maintenance in a row, and the rows are the same.
pub(crate) fn everything_in_a_row(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let into = at.home.beside("backup");
    engine.checkpoint()?;
    compacted(&*engine)?;
    engine.backup(&into, &Quiet)?;
    verified(&*engine)?;
    check_eq!(rows(&*engine.view()?, Scan::all())?, expected(), "rows after all verbs");
    check_eq!(rows(&*at.open_at(&into)?.view()?, Scan::all())?, expected(), "rows of the backup");
    Ok(())
}
