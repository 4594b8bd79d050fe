//! Which runs are live: those that together hold the frames from the first on, without a gap.

use std::path::Path;
use std::sync::Arc;

use persist_api::{BeatNo, Error, ErrorKind, Observer, Result};
use persist_io::Disk;

use crate::error::SCHEME;
use crate::home::Home;
use crate::lost::Lost;
use crate::missed::missed;
use crate::names::Kind;
use crate::removal::remove_each;
use crate::run::{OnLoss, RangeDelete, RangeKind, Run, RunHead, RunWriter, rebuild};
use crate::timeline::FrameSpan;
use crate::timeline::aside::move_aside;
use crate::timeline::head::Head;

/// What was found.
pub(crate) struct Runs {
    /// Newest first.
    pub(crate) live: Vec<Arc<Run>>,
    /// No run ever had this number.
    pub(crate) next_number: u32,
    /// Runs that were made anew.
    pub(crate) rebuilt: u64,
    /// Spans of frames that no run holds.
    pub(crate) lost: u64,
    /// A run of which nothing can be read and that held frames behind all others: it stays where it is.
    pub(crate) missed: Option<u32>,
}

/// Opens the runs of a store, makes those anew whose index or ends are damaged, removes those that others supersede and what
/// was never finished. Frames that should be in a run and are in none are marked as lost, in a run of their own.
///
/// # Errors
/// `Corrupt` when runs contradict each other, `Mismatch`, `Cancelled`, `Io`, `Full`.
pub(crate) fn find_runs(
    disk: &dyn Disk,
    dir: &Path,
    head: Option<&Head>,
    seen: &dyn Observer,
) -> Result<Runs> {
    let home = Home::look(disk, dir)?;
    for name in &home.unfinished {
        disk.remove_file(&dir.join(name))?;
    }
    let numbers = home.numbers(Kind::Run);
    let named = head.iter().flat_map(|head| &head.runs).map(|run| run.number);
    let greatest = numbers.iter().copied().chain(named).max().unwrap_or(0);
    let mut found =
        Runs { live: Vec::new(), next_number: greatest.saturating_add(1), rebuilt: 0, lost: 0, missed: None };
    let mut broken = Vec::new();
    for number in numbers {
        match Run::open(disk, dir, number) {
            Ok(run) => found.live.push(run),
            Err(error) if error.kind() == ErrorKind::Corrupt => broken.push(number),
            Err(error) => return Err(error),
        }
    }
    let unreadable = found.repair(disk, dir, broken, seen)?;
    found.settle(disk, dir, head, seen)?;
    // A head knows better; without one, replay misses a frame of it.
    found.missed = missed(&unreadable, &found.live, head);
    found.fill_gaps(disk, dir, head)?;
    found.live.reverse();
    Ok(found)
}

/// True if these runs hold all frames of the span.
fn fill<R: Candidate>(span: FrameSpan, runs: &[R]) -> bool {
    let mut spans: Vec<FrameSpan> = runs.iter().map(|run| run.head().span).collect();
    spans.sort_unstable();
    let reach = |upto: u64, next: &FrameSpan| if next.after <= upto { upto.max(next.upto) } else { upto };
    spans.iter().fold(span.after, reach) >= span.upto
}

/// A run of which it is to be decided whether it is live.
pub(crate) trait Candidate {
    fn head(&self) -> &RunHead;

    /// Its number, or one above all where it is yet to be made anew.
    fn number(&self) -> u32 {
        self.head().number
    }

    /// How many marks of losses it has.
    fn losses(&self) -> usize;

    /// Its range deletes and marks of losses.
    fn marks(&self) -> &[RangeDelete];

    /// True if all of it verifies.
    ///
    /// # Errors
    /// `Cancelled`, `Io`.
    fn verifies(&self, seen: &dyn Observer) -> Result<bool>;
}

impl Candidate for Arc<Run> {
    fn head(&self) -> &RunHead {
        Run::head(self)
    }

    fn losses(&self) -> usize {
        self.ranges().iter().filter(|range| range.kind != RangeKind::Deleted).count()
    }

    fn marks(&self) -> &[RangeDelete] {
        self.ranges()
    }

    fn verifies(&self, seen: &dyn Observer) -> Result<bool> {
        Ok(self.check_all(&mut |_| {}, seen)?.damaged == 0)
    }
}

/// Why a run is not used, and still kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aside {
    /// It was merged from others that are all there, and does not verify: they are used.
    GaveWay,
    /// A merged run is used that does not verify, for not all that it was made of is there.
    Incomplete,
}

/// What was decided.
pub(crate) struct Settled<R> {
    /// Oldest first.
    pub(crate) live: Vec<R>,
    /// All that they hold is in others.
    pub(crate) superseded: Vec<R>,
    /// Not used, and not to get lost.
    pub(crate) aside: Vec<(R, Aside)>,
}

