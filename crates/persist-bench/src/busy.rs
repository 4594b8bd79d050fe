//! A store in use: threads that replace rows and threads that read them, each with a rest between two turns. Every value
//! says which one it is, so that readers notice whatever is lost, old or wrong.

use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use persist_api::Durability;
use persist_store::{BeatLog, Pending, Store};

use crate::contender::{Result, text};
use crate::rows::{Data, ROWS_A_PREFIX, Random, Row, VALUE_BYTES};
use crate::session::LOAD_ROWS;

/// Threads that write single durable commits.
const WRITERS: u64 = 4;
/// Threads that read.
const READERS: u64 = 4;
/// What a thread rests between two turns: who writes without a pause may be faster than any copy can follow.
const REST: Duration = Duration::from_millis(1);
/// One turn of a reader in so many is a scan of a hundred rows, the others are gets.
const TURNS_A_SCAN: u64 = 32;
/// Commits and reads that are seen before the work beside them begins.
const WARM: u64 = 100;

/// A loaded store, and what must be in it.
pub(crate) struct Busy {
    /// The store.
    pub(crate) store: Store,
    data: Data,
    /// How often each row was replaced, as far as it was acknowledged. A row has one writer.
    versions: Vec<AtomicU32>,
}

/// What the threads have seen.
#[derive(Default)]
struct Seen {
    commits: AtomicU64,
    reads: AtomicU64,
    /// The longest time that one commit took, in nanoseconds.
    longest: AtomicU64,
    stop: AtomicBool,
    failed: Mutex<Option<String>>,
}

/// Ends the threads also when the work beside them panics: whoever waits for them would wait forever.
struct StopOnDrop<'s>(&'s AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Seen {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn is_warm(&self) -> bool {
        [&self.commits, &self.reads].iter().all(|count| count.load(Ordering::Acquire) >= WARM)
    }

    /// Takes turns until told to stop, or until one fails, which stops everybody.
    fn turns(&self, done: &AtomicU64, mut turn: impl FnMut() -> Result<()>) {
        while !self.stopped() {
            thread::sleep(REST);
            if let Err(error) = turn() {
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed.get_or_insert(error);
                self.stop.store(true, Ordering::Release);
            }
            done.fetch_add(1, Ordering::AcqRel);
        }
    }
}

/// Value `version` of a row.
fn value(row: u64, version: u32) -> [u8; VALUE_BYTES] {
    let mut value = [0; VALUE_BYTES];
    value[..4].copy_from_slice(&version.to_le_bytes());
    Random(row << 32 | u64::from(version)).fill(&mut value[4..]);
    value
}

/// True if this is a value of the row, and none from before version `least`.
fn fits(row: u64, found: &[u8], least: u32) -> bool {
    let Some(version) = found.first_chunk().map(|bytes| u32::from_le_bytes(*bytes)) else { return false };
    version >= least && found == value(row, version)
}

impl Busy {
    /// Fills an empty store with rows in random order, buffered, one sync at the end.
    ///
    /// # Errors
    /// A sentence of the store.
    pub(crate) fn load(store: Store, data: Data) -> Result<Self> {
        let versions = (0..data.rows).map(|_| AtomicU32::new(0)).collect();
        let busy = Self { store, data, versions };
        for first in (0..data.rows).step_by(LOAD_ROWS) {
            let mut log = BeatLog::new();
            for at in first..data.rows.min(first + LOAD_ROWS as u64) {
                let Row { key, value } = busy.row(data.shuffled(at));
                log.put(&key, &value).map_err(text)?;
            }
            busy.store.commit(log, Durability::Buffered).and_then(Pending::wait).map_err(text)?;
        }
        busy.store.sync().and_then(|_| busy.store.checkpoint()).map_err(text)?;
        Ok(busy)
    }

    fn version(&self, row: u64) -> &AtomicU32 {
        &self.versions[usize::try_from(row).unwrap_or(usize::MAX)]
    }

    /// A row as it must be while nobody writes.
    pub(crate) fn row(&self, row: u64) -> Row {
        let version = self.version(row).load(Ordering::Acquire);
        Row { key: self.data.key(row), value: value(row, version).into() }
    }

    /// Does `work` while the threads are at theirs. Gives the longest time that one commit took meanwhile, too.
    ///
    /// # Errors
    /// What `work` gave, or what a thread met: an error, a missing row, a wrong or an old value.
    pub(crate) fn beside<T>(&self, seed: u64, work: impl FnOnce() -> Result<T>) -> Result<(T, Duration)> {
        let seen = Seen::default();
        let done = thread::scope(|scope| {
            let _stop = StopOnDrop(&seen.stop);
            for number in 0..WRITERS {
                let (seen, mut random) = (&seen, Random(seed ^ number));
                scope.spawn(move || seen.turns(&seen.commits, || self.replace(seen, number, &mut random)));
            }
            for number in 0..READERS {
                let (seen, mut random) = (&seen, Random(seed ^ (WRITERS + number)));
                scope.spawn(move || seen.turns(&seen.reads, || self.look(&mut random)));
            }
            while !seen.is_warm() && !seen.stopped() {
                thread::sleep(REST);
            }
            seen.longest.store(0, Ordering::Release);
            work()
        })?;
        let failed = seen.failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        let longest = Duration::from_nanos(seen.longest.into_inner());
        failed.map_or(Ok((done, longest)), Err)
    }

