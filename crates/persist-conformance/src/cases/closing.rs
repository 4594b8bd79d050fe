//! Closing an engine while views are open.

use std::time::Duration;

use persist_api::{Engine, Error, ErrorKind};

use crate::kit::{Stand, close, get, get_in, joined, put_keys};
use crate::{CaseResult, Failure, Fixture, check, check_eq, refused};

fn impatient(at: &Stand<'_>) -> Result<Box<dyn Engine>, Error> {
    at.open_with(|options| options.close_wait = Duration::ZERO)
}

/// With a view open, `close` is `Busy`.
pub(crate) fn is_busy_with_a_view(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = impatient(&at)?;
    let view = engine.view()?;
    refused(close(engine), ErrorKind::Busy, "close with an open view")?;
    drop(view);
    Ok(())
}

/// What a refused `close` hands back works, and closes once the view is gone.
pub(crate) fn hands_the_engine_back(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = impatient(&at)?;
    put_keys(&*engine, ["before"])?;
    let view = engine.view()?;
    let Err((engine, _)) = engine.close() else { return Ok(()) };
    put_keys(&*engine, ["after"])?;
    check_eq!(get(&*engine, "after")?, Some(b"=after".to_vec()), "a record after a refused close");
    check_eq!(get_in(&*view, "before")?, Some(b"=before".to_vec()), "the view after a refused close");
    drop(view);
    close(engine)?;
    Ok(())
}

/// Without views, `close` closes.
pub(crate) fn without_views(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = impatient(&at)?;
    put_keys(&*engine, ["a"])?;
    drop(engine.view()?);
    let closed = close(engine);
    check!(closed.is_ok(), "close after all views were dropped: {:?}", closed.err());
    Ok(())
}

/// `close` waits for a view that another thread is about to drop.
pub(crate) fn waits_for_a_view(fx: &dyn Fixture) -> CaseResult {
    let at = Stand::new(fx);
    let engine = at.open_with(|options| options.close_wait = Duration::from_secs(60))?;
    put_keys(&*engine, ["w"])?;
    let view = engine.view()?;
    let closed = std::thread::scope(|scope| {
        let (started, closing) = std::sync::mpsc::channel();
        let reader = scope.spawn(move || {
            let _ = closing.recv();
            get_in(&*view, "w").map_err(Failure::from)
        });
        let _ = started.send(());
        let closed = close(engine);
        joined(reader).map(|found| (closed, found))
    })?;
    check!(closed.0.is_ok(), "close while a view was being dropped: {:?}", closed.0.err());
    check_eq!(closed.1, Some(b"=w".to_vec()), "the record read meanwhile");
    Ok(())
}

/// A `close` that had to wait for a view leaves the directory free, and not a moment later.
pub(crate) fn leaves_the_directory_free(fx: &dyn Fixture) -> CaseResult {
    const TURNS: u32 = 32;
    let at = Stand::new(fx);
    let engine = at.open()?;
    for key in ["a", "b", "c"] {
        put_keys(&*engine, [key])?;
    }
    close(engine)?;
    for turn in 0..TURNS {
        let engine = at.open_with(|options| options.close_wait = Duration::from_secs(60));
        let engine = engine.map_err(|error| Failure::new(format!("open in turn {turn}: {error}")))?;
        let view = engine.view()?;
        let (closed, again) = std::thread::scope(|scope| {
            scope.spawn(move || drop(view));
            let closed = close(engine);
            // Now, while the thread of the view may still be at it.
            (closed, at.open())
        });
        closed?;
        let again =
            again.map_err(|error| Failure::new(format!("open after a close that waited: {error}")))?;
        close(again)?;
    }
    Ok(())
}
