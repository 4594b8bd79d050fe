//! What the cases of the long verbs share: a store with a past, and observers.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;

use persist_api::{Engine, Error, Progress};

use crate::kit::{Row, Stand, commit, get_in, put};
use crate::{CaseResult, Failure, check};

/// A store with three beats: forty records, some overwritten, some deleted.
pub(crate) fn laid(at: &Stand<'_>) -> Result<Box<dyn Engine>, Error> {
    let engine = at.open()?;
    put(&*engine, (0..40_u8).map(|n| ([b'r', n], vec![n; 100])))?;
    put(&*engine, (0..10_u8).map(|n| ([b'r', n], vec![n; 50])))?;
    commit(&*engine, |beat| (30..40_u8).try_for_each(|n| beat.delete_record(&[b'r', n])))?;
    Ok(engine)
}

/// What [`laid`] leaves.
pub(crate) fn expected() -> Vec<Row> {
    (0..30_u8).map(|n| (vec![b'r', n], vec![n; if n < 10 { 50 } else { 100 }])).collect()
}

/// Checks the records one by one, so that it needs no scan.
#[track_caller]
pub(crate) fn holds_all(engine: &dyn Engine, when: &str) -> CaseResult {
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

/// A refused open of the long verbs: what the observer saw. A verb that reports nothing saw nothing.
pub(crate) fn watched(
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
pub(crate) fn goes_on(seen: &[Progress]) -> CaseResult {
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

/// An observer that stops at its `n`th step.
pub(crate) fn stopping(n: u32) -> impl Fn(Progress) -> ControlFlow<()> {
    let left = Cell::new(n);
    move |_| {
        left.set(left.get().saturating_sub(1));
        if left.get() == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
