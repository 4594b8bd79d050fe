//! Repeating a case, and making it smaller.

use super::attempt::{Look, Ran};
use super::judge::{Bounds, Seen, Violation, Word};
use super::search::restarted;
use super::{Case, Explorer, Failure, Restart, Workload};
use crate::sim::{Crash, CutPoint, Fate};

/// Images of one search for a smaller workload.
const SHRINK_IMAGES: u64 = 4_000;

/// What was seen while a case was repeated.
#[derive(Default)]
struct Record {
    lost: Vec<String>,
    trace: String,
    recovery: String,
}

/// The kept moment after so many operations; the last one when there is none.
fn point_at<'p>(points: &'p [CutPoint], how: &Restart) -> Option<&'p CutPoint> {
    match how {
        Restart::AtEnd => points.last(),
        Restart::Killed { after } | Restart::PowerCut { after, .. } => {
            points.iter().find(|point| point.after == *after).or(points.last())
        }
    }
}

impl Explorer {
    /// Tries one case again; `None` when all holds.
    pub fn replay<W: Workload>(&self, workload: &W, case: &Case) -> Option<Failure> {
        let mut record = Record::default();
        let (oracle, detail) = self.repeat(workload, case, &mut record).err()?;
        Some(Failure {
            oracle,
            detail,
            workload: workload.name(),
            seed: self.seed,
            case: case.clone(),
            lost: record.lost,
            trace: record.trace,
            recovery: record.recovery,
        })
    }

    fn repeat<W: Workload>(&self, workload: &W, case: &Case, record: &mut Record) -> Result<(), Violation> {
        let base = self.prepared(workload)?;
        let ran = match Self::run(workload, &base, &case.faults) {
            Ok(ran) => ran,
            Err((violation, disk)) => {
                record.trace = disk.trace().to_string();
                return Err(violation);
            }
        };
        record.trace = ran.disk.trace().to_string();
        let points = ran.disk.cut_points();
        let Some(point) = point_at(&points, &case.restart) else { return Ok(()) };
        if let Restart::PowerCut { crash, .. } = &case.restart {
            record.lost = not_whole(point, crash, self.seed);
        }
        let mut disk = restarted(point, &case.restart, self.seed);
        let mut bounds = Self::bounds_of(case, &ran);
        if !case.damage.is_empty() {
            bounds = self.hurt(workload, &disk, &points, &case.damage, bounds);
        }
        let settled = matches!(case.restart, Restart::PowerCut { .. });
        let (mut expected, mut steps): (Option<Seen<W>>, _) = (None, None);
        for (place, deeper) in case.deeper.iter().map(Some).chain([None]).enumerate() {
            let fault = case.recovery_fault.filter(|_| place == 0);
            let look = Look {
                bounds,
                fault,
                expected: expected.as_ref().filter(|_| settled && bounds.word == Word::Kept),
                points: deeper.is_some(),
            };
            let found = self.look(workload, &mut disk, &look);
            record.recovery = disk.trace().to_string();
            let found = found?;
            bounds = found.bounds;
            if let Some(how) = deeper
                && let Some(point) = point_at(&found.points, how)
            {
                disk = restarted(point, how, self.seed);
                bounds = bounds.after(how);
            }
            steps = found.seen.as_ref().ok().map(|seen| seen.steps);
            expected = expected.or(Some(found.seen));
        }
        if let (Some(crash), Some(steps)) = (&case.go_on, steps) {
            let gone = self.go_on(workload, &mut disk, steps, crash);
            record.recovery = disk.trace().to_string();
            gone?;
        }
        Ok(())
    }

    fn bounds_of(case: &Case, ran: &Ran) -> Bounds {
        let (after, power_cut) = match case.restart {
            Restart::AtEnd => (u64::MAX, false),
            Restart::Killed { after } => (after, false),
            Restart::PowerCut { after, .. } => (after, true),
        };
        let mut bounds = ran.said.bounds(after, power_cut, ran.word);
        bounds.tail_may_look_torn = case.restart != Restart::AtEnd || !case.faults.is_empty();
        bounds
    }

    /// A violation that does not come again.
    pub(super) fn only_once<W: Workload>(&self, workload: &W, violation: Violation, case: Case) -> Failure {
        let (oracle, detail) = violation;
        Failure {
            oracle,
            detail: format!("{detail}; but not when it was tried again"),
            workload: workload.name(),
            seed: self.seed,
            case,
            lost: Vec::new(),
            trace: String::new(),
            recovery: String::new(),
        }
    }

