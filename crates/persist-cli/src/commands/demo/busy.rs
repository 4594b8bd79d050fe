//! A subsystem at work: writers that count and append, readers that check what they see, and a follower of the feed. It
//! knows nothing of engines.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use persist::{CommitNo, Error, ErrorKind, HoldOptions, Op, Scan, Store, StoreView};
use serde::Serialize;

/// Threads of each kind.
const WRITERS: u64 = 4;
/// What a writer or reader rests between two turns: who writes without a pause may be faster than any copy can follow.
const PACE: Duration = Duration::from_millis(1);
const READERS: u64 = 4;
/// Counters; each has a log of its own.
const COUNTERS: u64 = 8;
/// The name of the follower's hold.
const HOLD: &str = "demo";
/// Commits between two moves of the hold.
const HOLD_STEP: u64 = 256;

/// What the threads have seen so far.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) commits: AtomicU64,
    pub(super) reads: AtomicU64,
    pub(super) followed: AtomicU64,
    pub(super) feed_gaps: AtomicU64,
    pub(super) feed_repeats: AtomicU64,
    pub(super) reader_errors: AtomicU64,
    pub(super) writer_errors: AtomicU64,
    /// Longest time that one commit took since it was last asked for, in microseconds.
    longest_wait: AtomicU64,
    /// Ends writers and readers.
    stop: AtomicBool,
    /// Ends the follower, when it has come to the end.
    stop_following: AtomicBool,
    first_error: Mutex<Option<String>>,
}

/// How much of what there was, at one moment or between two.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Counts {
    pub(super) commits: u64,
    pub(super) reads: u64,
    pub(super) reader_errors: u64,
    writer_errors: u64,
    pub(super) feed_gaps: u64,
    pub(super) feed_repeats: u64,
}

impl Seen {
    /// All of it so far.
    pub(super) fn counts(&self) -> Counts {
        let now = |count: &AtomicU64| count.load(Ordering::Acquire);
        Counts {
            commits: now(&self.commits),
            reads: now(&self.reads),
            reader_errors: now(&self.reader_errors),
            writer_errors: now(&self.writer_errors),
            feed_gaps: now(&self.feed_gaps),
            feed_repeats: now(&self.feed_repeats),
        }
    }

    /// What came since then.
    pub(super) fn since(&self, then: Counts) -> Counts {
        let now = self.counts();
        let less = u64::saturating_sub;
        Counts {
            commits: less(now.commits, then.commits),
            reads: less(now.reads, then.reads),
            reader_errors: less(now.reader_errors, then.reader_errors),
            writer_errors: less(now.writer_errors, then.writer_errors),
            feed_gaps: less(now.feed_gaps, then.feed_gaps),
            feed_repeats: less(now.feed_repeats, then.feed_repeats),
        }
    }

    /// The longest time that one commit took since this was last asked.
    pub(super) fn take_longest_wait(&self) -> Duration {
        Duration::from_micros(self.longest_wait.swap(0, Ordering::AcqRel))
    }

    /// What it came to so far, in one line.
    pub(super) fn line(&self) -> String {
        let now = |count: &AtomicU64| count.load(Ordering::Acquire);
        let seen = self.counts();
        let errors = seen.reader_errors + seen.writer_errors;
        let longest = Duration::from_micros(now(&self.longest_wait)).as_secs_f64() * 1000.0;
        format!(
            "{} commits, {} reads, {errors} errors; {} followed, {} gaps, {} repeats; longest commit {longest:.1} ms",
            seen.commits,
            seen.reads,
            now(&self.followed),
            seen.feed_gaps,
            seen.feed_repeats
        )
    }

