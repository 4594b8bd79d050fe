//! What the block class did and found, as data, and as text for people.

use std::fmt;
use std::path::PathBuf;

use super::super::report::{Violation, list};

/// What the block class did and found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockReport {
    /// The engine's scheme.
    pub engine: String,
    /// The seed of the run.
    pub seed: u64,
    /// Logged runs of the workload.
    pub sessions: u64,
    /// Entries of the logs, from the start of each child on.
    pub entries: u64,
    /// Flushes among them.
    pub flushes: u64,
    /// Beats acknowledged in the logged runs.
    pub beats_acknowledged: u64,
    /// Beats among them that were promised to survive power loss.
    pub beats_promised: u64,
    /// Disks mounted and examined.
    pub moments: u64,
    /// Disks among them that lacked something that was written and not flushed.
    pub torn: u64,
    /// Disks that showed a beat newer than the newest promised one.
    pub beyond_promise: u64,
    /// What was broken.
    pub violations: Vec<Violation>,
    /// Where failing disks were kept.
    pub kept: Option<PathBuf>,
}

impl BlockReport {
    /// True if nothing was broken.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// True if a beat that was promised to survive did not.
    #[must_use]
    pub fn lost_a_promised_beat(&self) -> bool {
        self.violations.iter().any(|violation| violation.clause == "D-2")
    }
}

impl fmt::Display for BlockReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "block cut {}: seed {}, {} sessions, {} entries ({} flushes), {} beats acknowledged ({} promised), \
             {} moments ({} torn), {} beyond the promise, {} violations",
            self.engine,
            self.seed,
            self.sessions,
            self.entries,
            self.flushes,
            self.beats_acknowledged,
            self.beats_promised,
            self.moments,
            self.torn,
            self.beyond_promise,
            self.violations.len()
        )?;
        list(f, &self.violations)?;
        match &self.kept {
            Some(kept) => write!(f, "\n  kept: {}", kept.display()),
            None => Ok(()),
        }
    }
}