    /// The failure behind a violation, as small as it gets.
    pub(super) fn smallest<W: Workload>(&self, workload: &W, violation: Violation, case: Case) -> Failure {
        let Some(mut failure) = self.replay(workload, &case) else {
            return self.only_once(workload, violation, case);
        };
        if let Some(smaller) = self.smaller_workload(workload, &failure) {
            return smaller;
        }
        // Each round makes one change that keeps the failure; every change makes the case simpler, so it ends.
        while let Some(simpler) = self
            .simpler(workload, &failure.case)
            .into_iter()
            .find_map(|case| self.replay(workload, &case).filter(|again| again.oracle == failure.oracle))
        {
            failure = simpler;
        }
        failure
    }

    /// A short search of the same kind over smaller workloads; it makes its own find smaller in turn.
    fn smaller_workload<W: Workload>(&self, workload: &W, failure: &Failure) -> Option<Failure> {
        let deep = !failure.case.deeper.is_empty() || failure.case.go_on.is_some();
        let depth = if deep { self.depth } else { 0 };
        let short = Self { images_max: self.images_max.min(SHRINK_IMAGES), depth, ..self.clone() };
        workload.smaller().iter().find_map(|smaller| {
            let case = &failure.case;
            let found = if case.damage.len() > 1 {
                short.damage_several(smaller)
            } else if !case.damage.is_empty() {
                short.damage(smaller)
            } else if case.faults.len() + usize::from(case.recovery_fault.is_some()) > 1 {
                short.fault_pairs(smaller, SHRINK_IMAGES / 4)
            } else if !case.faults.is_empty() || case.recovery_fault.is_some() {
                short.faults(smaller)
            } else {
                short.crashes(smaller)
            };
            found.err().filter(|found| found.oracle == failure.oracle).map(|found| *found)
        })
    }

    /// Simpler cases, most promising first.
    fn simpler<W: Workload>(&self, workload: &W, case: &Case) -> Vec<Case> {
        let mut all = Vec::new();
        for place in 0..case.faults.len() {
            let mut simpler = case.clone();
            simpler.faults.remove(place);
            all.push(simpler);
        }
        if case.recovery_fault.is_some() {
            all.push(Case { recovery_fault: None, ..case.clone() });
        }
        if case.go_on.is_some() {
            all.push(Case { go_on: None, ..case.clone() });
        }
        for place in 0..case.damage.len() {
            let mut simpler = case.clone();
            simpler.damage.remove(place);
            all.push(simpler);
        }
        for place in 0..case.deeper.len() {
            let mut simpler = case.clone();
            simpler.deeper.remove(place);
            all.push(simpler);
        }
        let Restart::PowerCut { after, crash } = &case.restart else { return all };
        let cut_with = |crash| Case { restart: Restart::PowerCut { after: *after, crash }, ..case.clone() };
        if matches!(crash, Crash::Nothing | Crash::Everything) {
            return all;
        }
        all.extend([Crash::Everything, Crash::Nothing].map(cut_with));
        let Some(fates) = self.fates(workload, case, crash) else { return all };
        for (place, fate) in fates.iter().enumerate() {
            let simpler: &[Fate] = match fate {
                Fate::Kept => &[],
                Fate::Lost | Fate::Follow => &[Fate::Kept],
                Fate::Torn(_) => &[Fate::Kept, Fate::Lost],
            };
            for fate in simpler {
                let mut fates = fates.clone();
                if let Some(changed) = fates.get_mut(place) {
                    *changed = *fate;
                }
                all.push(cut_with(Crash::Each(fates)));
            }
        }
        all
    }

    /// What a choice means for each unit.
    fn fates<W: Workload>(&self, workload: &W, case: &Case, crash: &Crash) -> Option<Vec<Fate>> {
        let base = self.prepared(workload).ok()?;
        let ran = Self::run(workload, &base, &case.faults).ok()?;
        let points = ran.disk.cut_points();
        Some(crash.fates(point_at(&points, &case.restart)?.cut(self.seed).units()))
    }
}

/// The units that a power cut did not leave whole.
fn not_whole(point: &CutPoint, crash: &Crash, seed: u64) -> Vec<String> {
    let cut = point.cut(seed);
    let fates = crash.fates(cut.units());
    let not_kept = fates.iter().enumerate().filter(|(_, fate)| **fate != Fate::Kept);
    not_kept.map(|(index, fate)| format!("{}: {fate:?}", cut.describe(index))).collect()
}
