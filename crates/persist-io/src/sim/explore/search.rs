//! Power cuts and kills at every operation, and in recovery.

use super::attempt::{Look, Ran};
use super::judge::{Bounds, Seen, Violation, Word};
use super::{Case, Explorer, Failure, Oracle, Report, Restart, Workload};
use crate::sim::{Crash, Cut, CutPoint, Op, Rng, SimDisk, every_choice};

/// A violation and how it came about.
pub(super) type Stop = Box<(Violation, Case)>;

pub(super) fn stop(violation: Violation, case: Case) -> Stop {
    Box::new((violation, case))
}

/// A search that goes on.
pub(super) struct Search<'w, W> {
    pub(super) explorer: &'w Explorer,
    pub(super) workload: &'w W,
    pub(super) rng: Rng,
    pub(super) report: Report,
}

impl<'w, W: Workload> Search<'w, W> {
    pub(super) fn new(explorer: &'w Explorer, workload: &'w W) -> Self {
        Self { explorer, workload, rng: Rng::new(explorer.seed), report: Report::default() }
    }

    /// True when no more images may be tried.
    pub(super) fn is_over(&mut self) -> bool {
        self.report.cut_short |= self.report.images >= self.explorer.images_max;
        self.report.cut_short
    }

    /// The run without faults, which must be good and repeat.
    pub(super) fn plain_run(&mut self) -> Result<(SimDisk, Ran), Stop> {
        let case = || Case::new(Restart::AtEnd);
        let base = self.explorer.prepared(self.workload).map_err(|violation| stop(violation, case()))?;
        let run =
            || Explorer::run(self.workload, &base, &[]).map_err(|(violation, _)| stop(violation, case()));
        let (ran, again) = (run()?, run()?);
        let operations = |ran: &Ran| ran.disk.trace().operations().collect::<Vec<_>>();
        if operations(&ran) != operations(&again) || ran.disk.difference(&again.disk).is_some() {
            let detail = "two runs on the same disk did not do the same".to_owned();
            return Err(stop((Oracle::Repeats, detail), case()));
        }
        let all = ran.said.bounds(u64::MAX, true, ran.word);
        if all.least != all.most {
            let detail = format!("of {} steps {} were acknowledged", all.most, all.least);
            return Err(stop((Oracle::Works, detail), case()));
        }
        self.report.operations = ran.disk.operations();
        Ok((base, ran))
    }

    /// Recovers one disk, and interrupts the recovery once in a while.
    pub(super) fn check(&mut self, mut disk: SimDisk, bounds: Bounds, case: Case) -> Result<(), Stop> {
        let deep = self.explorer.depth > 0 && self.rng.one_in(self.explorer.deep_one_in);
        let look = Look { bounds, fault: case.recovery_fault, expected: None, points: deep };
        self.report.images += 1;
        let found = match self.explorer.look(self.workload, &mut disk, &look) {
            Ok(found) => found,
            Err(violation) => return Err(stop(violation, case)),
        };
        let whole = found.seen.as_ref().ok().filter(|seen| seen.damage.is_empty());
        if whole.is_none() {
            self.report.reported += 1;
        }
        if !deep {
            return Ok(());
        }
        self.interrupt(&found.points, found.bounds, &case, &found.seen)?;
        match whole {
            Some(seen) if found.bounds.word == Word::Kept => self.go_on(&disk, seen.steps, case),
            _ => Ok(()),
        }
    }

    /// A store that was recovered must work.
    fn go_on(&mut self, disk: &SimDisk, steps: u64, mut case: Case) -> Result<(), Stop> {
        for crash in [Crash::Nothing, Crash::Random(self.rng.next())] {
            if self.is_over() {
                return Ok(());
            }
            self.report.images += 1;
            let going = self.explorer.go_on(self.workload, &mut disk.killed(), steps, &crash);
            if let Err(violation) = going {
                case.go_on = Some(crash);
                return Err(stop(violation, case));
            }
        }
        Ok(())
    }