    /// Replaces one of the rows of a writer.
    fn replace(&self, seen: &Seen, writer: u64, random: &mut Random) -> Result<()> {
        let row = random.below(self.data.rows / WRITERS) * WRITERS + writer;
        let version = self.version(row).load(Ordering::Acquire) + 1;
        let mut log = BeatLog::new();
        log.put(&self.data.key(row), &value(row, version)).map_err(text)?;
        let clock = Instant::now();
        self.store.commit(log, Durability::Durable).and_then(Pending::wait).map_err(text)?;
        let spent = u64::try_from(clock.elapsed().as_nanos()).unwrap_or(u64::MAX);
        seen.longest.fetch_max(spent, Ordering::AcqRel);
        self.version(row).store(version, Ordering::Release);
        Ok(())
    }

    /// Reads at a view of its own, and checks what it reads.
    fn look(&self, random: &mut Random) -> Result<()> {
        let row = random.below(self.data.rows);
        if random.below(TURNS_A_SCAN) == 0 {
            let group = row / ROWS_A_PREFIX;
            let first = group * ROWS_A_PREFIX;
            return self.scan(&self.data.prefix(group), first..self.data.rows.min(first + ROWS_A_PREFIX));
        }
        let least = self.version(row).load(Ordering::Acquire);
        let view = self.store.view().map_err(text)?;
        let found = view.get(&self.data.key(row)).map_err(text)?;
        let right = found.is_some_and(|found| fits(row, &found, least));
        if right { Ok(()) } else { Err(format!("row {row} is missing, wrong or old")) }
    }

    /// Checks that these rows, no others, are under a prefix, none of them older than what was acknowledged before.
    fn scan(&self, prefix: &[u8], rows: Range<u64>) -> Result<()> {
        let least: Vec<u32> = rows.clone().map(|row| self.version(row).load(Ordering::Acquire)).collect();
        let mut wanted = rows.clone().zip(least);
        let mut right = true;
        let view = self.store.view().map_err(text)?;
        view.scan_prefix(prefix, |key, found| {
            right = wanted
                .next()
                .is_some_and(|(row, least)| key == self.data.key(row) && fits(row, found, least));
            if right { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .map_err(text)?;
        if right && wanted.next().is_none() {
            return Ok(());
        }
        Err(format!("one of the rows {} to {} is missing, wrong or old, or not alone", rows.start, rows.end))
    }

    /// Checks every row, while nobody writes.
    ///
    /// # Errors
    /// A sentence of the store, or that one is missing, wrong or old.
    pub(crate) fn check(&self) -> Result<()> {
        self.scan(&[], 0..self.data.rows)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use persist_api::{Driver, OpenOptions};
    use persist_flatfile::FlatfileDriver;
    use persist_io::RealDisk;
    use persist_store::{Writer, default_request, open_with};

    use super::*;

    /// The directory, the writer and the store live as long as each other.
    fn busy() -> (tempfile::TempDir, Writer, Busy) {
        let dir = tempfile::tempdir().unwrap();
        let drivers: [Arc<dyn Driver>; 1] = [Arc::new(FlatfileDriver::default())];
        let (disk, options) = (Arc::new(RealDisk), OpenOptions::default());
        let opened = open_with(disk, &drivers, dir.path(), Some("flatfile"), &options).unwrap();
        let (writer, store) = opened.negotiate(&default_request()).unwrap();
        (dir, writer, Busy::load(store, Data { rows: 250 }).unwrap())
    }

    fn commit(busy: &Busy, change: impl FnOnce(&mut BeatLog)) {
        let mut log = BeatLog::new();
        change(&mut log);
        busy.store.commit(log, Durability::Buffered).unwrap().wait().unwrap();
    }

    /// Whether those who read find fault, and whether looking at every row does.
    fn noticed(busy: &Busy) -> [bool; 2] {
        let mut random = Random(3);
        [(0..3_000).any(|_| busy.look(&mut random).is_err()), busy.check().is_err()]
    }

    #[test]
    fn what_is_written_beside_the_work_is_there_afterwards() {
        let (_dir, _writer, busy) = busy();
        assert_eq!(busy.beside(1, || Ok(7)).unwrap().0, 7);
        assert_eq!(noticed(&busy), [false; 2]);
        let replaced = busy.versions.iter().map(|it| u64::from(it.load(Ordering::Acquire))).sum::<u64>();
        assert!(replaced >= WARM, "{replaced}");
        assert_eq!(busy.beside(1, || Err::<(), _>("no".to_owned())).unwrap_err(), "no");
    }

    #[test]
    fn rows_that_are_lost_old_or_wrong_or_nobodys_are_noticed() {
        let (_dir, _writer, busy) = busy();
        let key = busy.data.key(130);
        busy.version(130).store(1, Ordering::Release);
        assert_eq!(noticed(&busy), [true; 2], "an acknowledged value is lost");
        commit(&busy, |log| log.put(&key, &value(130, 1)).unwrap());
        assert_eq!(noticed(&busy), [false; 2]);
        commit(&busy, |log| log.put(&key, &value(131, 1)).unwrap());
        assert_eq!(noticed(&busy), [true; 2], "the value of another row");
        commit(&busy, |log| log.delete(&key).unwrap());
        assert_eq!(noticed(&busy), [true; 2], "a row is missing");
        commit(&busy, |log| log.put(&key, &value(130, 1)).unwrap());
        commit(&busy, |log| log.put(&busy.data.absent(130), &value(130, 1)).unwrap());
        assert_eq!(noticed(&busy), [true; 2], "a row that nobody put");
        commit(&busy, |log| log.delete(&busy.data.absent(130)).unwrap());
        assert_eq!(noticed(&busy), [false; 2]);
        commit(&busy, |log| log.delete(&busy.data.key(249)).unwrap());
        assert_eq!(noticed(&busy), [true; 2], "the last row is missing");
    }

    #[test]
    fn a_thread_that_fails_ends_all_of_them() {
        let (_dir, _writer, busy) = busy();
        busy.store.close().unwrap();
        assert!(busy.beside(1, || Ok(())).is_err());
    }
}
