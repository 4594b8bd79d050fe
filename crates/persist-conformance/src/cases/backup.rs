//! `backup`: a copy at one beat that stands by itself.

use std::path::Path;

use persist_api::{BeatNo, Engine, Error, ErrorKind, Probe, Quiet};

use super::laid::{goes_on, holds_all, laid, stopping, watched};
use crate::kit::{Stand, begin, close, get, put_keys};
use crate::{CaseResult, Fixture, check, check_eq, files, refused};

fn backed_up(at: &Stand<'_>, engine: &dyn Engine) -> Result<Box<dyn Engine>, Error> {
    let into = at.home.beside("backup");
    engine.backup(&into, &Quiet)?;
    at.open_at(&into)
}

/// A backup opens by itself and holds the records.
pub(crate) fn opens_by_itself(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let into = at.home.beside("backup");
    engine.backup(&into, &Quiet)?;
    close(engine)?;
    files::copy_dir(&into, &at.home.beside("elsewhere"))?;
    holds_all(&*at.open_at(&at.home.beside("elsewhere"))?, "in the backup")
}

/// A backup holds the header.
pub(crate) fn holds_the_header(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let header = engine.view()?.header().next(4, crate::kit::level(&*engine), Some([0x33; 32]))?;
    engine.begin_beat(header)?.commit_beat()?;
    check_eq!(*backed_up(&at, &*engine)?.view()?.header(), header, "the header in the backup");
    Ok(())
}

/// A backup says which beat it shows and how much it wrote.
pub(crate) fn names_its_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let stat = engine.backup(&at.home.beside("backup"), &Quiet)?;
    check_eq!(stat.beat, BeatNo(3), "the beat of the backup");
    check!(stat.bytes > 0, "a backup of thirty records wrote no bytes");
    Ok(())
}

/// A backup goes into an empty directory as well as a missing one.
pub(crate) fn into_an_empty_directory(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let into = at.home.beside("bare");
    files::make_dir(&into)?;
    let done = engine.backup(&into, &Quiet);
    check!(done.is_ok(), "a backup into an empty directory: {:?}", done.err());
    Ok(())
}

/// A backup into a directory that holds anything is refused.
pub(crate) fn into_a_used_directory_is_refused(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let into = at.home.beside("used");
    files::lay(&into.join("letter.txt"), b"dear all")?;
    refused(engine.backup(&into, &Quiet), ErrorKind::Mismatch, "a backup into a used directory")?;
    Ok(())
}

/// The refusal leaves that directory as it was.
pub(crate) fn refused_touches_nothing(fx: &dyn Fixture) -> CaseResult {
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
pub(crate) fn over_a_backup_is_refused(fx: &dyn Fixture) -> CaseResult {
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
pub(crate) fn into_the_store_is_refused(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    refused(engine.backup(at.path(), &Quiet), ErrorKind::Mismatch, "a backup into the store itself")?;
    holds_all(&*engine, "after the refusal")
}

/// What the store does later does not reach the backup.
pub(crate) fn is_apart_from_the_store(fx: &dyn Fixture) -> CaseResult {
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
pub(crate) fn outlives_the_store(fx: &dyn Fixture) -> CaseResult {
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
pub(crate) fn beside_an_open_beat(fx: &dyn Fixture) -> CaseResult {
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
pub(crate) fn of_a_new_store(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let copy = backed_up(&at, &*engine)?;
    check_eq!(copy.view()?.header().beat, BeatNo(0), "the beat of the backup of a new store");
    put_keys(&*copy, ["first"])?;
    Ok(())
}

/// Writes go on in a backup with the next number.
pub(crate) fn continues_the_numbers(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let receipt = put_keys(&*backed_up(&at, &*engine)?, ["next"])?;
    check_eq!(receipt.header.beat, BeatNo(4), "the next beat of the backup");
    Ok(())
}

/// `backup` reports progress that goes on.
pub(crate) fn progress_goes_on(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let seen = watched(|seen| engine.backup(&at.home.beside("backup"), seen).map(drop))?;
    check!(!seen.is_empty(), "backup reports no progress");
    goes_on(&seen)
}

/// `backup` stops when asked.
pub(crate) fn stops_when_asked(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let stopped = engine.backup(&at.home.beside("backup"), &stopping(1));
    refused(stopped, ErrorKind::Cancelled, "backup under a stopping observer")?;
    holds_all(&*engine, "after a backup that was stopped")
}

/// What a stopped backup leaves is nothing that would open as a whole store.
pub(crate) fn stopped_is_no_store(fx: &dyn Fixture) -> CaseResult {
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
