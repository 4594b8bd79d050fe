//! What engine, beats and maintenance share: the published state, the writer, and what holds them together.
//!
//! Locks, in the order in which they are taken: `compacting`, `flushing`, `claimed`, `head`, `log`, `merging`, `published`. Nobody keeps
//! `published` for longer than it takes to copy or replace a pointer, nor `log` for longer than a commit takes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::{Mutex, RwLock};
use persist_api::{
    BeatGate, BeatHeader, BeatNo, BeatReceipt, Durability, Error, ErrorKind, Health, Limits, Quiet, Result,
    ViewLedger,
};
use persist_io::{DirLock, Disk};

use crate::beat::Staged;
use crate::feed::FeedPlaces;
use crate::log::{HeadKeeper, Log, Recovered};
use crate::maintain::{Due, Job};
use crate::memtable::Memtable;
use crate::options::Settings;
use crate::pace::Owed;
use crate::payload::{Payload, Payloads};
use crate::payload_ref::PayloadRef;
use crate::pins::Pins;
use crate::reader::Reader;
use crate::shortage::Shortage;
use crate::state::{Published, State};
use crate::timeline::head::HEAD_BYTES;
use crate::timeline::{FrameBuilder, Retired};

/// So many range deletes make a memtable full.
const MARKS_MAX: u32 = 1024;

/// An open store.
pub(crate) struct Core {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) home: PathBuf,
    pub(crate) settings: Settings,
    pub(crate) limits: Limits,
    pub(crate) store: u64,
    pub(crate) gate: BeatGate,
    pub(crate) health: Health,
    pub(crate) ledger: ViewLedger,
    pub(crate) due: Due,
    pub(crate) published: Mutex<Published>,
    pub(crate) log: Mutex<Log>,
    pub(crate) head: Mutex<HeadKeeper>,
    /// The head says that frames may follow which it does not know.
    marked: AtomicBool,
    /// A used builder, for the next beat.
    spare: Mutex<Option<FrameBuilder>>,
    /// Shared by those who make runs of memtables or room ahead.
    pub(crate) flushing: RwLock<()>,
    /// The memtables that somebody makes runs of.
    pub(crate) claimed: Mutex<Vec<Arc<Memtable>>>,
    /// Held while somebody chooses what to merge. Runs of frames up to this one belong to a compaction.
    pub(crate) merging: Mutex<u64>,
    /// Held by the compaction that was asked for.
    pub(crate) compacting: Mutex<()>,
    pub(crate) next_run: AtomicU32,
    pub(crate) pins: Pins,
    /// The frame at which room was last looked for in vain.
    full_at: AtomicU64,
    pub(crate) owed: Owed,
    /// Runs for which the disk had no room.
    pub(crate) shortage: Shortage,
    pub(crate) recovered: Recovered,
    pub(crate) feed_places: Mutex<FeedPlaces>,
    pub(crate) lock: Arc<DirLock>,
}

/// What recovery hands over.
pub(crate) struct Parts {
    pub(crate) store: u64,
    pub(crate) published: Published,
    pub(crate) log: Log,
    pub(crate) head: HeadKeeper,
    pub(crate) next_run: u32,
    pub(crate) recovered: Recovered,
}