    /// Interrupts a recovery before each of its operations.
    fn interrupt(
        &mut self,
        points: &[CutPoint],
        bounds: Bounds,
        case: &Case,
        expected: &Seen<W>,
    ) -> Result<(), Stop> {
        // Where something was still on its way to the disk, a power cut may take it after one recovery has seen it.
        let settled = matches!(case.restart, Restart::PowerCut { .. }) && bounds.word == Word::Kept;
        let level = u32::try_from(case.deeper.len()).unwrap_or(u32::MAX);
        for point in self.some_of(points, level) {
            let after = point.after;
            let cut = |crash| Restart::PowerCut { after, crash };
            let mut ways = vec![
                Restart::Killed { after },
                cut(Crash::Nothing),
                cut(Crash::Everything),
                cut(Crash::Random(self.rng.next())),
            ];
            if level > 0 {
                let chosen = usize::try_from(self.rng.below(4)).unwrap_or(0);
                ways = ways.get(chosen).cloned().into_iter().collect();
            }
            for way in ways {
                // A recovery that changes nothing has only an end.
                if points.len() < 2 || self.is_over() {
                    return Ok(());
                }
                let mut disk = restarted(point, &way, self.explorer.seed);
                let bounds = bounds.after(&way);
                let mut case = case.clone();
                case.deeper.push(way);
                let points = level + 1 < self.explorer.depth;
                let look = Look { bounds, fault: None, expected: settled.then_some(expected), points };
                self.report.images += 1;
                self.report.interrupted += 1;
                match self.explorer.look(self.workload, &mut disk, &look) {
                    Ok(found) => self.interrupt(&found.points, found.bounds, &case, expected)?,
                    Err(violation) => return Err(stop(violation, case)),
                }
            }
        }
        Ok(())
    }

    /// All moments of a recovery; of one that was interrupted before only two, for there are very many of these.
    fn some_of<'p>(&mut self, points: &'p [CutPoint], level: u32) -> Vec<&'p CutPoint> {
        if level == 0 {
            return points.iter().collect();
        }
        let chosen = (0..2).filter_map(|_| {
            let place = self.rng.below(points.len() as u64);
            points.get(usize::try_from(place).ok()?)
        });
        chosen.collect()
    }

    /// Cuts the power and kills before every operation that changes something, and at the end.
    fn crashes(&mut self) -> Result<(), Stop> {
        let (_, ran) = self.plain_run()?;
        for point in ran.disk.cut_points() {
            let after = point.after;
            let cut = point.cut(self.explorer.seed);
            for crash in self.choices(&point, &cut) {
                if self.is_over() {
                    return Ok(());
                }
                let bounds = ran.said.bounds(after, true, ran.word);
                let disk = cut.image(&crash);
                self.check(disk, bounds, Case::new(Restart::PowerCut { after, crash }))?;
            }
            let bounds = ran.said.bounds(after, false, ran.word);
            let killed = Restart::Killed { after };
            self.check(restarted(&point, &killed, self.explorer.seed), bounds, Case::new(killed))?;
        }
        Ok(())
    }

    /// What to try at a moment: all that is systematic before a sync and at the end, little at others, for whatever may be
    /// lost there may be lost before the next sync too, when more was acknowledged.
    fn choices(&mut self, point: &CutPoint, cut: &Cut) -> Vec<Crash> {
        let mut choices = if point.next.is_none_or(Op::syncs) {
            every_choice(cut.units(), self.rng.next())
        } else {
            vec![Crash::Nothing, Crash::Everything]
        };
        if !cut.units().is_empty() {
            choices.extend((0..self.explorer.randoms).map(|_| Crash::Random(self.rng.next())));
        }
        choices
    }
}

/// The disk after a restart at a moment.
pub(super) fn restarted(point: &CutPoint, how: &Restart, seed: u64) -> SimDisk {
    match how {
        Restart::AtEnd | Restart::Killed { .. } => point.killed(seed),
        Restart::PowerCut { crash, .. } => point.cut(seed).image(crash),
    }
}

impl Explorer {
    /// Everything: [crashes](Self::crashes), [faults](Self::faults), [damage](Self::damage).
    ///
    /// # Errors
    /// The first violation, made smaller.
    pub fn explore<W: Workload>(&self, workload: &W) -> Result<Report, Box<Failure>> {
        Ok(self.crashes(workload)?.and(self.faults(workload)?).and(self.damage(workload)?))
    }

    /// Cuts the power, and kills the process, at every operation.
    ///
    /// # Errors
    /// The first violation, made smaller.
    pub fn crashes<W: Workload>(&self, workload: &W) -> Result<Report, Box<Failure>> {
        let mut search = Search::new(self, workload);
        let done = search.crashes();
        self.finish(workload, done, search.report)
    }

    pub(super) fn finish<W: Workload>(
        &self,
        workload: &W,
        done: Result<(), Stop>,
        report: Report,
    ) -> Result<Report, Box<Failure>> {
        match done {
            Ok(()) => Ok(report),
            Err(stop) => {
                let (violation, case) = *stop;
                Err(Box::new(self.smallest(workload, violation, case)))
            }
        }
    }
}
