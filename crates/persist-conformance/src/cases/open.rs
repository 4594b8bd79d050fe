//! Probing, opening, foreign directories, locks and offers.

use std::path::Path;

use persist_api::{Caps, Engine, Error, ErrorKind, OpenMode, Probe, Quiet};

use crate::kit::{Stand, begin, close, get, offer, put};
use crate::{CaseResult, Fixture, check, check_eq, files, refused};

/// Where nothing is, the probe says so.
pub(crate) fn missing_home_probes_empty(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    check_eq!(at.driver().probe(at.path())?, Probe::Empty, "a directory that does not exist");
    Ok(())
}

/// A directory without entries is as good as none.
pub(crate) fn bare_home_probes_empty(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    files::make_dir(at.path())?;
    check_eq!(at.driver().probe(at.path())?, Probe::Empty, "a directory without entries");
    Ok(())
}

/// A closed store is recognised.
pub(crate) fn own_home_probes_mine(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("a", "1")])?;
    close(engine)?;
    let found = at.driver().probe(at.path())?;
    check!(matches!(found, Probe::Mine { .. }), "a closed store probes as {found:?}");
    Ok(())
}

/// A store that never saw a beat is recognised, too.
pub(crate) fn own_home_without_beats_probes_mine(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    close(at.open()?)?;
    let found = at.driver().probe(at.path())?;
    check!(matches!(found, Probe::Mine { .. }), "a store without beats probes as {found:?}");
    Ok(())
}

/// Somebody else's file makes a directory foreign.
pub(crate) fn foreign_file_probes_foreign(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    files::lay(&at.path().join("letter.txt"), b"dear all")?;
    let found = at.driver().probe(at.path())?;
    check!(matches!(found, Probe::Foreign { .. }), "a directory with a stranger's file probes as {found:?}");
    Ok(())
}

/// A directory that holds only a directory is not empty either.
pub(crate) fn foreign_folder_probes_foreign(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    files::make_dir(&at.path().join("photos"))?;
    let found = at.driver().probe(at.path())?;
    check!(
        matches!(found, Probe::Foreign { .. }),
        "a directory with a stranger's folder probes as {found:?}"
    );
    Ok(())
}

/// The probe of nothing leaves nothing behind.
pub(crate) fn probe_creates_nothing(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    at.driver().probe(at.path())?;
    check!(!at.path().exists(), "the probe created {}", at.path().display());
    Ok(())
}

/// The probe of a store changes no byte of it.
pub(crate) fn probe_writes_nothing(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("a", "1")])?;
    close(engine)?;
    let before = files::listing(at.path())?;
    at.driver().probe(at.path())?;
    check!(files::listing(at.path())? == before, "the probe changed the files of the store");
    Ok(())
}

/// A store that is open can be probed, and stays open.
pub(crate) fn probe_of_an_open_store_is_harmless(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("probed", "1")])?;
    let found = at.driver().probe(at.path())?;
    check!(matches!(found, Probe::Mine { .. }), "an open store probes as {found:?}");
    put(&*engine, [("after", "2")])?;
    Ok(())
}

/// The probe holds no lock: the store opens while nothing but the memory of a probe is left.
pub(crate) fn probe_locks_nothing(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    close(at.open()?)?;
    at.driver().probe(at.path())?;
    at.driver().probe(at.path())?;
    close(at.open()?)?;
    Ok(())
}

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

/// A second open of the same directory is `Locked`; where MULTI_PROCESS is offered, it works.
pub(crate) fn second_open_is_locked(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let _first = at.open()?;
    if offer(fx).caps.contains(Caps::MULTI_PROCESS) {
        at.open()?;
    } else {
        refused(at.open(), ErrorKind::Locked, "a second open")?;
    }
    Ok(())
}

/// The holder does not notice a second open.
pub(crate) fn second_open_disturbs_nothing(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let first = at.open()?;
    put(&*first, [("held", "1")])?;
    let _second = at.open();
    put(&*first, [("still", "2")])?;
    check_eq!(get(&*first, "held")?.as_deref(), Some(b"1".as_slice()), "the holder's record");
    Ok(())
}

/// A failed second open does not take the lock away from its holder: a third is refused as well.
pub(crate) fn third_open_is_locked_too(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let _first = at.open()?;
    if !offer(fx).caps.contains(Caps::MULTI_PROCESS) {
        let _ = at.open();
        refused(at.open(), ErrorKind::Locked, "a third open")?;
    }
    Ok(())
}

/// Closing frees the directory.
pub(crate) fn lock_goes_with_close(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    close(at.open()?)?;
    let again = at.open();
    check!(again.is_ok(), "open after close: {:?}", again.err());
    Ok(())
}

