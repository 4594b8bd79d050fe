//! One thing to try, and what it showed.

use std::fmt;

use super::Damage;
use crate::sim::{Crash, Fault, When};

/// How a run or a recovery is interrupted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restart {
    /// It runs to its end; then the process is killed and the machine goes on.
    AtEnd,
    /// The process is killed after this many operations, and the machine goes on.
    Killed {
        /// Operations that were done.
        after: u64,
    },
    /// The power is cut after this many operations.
    PowerCut {
        /// Operations that were done.
        after: u64,
        /// What survives.
        crash: Crash,
    },
}

/// All that makes one attempt; with workload and seed it can be repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What goes wrong while the workload runs, one after the other.
    pub faults: Vec<(When, Fault)>,
    /// How it ends.
    pub restart: Restart,
    /// What happens to the files then, one after the other.
    pub damage: Vec<Damage>,
    /// How recoveries are interrupted, one after the other; then comes one that is not.
    pub deeper: Vec<Restart>,
    /// What goes wrong in the first recovery; then comes one without a fault.
    pub recovery_fault: Option<(When, Fault)>,
    /// In the end the store goes on by one step, and then the power is cut in this way.
    pub go_on: Option<Crash>,
}

impl Case {
    pub(super) const fn new(restart: Restart) -> Self {
        Self {
            faults: Vec::new(),
            restart,
            damage: Vec::new(),
            deeper: Vec::new(),
            recovery_fault: None,
            go_on: None,
        }
    }
}

/// What must hold, and did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Oracle {
    /// Without any fault the workload failed, or did not do all its steps.
    Works,
    /// The same run does the same operations.
    Repeats,
    /// No panic, on any disk.
    NoPanic,
    /// Recovery succeeds as long as the disk kept its word.
    Opens,
    /// Every acknowledged step is there.
    KeepsAcknowledged,
    /// Nothing is there that was not asked for.
    NothingInvented,
    /// The state is the one after so many steps: none in half, none missing in between.
    WholeSteps,
    /// Damage is reported or harmless.
    DamageReported,
    /// Where a disk kept its word no damage is reported.
    NoFalseAlarm,
    /// A second recovery finds the same.
    SecondSame,
    /// A second recovery changes no byte.
    SecondChangesNothing,
    /// A recovery that was interrupted ends like one that was not.
    InterruptedSame,
    /// A recovered store takes one more step.
    GoesOn,
    /// After a failed sync nothing is acknowledged.
    NoAcknowledgeAfterFailedSync,
}

/// A violation: what was tried, what did not hold, and what had happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What did not hold.
    pub oracle: Oracle,
    /// In words.
    pub detail: String,
    /// The workload.
    pub workload: String,
    /// The seed of the search.
    pub seed: u64,
    /// What was tried.
    pub case: Case,
    /// What the power cut took away.
    pub lost: Vec<String>,
    /// The run, operation by operation.
    pub trace: String,
    /// The last recovery, operation by operation.
    pub recovery: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "violated: {:?}: {}", self.oracle, self.detail)?;
        writeln!(f, "workload: {}", self.workload)?;
        writeln!(f, "repeat with: Explorer {{ seed: {}, .. }}.replay(&workload, &case)", self.seed)?;
        writeln!(f, "case: {:?}", self.case)?;
        for lost in &self.lost {
            writeln!(f, "not whole after the power cut: {lost}")?;
        }
        writeln!(f, "run:\n{}", self.trace.trim_end())?;
        writeln!(f, "recovery:\n{}", self.recovery.trim_end())
    }
}

impl std::error::Error for Failure {}
