//! Damaged files: nothing panics, and nothing is lost without a word.
//!
//! A word is an error of the open or of a read, or damage that `verify` reports. The store is opened as by somebody who
//! knows that there is one, with `MustExist`: a directory whose only file is gone is an empty one to everybody else.

use std::io;
use std::path::{Path, PathBuf};

use persist_api::{Engine, OpenMode, Scan, Severity};

use super::verify::verified;
use crate::kit::{Row, Stand, close, cursor_rows, dense, put, rows};
use crate::{CaseResult, Failure, Fixture, check, check_eq, files};

/// How many beats are laid.
const BEATS: u8 = 4;
/// Dense bytes in each beat: more than everything else in it.
const DENSE: usize = 1 << 14;

/// The records of one beat: small ones, and dense ones in values as large as the engine takes.
fn records(engine: &dyn Engine, beat: u8) -> Vec<Row> {
    let most = engine.offer().limits.value_bytes_max.min(DENSE as u64);
    let length = usize::try_from(most).unwrap_or(DENSE);
    let small = (0..40_u8).map(|n| (vec![beat, n], vec![n ^ beat; 200.min(length)]));
    let large = (0..DENSE / length).map(|n| {
        let seed = (u64::from(beat) << 32) | n as u64;
        ([[beat, b'd'].as_slice(), &n.to_be_bytes()].concat(), dense(length, seed))
    });
    small.chain(large).collect()
}

/// Lays a store and closes it. Gives the files that hold bytes.
fn laid(at: &Stand<'_>) -> Result<Vec<(PathBuf, u64)>, Failure> {
    let engine = at.open()?;
    for beat in 0..BEATS {
        put(&*engine, records(&*engine, beat))?;
    }
    close(engine)?;
    let files = files::files_with_bytes(at.path())?;
    check!(!files.is_empty(), "the store holds no bytes on disk");
    Ok(files)
}

/// Reads everything by every route. `Err` is the first word that was said; `Ok` names a record that is missing or wrong.
fn read(engine: &dyn Engine) -> Result<Option<String>, persist_api::Error> {
    let view = engine.view()?;
    let mut odd = None;
    let (beat, newest) = (view.header().beat.0, u64::from(BEATS));
    if beat != newest {
        odd = Some(format!("the newest beat is {beat}, not {newest}"));
    }
    for (key, value) in (0..BEATS).flat_map(|beat| records(engine, beat)) {
        match view.get_record(&key)? {
            Some(found) if *found == *value => {}
            Some(_) => odd = Some(format!("record {key:?} has another value")),
            None => odd = odd.or_else(|| Some(format!("record {key:?} is gone"))),
        }
    }
    if engine.offer().caps.contains(persist_api::Caps::ORDERED) {
        rows(&*view, Scan::all())?;
        cursor_rows(&*view, Scan::all().reverse())?;
    }
    Ok(odd)
}

/// What is missing or wrong in a damaged store though nobody said a word.
fn unsaid(at: &Stand<'_>, home: &Path) -> Option<String> {
    let _ = at.driver().probe(home);
    let known = at.options_with(|options| options.mode = OpenMode::MustExist);
    let Ok(engine) = at.driver().open(home, &known, &persist_api::Quiet) else {
        // Somebody who does not know of the store may open it as well; that is only not to panic.
        if let Ok(engine) = at.open_at(home) {
            let _ = (read(&*engine), verified(&*engine), engine.stats());
        }
        return None;
    };
    let (read, verified, _) = (read(&*engine), verified(&*engine), engine.stats());
    let sound = verified.is_ok_and(|(stat, found)| {
        stat.damaged == 0 && found.iter().all(|finding| finding.severity < Severity::Damage)
    });
    match read {
        Ok(odd) => odd.filter(|_| sound),
        Err(error) if sound => Some(format!("verify finds nothing, and a read says: {error}")),
        Err(_) => None,
    }
}

