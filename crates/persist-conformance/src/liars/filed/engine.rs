//! The engine: an inner engine for reading, a log for keeping.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use persist_api::{
    BackupStat, Beat, BeatGate, BeatHeader, BeatNo, CheckpointStat, CompactScope, CompactStat, Engine, Error,
    ErrorKind, FeedStat, FeedVisit, Finding, FindingCode, Health, Observer, Offer, OpenOptions, Progress,
    Result, Stats, VerifyStat, View, ViewLedger,
};

use super::beat::FiledBeat;
use super::log::{self, Log, Ops, Payload, State};
use super::view::FiledView;
use super::{Held, MakeInner, SCHEME, offer, open_inner};
use crate::cases::history::WINDOW;

pub(crate) struct FiledEngine {
    make: MakeInner,
    pub(crate) inner: Box<dyn Engine>,
    pub(crate) offer: Offer,
    pub(crate) health: Health,
    published: Mutex<Published>,
    gate: BeatGate,
    ledger: ViewLedger,
    held: Arc<Held>,
    home: PathBuf,
    options: OpenOptions,
    close_wait: Duration,
}

/// What changes with a beat, all at once.
pub(crate) struct Published {
    pub(crate) header: BeatHeader,
    pub(crate) log: Log,
    /// The feed needs what came after this beat.
    feed_after: Option<BeatNo>,
}

impl FiledEngine {
    pub(crate) fn new(
        make: MakeInner,
        inner: Box<dyn Engine>,
        log: Log,
        held: Arc<Held>,
        home: &Path,
        options: &OpenOptions,
    ) -> Result<Self> {
        let mut header = BeatHeader::default();
        for payload in &log.payloads {
            header = log::apply(&*inner, payload)?;
        }
        let offer = offer(options);
        Ok(Self {
            make,
            inner,
            ledger: ViewLedger::new(offer.limits.views_max),
            offer,
            health: Health::default(),
            published: Mutex::new(Published {
                header,
                log,
                feed_after: options.keep_feed.then_some(BeatNo(0)),
            }),
            gate: BeatGate::default(),
            held,
            home: home.to_path_buf(),
            options: options.clone(),
            close_wait: options.close_wait,
        })
    }

    pub(crate) fn published(&self) -> MutexGuard<'_, Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state at a beat, and which that is: the last one kept up to it.
    fn past(&self, published: &Published, beat: BeatNo) -> Result<(Box<dyn Engine>, BeatHeader)> {
        let past = open_inner(self.make, &self.options)?;
        let mut header = BeatHeader::default();
        for payload in &published.log.payloads {
            if log::header_of(payload)?.beat > beat {
                break;
            }
            header = log::apply(&*past, payload)?;
        }
        Ok((past, header))
    }

    /// The state so many beats ago as the first record of a log, and the beats since as the others.
    fn snapshot(&self, published: &Published, keep: u64) -> Result<Vec<Payload>> {
        let floor = BeatNo(published.header.beat.0.saturating_sub(keep));
        let (past, header) = self.past(published, floor)?;
        let mut payloads = Vec::new();
        if header.beat > BeatNo(0) {
            payloads.push(Ops::snapshot(&*past.view()?, &header)?);
        }
        for payload in &published.log.payloads {
            if log::header_of(payload)?.beat > floor {
                payloads.push(Arc::clone(payload));
            }
        }
        Ok(payloads)
    }

    /// Gives up all beats but so many before the newest.
    fn rewrite(&self, keep: u64) -> Result<(u64, BeatNo)> {
        let mut published = self.published();
        let needed = published.feed_after.map_or(0, |after| published.header.beat.0.saturating_sub(after.0));
        let payloads = self.snapshot(&published, keep.max(needed))?;
        log::write_new(&self.home, &payloads, true)?;
        published.log = log::open(&self.home, None)?;
        Ok((published.log.bytes, published.header.beat))
    }
}

/// The beat of the snapshot at the beginning, behind which nothing is missing.
fn oldest_fed(payloads: &[Payload]) -> Result<BeatNo> {
    let Some(first) = payloads.first() else { return Ok(BeatNo(0)) };
    let snapshot = log::feed(first, &mut |_| ControlFlow::Break(()))?.is_none();
    Ok(if snapshot { log::header_of(first)?.beat } else { BeatNo(0) })
}

fn step(seen: &dyn Observer, op: &'static str, done: u64) -> Result<()> {
    seen.step(op, Progress { phase: "copy", done, total: Some(2), unit: "parts" })
}

impl Drop for FiledEngine {
    fn drop(&mut self) {
        // Without the note the next open takes a cut for an accident; there is nobody to tell.
        let _ = self.held.note(Some(self.published().log.bytes));
    }
}

impl Engine for FiledEngine {
    fn offer(&self) -> &Offer {
        &self.offer
    }

