//! One holder of a directory.

use persist_api::{Caps, ErrorKind};

use super::open::with_knob;
use crate::kit::{Stand, close, get, offer, put};
use crate::{CaseResult, Fixture, check, check_eq, refused};

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
