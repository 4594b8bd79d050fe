//! Two faults: a second one, of another kind, after the first.

use std::mem::discriminant;

use super::faults::fitting;
use super::judge::{Bounds, Word};
use super::search::{Search, Stop, stop};
use super::{Case, Explorer, Failure, Report, Restart, Workload};
use crate::sim::{Crash, Fault, Op, SimDisk, When};

/// How often a place is drawn until a fault of another kind fits there.
const DRAWS: u32 = 8;

/// Whether two faults are of one kind: errors are by what the system says. Two misreads are: where neither a head nor the last frames
/// can be read, nothing may be left to tell that there was more.
fn alike(one: Fault, other: Fault) -> bool {
    match (one, other) {
        (Fault::Error { code: one, .. }, Fault::Error { code: other, .. }) => one == other,
        (
            Fault::FlipRead { .. } | Fault::StaleRead { .. },
            Fault::FlipRead { .. } | Fault::StaleRead { .. },
        ) => true,
        _ => discriminant(&one) == discriminant(&other),
    }
}

impl<W: Workload> Search<'_, W> {
    /// Any fault, of another kind than `not`, at any of these operations; once or from then on.
    fn any_fault(&mut self, operations: &[(u64, Op)], not: Option<Fault>) -> Option<(When, Fault)> {
        (0..DRAWS).find_map(|_| self.draw(operations, not))
    }

    fn draw(&mut self, operations: &[(u64, Op)], not: Option<Fault>) -> Option<(When, Fault)> {
        let chosen = self.rng.below(operations.len() as u64);
        let (n, op) = *operations.get(usize::try_from(chosen).ok()?)?;
        let mut faults = fitting(op, &mut self.rng);
        faults.retain(|fault| not.is_none_or(|not| !alike(not, *fault)));
        let chosen = self.rng.below(faults.len() as u64);
        let fault = *faults.get(usize::try_from(chosen).ok()?)?;
        let times = self.times(n, fault);
        let chosen = self.rng.below(times.len() as u64);
        Some((*times.get(usize::try_from(chosen).ok()?)?, fault))
    }

    fn fault_pairs(&mut self, pairs: u64) -> Result<(), Stop> {
        let (base, ran) = self.plain_run()?;
        let operations: Vec<_> = ran.disk.trace().operations().collect();
        for _ in 0..pairs {
            if self.is_over() {
                return Ok(());
            }
            let Some(first) = self.any_fault(&operations, None) else { continue };
            if self.rng.one_in(2) {
                self.both_in_the_run(&base, first)?;
            } else {
                self.one_in_recovery(&base, first)?;
            }
        }
        Ok(())
    }

    /// The second fault comes later in what the workload does once it has met the first.
    fn both_in_the_run(&mut self, base: &SimDisk, first: (When, Fault)) -> Result<(), Stop> {
        let ran = self.run_with(base, &Case { faults: vec![first], ..Case::new(Restart::AtEnd) })?;
        let (When::At(at) | When::From(at)) = first.0;
        let later: Vec<_> = ran.disk.trace().operations().filter(|(n, _)| *n > at).collect();
        let Some(second) = self.any_fault(&later, Some(first.1)) else { return Ok(()) };
        // Planned first, for of two plans for one operation the first one counts: so it comes although the other stays.
        self.run_faults_of(base, vec![second, first])
    }

    /// The second fault comes in the recovery.
    fn one_in_recovery(&mut self, base: &SimDisk, first: (When, Fault)) -> Result<(), Stop> {
        let mut case = Case { faults: vec![first], ..Case::new(Restart::AtEnd) };
        let ran = self.run_with(base, &case)?;
        let after = ran.disk.operations();
        let crashes = [Crash::Nothing, Crash::Everything, Crash::Random(self.rng.next())];
        let cut = usize::try_from(self.rng.below(4)).ok().and_then(|chosen| crashes.get(chosen).cloned());
        let power_cut = cut.is_some();
        let disk = match cut {
            Some(crash) => {
                let disk = ran.disk.crash_image(&crash);
                case.restart = Restart::PowerCut { after, crash };
                disk
            }
            None => ran.disk.killed(),
        };
        let bounds = ran.said.bounds(u64::MAX, power_cut, ran.word);
        // What was last written to a store that was not closed looks torn when a bit of it is wrong.
        let bounds = Bounds { tail_may_look_torn: true, ..bounds };
        let counted = disk.killed();
        let found = super::judge::recover(self.workload, &counted);
        let found = found.map_err(|violation| stop(violation, case.clone()))?;
        if found.is_err() && bounds.word == Word::Kept {
            return self.check(disk, bounds, case);
        }
        let operations: Vec<_> = counted.trace().operations().collect();
        let Some(second) = self.any_fault(&operations, Some(first.1)) else { return Ok(()) };
        case.recovery_fault = Some(second);
        self.check(disk, bounds, case)
    }
}

impl Explorer {
    /// Runs the workload with so many pairs of faults, chosen by chance: two in the run, the second of another kind and later than
    /// the first, or one in the run and one in the recovery after it.
    ///
    /// # Errors
    /// The first violation, made smaller.
    pub fn fault_pairs<W: Workload>(&self, workload: &W, pairs: u64) -> Result<Report, Box<Failure>> {
        let mut search = Search::new(self, workload);
        let done = search.fault_pairs(pairs);
        self.finish(workload, done, search.report)
    }
}
