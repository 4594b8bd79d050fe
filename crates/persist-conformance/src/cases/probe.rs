//! What a probe says, and that it does nothing.

use persist_api::Probe;

use crate::kit::{Stand, close, put};
use crate::{CaseResult, Fixture, check, check_eq, files};

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
pub(crate) fn creates_nothing(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    at.driver().probe(at.path())?;
    check!(!at.path().exists(), "the probe created {}", at.path().display());
    Ok(())
}

/// The probe of a store changes no byte of it.
pub(crate) fn writes_nothing(fx: &dyn Fixture) -> CaseResult {
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
pub(crate) fn of_an_open_store_is_harmless(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    put(&*engine, [("probed", "1")])?;
    let found = at.driver().probe(at.path())?;
    check!(matches!(found, Probe::Mine { .. }), "an open store probes as {found:?}");
    put(&*engine, [("after", "2")])?;
    Ok(())
}

/// The probe holds no lock: the store opens while nothing but the memory of a probe is left.
pub(crate) fn locks_nothing(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    close(at.open()?)?;
    at.driver().probe(at.path())?;
    at.driver().probe(at.path())?;
    close(at.open()?)?;
    Ok(())
}
