//! What the crash classes found, as data, and as text for people.

use std::fmt;
use std::path::PathBuf;

use super::block::LogError;

/// A class could not be run at all. This is never a pass.
#[derive(Debug, thiserror::Error)]
pub enum CrashError {
    /// A tool is missing or may not be used here.
    #[error(
        "{tool} is needed and does not work here: {why}; install it with `apt-get install strace eatmydata`"
    )]
    Tool {
        /// The program.
        tool: &'static str,
        /// What it said.
        why: String,
    },
    /// A child could not be started.
    #[error("cannot start {what}: {source}")]
    Start {
        /// The program.
        what: String,
        /// The cause.
        source: std::io::Error,
    },
    /// A child hung.
    #[error("the child said nothing for {seconds} s and was killed; its last words: {said}")]
    Silent {
        /// How long it was waited for.
        seconds: u64,
        /// The end of its standard error.
        said: String,
    },
    /// A child did not do its work and gave no reason that could be a finding.
    #[error("the child went astray ({status}): {said}")]
    Lost {
        /// Its exit status or the word that was out of place.
        status: String,
        /// The end of its standard error.
        said: String,
    },
    /// The trace does not have the expected form.
    #[error("line {line} of the trace cannot be read: {why}")]
    Trace {
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The parent's own files.
    #[error("{what}: {source}")]
    Io {
        /// Which file or directory.
        what: String,
        /// The cause.
        source: std::io::Error,
    },
    /// This machine lacks something that the block class needs, or does not allow it.
    #[error("absent: {tool}: {why}")]
    Absent {
        /// The program.
        tool: &'static str,
        /// What it said.
        why: String,
    },
    /// A program that handles disks worked before, and failed in the midst of the run.
    #[error("{tool} failed: {why}")]
    Device {
        /// The program.
        tool: &'static str,
        /// What it said.
        why: String,
    },
    /// The log of a disk is not one.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Writing an image failed, or the run was cancelled.
    #[error(transparent)]
    Image(#[from] persist_api::Error),
}

impl CrashError {
    /// The same error, where it came up in a trial of the tools.
    pub(crate) fn before_the_run(self) -> Self {
        match self {
            Self::Device { tool, why } => Self::Absent { tool, why },
            other => other,
        }
    }

    pub(crate) fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }
}

/// One broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The clause of the contract, as `D-2`.
    pub clause: String,
    /// What was found.
    pub what: String,
    /// Where: the kill, or session, cut and image.
    pub place: String,
    /// How to see it again.
    pub replay: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} [{}] ({})", self.clause, self.what, self.place, self.replay)
    }
}

/// What the kill class did and found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KillReport {
    /// The engine's scheme.
    pub engine: String,
    /// The seed of the run.
    pub seed: u64,
    /// Children killed.
    pub kills: u64,
    /// Beats acknowledged, over all children.
    pub beats_acknowledged: u64,
    /// Beats that were found although their acknowledgement had not come.
    pub beats_beyond: u64,
    /// Homes examined after a kill; the others were opened by the next child right away.
    pub homes_examined: u64,
    /// What was broken.
    pub violations: Vec<Violation>,
}

impl KillReport {
    /// True if nothing was broken.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }
}

impl fmt::Display for KillReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "kill {}: seed {}, {} kills, {} homes examined, {} beats acknowledged, {} found beyond the \
             acknowledgement, {} violations",
            self.engine,
            self.seed,
            self.kills,
            self.homes_examined,
            self.beats_acknowledged,
            self.beats_beyond,
            self.violations.len()
        )?;
        list(f, &self.violations)
    }
}

/// What the power-cut class did and found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PowerReport {
    /// The engine's scheme.
    pub engine: String,
    /// The seed of the run.
    pub seed: u64,
    /// Recorded runs of the workload.
    pub sessions: u64,
    /// System calls recorded that concern the store.
    pub calls: u64,
    /// Calls among them that make something durable.
    pub syncs: u64,
    /// Beats acknowledged in the recorded runs.
    pub beats_acknowledged: u64,
    /// Beats among them that were promised to survive power loss.
    pub beats_promised: u64,
    /// Openings that showed a durable beat which nobody had been promised: a killed process had written it.
    pub openings_ahead: u64,
    /// Different moments of the power cut.
    pub cuts: u64,
    /// Images built and opened.
    pub images: u64,
    /// Images that showed a beat newer than the newest promised one.
    pub beyond_promise: u64,
    /// Files that are written through shared memory and were filled with zeros or noise in the images.
    pub scratch: Vec<String>,
    /// What was broken.
    pub violations: Vec<Violation>,
    /// Where traces and failing images were kept.
    pub kept: Option<PathBuf>,
}

impl PowerReport {
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

impl fmt::Display for PowerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "power cut {}: seed {}, {} sessions, {} calls ({} syncs), {} beats acknowledged ({} promised), {} openings ahead of it, \
             {} cuts, {} images, {} beyond the promise, scratch files {:?}, {} violations",
            self.engine,
            self.seed,
            self.sessions,
            self.calls,
            self.syncs,
            self.beats_acknowledged,
            self.beats_promised,
            self.openings_ahead,
            self.cuts,
            self.images,
            self.beyond_promise,
            self.scratch,
            self.violations.len()
        )?;
        list(f, &self.violations)?;
        match &self.kept {
            Some(kept) => write!(f, "\n  kept: {}", kept.display()),
            None => Ok(()),
        }
    }
}

pub(crate) fn list(f: &mut fmt::Formatter<'_>, violations: &[Violation]) -> fmt::Result {
    violations.iter().try_for_each(|violation| write!(f, "\n  {violation}"))
}
