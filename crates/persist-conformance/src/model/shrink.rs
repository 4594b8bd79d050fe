//! Making a sequence that shows a difference as short as it can be: delta debugging over steps, then over what they say.

use super::step::{Move, Step};
use super::text::Trace;
use crate::Failure;

/// No more sequences than this are tried.
const TRIES: usize = 3000;

/// The shortest sequence found that still fails, and how. `None` when the given one does not fail (again).
pub(super) fn shrink(trace: Trace, fails: &dyn Fn(&Trace) -> Option<Failure>) -> Option<(Trace, Failure)> {
    let failure = fails(&trace)?;
    let mut best = Best { trace, failure, tries: 0, fails };
    loop {
        let before = best.trace.clone();
        best.remove_steps();
        best.remove_views();
        best.remove_beats();
        best.simplify_steps();
        if best.trace == before || best.tries >= TRIES {
            return Some((best.trace, best.failure));
        }
    }
}

struct Best<'f> {
    trace: Trace,
    failure: Failure,
    tries: usize,
    fails: &'f dyn Fn(&Trace) -> Option<Failure>,
}

impl Best<'_> {
    /// Takes the steps if they fail as well.
    fn take(&mut self, steps: Vec<Step>) -> bool {
        if self.tries >= TRIES {
            return false;
        }
        self.tries += 1;
        let trace = Trace::new(steps);
        match (self.fails)(&trace) {
            None => false,
            Some(failure) => {
                (self.trace, self.failure) = (trace, failure);
                true
            }
        }
    }

    /// Leaves out pieces of half the length, then a quarter, down to one step.
    fn remove_steps(&mut self) {
        let mut piece = self.trace.steps().len().div_ceil(2).max(1);
        loop {
            let mut at = 0;
            while at < self.trace.steps().len() {
                let steps = self.trace.steps();
                let rest = steps.iter().take(at).chain(steps.iter().skip(at + piece)).cloned().collect();
                if !self.take(rest) {
                    at += piece;
                }
            }
            if piece == 1 {
                return;
            }
            piece = piece.div_ceil(2);
        }
    }

    /// Leaves out one view at a time, with the numbers of those after it lowered.
    fn remove_views(&mut self) {
        let mut at = 0;
        while at < self.trace.steps().len() {
            let steps = self.trace.steps();
            let gone = steps.iter().take(at).filter(|step| **step == Step::View).count();
            let without = || {
                let after = steps.iter().skip(at + 1).cloned().map(|step| lowered(step, gone));
                steps.iter().take(at).cloned().chain(after).collect()
            };
            if steps.get(at) != Some(&Step::View) || !self.take(without()) {
                at += 1;
            }
        }
    }

    /// Leaves out one end of a beat at a time, with earlier beats asked for one nearer.
    fn remove_beats(&mut self) {
        let nearer = |step: Step| match step {
            Step::Past(back) => Step::Past(back.saturating_sub(1)),
            other => other,
        };
        let mut at = 0;
        while at < self.trace.steps().len() {
            let steps = self.trace.steps();
            let without = || {
                let after = steps.iter().skip(at + 1).cloned().map(nearer);
                steps.iter().take(at).cloned().chain(after).collect()
            };
            if !matches!(steps.get(at), Some(Step::End(_))) || !self.take(without()) {
                at += 1;
            }
        }
    }

    /// Replaces steps by simpler ones.
    fn simplify_steps(&mut self) {
        for at in 0..self.trace.steps().len() {
            for simpler in self.trace.steps().get(at).map(simpler).unwrap_or_default() {
                let mut steps = self.trace.steps().to_vec();
                if let Some(step) = steps.get_mut(at) {
                    *step = simpler;
                }
                if self.take(steps) {
                    break;
                }
            }
        }
    }
}

/// The step with the number of its view lowered by one, if it is beyond `gone`.
fn lowered(step: Step, gone: usize) -> Step {
    let lower = |slot: usize| if slot > gone { slot - 1 } else { slot };
    match step {
        Step::Drop(slot) => Step::Drop(lower(slot)),
        Step::Get(slot, key) => Step::Get(lower(slot), key),
        Step::Scan(slot, spec) => Step::Scan(lower(slot), spec),
        Step::Cursor(slot, spec, moves) => Step::Cursor(lower(slot), spec, moves),
        Step::Compare(slot) => Step::Compare(lower(slot)),
        other => other,
    }
}

/// Simpler steps of the same kind, simplest first.
fn simpler(step: &Step) -> Vec<Step> {
    match step {
        Step::Put { key, length, seed } if *length > 1 || *seed != 1 => vec![
            Step::Put { key: key.clone(), length: 1, seed: 1 },
            Step::Put { key: key.clone(), length: *length / 2, seed: 1 },
        ],
        Step::Cursor(view, scan, moves) if moves.len() > 1 => (0..moves.len())
            .map(|leave| {
                let rest: Vec<Move> = moves
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| *at != leave)
                    .map(|(_, step)| step.clone())
                    .collect();
                Step::Cursor(*view, scan.clone(), rest)
            })
            .collect(),
        _ => Vec::new(),
    }
}
