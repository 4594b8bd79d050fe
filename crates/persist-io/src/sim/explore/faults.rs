//! A fault at every operation, of the workload and of recovery.

use super::attempt::Ran;
use super::judge::Word;
use super::search::{Search, Stop, stop};
use super::{Case, Explorer, Failure, Report, Restart, Workload};
use crate::sim::{Code, Crash, Fault, Forgot, Op, Rng, SimDisk, When};

/// The faults that fit an operation. Crashes are not among them: they are tried in another way.
pub(super) fn fitting(op: Op, rng: &mut Rng) -> Vec<Fault> {
    let error = |code, applied| Fault::Error { code, applied };
    let all = [
        error(Code::Io, false),
        error(Code::Io, true),
        error(Code::NoSpace, false),
        error(Code::Interrupted, false),
        Fault::ShortWrite { bytes: 1, then: Some(Code::Io) },
        Fault::ShortWrite { bytes: rng.below(4096), then: Some(Code::NoSpace) },
        Fault::ShortWrite { bytes: rng.below(600), then: None },
        Fault::ShortRead { bytes: rng.below(64) },
        Fault::SyncForgets(Forgot::All),
        Fault::SyncForgets(Forgot::Some(rng.next())),
        Fault::SyncLies,
        Fault::FlipRead { bit: rng.next() },
        Fault::FlipRead { bit: rng.below(64) },
        Fault::StaleRead { only: None },
        Fault::StaleRead { only: Some(rng.next()) },
        Fault::Misdirect { by: 512 },
        Fault::Misdirect { by: -4096 },
        Fault::LoseWrite,
    ];
    all.into_iter().filter(|fault| fault.fits(op)).collect()
}

impl<W: Workload> Search<'_, W> {
    /// Once, and from then on where that is wanted.
    pub(super) fn times(&self, n: u64, fault: Fault) -> Vec<When> {
        let stays = self.explorer.lies_stay || !fault.breaks_the_disk();
        [When::At(n), When::From(n)].into_iter().take(if stays { 2 } else { 1 }).collect()
    }

    /// Each fault at each operation, once and from then on.
    fn run_faults(&mut self, base: &SimDisk, operations: &[(u64, Op)]) -> Result<(), Stop> {
        for (n, op) in operations {
            for fault in fitting(*op, &mut self.rng) {
                for when in self.times(*n, fault) {
                    self.run_faults_of(base, vec![(when, fault)])?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn run_with(&mut self, base: &SimDisk, case: &Case) -> Result<Ran, Stop> {
        self.report.runs += 1;
        let ran = Explorer::run(self.workload, base, &case.faults);
        ran.map_err(|(violation, _)| stop(violation, case.clone()))
    }

    /// Runs the workload with these faults, and recovers.
    pub(super) fn run_faults_of(&mut self, base: &SimDisk, faults: Vec<(When, Fault)>) -> Result<(), Stop> {
        if self.is_over() {
            return Ok(());
        }
        let mut case = Case { faults, ..Case::new(Restart::AtEnd) };
        let ran = self.run_with(base, &case)?;
        self.check(ran.disk.killed(), ran.said.bounds(u64::MAX, false, ran.word), case.clone())?;
        let cut = ran.disk.cut();
        let after = ran.disk.operations();
        let chances = (0..=self.explorer.randoms / 4).map(|_| Crash::Random(self.rng.next()));
        let chances: Vec<_> = chances.collect();
        for crash in [Crash::Nothing, Crash::Everything].into_iter().chain(chances) {
            let disk = cut.image(&crash);
            case.restart = Restart::PowerCut { after, crash };
            self.check(disk, ran.said.bounds(u64::MAX, true, ran.word), case.clone())?;
        }
        Ok(())
    }

    /// Each fault at each operation of the recovery of this disk.
    fn recovery_faults(
        &mut self,
        disk: &SimDisk,
        mut bounds: super::judge::Bounds,
        case: &Case,
    ) -> Result<(), Stop> {
        if case.restart != Restart::AtEnd && bounds.word == Word::Kept {
            // What was last written to a store that was not closed looks torn when a bit of it is wrong.
            bounds.tail_may_look_torn = true;
        }
        let counted = disk.killed();
        let found = super::judge::recover(self.workload, &counted);
        found.map_err(|violation| stop(violation, case.clone()))?.ok();
        for (n, op) in counted.trace().operations() {
            for fault in fitting(op, &mut self.rng) {
                for when in self.times(n, fault) {
                    if self.is_over() {
                        return Ok(());
                    }
                    let case = Case { recovery_fault: Some((when, fault)), ..case.clone() };
                    self.check(disk.killed(), bounds, case)?;
                }
            }
        }
        Ok(())
    }

    fn faults(&mut self) -> Result<(), Stop> {
        let (base, ran) = self.plain_run()?;
        let operations: Vec<_> = ran.disk.trace().operations().collect();
        self.run_faults(&base, &operations)?;
        let bounds = ran.said.bounds(u64::MAX, false, ran.word);
        self.recovery_faults(&ran.disk.killed(), bounds, &Case::new(Restart::AtEnd))?;
        // The end of a store that was closed is the easy case; here are some that were not.
        let points: Vec<_> =
            ran.disk.cut_points().into_iter().filter(|point| point.next.is_some_and(Op::syncs)).collect();
        let stride = points.len() / 4 + 1;
        for point in points.iter().rev().step_by(stride) {
            let (after, crash) = (point.after, Crash::Random(self.rng.next()));
            let disk = point.cut(self.explorer.seed).image(&crash);
            let bounds = ran.said.bounds(after, true, ran.word);
            self.recovery_faults(&disk, bounds, &Case::new(Restart::PowerCut { after, crash }))?;
        }
        Ok(())
    }
}

impl Explorer {
    /// Runs the workload with every fault at every operation, once and from then on, and then recovers; the same for the
    /// operations of recovery.
    ///
    /// # Errors
    /// The first violation, made smaller.
    pub fn faults<W: Workload>(&self, workload: &W) -> Result<Report, Box<Failure>> {
        let mut search = Search::new(self, workload);
        let done = search.faults();
        self.finish(workload, done, search.report)
    }
}