    fn begin_beat(&self, header: BeatHeader) -> Result<Box<dyn Beat + '_>> {
        self.health.check("begin_beat")?;
        let ticket = self.gate.enter()?;
        header.check_follows(&self.published().header, self.options.importing)?;
        Ok(Box::new(FiledBeat::new(self, ticket, header)?))
    }

    fn sync(&self) -> Result<BeatNo> {
        self.health.check("sync")?;
        let published = self.published();
        published.log.file.sync_data().map_err(|error| {
            self.health.poison();
            Error::io("sync", &self.home, error).with_engine(SCHEME)
        })?;
        Ok(published.header.beat)
    }

    fn view(&self) -> Result<Box<dyn View>> {
        let lease = self.ledger.open(BeatNo(0))?;
        let published = self.published();
        let inner = self.inner.view()?;
        lease.pin(published.header.beat);
        Ok(Box::new(FiledView {
            inner,
            header: published.header,
            _held: Arc::clone(&self.held),
            _lease: lease,
        }))
    }

    fn view_at(&self, beat: BeatNo) -> Result<Box<dyn View>> {
        let published = self.published();
        if beat == published.header.beat {
            drop(published);
            return self.view();
        }
        let lease = self.ledger.open(beat)?;
        let (past, header) = self.past(&published, beat)?;
        if header.beat != beat {
            let what = format!("beat {beat} is not kept");
            return Err(Error::new(ErrorKind::Stale, "view_at", what).with_engine(SCHEME));
        }
        Ok(Box::new(FiledView { inner: past.view()?, header, _held: Arc::clone(&self.held), _lease: lease }))
    }

    fn checkpoint(&self) -> Result<CheckpointStat> {
        let (bytes, beat) = self.rewrite(WINDOW)?;
        Ok(CheckpointStat { beat, bytes })
    }

    #[allow(clippy::disallowed_methods, reason = "an engine for tests only, without the project's own I/O")]
    fn backup(&self, into: &Path, seen: &dyn Observer) -> Result<BackupStat> {
        let used =
            into.is_file() || std::fs::read_dir(into).is_ok_and(|mut entries| entries.next().is_some());
        if used {
            return Err(Error::occupied("backup", into).with_engine(SCHEME));
        }
        step(seen, "backup", 0)?;
        let published = self.published();
        let payloads = self.snapshot(&published, 0)?;
        step(seen, "backup", 1)?;
        std::fs::create_dir_all(into)
            .map_err(|error| Error::io("backup", into, error).with_engine(SCHEME))?;
        let bytes = log::write_new(into, &payloads, true)?;
        Ok(BackupStat { beat: published.header.beat, bytes })
    }

    fn compact(&self, scope: CompactScope, seen: &dyn Observer) -> Result<CompactStat> {
        step(seen, "compact", 0)?;
        let bytes_before = self.published().log.bytes;
        let (bytes_after, _) = self.rewrite(scope.keep_beats)?;
        Ok(CompactStat { bytes_before, bytes_after: bytes_after.min(bytes_before) })
    }

    fn feed(&self, after: BeatNo, visit: &mut FeedVisit<'_>) -> Result<()> {
        let payloads = self.published().log.payloads.clone();
        if after < oldest_fed(&payloads)? {
            let what = format!("the beats after {after} are not kept");
            return Err(Error::new(ErrorKind::Stale, "feed", what).with_engine(SCHEME));
        }
        for payload in &payloads {
            let old = log::header_of(payload)?.beat <= after;
            if !old && log::feed(payload, visit)?.is_some_and(|flow| flow.is_break()) {
                break;
            }
        }
        Ok(())
    }

    fn keep_feed(&self, after: Option<BeatNo>) -> Result<FeedStat> {
        let mut published = self.published();
        published.feed_after = after;
        let oldest = oldest_fed(&published.log.payloads)?;
        // The log is one file, which is no longer for it.
        Ok(FeedStat { after: after.unwrap_or(published.header.beat).max(oldest), bytes: 0 })
    }

    fn verify(&self, found: &mut dyn FnMut(Finding), seen: &dyn Observer) -> Result<VerifyStat> {
        let state = log::inspect(&self.home);
        let mut stat = self.inner.verify(found, seen)?;
        if state != State::Whole {
            stat.damaged += 1;
            let place = self.home.join(log::LOG).display().to_string();
            found(Finding::damage(FindingCode::Structure, format!("the log is {state:?}"), place));
        }
        Ok(stat)
    }

    fn stats(&self) -> Result<Stats> {
        let published = self.published();
        let mut stats = self.inner.stats()?;
        stats.beat = published.header.beat;
        stats.bytes_on_disk = published.log.bytes;
        self.ledger.fill(&mut stats);
        Ok(stats)
    }

    fn close(self: Box<Self>) -> Result<(), (Box<dyn Engine>, Error)> {
        match self.ledger.wait_until_closed(self.close_wait) {
            Ok(()) => Ok(()),
            Err(error) => Err((self, error.with_engine(SCHEME))),
        }
    }
}