/// Damages each file of a store, one in each copy, and hands what nobody said about it to `judge`.
fn each_file(
    fx: &dyn Fixture,
    damage: impl Fn(&Path, u64) -> io::Result<()>,
    judge: impl Fn(&Path, Option<String>) -> CaseResult,
) -> CaseResult {
    let at = Stand::new(fx);
    for (turn, (name, length)) in laid(&at)?.iter().enumerate() {
        let copy = at.home.beside(&format!("damaged-{turn}"));
        files::copy_dir(at.path(), &copy)?;
        damage(&copy.join(name), *length)?;
        judge(name, unsaid(&at, &copy))?;
    }
    Ok(())
}

/// What is gone must be said.
fn noticed(name: &Path, unsaid: Option<String>) -> CaseResult {
    match unsaid {
        None => Ok(()),
        Some(odd) => Err(Failure::new(format!("{} was damaged, and nobody says so: {odd}", name.display()))),
    }
}

/// Each file cut to half its length.
pub(crate) fn halved_files_are_noticed(fx: &dyn Fixture) -> CaseResult {
    each_file(fx, |file, length| files::cut(file, length / 2), noticed)
}

/// Each file cut to nothing.
pub(crate) fn emptied_files_are_noticed(fx: &dyn Fixture) -> CaseResult {
    each_file(fx, |file, _| files::cut(file, 0), noticed)
}

/// Each file short of its last byte.
pub(crate) fn files_short_of_a_byte_are_noticed(fx: &dyn Fixture) -> CaseResult {
    each_file(fx, |file, length| files::cut(file, length.saturating_sub(1)), noticed)
}

/// Each file missing.
pub(crate) fn missing_files_are_noticed(fx: &dyn Fixture) -> CaseResult {
    each_file(fx, |file, _| files::remove(file), noticed)
}

/// Each file with bytes appended that nobody wrote.
pub(crate) fn trailing_garbage_never_panics(fx: &dyn Fixture) -> CaseResult {
    each_file(fx, |file, _| files::append(file, &[0xEE; 100]), |_, _| Ok(()))
}

/// Each file with one byte changed. Without checksums, nobody can know.
pub(crate) fn flipped_bytes_never_panic(fx: &dyn Fixture) -> CaseResult {
    each_file(fx, |file, length| files::flip(file, length / 2), |_, _| Ok(()))
}

/// With checksums, a byte that changed within a value: in each file that holds values, then in all of them.
pub(crate) fn flipped_bytes_are_noticed(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    laid(&at)?;
    let places = places(at.path())?;
    for (turn, (name, offset)) in places.iter().enumerate() {
        let copy = at.home.beside(&format!("flipped-{turn}"));
        files::copy_dir(at.path(), &copy)?;
        files::flip(&copy.join(name), *offset)?;
        noticed(name, unsaid(&at, &copy))?;
    }
    for (name, offset) in &places {
        files::flip(&at.path().join(name), *offset)?;
    }
    noticed(Path::new("every file with values"), unsaid(&at, at.path()))
}

/// Bytes that change within values while the store is open: `verify` reads the medium and reports them.
pub(crate) fn beneath_an_open_store_is_found(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    laid(&at)?;
    let engine = at.open()?;
    let (stat, _) = verified(&*engine)?;
    check_eq!(stat.damaged, 0, "damage before there is any");
    for (name, offset) in places(at.path())? {
        files::flip(&at.path().join(name), offset)?;
    }
    let (stat, found) = verified(&*engine)?;
    check!(stat.damaged > 0, "verify counts no damage where there is");
    let said = found.iter().any(|finding| finding.severity == Severity::Damage);
    check!(said, "verify reports no damage where there is: {found:?}");
    Ok(())
}

/// A place inside a value, in each file that holds many.
fn places(home: &Path) -> Result<Vec<(PathBuf, u64)>, Failure> {
    let places = files::dense_places(home, DENSE)?;
    check!(!places.is_empty(), "no file holds the values of the store");
    Ok(places)
}