impl Core {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        home: PathBuf,
        settings: Settings,
        limits: Limits,
        parts: Parts,
        lock: Arc<DirLock>,
    ) -> Self {
        Self {
            disk,
            home,
            settings,
            limits,
            store: parts.store,
            gate: BeatGate::default(),
            health: Health::default(),
            ledger: ViewLedger::new(limits.views_max),
            due: Due::default(),
            published: Mutex::new(parts.published),
            log: Mutex::new(parts.log),
            head: Mutex::new(parts.head),
            marked: AtomicBool::new(false),
            spare: Mutex::default(),
            flushing: RwLock::default(),
            claimed: Mutex::default(),
            merging: Mutex::default(),
            compacting: Mutex::default(),
            next_run: AtomicU32::new(parts.next_run),
            pins: Pins::new(settings.memtable_bytes),
            full_at: AtomicU64::new(u64::MAX),
            owed: Owed::default(),
            shortage: Shortage::default(),
            recovered: parts.recovered,
            feed_places: Mutex::default(),
            lock,
        }
    }

    /// What is committed.
    pub(crate) fn published(&self) -> Published {
        self.published.lock().clone()
    }

    /// The header of the newest beat.
    pub(crate) fn beat_header(&self) -> BeatHeader {
        self.published.lock().header
    }

    /// A reader at the newest beat.
    pub(crate) fn newest(&self) -> Reader {
        Reader::newest(&self.published())
    }

    /// A reader at an earlier beat.
    ///
    /// # Errors
    /// `Stale`.
    pub(crate) fn earlier(&self, beat: BeatNo) -> Result<Reader> {
        Reader::earlier(&self.published(), beat, self.settings.history_beats)
    }

    /// Replaces the state by a changed one. What is committed stays.
    pub(crate) fn switch(&self, change: impl FnOnce(&mut State)) {
        let mut published = self.published.lock();
        let mut state = State::clone(&published.state);
        change(&mut state);
        published.state = Arc::new(state);
    }

    /// A number for a new run.
    pub(crate) fn take_run_number(&self) -> Result<u32> {
        let take = |number: u32| number.checked_add(1);
        self.next_run
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, take)
            .map_err(|_| Error::new(ErrorKind::Full, "write_run", "the numbers of runs are used up"))
    }

    /// A builder for a new beat.
    pub(crate) fn spare_frame(&self) -> FrameBuilder {
        self.spare.lock().take().unwrap_or_default()
    }

    /// Takes back what a beat used. With `undo`, large values were staged that nothing refers to.
    pub(crate) fn end_beat(&self, mut frame: FrameBuilder, undo: bool) {
        // After a failed write or sync the frame may be there all the same, and its values with it.
        if undo && !self.health.is_poisoned() {
            // What cannot be removed is dead weight until the next compaction, no more.
            let _ = self.log.lock().payload.abort();
        }
        frame.clear();
        *self.spare.lock() = Some(frame);
    }

    /// Writes a large value of the open beat.
    pub(crate) fn stage_large(&self, value: &[u8]) -> Result<PayloadRef> {
        self.health.check("put_record")?;
        self.admit("put_record", value.len() as u64, self.settings.reserve())?;
        self.mark_open()?;
        let staged = self.log.lock().payload.stage(value);
        staged.inspect_err(|error| self.health.poison_by(error))
    }

    /// Reads a large value of the open beat.
    pub(crate) fn read_staged(&self, payload: &PayloadRef) -> Result<Payload> {
        let begun = self.log.lock().payload.begun().find(|file| file.number() == payload.segment).cloned();
        match begun {
            Some(file) => file.read(payload),
            None => self.published().state.payloads.read(payload),
        }
    }

    /// Commits a beat: one write, and for a durable one a sync. Where runs are not made fast enough, it waits as long again, with the
    /// beat already shown.
    ///
    /// # Errors
    /// `Full` at the ceiling, and while there is no room for a segment or for the runs that the beat would have to wait for, with nothing
    /// written. `Io`, `Full` for the frame itself: the engine is then poisoned. `Poisoned`.
    pub(crate) fn commit(&self, staged: &mut Staged) -> Result<BeatReceipt> {
        self.health.check("commit_beat")?;
        self.catch_up()?;
        let reserve = if staged.has_puts { self.settings.reserve() } else { 0 };
        self.admit("commit_beat", staged.frame.frame_len(), reserve)?;
        self.mark_open()?;
        let began = self.is_behind().then(Instant::now);
        let durability = staged.header.durability.max(Durability::Buffered);
        let wanted = {
            let mut log = self.log.lock();
            if self.is_full(&log.active) {
                self.roll(&mut log)?;
                self.due.ask(Job::Flush);
            }
            self.judge_strictly(log.timeline.open_segment())?;
            let appended = log.append(staged, durability);
            let frame = appended.inspect_err(|error| self.health.poison_by(error))?;
            self.publish(&mut log, staged, frame);
            log.ahead.wanted(log.zeros) || log.zeros && log.active.buffers().run_low()
        };
        if wanted {
            self.due.ask(Job::Ahead);
        }
        if let Some(began) = began {
            self.give_time(began.elapsed());
        }
        Ok(BeatReceipt { header: staged.header, reached: durability })
    }

    /// Whether the next beat goes to another memtable.
    pub(crate) fn is_full(&self, table: &Memtable) -> bool {
        table.bytes() >= self.settings.memtable_bytes || table.marks_len() >= MARKS_MAX
    }

    /// Shows an appended beat to readers.
    fn publish(&self, log: &mut Log, staged: &mut Staged, frame: u64) {
        let begun: Vec<_> = log.payload.begun().cloned().collect();
        log.payload.keep();
        let ops = staged.frame.ops();
        let body = staged.frame.hand_over(log.active.buffers());
        log.active.push(staged.header, frame, body, ops, staged.has_ranges);
        let mut published = self.published.lock();
        if !begun.is_empty() {
            let mut state = State::clone(&published.state);
            let mut payloads = Payloads::clone(&state.payloads);
            for file in begun {
                payloads = payloads.with(file);
            }
            state.payloads = Arc::new(payloads);
            published.state = Arc::new(state);
        }
        published.slots = log.active.slots_len();
        published.header = staged.header;
        published.frame = frame;
    }

    /// Ends the active memtable and its segment, if there is anything in them.
    ///
    /// # Errors
    /// `Io`: the engine is then poisoned. `Full`: the memtable goes on, and the next one who comes tries again.
    pub(crate) fn roll(&self, log: &mut Log) -> Result<()> {
        if log.active.is_empty() {
            return Ok(());
        }
        self.judge_strictly(log.timeline.roll())?;
        log.zeros = false;
        let fresh = Arc::new(Memtable::new(log.active.span().upto, log.active.buffers()));
        let full = std::mem::replace(&mut log.active, Arc::clone(&fresh));
        let mut published = self.published.lock();
        let mut state = State::clone(&published.state);
        state.active = fresh;
        state.frozen.insert(0, full);
        if state.frozen.len() > 1 {
            // One thread alone does not keep up.
            self.due.ask(Job::Merge);
        }
        published.state = Arc::new(state);
        published.slots = 0;
        Ok(())
    }

    /// Has the timeline put segments away, and makes that durable.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn put_away(&self, which: impl FnOnce(&mut Log) -> Result<Retired>) -> Result<()> {
        let mut retired = which(&mut self.log.lock())?;
        if retired.count() > 0 {
            self.disk.sync_dir(&self.home)?;
            self.log.lock().timeline.gone(&mut retired);
        }
        Ok(())
    }

    /// The same with all that is in runs, as soon as the head names these.
    ///
    /// # Errors
    /// `Io`, `Full`.
    pub(crate) fn put_away_in_runs(&self) -> Result<()> {
        let in_runs = self.published().state.runs.first().map_or(0, |run| run.run.head().span.upto);
        if !self.log.lock().timeline.has_any_upto(in_runs) {
            return Ok(());
        }
        self.write_head(false)?;
        self.put_away(|log| log.timeline.retire(in_runs, false))
    }

    /// Checks that `bytes` more fit below the ceiling, `reserve` aside; compacts when they do not.
    fn admit(&self, op: &'static str, bytes: u64, reserve: u64) -> Result<()> {
        let max = self.settings.store_bytes_max;
        if max == u64::MAX {
            return Ok(());
        }
        let fits = |used: u64| used.saturating_add(bytes).saturating_add(reserve) <= max;
        let used = self.disk_bytes()?;
        if fits(used) || (self.reclaim()? && fits(self.disk_bytes()?)) {
            return Ok(());
        }
        let context = format!(
            "{bytes} bytes do not fit: {used} are used, {reserve} kept for deletes; the ceiling is {max}"
        );
        Err(Error::new(ErrorKind::Full, op, context))
    }

    /// Gives up history and dead bytes to make room; false when that was tried since the last commit.
    fn reclaim(&self) -> Result<bool> {
        let frame = self.published.lock().frame;
        if self.full_at.swap(frame, Ordering::AcqRel) == frame {
            return Ok(false);
        }
        let Some(_alone) = self.compacting.try_lock() else { return Ok(false) };
        self.judge(crate::compaction::compact(self, 0, &Quiet)).map(|_| true)
    }

    /// Passes on what work on files of its own came to. Nothing may be acknowledged after a sync that failed, whose ever it was.
    pub(crate) fn judge<T>(&self, done: Result<T>) -> Result<T> {
        done.inspect_err(|error| {
            if crate::error::ends_writing(error) {
                self.health.poison_by(error);
            }
        })
    }

    /// Passes on what work came to without which beats cannot go on for ever: nothing was changed where there was no room for
    /// it; after anything else nothing may be written.
    pub(crate) fn judge_strictly<T>(&self, done: Result<T>) -> Result<T> {
        done.inspect_err(|error| {
            if !crate::error::is_no_room(error) {
                self.health.poison_by(error);
            }
        })
    }

    /// Bytes of all files, what the open beat has staged included.
    pub(crate) fn disk_bytes(&self) -> Result<u64> {
        let (timeline, begun) = {
            let log = self.log.lock();
            let timeline = log.timeline.disk_bytes().saturating_add(log.timeline.kept().bytes());
            (timeline, log.payload.begun().cloned().collect::<Vec<_>>())
        };
        let state = self.published().state;
        let runs = state.runs.iter().map(|run| run.run.stat().file_len);
        let mut bytes = runs.fold(timeline.saturating_add(HEAD_BYTES), u64::saturating_add);
        // The beat may have been committed meanwhile, and these with it.
        let staged = begun.iter().filter(|file| state.payloads.get(file.number()).is_none());
        for file in state.payloads.iter().chain(staged) {
            bytes = bytes.saturating_add(file.len()?);
        }
        Ok(bytes)
    }

    /// Makes every beat durable.
    ///
    /// # Errors
    /// `Io`: the engine is then poisoned. `Poisoned`.
    pub(crate) fn sync(&self, op: &'static str) -> Result<BeatNo> {
        self.health.check(op)?;
        let mut log = self.log.lock();
        log.timeline.sync().inspect_err(|error| self.health.poison_by(error))?;
        Ok(self.beat_header().beat)
    }

    /// Sees that the head does not call the store closed, before anything is written that it does not know. A store that
    /// is only read stays as it is.
    pub(crate) fn mark_open(&self) -> Result<()> {
        if self.marked.load(Ordering::Acquire) {
            return Ok(());
        }
        self.judge_strictly(self.write_head(false))?;
        self.marked.store(true, Ordering::Release);
        Ok(())
    }

    /// Gives back the room of files that lie ready for beats to come; false where there are none.
    pub(crate) fn give_back(&self) -> bool {
        // They are let go of once the log is free for others.
        let given = self.log.lock().timeline.give_back();
        !given.is_empty()
    }

    /// Writes what is known now into the head, unless it says so already; with `clean`, that nothing more will be written.
    ///
    /// # Errors
    /// `Io`, `Full`.
    pub(crate) fn write_head(&self, clean: bool) -> Result<()> {
        let mut keeper = self.head.lock();
        let head = {
            let log = self.log.lock();
            log.head(&self.published(), self.store, clean)
        };
        keeper.write(head)
    }

    /// Makes everything durable and says so in the head. The engine is of no more use for writing.
    ///
    /// # Errors
    /// `Io`, `Full`.
    pub(crate) fn close(&self) -> Result<()> {
        if self.health.is_poisoned() {
            return Ok(());
        }
        self.sync("close")?;
        self.log.lock().timeline.give_back_all();
        let closed = self.write_head(true);
        self.health.poison();
        closed
    }
}
