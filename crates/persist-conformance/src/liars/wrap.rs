//! The wrapper around an honest engine that asks the hooks before every verb, and keeps the notes that they need.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::ThreadId;

use persist_api::{
    BackupStat, Beat, BeatHeader, BeatNo, BeatReceipt, CheckpointStat, CompactScope, CompactStat, Cursor,
    Driver, Engine, Error, ErrorKind, FeedStat, FeedVisit, Finding, KeyRange, Observer, Offer, OpenOptions,
    Probe, Result, Scan, Stats, Value, VerifyStat, View, Visit,
};

use super::cursor::LyingCursor;
use super::hooks::{Ctx, Hooks, Notes, Shared};
use super::nothing::Nothing;

/// A driver whose engines lie.
pub(crate) struct LyingDriver {
    pub(crate) inner: Box<dyn Driver>,
    pub(crate) hooks: &'static Hooks,
    pub(crate) shared: Arc<Shared>,
}

impl Driver for LyingDriver {
    fn scheme(&self) -> &'static str {
        self.inner.scheme()
    }

    fn probe(&self, home: &Path) -> Result<Probe> {
        (self.hooks.probe)(&self.shared, &*self.inner, home)
    }

    fn offer(&self, options: &OpenOptions) -> Offer {
        (self.hooks.offer)(&self.shared, self.inner.offer(options))
    }

    fn open(&self, home: &Path, options: &OpenOptions, seen: &dyn Observer) -> Result<Box<dyn Engine>> {
        let reopened = matches!(self.inner.probe(home), Ok(Probe::Mine { .. }));
        let inner = (self.hooks.open)(&self.shared, &*self.inner, home, options, seen)?;
        self.shared.home(home, |notes| notes.opens += 1);
        self.shared.alive.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
        let newest = *inner.view()?.header();
        let ctx = Arc::new(Ctx {
            hooks: self.hooks,
            shared: Arc::clone(&self.shared),
            path: home.to_path_buf(),
            options: options.clone(),
            reopened,
            opener: std::thread::current().id(),
            notes: Mutex::new(Notes { newest, ..Notes::default() }),
        });
        let offer =
            (self.hooks.open_offer)(&ctx, (self.hooks.offer)(&self.shared, self.inner.offer(options)));
        let later = (self.hooks.later_offer)(&ctx, offer.clone());
        Ok(Box::new(LyingEngine { inner: Some(inner), offer, later, ctx }))
    }
}

struct LyingEngine {
    inner: Option<Box<dyn Engine>>,
    offer: Offer,
    later: Offer,
    ctx: Arc<Ctx>,
}

fn closed(op: &'static str) -> Error {
    Error::new(ErrorKind::Closed, op, "this handle was closed")
}

impl LyingEngine {
    fn inner(&self) -> Result<&dyn Engine> {
        self.inner.as_deref().ok_or_else(|| closed("engine"))
    }

    fn wrapped(&self, inner: Box<dyn View>, past: bool) -> Box<dyn View> {
        let mut notes = self.ctx.notes();
        notes.views_ever += 1;
        notes.views_open += 1;
        drop(notes);
        let own = *inner.header();
        let header = (self.ctx.hooks.header)(&self.ctx, own);
        Box::new(LyingView {
            own: own.beat.0,
            past,
            opened_on: std::thread::current().id(),
            inner: Some(inner),
            ctx: Arc::clone(&self.ctx),
            header,
            late: OnceLock::new(),
            asked: Cell::new(false),
            reads: RefCell::default(),
            gets: Cell::new(0),
            cursors: Cell::new(0),
        })
    }
}

impl Engine for LyingEngine {
    fn offer(&self) -> &Offer {
        if self.ctx.notes().commits == 0 { &self.offer } else { &self.later }
    }

