//! Long calls into SQLite that give no progress of their own: run beside a thread that watches and can stop them.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use persist_api::{Error, ErrorKind, Observer, Progress, Result};
use rusqlite::Connection;

/// How often the observer is asked.
const PERIOD: Duration = Duration::from_millis(50);

/// Runs `work` on a thread of its own while this one asks the observer, with what `progress` says; a request to stop
/// interrupts SQLite, which rolls back.
///
/// # Errors
/// `Cancelled`, or what `work` gives.
pub(crate) fn watched<T: Send>(
    conn: &mut Connection,
    op: &'static str,
    seen: &dyn Observer,
    progress: &dyn Fn() -> Progress,
    work: impl FnOnce(&mut Connection) -> Result<T> + Send,
) -> Result<T> {
    let mut last = progress();
    seen.step(op, last)?;
    let interrupt = conn.get_interrupt_handle();
    let (ended, end) = channel::<()>();
    thread::scope(|scope| {
        let worker =
            thread::Builder::new().name(format!("persist-sqlite {op}")).spawn_scoped(scope, move || {
                // Dropped when the work is over, however it ends.
                let _ended = ended;
                work(conn)
            });
        let worker =
            worker.map_err(|error| Error::new(ErrorKind::Io, op, error.to_string()).with_source(error))?;
        let mut stopped = None;
        while end.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
            let now = progress();
            last = Progress { done: last.done.max(now.done), ..now };
            stopped = stopped.or_else(|| seen.step(op, last).err());
            if stopped.is_some() {
                // Again each period: the work may consist of several statements.
                interrupt.interrupt();
            }
        }
        match (worker.join(), stopped) {
            (Ok(Err(error)), Some(stopped)) if error.kind() == ErrorKind::Cancelled => Err(stopped),
            (Ok(done), _) => done,
            (Err(_), _) => Err(Error::new(ErrorKind::Io, op, "the working thread ended abnormally")),
        }
    })
}
