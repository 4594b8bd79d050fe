//! One run, and one recovery, with everything that is looked at after them.

use super::judge::{
    Bounds, Said, Seen, Violation, Word, after_failed_sync, guarded, judge, recover, run, same, word_of,
    works,
};
use super::{Explorer, Oracle, Workload};
use crate::sim::{Crash, CutPoint, Fault, SimDisk, When};

/// A run that is over.
pub(super) struct Ran {
    pub(super) disk: SimDisk,
    pub(super) said: Said,
    pub(super) word: Word,
}

/// A recovery that is over and was found good.
pub(super) struct Found<W: Workload> {
    pub(super) seen: Seen<W>,
    /// The disk before each operation of the recovery that changed it, and at its end; only when wanted.
    pub(super) points: Vec<CutPoint>,
    /// What may be there from now on.
    pub(super) bounds: Bounds,
}

/// How to look at a recovery.
pub(super) struct Look<'s, W: Workload> {
    pub(super) bounds: Bounds,
    pub(super) fault: Option<(When, Fault)>,
    /// What it must give.
    pub(super) expected: Option<&'s Seen<W>>,
    pub(super) points: bool,
}

impl Explorer {
    /// The disk before the first operation of the workload.
    pub(super) fn prepared<W: Workload>(&self, workload: &W) -> Result<SimDisk, Violation> {
        let disk = SimDisk::new(self.seed);
        works(workload.prepare(&disk))?;
        Ok(disk.killed())
    }

    /// Runs the workload on a copy of `base`. Cut points are kept.
    pub(super) fn run<W: Workload>(
        workload: &W,
        base: &SimDisk,
        faults: &[(When, Fault)],
    ) -> Result<Ran, (Violation, SimDisk)> {
        let disk = base.killed();
        disk.keep_cut_points();
        for (when, fault) in faults {
            disk.plan(*when, *fault);
        }
        let done = match run(workload, &disk) {
            Ok(done) => done,
            Err(violation) => return Err((violation, disk)),
        };
        let good = if disk.met().iter().all(|(_, op, fault)| fault.hidden(*op)) {
            works(done)
        } else {
            after_failed_sync(&disk)
        };
        match good {
            Ok(()) => Ok(Ran { said: Said::of(&disk.trace()), word: word_of(&disk), disk }),
            Err(violation) => Err((violation, disk)),
        }
    }

    /// Recovers a disk, once with a fault where there is one, then as it should be, then again.
    pub(super) fn look<W: Workload>(
        &self,
        workload: &W,
        disk: &mut SimDisk,
        look: &Look<'_, W>,
    ) -> Result<Found<W>, Violation> {
        let mut bounds = look.bounds;
        if let Some((when, fault)) = look.fault {
            bounds.word = self.look_with_fault(workload, disk, when, fault, bounds)?;
            *disk = disk.killed();
        }
        if look.points {
            disk.keep_cut_points();
        }
        let astray = bounds.word != Word::Kept && disk.remembers_more();
        let seen = recover(workload, disk)?;
        let points = if look.points { disk.cut_points() } else { Vec::new() };
        judge(workload, &seen, bounds)?;
        if let Some(expected) = look.expected {
            same::<W>(expected, &seen, Oracle::InterruptedSame)?;
        }
        let before = disk.killed();
        let second = recover(workload, disk)?;
        judge(workload, &second, Bounds { word: reported::<W>(&seen, bounds.word), ..bounds })?;
        // What a disk that breaks its word still had in memory may be gone the next time, as long as that is said. Of a write that
        // was on its way to the wrong place when the process died, and that the first recovery synced, nothing is left to say so.
        let came_to_light = astray || second.as_ref().map_or(true, |found| !found.damage.is_empty());
        if bounds.word == Word::Kept || !came_to_light {
            same::<W>(&seen, &second, Oracle::SecondSame)?;
        }
        if self.second_changes_nothing
            && seen.is_ok()
            && (bounds.word == Word::Kept || !came_to_light)
            && let Some(path) = before.difference(disk)
        {
            return Err((Oracle::SecondChangesNothing, format!("{} differs", path.display())));
        }
        bounds.word = reported::<W>(&seen, bounds.word);
        Ok(Found { seen, points, bounds })
    }

    /// Lets a store that was just recovered do one step more, cuts the power, and recovers.
    pub(super) fn go_on<W: Workload>(
        &self,
        workload: &W,
        disk: &mut SimDisk,
        steps: u64,
        crash: &Crash,
    ) -> Result<(), Violation> {
        *disk = disk.killed();
        let went = guarded(|| workload.go_on(disk, steps))?;
        if !went.map_err(|error| (Oracle::GoesOn, error.to_string()))? {
            return Ok(());
        }
        let bounds = Said::of(&disk.trace()).bounds(u64::MAX, true, Word::Kept);
        let least = bounds.least.max(steps);
        *disk = disk.crash_image(crash);
        let look = Look { bounds: Bounds { least, ..bounds }, fault: None, expected: None, points: false };
        self.look(workload, disk, &look).map(|_| ())
    }

    /// A recovery that meets a fault may fail. What it gives when it does not must be right. Answers what the disk's word
    /// is worth from then on.
    fn look_with_fault<W: Workload>(
        &self,
        workload: &W,
        disk: &SimDisk,
        when: When,
        fault: Fault,
        bounds: Bounds,
    ) -> Result<Word, Violation> {
        disk.plan(when, fault);
        let seen = recover(workload, disk)?;
        let met = disk.met();
        disk.unplan();
        if met.iter().all(|(_, op, fault)| fault.hidden(*op)) {
            judge(workload, &seen, bounds)?;
            return Ok(bounds.word);
        }
        let broken = met.iter().any(|(_, _, fault)| fault.breaks_the_disk());
        let misread = |fault: &Fault| matches!(fault, Fault::FlipRead { .. } | Fault::StaleRead { .. });
        let flipped = broken && met.iter().all(|(_, _, fault)| misread(fault));
        let word = match bounds.word {
            Word::Kept if flipped && self.damage_is_always_seen && !bounds.tail_may_look_torn => {
                Word::Damaged
            }
            Word::Kept if broken => Word::Lost,
            word => word,
        };
        if seen.is_ok() {
            judge(workload, &seen, Bounds { word, ..bounds })?;
        }
        Ok(reported::<W>(&seen, word))
    }
}

/// Damage that was reported once may be gone from sight the next time.
fn reported<W: Workload>(seen: &Seen<W>, word: Word) -> Word {
    let reported = seen.as_ref().map_or(true, |found| !found.damage.is_empty());
    if word == Word::Damaged && reported { Word::Lost } else { word }
}