    fn begin_beat(&self, header: BeatHeader) -> Result<Box<dyn Beat + '_>> {
        let inner = (self.ctx.hooks.begin)(&self.ctx, self.inner()?, header)?;
        let mut notes = self.ctx.notes();
        notes.beat_opener = Some(std::thread::current().id());
        notes.staged = 0;
        drop(notes);
        Ok(Box::new(LyingBeat {
            inner: Some(inner),
            ctx: Arc::clone(&self.ctx),
            header,
            ops: Vec::new(),
            failed: false,
            peeked: RefCell::default(),
        }))
    }

    fn sync(&self) -> Result<BeatNo> {
        (self.ctx.hooks.sync)(&self.ctx, self.inner()?)
    }

    fn view(&self) -> Result<Box<dyn View>> {
        let inner = (self.ctx.hooks.view)(&self.ctx, self.inner()?)?;
        Ok(self.wrapped(inner, false))
    }

    fn view_at(&self, beat: BeatNo) -> Result<Box<dyn View>> {
        let inner = (self.ctx.hooks.view_at)(&self.ctx, self.inner()?, beat)?;
        Ok(self.wrapped(inner, true))
    }

    fn feed(&self, after: BeatNo, visit: &mut FeedVisit<'_>) -> Result<()> {
        (self.ctx.hooks.feed)(&self.ctx, self.inner()?, after, visit)
    }

    fn keep_feed(&self, after: Option<BeatNo>) -> Result<FeedStat> {
        (self.ctx.hooks.keep_feed)(&self.ctx, self.inner()?, after)
    }

    fn checkpoint(&self) -> Result<CheckpointStat> {
        let stat = (self.ctx.hooks.checkpoint)(&self.ctx, self.inner()?)?;
        self.ctx.notes().checkpoints += 1;
        Ok(stat)
    }

    fn backup(&self, into: &Path, seen: &dyn Observer) -> Result<BackupStat> {
        let stat = (self.ctx.hooks.backup)(&self.ctx, self.inner()?, into, seen)?;
        let generation = self.ctx.home(|notes| notes.generation) + 1;
        self.ctx.shared.home(into, |notes| {
            notes.backup_of = Some(self.ctx.path.clone());
            notes.generation = generation;
        });
        Ok(stat)
    }

    fn compact(&self, scope: CompactScope, seen: &dyn Observer) -> Result<CompactStat> {
        let stat = (self.ctx.hooks.compact)(&self.ctx, self.inner()?, scope, seen)?;
        self.ctx.notes().compactions += 1;
        Ok(stat)
    }

    fn verify(&self, found: &mut dyn FnMut(Finding), seen: &dyn Observer) -> Result<VerifyStat> {
        (self.ctx.hooks.verify)(&self.ctx, self.inner()?, found, seen)
    }

    fn stats(&self) -> Result<Stats> {
        (self.ctx.hooks.stats)(&self.ctx, self.inner()?)
    }

    fn close(mut self: Box<Self>) -> Result<(), (Box<dyn Engine>, Error)> {
        let Some(inner) = self.inner.take() else { return Ok(()) };
        self.ctx.notes().closed = true;
        match (self.ctx.hooks.close)(&self.ctx, inner) {
            Ok(()) => Ok(()),
            Err((inner, error)) => {
                self.ctx.notes().closed = false;
                self.inner = Some(inner);
                Err((self, error))
            }
        }
    }
}

impl Drop for LyingEngine {
    fn drop(&mut self) {
        self.ctx.notes().gone = true;
        self.ctx.shared.alive.fetch_sub(1, std::sync::atomic::Ordering::AcqRel);
        if let Some(inner) = self.inner.take() {
            (self.ctx.hooks.drop_engine)(&self.ctx, inner);
        }
    }
}

/// One operation of a beat, as it was asked for.
pub(crate) enum Op {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    Range(KeyRange<'static>),
}

/// A beat on its way through the hooks.
pub(crate) struct LyingBeat<'e> {
    inner: Option<Box<dyn Beat + 'e>>,
    pub(crate) ctx: Arc<Ctx>,
    pub(crate) header: BeatHeader,
    /// What was asked for and did not fail.
    pub(crate) ops: Vec<Op>,
    pub(crate) failed: bool,
    pub(crate) peeked: RefCell<Vec<Vec<u8>>>,
}

impl<'e> LyingBeat<'e> {
    pub(crate) fn inner(&mut self) -> Result<&mut (dyn Beat + 'e)> {
        self.inner.as_deref_mut().ok_or_else(|| closed("beat"))
    }

    pub(crate) fn peek_inner(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        self.inner.as_deref().ok_or_else(|| closed("beat"))?.peek_record(key)
    }

    pub(crate) fn take_inner(&mut self) -> Option<Box<dyn Beat + 'e>> {
        self.inner.take()
    }

    pub(crate) fn has_put(&self, key: &[u8]) -> bool {
        self.ops.iter().any(|op| matches!(op, Op::Put(put, _) if put == key))
    }

    pub(crate) fn has_deleted(&self, key: &[u8]) -> bool {
        self.ops.iter().any(|op| matches!(op, Op::Delete(deleted) if deleted == key))
    }

    pub(crate) fn abort(mut self) {
        if let Some(inner) = self.inner.take() {
            inner.abort_beat();
        }
    }

    /// The honest commit, with notes on what became visible.
    pub(crate) fn commit(mut self) -> Result<BeatReceipt> {
        let receipt = self.inner.take().ok_or_else(|| closed("beat"))?.commit_beat()?;
        let mut notes = self.ctx.notes();
        let beat = receipt.header.beat.0;
        for op in &self.ops {
            match op {
                Op::Put(key, value) => {
                    notes.history.entry(key.clone()).or_default().push((beat, Some(value.clone())));
                }
                Op::Delete(key) => notes.history.entry(key.clone()).or_default().push((beat, None)),
                Op::Range(range) => notes.ranges.push((beat, range.clone())),
            }
        }
        notes.commits += 1;
        notes.generation += 1;
        notes.newest = receipt.header;
        notes.committer = Some(std::thread::current().id());
        notes.last_ops = self.ops.len() as u64;
        drop(notes);
        Ok(receipt)
    }

    fn done(&mut self, result: Result<()>, op: impl FnOnce() -> Op) -> Result<()> {
        if result.is_ok() {
            self.ops.push(op());
            self.ctx.notes().staged += 1;
        } else {
            self.failed = true;
        }
        result
    }
}

