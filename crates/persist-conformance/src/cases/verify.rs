//! `verify`: reads everything and counts right.

use std::cell::RefCell;

use persist_api::{Engine, Error, ErrorKind, Finding, Quiet, Severity, VerifyStat};

use super::laid::{expected, goes_on, laid, stopping, watched};
use crate::kit::{Stand, begin, close, put_keys};
use crate::{CaseResult, Fixture, check, check_eq, refused};

/// What `verify` counts and finds.
pub(super) fn verified(engine: &dyn Engine) -> Result<(VerifyStat, Vec<Finding>), Error> {
    let found = RefCell::new(Vec::new());
    let stat = engine.verify(&mut |finding| found.borrow_mut().push(finding), &Quiet)?;
    Ok((stat, found.into_inner()))
}

/// `verify` counts the records.
pub(crate) fn counts_the_records(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    check_eq!(verified(&*engine)?.0.records, 30, "records that verify read");
    Ok(())
}

/// `verify` counts the bytes of keys and values.
pub(crate) fn counts_the_bytes(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let bytes: usize = expected().iter().map(|(key, value)| key.len() + value.len()).sum();
    check_eq!(verified(&*engine)?.0.bytes, bytes as u64, "bytes that verify read");
    Ok(())
}

/// `verify` finds no damage where there is none.
pub(crate) fn finds_no_damage(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let (stat, found) = verified(&*engine)?;
    check_eq!(stat.damaged, 0, "damage in a sound store");
    let bad: Vec<_> = found.iter().filter(|finding| finding.severity == Severity::Damage).collect();
    check!(bad.is_empty(), "findings in a sound store: {bad:?}");
    Ok(())
}

/// `verify` of a new store reads nothing.
pub(crate) fn of_a_new_store(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open()?;
    check_eq!(verified(&*engine)?.0, VerifyStat::default(), "what verify read in a new store");
    Ok(())
}

/// `verify` changes nothing and stops nobody.
pub(crate) fn is_harmless(fx: &dyn Fixture) -> CaseResult {
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
pub(crate) fn beside_an_open_beat(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let mut beat = begin(&*engine)?;
    beat.put_record(b"unfinished", b"1")?;
    check_eq!(verified(&*engine)?.0.records, 30, "records that verify read beside an open beat");
    drop(beat);
    Ok(())
}

/// `verify` after reopening counts the same.
pub(crate) fn after_reopening(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    close(engine)?;
    let (stat, _) = verified(&*at.open()?)?;
    check_eq!((stat.records, stat.damaged), (30, 0), "records and damage after reopening");
    Ok(())
}

/// `verify` reports progress that goes on.
pub(crate) fn progress_goes_on(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = laid(&at)?;
    let seen = watched(|seen| engine.verify(&mut |_| (), seen).map(drop))?;
    check!(!seen.is_empty(), "verify reports no progress");
    goes_on(&seen)
}

/// `verify` stops when asked.
pub(crate) fn stops_when_asked(fx: &dyn Fixture) -> CaseResult {
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