/// Decides which runs are live, where some hold all frames of others.
///
/// A crash may leave a merged run and what it was made of. Before anything is removed the merged one is read; where it does
/// not verify, or knows of more losses, and the others are all there, they are used, and it goes to `damaged/`. They are used
/// too when the head does not name the merged one: a sync of it may have failed, and what is in the cache then may never reach
/// the disk. The head names it, durably, before the first of them is removed.
///
/// # Errors
/// `Cancelled`, `Io`.
pub(crate) fn settle<R: Candidate>(
    mut left: Vec<R>,
    head: Option<&Head>,
    seen: &dyn Observer,
) -> Result<Settled<R>> {
    let named = |run: &R| head.is_none_or(|head| head.runs.iter().any(|named| named.number == run.number()));
    let newer = |run: &R| (run.head().span.len(), run.number());
    let mut settled = Settled { live: Vec::new(), superseded: Vec::new(), aside: Vec::new() };
    left.sort_by_key(newer);
    while let Some(run) = left.pop() {
        let span = run.head().span;
        let (inputs, others): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|other| span.covers(&other.head().span));
        left = others;
        let known: usize = inputs.iter().map(R::losses).sum();
        if !inputs.is_empty() && !named(&run) && fill(span, &inputs) {
            settled.superseded.push(run);
            left.extend(inputs);
        } else if inputs.is_empty() || run.losses() <= known && run.verifies(seen)? {
            settled.superseded.extend(inputs);
            settled.live.push(run);
        } else if fill(span, &inputs) {
            settled.aside.push((run, Aside::GaveWay));
            left.extend(inputs);
        } else {
            settled.aside.extend(inputs.into_iter().map(|input| (input, Aside::Incomplete)));
            settled.live.push(run);
        }
        left.sort_by_key(newer);
    }
    settled.live.sort_by_key(|run| run.head().span);
    Ok(settled)
}

/// Of live runs, oldest first, one that holds frames of the one before, and others that that one does not hold.
pub(crate) fn contradiction<R: Candidate>(live: &[R]) -> Option<&R> {
    let overlap =
        |pair: &&[R]| matches!(pair, [older, newer] if newer.head().span.after < older.head().span.upto);
    live.windows(2).find(overlap).and_then(<[R]>::last)
}

impl Runs {
    fn take_number(&mut self) -> Result<u32> {
        let number = self.next_number;
        self.next_number = number.checked_add(1).ok_or_else(|| {
            Error::new(ErrorKind::Full, "open", "the numbers of runs are used up").with_engine(SCHEME)
        })?;
        Ok(number)
    }

    /// Makes broken runs anew where that can be done; the broken file is kept in `damaged/`. Answers the others.
    fn repair(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        broken: Vec<u32>,
        seen: &dyn Observer,
    ) -> Result<Vec<u32>> {
        let mut unreadable = Vec::new();
        for number in broken {
            let to = self.take_number()?;
            match rebuild(disk, dir, (number, to), OnLoss::Mark, seen) {
                Ok(_) => {
                    self.rebuilt += 1;
                    self.live.push(Run::open(disk, dir, to)?);
                }
                Err(failed) if failed.kind() == ErrorKind::Corrupt => {
                    unreadable.push(number);
                    continue;
                }
                Err(failed) => return Err(failed),
            }
            move_aside(disk, dir, &dir.join(Kind::Run.name(number)))?;
        }
        Ok(unreadable)
    }

    /// Leaves out, and removes, runs that are not live; the rest is put in order, oldest first.
    fn settle(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        head: Option<&Head>,
        seen: &dyn Observer,
    ) -> Result<()> {
        let Settled { live, superseded, aside } = settle(std::mem::take(&mut self.live), head, seen)?;
        self.live = live;
        if let Some(newer) = contradiction(&self.live) {
            let what = "two runs hold some of the same frames, and each holds others";
            return Err(Error::new(ErrorKind::Corrupt, "open", what)
                .with_engine(SCHEME)
                .with_path(newer.path()));
        }
        for (run, _) in &aside {
            move_aside(disk, dir, run.path())?;
        }
        // Those for which there is no room are left out again the next time.
        remove_each(disk, dir, superseded, |run| run.path(), || false).map(drop)
    }

    /// Marks frames that are in no run although later ones are.
    fn fill_gaps(&mut self, disk: &dyn Disk, dir: &Path, head: Option<&Head>) -> Result<()> {
        let mut whole = Vec::new();
        let mut upto = 0;
        for run in std::mem::take(&mut self.live) {
            let span = run.head().span;
            if span.after > upto {
                let last = BeatNo(run.head().first_beat.0.saturating_sub(1));
                let gap = FrameSpan::new(upto, span.after);
                let floor = whole.last().map_or(BeatNo(0), |run: &Arc<Run>| run.head().last_beat);
                whole.push(self.mark_gap(disk, dir, gap, last.max(floor), head)?);
            }
            upto = span.upto;
            whole.push(run);
        }
        self.live = whole;
        Ok(())
    }

    /// Writes a run that says that frames are lost.
    fn mark_gap(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        gap: FrameSpan,
        beat: BeatNo,
        head: Option<&Head>,
    ) -> Result<Arc<Run>> {
        self.lost += 1;
        let number = self.take_number()?;
        let named = head.and_then(|head| head.runs.iter().find(|run| gap.covers(&run.span)));
        let lost = Lost {
            beat,
            file: Kind::Run.name(named.map_or(0, |run| run.number)),
            offset: 0,
            what: format!(
                "the run with frames {} to {} is missing or cannot be read",
                gap.after.saturating_add(1),
                gap.upto
            ),
        };
        let mut writer = RunWriter::create(
            disk,
            dir,
            RunHead { number, span: gap, first_beat: beat, last_beat: beat, floor: BeatNo(0) },
        )?;
        writer.range(&RangeDelete {
            start: std::ops::Bound::Unbounded,
            end: std::ops::Bound::Unbounded,
            beat,
            kind: lost.kind(),
        });
        writer.finish()?;
        Run::open(disk, dir, number)
    }
}
