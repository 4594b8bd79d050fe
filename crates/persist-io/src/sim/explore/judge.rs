//! The oracles.

use std::panic::{AssertUnwindSafe, catch_unwind};

use persist_api::{Error, Result};

use super::{Oracle, Recovered, Restart, Workload};
use crate::sim::{Event, Fault, Mark, SimDisk, Trace};

/// A violation without its circumstances.
pub(super) type Violation = (Oracle, String);

/// What the disk did to its promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// It kept them.
    Kept,
    /// It lost what it had said to be durable: an older prefix is right too, as nothing may be left to tell.
    Lost,
    /// It damaged a store in a way that must be seen.
    Damaged,
}

/// What may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Steps that must be there.
    pub(super) least: u64,
    /// Steps that must be there after a power cut: those that were acknowledged. Buffered ones outlive a process only.
    pub(super) durable: u64,
    /// Steps that may be there.
    pub(super) most: u64,
    pub(super) word: Word,
    /// The store was not closed, so that a wrong bit in what was written last may look like a torn write.
    pub(super) tail_may_look_torn: bool,
}

/// What a workload had said, by operation.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    /// After how many operations; submitted, buffered, acknowledged so far. Ascending.
    marks: Vec<(u64, [u64; 3])>,
}

impl Said {
    pub(super) fn of(trace: &Trace) -> Self {
        let (mut n, mut so_far, mut marks) = (0, [0; 3], Vec::new());
        for event in &trace.0 {
            match event {
                Event::Done { n: at, .. } => n = *at,
                Event::Mark(mark) => {
                    let [submitted, buffered, acknowledged] = &mut so_far;
                    match mark {
                        Mark::Submitted(step) => *submitted = (*submitted).max(*step),
                        Mark::Buffered(step) => *buffered = (*buffered).max(*step),
                        Mark::Acknowledged(step) => *acknowledged = (*acknowledged).max(*step),
                        Mark::Reopened | Mark::Note(_) => continue,
                    }
                    marks.push((n, so_far));
                }
                Event::Fault(_) => {}
            }
        }
        Self { marks }
    }

    /// What must and may be there after `n` operations; buffered steps too when only the process died.
    pub(super) fn bounds(&self, n: u64, power_cut: bool, word: Word) -> Bounds {
        let place = self.marks.partition_point(|(at, _)| *at <= n);
        let so_far = place.checked_sub(1).and_then(|last| self.marks.get(last));
        let [submitted, buffered, acknowledged] = so_far.map_or([0; 3], |(_, so_far)| *so_far);
        let least = if power_cut { acknowledged } else { acknowledged.max(buffered) };
        Bounds { least, durable: acknowledged, most: submitted, word, tail_may_look_torn: false }
    }
}

impl Bounds {
    /// What must be there after one more restart.
    pub(super) const fn after(self, restart: &Restart) -> Self {
        match restart {
            Restart::PowerCut { .. } => Self { least: self.durable, ..self },
            Restart::AtEnd | Restart::Killed { .. } => self,
        }
    }
}

/// Calls what may panic.
pub(super) fn guarded<T>(call: impl FnOnce() -> Result<T>) -> Result<Result<T>, Violation> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words");
        (Oracle::NoPanic, format!("it panicked: {words}"))
    })
}

pub(super) fn run<W: Workload>(workload: &W, disk: &SimDisk) -> Result<Result<()>, Violation> {
    guarded(|| workload.run(disk))
}

/// What a recovery gave.
pub(super) type Seen<W> = Result<Recovered<<W as Workload>::State>>;

pub(super) fn recover<W: Workload>(workload: &W, disk: &SimDisk) -> Result<Seen<W>, Violation> {
    guarded(|| workload.recover(disk))
}

/// Whether a recovery may give this.
pub(super) fn judge<W: Workload>(workload: &W, seen: &Seen<W>, bounds: Bounds) -> Result<(), Violation> {
    let found = match seen {
        Ok(found) => found,
        Err(_) if bounds.word != Word::Kept => return Ok(()),
        Err(error) => return Err((Oracle::Opens, error.to_string())),
    };
    let steps = found.steps;
    if !found.damage.is_empty() {
        return match bounds.word {
            Word::Kept => Err((Oracle::NoFalseAlarm, found.damage.join("; "))),
            _ if workload.right_but_damaged(found, bounds.least) => Ok(()),
            _ => Err((Oracle::WholeSteps, format!("wrong beside the reported damage: {:?}", found.state))),
        };
    }
    if steps > bounds.most {
        return Err((Oracle::NothingInvented, format!("{steps} steps, asked for were {}", bounds.most)));
    }
    if steps < bounds.least && bounds.word != Word::Lost {
        let oracle = match bounds.word {
            Word::Damaged => Oracle::DamageReported,
            _ => Oracle::KeepsAcknowledged,
        };
        return Err((oracle, format!("{steps} steps, acknowledged were {}", bounds.least)));
    }
    let expected = workload.state_after(steps);
    if found.state != expected {
        let oracle = if bounds.word == Word::Kept { Oracle::WholeSteps } else { Oracle::DamageReported };
        let detail = format!("after {steps} steps it must be {expected:?} and is {:?}", found.state);
        return Err((oracle, detail));
    }
    Ok(())
}

/// Whether two recoveries gave the same. Errors are the same whatever they say.
pub(super) fn same<W: Workload>(one: &Seen<W>, two: &Seen<W>, oracle: Oracle) -> Result<(), Violation> {
    let words = |seen: &Seen<W>| match seen {
        Ok(found) => format!("{} steps, {:?}", found.steps, found.state),
        Err(error) => error.to_string(),
    };
    let equal = match (one, two) {
        (Ok(one), Ok(two)) => one.steps == two.steps && one.state == two.state,
        (Err(_), Err(_)) => true,
        _ => false,
    };
    if equal { Ok(()) } else { Err((oracle, format!("first {}, then {}", words(one), words(two)))) }
}

/// Nothing is acknowledged after a sync that failed, until the store was opened again.
pub(super) fn after_failed_sync(disk: &SimDisk) -> Result<(), Violation> {
    let failing = |fault: &Fault| matches!(fault, Fault::Error { .. } | Fault::SyncForgets(_));
    let failed: Vec<u64> =
        disk.met().iter().filter(|(_, op, fault)| op.syncs() && failing(fault)).map(|(n, ..)| *n).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let mut poisoned = None;
    for event in &disk.trace().0 {
        match event {
            Event::Done { n, .. } if failed.contains(n) => poisoned = Some(*n),
            Event::Mark(Mark::Reopened) => poisoned = None,
            Event::Mark(Mark::Acknowledged(step)) => {
                if let Some(n) = poisoned {
                    let detail = format!("step {step} was acknowledged though sync #{n} had failed");
                    return Err((Oracle::NoAcknowledgeAfterFailedSync, detail));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// What a run that met faults may leave.
pub(super) fn word_of(disk: &SimDisk) -> Word {
    let broken = disk.met().iter().any(|(_, _, fault)| fault.breaks_the_disk());
    if broken { Word::Lost } else { Word::Kept }
}

/// An error of preparing as a violation.
pub(super) fn works(done: Result<(), Error>) -> Result<(), Violation> {
    done.map_err(|error| (Oracle::Works, error.to_string()))
}
