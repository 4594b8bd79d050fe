//! The search for a crash, fault or damage that a store does not survive.
//!
//! Describe the store as a [`Workload`]: how to run it, how to recover it, what it must hold after each step. An
//! [`Explorer`] then
//!
//! - runs it once, to count its operations ([`Explorer::crashes`] keeps the disk before each of them), cuts the power
//!   there with every choice of what survives that [`every_choice`](super::every_choice) knows and some random ones,
//!   kills the process there, and recovers; recovery is interrupted in the same ways, three deep;
//! - runs it once for every operation and every [`Fault`](super::Fault) that fits it, once and from then on, then kills or
//!   cuts the power, and recovers ([`Explorer::faults`]); the same faults in recovery itself; and pairs of them
//!   ([`Explorer::fault_pairs`]);
//! - damages its files at rest: bit by bit and length by length ([`Explorer::damage`]), in pairs of bits
//!   ([`Explorer::pairs`]), in several places at once in every way of [`Damage`] ([`Explorer::damage_several`]), and as a
//!   fuzzer chooses ([`Explorer::at_rest`]).
//!
//! After each, these must hold ([`Oracle`] names them one by one): what is there is a prefix of the steps, with all that
//! were acknowledged and none that was not asked for; recovering again finds the same and changes no byte; a recovery
//! that was interrupted ends like one that was not; damage is reported or harmless; nothing is acknowledged after a sync
//! that failed; a recovered store takes one more step and keeps it. The first violation is made smaller and returned as a [`Failure`], which prints how to repeat it. The
//! search is bounded by counts, never by time, and the same for the same seed.

mod at_rest;
mod attempt;
mod case;
mod damage;
mod fault_pairs;
mod faults;
mod judge;
mod replay;
mod search;
mod sequences;

use std::fmt::Debug;

use persist_api::Result;

use super::SimDisk;

pub use at_rest::AtRest;
pub use case::{Case, Failure, Oracle, Restart};
pub use damage::{Damage, Place};
pub use sequences::sequences;

/// What a recovery found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered<S> {
    /// How many steps of the workload are there.
    pub steps: u64,
    /// All that a reader sees.
    pub state: S,
    /// What was reported as damaged: one line each. A torn tail is no damage.
    pub damage: Vec<String>,
}

/// A store under test and what is done with it. Everything must follow from `self` and the disk: no clock, no threads
/// that race, no randomness of its own.
pub trait Workload {
    /// What a reader of the store sees.
    type State: PartialEq + Debug;

    /// What it is called in reports.
    fn name(&self) -> String {
        std::any::type_name::<Self>().to_owned()
    }

    /// Prepares the disk, without faults; what is there after is step 0. It should leave nothing unsynced.
    ///
    /// # Errors
    /// Whatever happened; the search stops.
    fn prepare(&self, disk: &SimDisk) -> Result<()> {
        let _ = disk;
        Ok(())
    }

    /// Does the steps 1, 2, 3, … and [marks](SimDisk::mark) each as submitted before it and as acknowledged after it. After
    /// a failure it may end, go on, or open again and go on; a step of unknown outcome is submitted again under its
    /// number until it is there.
    ///
    /// # Errors
    /// What ended it. Without a fault that is a violation.
    fn run(&self, disk: &SimDisk) -> Result<()>;

    /// Opens the store as after a crash, reads all of it, closes it.
    ///
    /// # Errors
    /// Why it cannot be opened or read; a violation unless the disk broke its word.
    fn recover(&self, disk: &SimDisk) -> Result<Recovered<Self::State>>;

    /// Opens a store that was recovered and holds `steps` steps, does one step more, with its marks, and closes it. Answers
    /// false, as the default does, when nothing was done.
    ///
    /// # Errors
    /// Why the store does not go on.
    fn go_on(&self, disk: &SimDisk, steps: u64) -> Result<bool> {
        let _ = (disk, steps);
        Ok(false)
    }

    /// What a reader sees after the first `steps` steps, and after those that [`go_on`](Self::go_on) adds.
    fn state_after(&self, steps: u64) -> Self::State;

    /// Whether what is seen is right although damage was reported: rows that cannot be read may be missing where the
    /// state says so, but none may be wrong. Of the steps, `least` must still be known. The default believes it.
    fn right_but_damaged(&self, seen: &Recovered<Self::State>, least: u64) -> bool {
        let _ = (seen, least);
        true
    }

    /// How many of the `steps` steps of a store at rest must still be known to have been there when its files are no longer
    /// `whole` but `damaged`: fewer may not be shown without a word. The default: all of them. A store that says of some
    /// damage that it takes the knowledge away answers with what the rest must tell.
    fn still_known(&self, whole: &SimDisk, damaged: &SimDisk, steps: u64) -> u64 {
        let _ = (whole, damaged);
        steps
    }

    /// Workloads that do a little less, for making a failure smaller; simplest first.
    fn smaller(&self) -> Vec<Self>
    where
        Self: Sized,
    {
        Vec::new()
    }
}

/// How far to search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explorer {
    /// All chance follows from it.
    pub seed: u64,
    /// Random images for each moment, beside the systematic ones. Moments before a sync and the last one get all
    /// systematic choices, others only "nothing" and "everything".
    pub randoms: u32,
    /// How often recovery is interrupted in a row.
    pub depth: u32,
    /// For one in so many images recovery is interrupted (if it writes at all) and the store made to go on.
    pub deep_one_in: u64,
    /// Most images that are recovered by one search.
    pub images_max: u64,
    /// Most bits that are flipped by one search, spread evenly over all files; the same for lengths of files, for pairs of bits
    /// of each group of places, and for damage in several places.
    pub damages_max: u64,
    /// Damage at rest must be reported or harmless even when it looks like a torn tail. True for stores that know what
    /// was durable when they were closed.
    pub damage_is_always_seen: bool,
    /// A second recovery may not change a byte.
    pub second_changes_nothing: bool,
    /// Faults with which the disk breaks its word also come to stay, not only once. Of a disk that lies about everything it
    /// did nothing may be left to tell, so a store need not stand that.
    pub lies_stay: bool,
}

impl Default for Explorer {
    fn default() -> Self {
        Self {
            seed: 1,
            randoms: 8,
            depth: 3,
            deep_one_in: 16,
            images_max: 1_000_000,
            damages_max: 1_000_000,
            damage_is_always_seen: true,
            second_changes_nothing: true,
            lies_stay: true,
        }
    }
}

/// What was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// Operations of the workload.
    pub operations: u64,
    /// Runs of the workload with a fault.
    pub runs: u64,
    /// Disks that were recovered, those of interrupted recoveries included.
    pub images: u64,
    /// Of these, those whose recovery had been interrupted before.
    pub interrupted: u64,
    /// Recoveries that reported damage or refused.
    pub reported: u64,
    /// True when the search ended at a limit and not because all was tried.
    pub cut_short: bool,
}

impl Report {
    /// The sum of two searches; the operations are those of the longer one.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            operations: self.operations.max(other.operations),
            runs: self.runs.saturating_add(other.runs),
            images: self.images.saturating_add(other.images),
            interrupted: self.interrupted.saturating_add(other.interrupted),
            reported: self.reported.saturating_add(other.reported),
            cut_short: self.cut_short || other.cut_short,
        }
    }
}