impl Beat for LyingBeat<'_> {
    fn put_record(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let hook = self.ctx.hooks.put;
        let result = hook(self, key, value);
        self.done(result, || Op::Put(key.to_vec(), value.to_vec()))
    }

    fn delete_record(&mut self, key: &[u8]) -> Result<()> {
        let hook = self.ctx.hooks.delete;
        let result = hook(self, key);
        self.done(result, || Op::Delete(key.to_vec()))
    }

    fn delete_range(&mut self, range: KeyRange<'_>) -> Result<()> {
        let hook = self.ctx.hooks.range;
        let own = range.clone().into_owned();
        let result = hook(self, range);
        self.done(result, || Op::Range(own))
    }

    fn peek_record(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        (self.ctx.hooks.peek)(self, key)
    }

    fn commit_beat(self: Box<Self>) -> Result<BeatReceipt> {
        let hook = self.ctx.hooks.commit;
        hook(*self)
    }

    fn abort_beat(self: Box<Self>) {
        let hook = self.ctx.hooks.abort;
        hook(*self);
    }
}

impl Drop for LyingBeat<'_> {
    fn drop(&mut self) {
        if self.inner.is_some() {
            let hook = self.ctx.hooks.drop_beat;
            hook(self);
        }
        let mut notes = self.ctx.notes();
        notes.beat_opener = None;
        notes.staged = 0;
    }
}

/// A view on its way through the hooks.
pub(crate) struct LyingView {
    inner: Option<Box<dyn View>>,
    pub(crate) ctx: Arc<Ctx>,
    /// The beat that it really shows.
    pub(crate) own: u64,
    /// It was asked for by its beat.
    pub(crate) past: bool,
    pub(crate) opened_on: ThreadId,
    header: BeatHeader,
    late: OnceLock<BeatHeader>,
    asked: Cell<bool>,
    /// How often each key was read.
    pub(crate) reads: RefCell<BTreeMap<Vec<u8>, u64>>,
    pub(crate) gets: Cell<u64>,
    pub(crate) cursors: Cell<u64>,
}

impl LyingView {
    pub(crate) fn inner(&self) -> &dyn View {
        // Taken only when dropped.
        self.inner.as_deref().unwrap_or(&Nothing)
    }

    /// An honest cursor of this view.
    pub(crate) fn inner_of_cursor<'v>(&'v self, scan: Scan<'v>) -> Result<Box<dyn Cursor + 'v>> {
        self.inner().cursor(scan)
    }

    /// What the newest beat after this view's did to a key, if one did: the value, or `None` for a delete.
    #[allow(clippy::option_option, reason = "nothing done and something deleted are two things")]
    pub(crate) fn later(&self, key: &[u8]) -> Option<Option<Vec<u8>>> {
        let notes = self.ctx.notes();
        let history = notes.history.get(key)?;
        history.iter().rev().find(|(beat, _)| *beat > self.own).map(|(_, value)| value.clone())
    }
}

impl View for LyingView {
    fn header(&self) -> &BeatHeader {
        let hooks = self.ctx.hooks;
        let again = self.asked.replace(true);
        let moves = (hooks.header_is_late && !again) || (hooks.header_moves && again);
        let here = self.ctx.notes().committer == Some(std::thread::current().id());
        if moves && here {
            let newest = self.ctx.notes().newest;
            return self.late.get_or_init(|| newest);
        }
        self.late.get().unwrap_or(&self.header)
    }

    fn get_record(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        self.gets.set(self.gets.get() + 1);
        *self.reads.borrow_mut().entry(key.to_vec()).or_default() += 1;
        (self.ctx.hooks.get)(self, key)
    }

    fn scan(&self, scan: Scan<'_>, visit: &mut Visit<'_>) -> Result<()> {
        let before = self.ctx.notes().scanning.replace(std::thread::current().id());
        let result = (self.ctx.hooks.scan)(self, scan, visit);
        self.ctx.notes().scanning = before;
        result
    }

    fn cursor<'v>(&'v self, scan: Scan<'v>) -> Result<Box<dyn Cursor + 'v>> {
        self.cursors.set(self.cursors.get() + 1);
        let inner = (self.ctx.hooks.cursor)(self, scan.clone())?;
        Ok(Box::new(LyingCursor {
            inner,
            view: self,
            hooks: self.ctx.hooks,
            scan,
            number: self.cursors.get(),
            steps: 0,
            ended: false,
            sought: false,
            n: 0,
            last: Vec::new(),
        }))
    }

    fn scan_prefix(&self, prefix: &[u8], visit: &mut Visit<'_>) -> Result<()> {
        (self.ctx.hooks.scan_prefix)(self, prefix, visit)
    }
}

impl Drop for LyingView {
    fn drop(&mut self) {
        self.ctx.notes().views_open -= 1;
        if let Some(inner) = self.inner.take() {
            (self.ctx.hooks.drop_view)(&self.ctx, inner);
        }
    }
}
