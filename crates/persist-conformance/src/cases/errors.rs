//! What errors say: the verb, a sentence, a code, and what to do.

use std::time::Duration;

use persist_api::{BeatNo, Error, ErrorKind, OpenMode};

use crate::kit::{Stand, begin, next_header, put_keys};
use crate::{CaseResult, Fixture, check, check_eq, files};

/// Checks everything that an error must carry.
#[track_caller]
fn speaks(error: &Error, op: &str) -> CaseResult {
    let line = error.to_string();
    check_eq!(error.op(), op, "the verb of: {line}");
    check!(error.context().len() > 8, "no sentence in: {line}");
    check!(!line.contains('\n'), "more than one line: {line}");
    check!(error.code() < 0 && error.code() == error.kind().code(), "the code of: {line}");
    check!(line.contains(error.advice().sentence()), "no advice in: {line}");
    Ok(())
}

fn failed<T>(result: Result<T, Error>, what: &str) -> Result<Error, crate::Failure> {
    result.err().ok_or_else(|| crate::Failure::new(format!("{what} succeeded")))
}

/// A beat out of order.
pub(crate) fn conflict_speaks(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let mut header = next_header(&*engine)?;
    header.beat = BeatNo(17);
    let error = failed(engine.begin_beat(header).map(drop), "beat 17 in a new store")?;
    check!(error.context().contains("17"), "the conflict does not name the beat: {error}");
    speaks(&error, "begin_beat")
}

/// A second beat.
pub(crate) fn busy_beat_speaks(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let header = next_header(&*engine)?;
    let _open = engine.begin_beat(header)?;
    speaks(&failed(engine.begin_beat(header).map(drop), "a second beat")?, "begin_beat")
}

/// A put without key.
pub(crate) fn invalid_put_speaks(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let mut beat = begin(&*engine)?;
    speaks(&failed(beat.put_record(b"", b""), "a put without key")?, "put_record")
}

/// A delete without key.
pub(crate) fn invalid_delete_speaks(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let mut beat = begin(&*engine)?;
    speaks(&failed(beat.delete_record(b""), "a delete without key")?, "delete_record")
}

/// The commit of a poisoned beat.
pub(crate) fn poisoned_commit_speaks(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let mut beat = begin(&*engine)?;
    let _ = beat.put_record(b"", b"");
    speaks(&failed(beat.commit_beat(), "the commit of a poisoned beat")?, "commit_beat")
}

/// An operation of a poisoned beat names itself, not the one that failed before.
pub(crate) fn poisoned_operation_speaks(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let mut beat = begin(&*engine)?;
    let _ = beat.put_record(b"", b"");
    speaks(&failed(beat.delete_record(b"k"), "a delete in a poisoned beat")?, "delete_record")
}

/// One view too many names how many there may be.
pub(crate) fn busy_view_speaks(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open_with(|options| options.views_max = Some(1))?;
    let _held = engine.view()?;
    let error = failed(engine.view().map(drop), "a second view of one")?;
    check!(error.context().contains('1'), "the limit is not named: {error}");
    speaks(&error, "view")
}

/// A close with open views names them.
pub(crate) fn busy_close_speaks(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open_with(|options| options.close_wait = Duration::ZERO)?;
    let _held = engine.view()?;
    let Err((engine, error)) = engine.close() else { return Ok(()) };
    drop(engine);
    check!(error.context().contains("view"), "the views are not named: {error}");
    speaks(&error, "close")
}

/// A missing store, with its place.
pub(crate) fn missing_store_speaks(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let error = failed(at.open_with(|options| options.mode = OpenMode::MustExist), "MustExist on nothing")?;
    check_eq!(error.path(), Some(at.path()), "the path of: {error}");
    speaks(&error, "open")
}

/// A store where none may be, with its place.
pub(crate) fn existing_store_speaks(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put_keys(&*engine, ["a"])?;
    drop(engine);
    let error = failed(at.open_with(|options| options.mode = OpenMode::MustCreate), "MustCreate on a store")?;
    check_eq!(error.path(), Some(at.path()), "the path of: {error}");
    speaks(&error, "open")
}

/// A locked store, with its place.
pub(crate) fn locked_store_speaks(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let _held = at.open()?;
    let Err(error) = at.open() else { return Ok(()) };
    check!(error.path().is_some(), "no path in: {error}");
    speaks(&error, "open")
}

/// A foreign directory, with its place.
pub(crate) fn foreign_directory_speaks(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    files::lay(&at.path().join("letter.txt"), b"dear all")?;
    let error = failed(at.open(), "open of a foreign directory")?;
    check!(error.path().is_some(), "no path in: {error}");
    speaks(&error, "open")
}

/// A durability that is not on offer names the capability.
pub(crate) fn unsupported_speaks(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let calls = [
        ("sync", engine.sync().err()),
        ("checkpoint", engine.checkpoint().err()),
        ("backup", engine.backup(&at.home.beside("backup"), &persist_api::Quiet).err()),
        ("compact", engine.compact(persist_api::CompactScope::default(), &persist_api::Quiet).err()),
        ("view_at", engine.view_at(BeatNo(0)).err()),
    ];
    for (op, error) in calls {
        if let Some(error) = error.filter(|error| error.kind() == ErrorKind::Unsupported) {
            let named = persist_api::REGISTRY.iter().any(|cap| error.context().contains(cap.name));
            check!(named, "no capability is named in: {error}");
            speaks(&error, op)?;
        }
    }
    Ok(())
}
