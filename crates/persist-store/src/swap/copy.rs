//! The bulk of a swap: every record, in key order, while the store goes on.

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use persist_api::{BeatHeader, Engine as _, Error, KeyRange, Observer, Progress, Result, Scan};

use super::Swap;
use super::ahead::read_ahead;
use super::cursor::{Cursor, Reach};
use super::pinned::Pinned;
use super::target::{Stroke, Target};
use crate::observe::{SwapStep, told};
use crate::shared::Active;

/// So many beats of the target are filled from one view of the source; then a newer one takes its place, so that no view
/// grows old. What is copied from a newer view is right all the same: what was committed since the first is followed, and
/// every operation says what a record is, never how it changes.
const STROKES_PER_VIEW: u64 = 64;

/// A copy at work on one view.
struct Copy<'c> {
    target: &'c Target,
    header: BeatHeader,
    chunk_bytes: u64,
    cursor: &'c mut Cursor,
    stroke: Option<Stroke<'c>>,
    last_key: Vec<u8>,
    strokes: u64,
    records_now: u64,
    bytes_now: u64,
    /// Records and bytes of the stroke, which count once it is committed.
    staged: (u64, u64),
    active: Arc<Active>,
    total: Option<u64>,
    seen: &'c dyn Observer,
}

impl Swap {
    /// Copies every record that the source has. Writers and readers go on. Repeated after a stop, it goes on where it
    /// stopped.
    ///
    /// # Errors
    /// `TooLarge` naming a key or value that the target cannot take, `Full`, `Corrupt`, `Cancelled`, `Io`: the store is
    /// as it was, and the swap may be gone on with or aborted.
    pub fn copy(&mut self, seen: &dyn Observer) -> Result<()> {
        let _span = tracing::info_span!("persist.swap.copy").entered();
        self.tell(SwapStep::Copy);
        let start = self.shared.setup.clock.now();
        let done = told(self.copy_all(seen));
        self.figures.copy_time += self.shared.setup.clock.now().saturating_sub(start);
        done
    }

    fn copy_all(&mut self, seen: &dyn Observer) -> Result<()> {
        while self.cursor.reach != Reach::All {
            let view = self.shared.pinned_durably("swap")?;
            self.copy_view(view, seen)?;
        }
        self.target()?.sync()
    }

    /// Copies from one view until it is through or old.
    fn copy_view(&mut self, view: Pinned, seen: &dyn Observer) -> Result<()> {
        let total = self.shared.with_running("swap", |_, running| running.engine.stats())?.records;
        let from = match &self.cursor.reach {
            Reach::Nothing => Bound::Unbounded,
            Reach::Key(key) => Bound::Excluded(key.clone()),
            Reach::All => return Ok(()),
        };
        let target = self.target.as_ref().ok_or_else(super::gone)?;
        // The target counts as at the beat where copying began, until it follows.
        let numbers = *target.engine.view()?.header();
        let header = if numbers.beat.0 == 0 { target.header_of(&self.base) } else { numbers };
        let mut copy = Copy {
            target,
            header,
            chunk_bytes: target.chunk_bytes(self.options.chunk_bytes),
            cursor: &mut self.cursor,
            stroke: None,
            last_key: Vec::new(),
            strokes: 0,
            records_now: 0,
            bytes_now: 0,
            staged: (0, 0),
            active: self.shared.active(),
            total,
            seen,
        };
        let scan =
            Scan { range: KeyRange::owned(from, Bound::Unbounded), ..Scan::all().without_fill_cache() };
        let copied = read_ahead(view, &scan, |key, value| copy.row(key, value));
        let ended = copied.and_then(|()| copy.end());
        self.figures.records_now = self.figures.records_now.saturating_add(copy.records_now);
        self.figures.bytes_now = self.figures.bytes_now.saturating_add(copy.bytes_now);
        ended
    }
}

impl Copy<'_> {
    /// Copies one record. `Break` when the view has become old.
    fn row(&mut self, key: &[u8], value: &[u8]) -> Result<ControlFlow<()>, Error> {
        let more = (key.len() + value.len()) as u64;
        if self.stroke.as_ref().is_some_and(|stroke| stroke.bytes.saturating_add(more) > self.chunk_bytes) {
            self.commit(Reach::Key(self.last_key.clone()))?;
            if self.strokes >= STROKES_PER_VIEW {
                return Ok(ControlFlow::Break(()));
            }
        }
        let stroke = match &mut self.stroke {
            Some(stroke) => stroke,
            None => self.stroke.insert(self.target.begin(&self.header, self.target.on_the_way())?),
        };
        stroke.put(key, value)?;
        self.last_key.clear();
        self.last_key.extend_from_slice(key);
        self.staged = (self.staged.0.saturating_add(1), self.staged.1.saturating_add(more));
        Ok(ControlFlow::Continue(()))
    }

    /// Ends a scan: of the whole rest, or of an old view.
    fn end(&mut self) -> Result<()> {
        if self.stroke.is_none() && self.strokes >= STROKES_PER_VIEW {
            return Ok(());
        }
        if self.stroke.is_none() {
            self.stroke = Some(self.target.begin(&self.header, self.target.on_the_way())?);
        }
        self.commit(Reach::All)
    }

    /// Ends a beat of the target.
    fn commit(&mut self, reach: Reach) -> Result<()> {
        let Some(stroke) = self.stroke.take() else { return Ok(()) };
        let (records, bytes) = std::mem::take(&mut self.staged);
        let next = Cursor {
            records: self.cursor.records.saturating_add(records),
            bytes: self.cursor.bytes.saturating_add(bytes),
            reach,
            ..self.cursor.clone()
        };
        stroke.commit(Some(&next))?;
        *self.cursor = next;
        self.strokes = self.strokes.saturating_add(1);
        self.records_now = self.records_now.saturating_add(records);
        self.bytes_now = self.bytes_now.saturating_add(bytes);
        self.active.meters.swap.copied(records, bytes);
        let done = self.cursor.records;
        let total = self.total.map(|total| total.max(done));
        self.seen.step("swap", Progress { phase: "copy", done, total, unit: "records" })
    }
}
