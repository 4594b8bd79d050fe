//! Work that can wait: who does it, and when.
//!
//! With `maintenance=threads` three threads sleep until something is due: one works ahead of the beats, which waits for nothing
//! else and for which nothing else waits; one makes runs of full memtables; one merges runs. With `maintenance=inline` the next commit does it first, so that the same calls always
//! lead to the same disk operations, and no beat is acknowledged after work that failed.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use persist_api::{Error, ErrorKind, Result};

use crate::core::Core;
use crate::options::Upkeep;

/// What can be due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    /// What lies ready for beats to come runs low: room in the timeline, buffers.
    Ahead,
    /// Full memtables wait for their run.
    Flush,
    /// There may be runs to merge.
    Merge,
}

#[derive(Debug, Default)]
struct State {
    /// What was asked for and not begun, a flag for each job.
    asked: [bool; 3],
    stop: bool,
    /// Counts what was finished, so that nobody misses it.
    finished: u64,
}

impl State {
    fn flag(&mut self, job: Job) -> &mut bool {
        let [ahead, flush, merge] = &mut self.asked;
        match job {
            Job::Ahead => ahead,
            Job::Flush => flush,
            Job::Merge => merge,
        }
    }
}

/// The list of what is due.
#[derive(Debug, Default)]
pub(crate) struct Due {
    state: Mutex<State>,
    changed: Condvar,
}

impl Due {
    /// Asks for a job.
    pub(crate) fn ask(&self, job: Job) {
        let mut state = self.state.lock();
        if !std::mem::replace(state.flag(job), true) {
            self.changed.notify_all();
        }
    }

    /// True if a job was asked for; it is the caller's then.
    pub(crate) fn take(&self, job: Job) -> bool {
        std::mem::take(self.state.lock().flag(job))
    }

    /// To be asked now and then by a job that takes long and can be left to the next opening.
    ///
    /// # Errors
    /// `Cancelled` after [`stop`](Self::stop).
    pub(crate) fn go_on(&self, op: &'static str) -> Result<()> {
        if self.is_stopped() {
            return Err(Error::new(ErrorKind::Cancelled, op, "the store is being closed"));
        }
        Ok(())
    }

    /// Whether the store is being closed.
    pub(crate) fn is_stopped(&self) -> bool {
        self.state.lock().stop
    }

    /// Ends every wait for jobs.
    pub(crate) fn stop(&self) {
        self.state.lock().stop = true;
        self.changed.notify_all();
    }

    /// Tells those who wait in [`Due::until`] to look again, and those in [`Due::for_a_while`] to go on.
    pub(crate) fn finished(&self) {
        let mut state = self.state.lock();
        state.finished = state.finished.wrapping_add(1);
        self.changed.notify_all();
    }

    /// Waits until `done` answers, looking again whenever a job was finished.
    pub(crate) fn until<T>(&self, mut done: impl FnMut() -> Option<T>) -> T {
        let mut state = self.state.lock();
        loop {
            let seen = state.finished;
            drop(state);
            if let Some(answer) = done() {
                return answer;
            }
            state = self.state.lock();
            while state.finished == seen {
                self.changed.wait(&mut state);
            }
        }
    }

    /// How many jobs were finished, for [`for_a_while`](Self::for_a_while).
    pub(crate) fn seen(&self) -> u64 {
        self.state.lock().finished
    }

    /// Waits for so long, or until a job is finished that was not `seen`, or there will be none.
    pub(crate) fn for_a_while(&self, seen: u64, long: Duration) {
        let end = Instant::now() + long;
        let mut state = self.state.lock();
        while state.finished == seen && !state.stop && !self.changed.wait_until(&mut state, end).timed_out() {
        }
    }

    /// Waits for a job; false when there will be none.
    fn wait(&self, job: Job) -> bool {
        let mut state = self.state.lock();
        loop {
            if state.stop {
                return false;
            }
            if std::mem::take(state.flag(job)) {
                return true;
            }
            self.changed.wait(&mut state);
        }
    }
}

/// Starts the threads, if there are to be any.
///
/// # Errors
/// `Io` when the system gives no thread; none is left running then.
pub(crate) fn start(core: &Arc<Core>) -> Result<Vec<JoinHandle<()>>> {
    if core.settings.upkeep == Upkeep::Inline {
        return Ok(Vec::new());
    }
    let jobs =
        [(Job::Ahead, "flatfile-ahead"), (Job::Flush, "flatfile-flush"), (Job::Merge, "flatfile-merge")];
    let workers = jobs.map(|(job, name)| {
        let core = Arc::clone(core);
        let work = move || {
            while core.due.wait(job) {
                core.work(job);
            }
        };
        (name, work)
    });
    let spawn = |name: &str, work| std::thread::Builder::new().name(name.to_owned()).spawn(work);
    start_all(&core.due, workers, spawn)
}

/// Starts all of the workers or none.
fn start_all<W>(
    due: &Due,
    workers: impl IntoIterator<Item = (&'static str, W)>,
    mut spawn: impl FnMut(&str, W) -> std::io::Result<JoinHandle<()>>,
) -> Result<Vec<JoinHandle<()>>> {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    for (name, work) in workers {
        match spawn(name, work) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                due.stop();
                for thread in threads {
                    // One that panicked is gone as well.
                    let _ = thread.join();
                }
                let what = format!("no thread: {error}");
                return Err(Error::new(ErrorKind::Io, "open", what).with_source(error));
            }
        }
    }
    Ok(threads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_gives_time_goes_on_when_a_job_is_finished() {
        const HOUR: Duration = Duration::from_secs(3600);
        let due = Due::default();
        let due_ref = &due;
        std::thread::scope(|scope| {
            let seen = due.seen();
            let waits = scope.spawn(move || due_ref.for_a_while(seen, HOUR));
            due.ask(Job::Ahead);
            due.finished();
            waits.join().unwrap();
        });
        // It was finished before anybody waited.
        due.for_a_while(due.seen() - 1, HOUR);
        due.for_a_while(due.seen(), Duration::from_micros(1));
        due.stop();
        due.for_a_while(due.seen(), HOUR);
    }

    #[test]
    fn where_one_thread_cannot_be_started_none_stays() {
        let due = Arc::new(Due::default());
        let workers = [Job::Flush, Job::Merge].map(|job| {
            let due = Arc::clone(&due);
            ("worker", move || while due.wait(job) {})
        });
        let mut left = 1;
        let started = start_all(&due, workers, |_, work| {
            left -= 1;
            if left < 0 { Err(std::io::Error::other("no more")) } else { Ok(std::thread::spawn(work)) }
        });
        assert_eq!(started.unwrap_err().kind(), ErrorKind::Io);
        assert_eq!(Arc::strong_count(&due), 1, "nobody holds what an engine would share with its threads");
    }
}