/// Dropping the engine without closing frees the directory.
pub(crate) fn lock_goes_with_drop(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    drop(at.open()?);
    let again = at.open();
    check!(again.is_ok(), "open after drop: {:?}", again.err());
    Ok(())
}

/// A view that outlives its engine keeps the directory.
pub(crate) fn lock_stays_with_a_view(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let view = engine.view()?;
    drop(engine);
    if !offer(fx).caps.contains(Caps::MULTI_PROCESS) {
        refused(at.open(), ErrorKind::Locked, "open while a view of a dropped engine lives")?;
    }
    drop(view);
    Ok(())
}

/// The last view of a dropped engine frees the directory.
pub(crate) fn lock_goes_with_the_last_view(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let (one, two) = (engine.view()?, engine.view()?);
    drop(engine);
    drop(one);
    drop(two);
    let again = at.open();
    check!(again.is_ok(), "open after the last view: {:?}", again.err());
    Ok(())
}

/// A refused open (here: a knob that does not exist) leaves no lock behind.
pub(crate) fn refused_open_leaves_no_lock(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    close(at.open()?)?;
    let _ = with_knob(&at, at.path());
    let again = at.open();
    check!(again.is_ok(), "open after a refused open: {:?}", again.err());
    Ok(())
}

const KNOB: &str = "no-such-knob-anywhere";

fn with_knob(at: &Stand<'_>, path: &Path) -> Result<Box<dyn Engine>, Error> {
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

/// The same options give the same offer.
pub(crate) fn offer_is_pure(fx: &dyn Fixture) -> CaseResult {
    check_eq!(offer(fx), offer(fx), "two offers for the same options");
    Ok(())
}

/// Making an offer touches no disk: it does not even know where.
pub(crate) fn open_engine_offers_what_its_driver_does(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    check_eq!(*at.open()?.offer(), offer(fx), "the offer of the open engine");
    Ok(())
}

/// With options that change limits, too.
pub(crate) fn open_offer_follows_the_options(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let change = |options: &mut persist_api::OpenOptions| {
        options.views_max = Some(3);
        options.store_bytes_max = Some(64 << 20);
    };
    let engine = at.open_with(change)?;
    check_eq!(*engine.offer(), at.driver().offer(&at.options_with(change)), "the offer with limits set");
    Ok(())
}

/// The offer of a handle does not change while beats come and views go.
pub(crate) fn open_offer_is_constant(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    let before = engine.offer().clone();
    for beat in 0..3_u8 {
        let _view = engine.view()?;
        put(&*engine, [(vec![beat + 1], vec![beat; 500])])?;
    }
    check_eq!(*engine.offer(), before, "the offer after three beats");
    Ok(())
}

/// An offer holds only rows of the registry that engines own.
pub(crate) fn offer_holds_only_engine_bits(fx: &dyn Fixture) -> CaseResult {
    let strange = offer(fx).caps - Caps::offerable();
    check!(strange.is_empty(), "bits that no engine may offer: {} ({:#x})", strange.names(), strange.bits());
    Ok(())
}

/// What nothing works without is offered.
pub(crate) fn offer_holds_the_floor(fx: &dyn Fixture) -> CaseResult {
    let missing = (Caps::BEAT_ATOMIC | Caps::SNAPSHOT) - offer(fx).caps;
    check!(missing.is_empty(), "an engine without {} cannot be used or tested", missing.names());
    Ok(())
}

/// The limits are numbers that can be true, and LONG_KEYS agrees with them.
pub(crate) fn offer_limits_make_sense(fx: &dyn Fixture) -> CaseResult {
    let offer = offer(fx);
    for (name, value) in offer.limits.named() {
        check!(value > 0, "the offered limit {name} is 0");
    }
    let long = offer.limits.key_bytes_max >= 65_535;
    let key = offer.limits.key_bytes_max;
    check_eq!(offer.caps.contains(Caps::LONG_KEYS), long, "LONG_KEYS with keys up to {key} bytes");
    Ok(())
}

/// The offer names the scheme of its driver, in lower-case letters, and the library.
pub(crate) fn offer_names_its_engine(fx: &dyn Fixture) -> CaseResult {
    let offer = offer(fx);
    check_eq!(offer.engine, fx.driver().scheme(), "the engine of the offer");
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    check!(!offer.engine.is_empty() && offer.engine.bytes().all(plain), "the scheme {:?}", offer.engine);
    check!(!offer.library.trim().is_empty(), "the offer names no library");
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
