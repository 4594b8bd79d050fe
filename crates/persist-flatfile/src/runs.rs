//! Which runs are live: those that together hold the frames from the first on, without a gap.

use std::path::Path;
use std::sync::Arc;

use persist_api::{BeatNo, Error, ErrorKind, Observer, Result};
use persist_io::Disk;

use crate::error::SCHEME;
use crate::home::Home;
use crate::lost::Lost;
use crate::names::Kind;
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
    /// The newest run of all, if nothing of it can be read: it stays where it is.
    pub(crate) unreadable: Option<u32>,
    /// Runs that are not used and must not get lost.
    aside: Vec<Arc<Run>>,
}

/// A run that does not open.
struct Broken {
    number: u32,
    error: Error,
}

/// Opens the runs of a store, makes those anew whose index or ends are damaged, removes those that others supersede and what
/// was never finished. Frames that should be in a run and are in none are marked as lost, in a run of their own.
///
/// # Errors
/// `Corrupt` when no run that should be there can be read, `Mismatch`, `Cancelled`, `Io`, `Full`.
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
    let mut found = Runs {
        live: Vec::new(),
        next_number: greatest.saturating_add(1),
        rebuilt: 0,
        lost: 0,
        unreadable: None,
        aside: Vec::new(),
    };
    let mut broken = Vec::new();
    for number in numbers {
        match Run::open(disk, dir, number) {
            Ok(run) => found.live.push(run),
            Err(error) if error.kind() == ErrorKind::Corrupt => broken.push(Broken { number, error }),
            Err(error) => return Err(error),
        }
    }
    found.repair(disk, dir, broken, seen, head.is_some())?;
    found.settle(disk, dir, head, seen)?;
    found.fill_gaps(disk, dir, head)?;
    found.live.reverse();
    Ok(found)
}

/// True if all of a merged run verifies, and it knows of no more lost beats than the runs that it was made of.
fn is_whole(run: &Run, inputs: &[Arc<Run>], seen: &dyn Observer) -> Result<bool> {
    let lost = |run: &Run| run.ranges().iter().filter(|range| range.kind != RangeKind::Deleted).count();
    let flaws = run.check_all(&mut |_| {}, seen)?.damaged;
    Ok(flaws == 0 && lost(run) <= inputs.iter().map(|input| lost(input)).sum())
}

/// True if these runs hold all frames of the span.
fn fill(span: FrameSpan, runs: &[Arc<Run>]) -> bool {
    let mut spans: Vec<FrameSpan> = runs.iter().map(|run| run.head().span).collect();
    spans.sort_unstable();
    let reach = |upto: u64, next: &FrameSpan| if next.after <= upto { upto.max(next.upto) } else { upto };
    spans.iter().fold(span.after, reach) >= span.upto
}

impl Runs {
    fn take_number(&mut self) -> Result<u32> {
        let number = self.next_number;
        self.next_number = number.checked_add(1).ok_or_else(|| {
            Error::new(ErrorKind::Full, "open", "the numbers of runs are used up").with_engine(SCHEME)
        })?;
        Ok(number)
    }

    /// Makes broken runs anew where that can be done; the broken file is kept in `damaged/`.
    fn repair(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        broken: Vec<Broken>,
        seen: &dyn Observer,
        has_head: bool,
    ) -> Result<()> {
        let (mut first, mut unreadable) = (None, None);
        for Broken { number, error } in broken {
            let to = self.take_number()?;
            match rebuild(disk, dir, (number, to), OnLoss::Mark, seen) {
                Ok(_) => {
                    self.rebuilt += 1;
                    self.live.push(Run::open(disk, dir, to)?);
                }
                Err(failed) if failed.kind() == ErrorKind::Corrupt => {
                    first.get_or_insert(error);
                    unreadable = unreadable.max(Some(number));
                    continue;
                }
                Err(failed) => return Err(failed),
            }
            move_aside(disk, dir, &dir.join(Kind::Run.name(number)))?;
        }
        // A run gets its name when all of it is durable. The newest of all holds frames that no other one has, unless it was
        // made of others that are still there. A head knows better: replay misses the frames.
        self.unreadable = unreadable.filter(|number| self.live.iter().all(|run| run.head().number < *number));
        if self.unreadable.is_some() && !has_head {
            self.lost += 1;
        }
        // Where nothing else is there, what cannot be read was all.
        match first {
            Some(error) if self.live.is_empty() => Err(error),
            _ => Ok(()),
        }
    }

    /// Leaves out, and removes, runs whose frames are all in another one. The rest is put in order, oldest first.
    ///
    /// A crash may leave a merged run and what it was made of. Before anything is removed the merged one is read; where it does not verify
    /// and the others are all there, they are used, and it goes to `damaged/`. They are used too when the head does not name the merged
    /// one: a sync of it may have failed, and what is in the cache then may never reach the disk. The head names it, durably, before
    /// the first of them is removed.
    fn settle(
        &mut self,
        disk: &dyn Disk,
        dir: &Path,
        head: Option<&Head>,
        seen: &dyn Observer,
    ) -> Result<()> {
        let named = |run: &Run| {
            head.is_none_or(|head| head.runs.iter().any(|named| named.number == run.head().number))
        };
        let newer = |run: &Run| (run.head().span.len(), run.head().number);
        let mut left = std::mem::take(&mut self.live);
        left.sort_by_key(|run| newer(run));
        let mut superseded = Vec::new();
        while let Some(run) = left.pop() {
            let span = run.head().span;
            let (inputs, others): (Vec<_>, Vec<_>) =
                left.into_iter().partition(|other| span.covers(&other.head().span));
            left = others;
            if !inputs.is_empty() && !named(&run) && fill(span, &inputs) {
                superseded.push(run);
                left.extend(inputs);
                left.sort_by_key(|run| newer(run));
            } else if inputs.is_empty() || is_whole(&run, &inputs, seen)? {
                superseded.extend(inputs);
                self.live.push(run);
            } else if fill(span, &inputs) {
                self.aside.push(run);
                left.extend(inputs);
                left.sort_by_key(|run| newer(run));
            } else {
                self.aside.extend(inputs);
                self.live.push(run);
            }
        }
        self.live.sort_by_key(|run| run.head().span);
        for pair in self.live.windows(2) {
            if let [older, newer] = pair
                && newer.head().span.after < older.head().span.upto
            {
                let what = "two runs hold some of the same frames, and each holds others";
                return Err(Error::new(ErrorKind::Corrupt, "open", what)
                    .with_engine(SCHEME)
                    .with_path(newer.path()));
            }
        }
        for run in std::mem::take(&mut self.aside) {
            move_aside(disk, dir, run.path())?;
        }
        for run in &superseded {
            disk.remove_file(run.path())?;
        }
        if !superseded.is_empty() {
            disk.sync_dir(dir)?;
        }
        Ok(())
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
                gap.after + 1,
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
