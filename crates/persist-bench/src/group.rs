//! The simplest group committer: many threads put, whoever finds nobody leading leads, and a beat carries all that wait.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use persist_api::{BeatHeader, Durability, Engine};

use crate::contender::Result;
use crate::ours::beat;
use crate::rows::Row;

/// How long a leader waits at most for all who write: about as long as a sync takes. Without it groups
/// alternate between all but one and one, because the released writers just miss the beat that the first of them starts.
const LINGER: Duration = Duration::from_micros(60);

/// Folds the puts of many threads into beats; each put is a commit of its own.
pub(crate) struct Group<'e> {
    engine: &'e dyn Engine,
    durability: Durability,
    state: Mutex<State>,
    changed: Condvar,
    /// How many puts wait, to be looked at without the lock.
    waiting: AtomicUsize,
}

struct State {
    /// Puts that no beat carries yet.
    waiting: Vec<Row>,
    /// An emptied list, kept for its memory.
    spare: Vec<Row>,
    /// Puts taken in so far; the number of the newest.
    queued: u64,
    /// Puts that are durable.
    done: u64,
    /// Some thread commits, or is about to.
    led: bool,
    /// Who wrote when the last beat ended: those in it, and those that waited already.
    writers: usize,
    last: BeatHeader,
    failed: Option<String>,
}

impl<'e> Group<'e> {
    pub(crate) fn new(engine: &'e dyn Engine, last: BeatHeader, durability: Durability) -> Self {
        let state = State {
            waiting: Vec::new(),
            spare: Vec::new(),
            queued: 0,
            done: 0,
            led: false,
            writers: 0,
            last,
            failed: None,
        };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        Self { engine, durability, state, changed, waiting: AtomicUsize::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The header of the newest beat.
    pub(crate) fn last(&self) -> BeatHeader {
        self.state().last
    }

    /// Puts one row; returns when it is as durable as the group makes its puts.
    pub(crate) fn put(&self, row: &Row) -> Result<()> {
        let row = row.clone();
        let mut state = self.state();
        state.waiting.push(row);
        self.waiting.store(state.waiting.len(), Ordering::Relaxed);
        state.queued += 1;
        let mine = state.queued;
        loop {
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            if state.done >= mine {
                return Ok(());
            }
            if state.led {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            } else {
                state.led = true;
                state = self.lead(state);
            }
        }
    }

    /// Commits one beat with all that wait.
    fn lead<'g>(&'g self, mut state: MutexGuard<'g, State>) -> MutexGuard<'g, State> {
        let (wanted, since) = (state.writers, Instant::now());
        if state.waiting.len() < wanted {
            drop(state);
            while self.waiting.load(Ordering::Relaxed) < wanted && since.elapsed() < LINGER {
                std::thread::yield_now();
            }
            state = self.state();
        }
        let spare = std::mem::take(&mut state.spare);
        let mut rows = std::mem::replace(&mut state.waiting, spare);
        self.waiting.store(0, Ordering::Relaxed);
        let last = state.last;
        drop(state);
        let group = rows.len();
        let commits = group as u64;
        let done = beat(self.engine, &last, self.durability, None, commits, rows.iter());
        rows.clear();
        let mut state = self.state();
        match done {
            Ok(header) => {
                state.last = header;
                state.done += commits;
            }
            Err(error) => state.failed = Some(error),
        }
        state.writers = group + state.waiting.len();
        state.spare = rows;
        state.led = false;
        // Not under the lock, which all of them want next.
        drop(state);
        self.changed.notify_all();
        self.state()
    }
}

#[cfg(test)]
mod tests {
    use persist_api::{Driver, OpenOptions, Quiet};
    use persist_memory::MemoryDriver;

    use super::*;
    use crate::rows::{Random, fresh};

    #[test]
    fn all_puts_of_all_threads_arrive_and_every_put_is_a_commit() {
        let driver = MemoryDriver::new();
        let engine = driver.open("home".as_ref(), &OpenOptions::default(), &Quiet).unwrap();
        let rows = fresh(&mut Random(1), 800, 10);
        let group = Group::new(&*engine, BeatHeader::default(), Durability::Volatile);
        std::thread::scope(|scope| {
            for part in rows.chunks(100) {
                let group = &group;
                scope.spawn(move || part.iter().try_for_each(|row| group.put(row)).unwrap());
            }
        });
        let view = engine.view().unwrap();
        assert!(rows.iter().all(|row| *view.get_record(&row.key).unwrap().unwrap() == *row.value));
        assert_eq!(view.header().last_commit().0, 800);
        assert_eq!(group.last().beat, view.header().beat);
    }

    #[test]
    fn an_error_reaches_every_writer() {
        let driver = MemoryDriver::new();
        let engine = driver.open("home".as_ref(), &OpenOptions::default(), &Quiet).unwrap();
        let group = Group::new(&*engine, BeatHeader::default(), Durability::Durable);
        let rows = fresh(&mut Random(1), 4, 10);
        std::thread::scope(|scope| {
            for row in &rows {
                let group = &group;
                scope.spawn(move || assert!(group.put(row).is_err()));
            }
        });
    }
}