    /// The first thing that went wrong.
    pub(super) fn first_error(&self) -> Option<String> {
        self.first_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn wrong(&self, count: &AtomicU64, what: &dyn ToString) {
        count.fetch_add(1, Ordering::AcqRel);
        let mut first = self.first_error.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| what.to_string());
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// The running subsystem.
pub(super) struct Busy {
    store: Store,
    pub(super) seen: Arc<Seen>,
    /// What the counters added up to before.
    base: u64,
    /// Writers and readers.
    workers: Vec<JoinHandle<()>>,
    follower: JoinHandle<()>,
}

/// What the keys of counters begin with.
const COUNTER: &str = "swap/counter/";

fn counter_key(counter: u64) -> String {
    format!("{COUNTER}{counter}")
}

fn entry_key(counter: u64, number: u64) -> String {
    format!("swap/entry/{counter}/{number:012}")
}

fn number_of(value: &[u8]) -> u64 {
    value.try_into().map_or(0, u64::from_be_bytes)
}

fn wrong(what: String) -> Error {
    Error::new(ErrorKind::Corrupt, "demo", what)
}

impl Busy {
    /// Starts the threads.
    pub(super) fn start(store: &Store) -> Result<Self, Error> {
        let seen = Arc::new(Seen::default());
        if let Some(left) = store.find_hold(HOLD)? {
            left.release()?;
        }
        let hold = store.hold(HOLD, HoldOptions::default())?;
        let (base, start) = (counted(&store.view()?)?, hold.position()?);
        let follower = spawn(store, &seen, move |store, seen| follow(store, seen, start));
        let writers = (0..WRITERS).map(|n| spawn(store, &seen, move |store, seen| write(store, seen, n)));
        let readers = (0..READERS).map(|n| spawn(store, &seen, move |store, seen| read(store, seen, n)));
        let workers = writers.chain(readers).collect();
        Ok(Self { store: store.clone(), seen, base, workers, follower })
    }

    /// Ends the threads, the follower last, then checks that every commit that was acknowledged is there once, and followed once.
    ///
    /// # Errors
    /// `Corrupt` saying what is not as it must be; those of reading.
    pub(super) fn finish(self) -> Result<(), Error> {
        self.seen.stop.store(true, Ordering::Release);
        let worked: Vec<_> = self.workers.into_iter().map(JoinHandle::join).collect();
        // Not before the last commit was acknowledged, so that the follower finds all of them.
        self.seen.stop_following.store(true, Ordering::Release);
        if worked.into_iter().chain([self.follower.join()]).any(|joined| joined.is_err()) {
            return Err(wrong("a thread of the demo panicked".to_owned()));
        }
        if let Some(hold) = self.store.find_hold(HOLD)? {
            hold.release()?;
        }
        let (commits, followed) =
            (self.seen.commits.load(Ordering::Acquire), self.seen.followed.load(Ordering::Acquire));
        let counted = counted(&self.store.view()?)?.saturating_sub(self.base);
        if counted != commits {
            return Err(wrong(format!("{commits} increments were acknowledged, and {counted} are there")));
        }
        if followed != commits {
            return Err(wrong(format!("{commits} commits were acknowledged, and {followed} were followed")));
        }
        Ok(())
    }
}

fn spawn(
    store: &Store,
    seen: &Arc<Seen>,
    work: impl FnOnce(&Store, &Seen) + Send + 'static,
) -> JoinHandle<()> {
    let (store, seen) = (store.clone(), Arc::clone(seen));
    thread::spawn(move || work(&store, &seen))
}

/// The sum of the counters, each compared with its log.
fn counted(view: &StoreView) -> Result<u64, Error> {
    let mut sum = 0_u64;
    for counter in 0..COUNTERS {
        let count = view.get(counter_key(counter).as_bytes())?.map_or(0, |value| number_of(&value));
        let mut next = 1;
        let prefix = format!("swap/entry/{counter}/");
        view.scan(Scan::prefix(prefix.as_bytes()), |key, _| {
            if key == entry_key(counter, next).as_bytes() {
                next += 1;
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        if next != count + 1 {
            let what = format!("counter {counter} is {count}, and its log goes to {}", next - 1);
            return Err(wrong(what));
        }
        sum = sum.saturating_add(count);
    }
    Ok(sum)
}

/// Increments counters and appends to their logs, each time expecting what it has read.
fn write(store: &Store, seen: &Seen, thread: u64) {
    let durability = store.grant().session.durability;
    let mut turn = thread;
    while !seen.stopped() {
        std::thread::sleep(PACE);
        turn = turn.wrapping_add(1);
        let counter = turn % COUNTERS;
        let begun = Instant::now();
        let done = store.transact(durability, |tx| {
            let key = counter_key(counter);
            let next = tx.get(key.as_bytes())?.map_or(0, |value| number_of(&value)) + 1;
            tx.put(key.as_bytes(), &next.to_be_bytes())?;
            tx.put(entry_key(counter, next).as_bytes(), &begun.elapsed().as_nanos().to_be_bytes())
        });
        // Also of one that came to nothing.
        let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        seen.longest_wait.fetch_max(micros, Ordering::AcqRel);
        match done.and_then(persist::Transacted::into_value) {
            Ok(()) => {
                seen.commits.fetch_add(1, Ordering::AcqRel);
            }
            // Others were at the same counter, again and again: nothing is wrong, and nothing was written.
            Err(error) if error.kind() == ErrorKind::Conflict => {}
            Err(error) => {
                seen.wrong(&seen.writer_errors, &error);
                return;
            }
        }
    }
}

/// Reads counters and the end of their logs from views, and sees that beats never go back.
fn read(store: &Store, seen: &Seen, thread: u64) {
    let (mut turn, mut newest) = (thread, 0);
    while !seen.stopped() {
        std::thread::sleep(PACE);
        turn = turn.wrapping_add(1);
        match look(store, turn % COUNTERS) {
            Ok(beat) if beat >= newest => newest = beat,
            Ok(beat) => {
                seen.wrong(&seen.reader_errors, &format!("beat {beat} was shown after beat {newest}"));
            }
            Err(error) => seen.wrong(&seen.reader_errors, &error),
        }
        seen.reads.fetch_add(1, Ordering::AcqRel);
    }
}

fn look(store: &Store, counter: u64) -> Result<u64, Error> {
    let view = store.view()?;
    let count = view.get(counter_key(counter).as_bytes())?.map_or(0, |value| number_of(&value));
    let there = |number: u64| Ok::<bool, Error>(view.get(entry_key(counter, number).as_bytes())?.is_some());
    if (count > 0 && !there(count)?) || there(count + 1)? {
        return Err(wrong(format!("counter {counter} is {count}, and its log ends elsewhere")));
    }
    Ok(view.header().beat.0)
}

/// Follows the feed and counts what is missing or comes twice.
fn follow(store: &Store, seen: &Seen, start: CommitNo) {
    let mut last = start.0;
    let followed = (|| {
        let mut feed = store.feed(start)?;
        loop {
            let stopped = seen.stop_following.load(Ordering::Acquire);
            while let Some(commit) = feed.pull()? {
                let number = commit.commit.0;
                if number <= last {
                    seen.wrong(&seen.feed_repeats, &format!("commit {number} came after commit {last}"));
                } else if number > last + 1 {
                    seen.wrong(&seen.feed_gaps, &format!("commit {number} came after commit {last}"));
                }
                last = last.max(number);
                let counts = commit
                    .log
                    .ops()
                    .any(|op| matches!(op, Op::Put { key, .. } if key.starts_with(COUNTER.as_bytes())));
                seen.followed.fetch_add(u64::from(counts), Ordering::AcqRel);
                if number % HOLD_STEP == 0
                    && let Some(hold) = store.find_hold(HOLD)?
                {
                    hold.advance(commit.commit)?;
                }
            }
            // Once more after the end: what was acknowledged before it must come.
            if stopped {
                return Ok::<(), Error>(());
            }
            feed.wait(Duration::from_millis(50))?;
        }
    })();
    if let Err(error) = followed {
        seen.wrong(&seen.feed_gaps, &error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_live_view_tells_everything_that_could_go_wrong() {
        let seen = Seen::default();
        seen.commits.store(1200, Ordering::Release);
        seen.reads.store(3400, Ordering::Release);
        seen.followed.store(1199, Ordering::Release);
        seen.longest_wait.store(2500, Ordering::Release);
        let well =
            "1200 commits, 3400 reads, 0 errors; 1199 followed, 0 gaps, 0 repeats; longest commit 2.5 ms";
        assert_eq!(seen.line(), well);
        for (count, told) in [
            (&seen.reader_errors, "1 errors"),
            (&seen.writer_errors, "2 errors"),
            (&seen.feed_gaps, "1 gaps"),
            (&seen.feed_repeats, "1 repeats"),
        ] {
            seen.wrong(count, &"wrong");
            assert!(seen.line().contains(told), "{}", seen.line());
        }
    }
}
