//! Modes, foreign directories, knobs.

use std::path::Path;

use persist_api::{Engine, Error, ErrorKind, OpenMode, Probe, Quiet};

use crate::kit::{Stand, begin, close, get, put};
use crate::{CaseResult, Fixture, check, check_eq, files, refused};

fn open_foreign(at: &Stand<'_>) -> Result<Box<dyn Engine>, Error> {
    at.driver().open(at.path(), &at.fixture.options(), &Quiet)
}

/// A foreign directory is refused.
pub(crate) fn foreign_open_is_mismatch(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    files::lay(&at.path().join("letter.txt"), b"dear all")?;
    refused(open_foreign(&at), ErrorKind::Mismatch, "open of a foreign directory")?;
    Ok(())
}

/// Refusing a foreign directory leaves every byte of it, and adds none.
pub(crate) fn foreign_open_touches_nothing(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    files::lay(&at.path().join("photos").join("1.raw"), &[7; 3000])?;
    files::lay(&at.path().join("notes"), b"")?;
    let before = files::listing(at.path())?;
    check!(open_foreign(&at).is_err(), "a foreign directory was opened");
    check!(files::listing(at.path())? == before, "the refused open changed the foreign directory");
    Ok(())
}

/// A file where the directory should be is refused and kept.
pub(crate) fn home_that_is_a_file_is_refused(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    files::lay(at.path(), b"I am a file")?;
    let found = at.driver().probe(at.path());
    check!(!matches!(found, Ok(Probe::Empty | Probe::Mine { .. })), "a plain file probes as {found:?}");
    check!(open_foreign(&at).is_err(), "a plain file was opened as a store");
    check_eq!(std::fs::read(at.path())?, b"I am a file", "the bytes of the file");
    Ok(())
}

/// A home whose name means something to URLs, shells or C strings is a home like any other.
pub(crate) fn home_name_may_hold_odd_characters(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let odd = at.home.beside("odd ?mode=ro#50%25 ünïcode'name");
    let engine = at.open_at(&odd)?;
    put(&*engine, [("odd", "1")])?;
    close(engine)?;
    let plain = at.open_at(&at.home.beside("odd "))?;
    check_eq!(get(&*plain, "odd")?, None, "a record seen through the beginning of the name");
    let engine = at.open_at(&odd)?;
    check_eq!(get(&*engine, "odd")?.as_deref(), Some(b"1".as_slice()), "the record");
    Ok(())
}

fn opened(at: &Stand<'_>, mode: OpenMode) -> Result<Box<dyn Engine>, Error> {
    at.open_with(|options| options.mode = mode)
}

/// The default mode creates in an empty directory that exists already.
pub(crate) fn open_or_create_uses_a_bare_directory(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    files::make_dir(at.path())?;
    let engine = opened(&at, OpenMode::OpenOrCreate)?;
    put(&*engine, [("bare", "1")])?;
    Ok(())
}

/// `MustExist` refuses where there is nothing.
pub(crate) fn must_exist_refuses_nothing(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    refused(opened(&at, OpenMode::MustExist), ErrorKind::Invalid, "MustExist on a missing home")?;
    Ok(())
}

/// `MustExist` refuses an empty directory.
pub(crate) fn must_exist_refuses_a_bare_directory(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    files::make_dir(at.path())?;
    refused(opened(&at, OpenMode::MustExist), ErrorKind::Invalid, "MustExist on an empty directory")?;
    Ok(())
}

/// The refused `MustExist` leaves nothing behind: no file, and no store that a later open would find.
pub(crate) fn must_exist_creates_nothing(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let refusal = opened(&at, OpenMode::MustExist).err();
    check!(refusal.is_some(), "MustExist opened where nothing is");
    check!(!at.path().exists(), "the refused open created {}", at.path().display());
    check_eq!(at.driver().probe(at.path())?, Probe::Empty, "the probe after the refusal");
    Ok(())
}

/// `MustExist` opens a store that exists.
pub(crate) fn must_exist_opens_a_store(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    close(at.open()?)?;
    close(opened(&at, OpenMode::MustExist)?)?;
    Ok(())
}

/// `MustCreate` creates where there is nothing.
pub(crate) fn must_create_creates(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = opened(&at, OpenMode::MustCreate)?;
    put(&*engine, [("created", "1")])?;
    check_eq!(get(&*engine, "created")?.as_deref(), Some(b"1".as_slice()), "the record");
    Ok(())
}

/// `MustCreate` refuses a store.
pub(crate) fn must_create_conflicts_with_a_store(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    close(at.open()?)?;
    refused(opened(&at, OpenMode::MustCreate), ErrorKind::Conflict, "MustCreate on a store")?;
    Ok(())
}

/// The refused `MustCreate` loses nothing of the store.
pub(crate) fn must_create_conflict_keeps_the_store(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("kept", "1")])?;
    close(engine)?;
    check!(opened(&at, OpenMode::MustCreate).is_err(), "MustCreate opened a store");
    check_eq!(get(&*at.open()?, "kept")?.as_deref(), Some(b"1".as_slice()), "the record after the refusal");
    Ok(())
}

const KNOB: &str = "no-such-knob-anywhere";

/// Opens with a knob that no engine knows.
pub(super) fn with_knob(at: &Stand<'_>, path: &Path) -> Result<Box<dyn Engine>, Error> {
    let options = at.options_with(|options| {
        options.knobs.insert(KNOB.to_owned(), "11".to_owned());
    });
    at.driver().open(path, &options, &Quiet)
}

/// A knob that the engine does not know is an error.
pub(crate) fn unknown_knob_is_invalid(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    refused(with_knob(&at, at.path()), ErrorKind::Invalid, "open with an unknown knob")?;
    Ok(())
}

/// The error names the knob.
pub(crate) fn unknown_knob_is_named(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let Err(error) = with_knob(&at, at.path()) else { return Ok(()) };
    check!(error.context().contains(KNOB), "the error does not name the knob: {error}");
    Ok(())
}

/// Nothing is created on the way to that error.
pub(crate) fn unknown_knob_creates_nothing(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    if with_knob(&at, at.path()).is_ok() {
        return Ok(());
    }
    check!(!at.path().exists(), "the refused open created {}", at.path().display());
    check_eq!(at.driver().probe(at.path())?, Probe::Empty, "the probe after the refusal");
    Ok(())
}

/// A store opened with an open beat dropped by panic of its owner is still closed properly: begin, drop, close, open.
pub(crate) fn open_after_a_beat_was_left_open(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("left", "1")])?;
    let mut beat = begin(&*engine)?;
    beat.put_record(b"left", b"never")?;
    drop(beat);
    drop(engine);
    check_eq!(get(&*at.open()?, "left")?.as_deref(), Some(b"1".as_slice()), "the record of the last commit");
    Ok(())
}
