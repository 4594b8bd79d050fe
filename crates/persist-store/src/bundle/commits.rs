//! The part `commits` of an increment: for each beat after the base the number of its commits (u64), then for each commit the
//! length of its log (u64) and the log (`docs/format.md`, *Commit log*). Numbers of beats and commits follow from the base.

use persist_api::{Error, ErrorKind, Result};

use super::items::{Carry, Items, length};
use super::read::{BundleLimits, Receiver};
use super::too_large;
use crate::log::BeatLog;
use crate::merkle::beat_root;

const LENGTH_BYTES: usize = 8;

/// Where a commit of an increment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CommitPlace {
    /// Beats after the base, this one included.
    pub(super) beat: u64,
    /// How many commits of this beat follow.
    pub(super) left: u64,
}

/// What the commits add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct CommitTally {
    pub(super) beats: u64,
    pub(super) commits: u64,
    pub(super) key_bytes_max: u64,
    pub(super) value_bytes_max: u64,
    /// Commits of the newest beat, and their root.
    pub(super) newest: Option<(u64, [u8; 32])>,
}

impl CommitTally {
    pub(super) fn add(&mut self, log: &BeatLog) {
        self.commits = self.commits.saturating_add(1);
        self.key_bytes_max = self.key_bytes_max.max(log.tally().key_bytes_max);
        self.value_bytes_max = self.value_bytes_max.max(log.tally().value_bytes_max);
    }
}

/// Finds the commits in bytes that come in pieces.
pub(super) struct CommitReader {
    carry: Carry,
    state: State,
}

struct State {
    limits: BundleLimits,
    /// Commits of the beat that is being read that are still to come.
    left: u64,
    /// The leaves of those that were.
    leaves: Vec<[u8; 32]>,
    tally: CommitTally,
}

impl CommitReader {
    pub(super) fn new(limits: BundleLimits) -> Self {
        let state = State { limits, left: 0, leaves: Vec::new(), tally: CommitTally::default() };
        Self { carry: Carry::default(), state }
    }

    /// Takes the next bytes, and gives the commits that are whole.
    ///
    /// # Errors
    /// `Corrupt` for what is no log, `TooLarge` beyond the limits; those of the receiver.
    pub(super) fn push(&mut self, bytes: &[u8], receiver: &mut dyn Receiver) -> Result<()> {
        self.carry.push(bytes, &mut Commits { state: &mut self.state, receiver })
    }

    /// Checks that the last beat was whole.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(super) fn finish(&self) -> Result<()> {
        let whole = self.carry.is_empty() && self.state.left == 0;
        if whole { Ok(()) } else { Err(self.state.corrupt("the last beat is cut short")) }
    }

    pub(super) const fn tally(&self) -> &CommitTally {
        &self.state.tally
    }
}

struct Commits<'r> {
    state: &'r mut State,
    receiver: &'r mut dyn Receiver,
}

impl Items for Commits<'_> {
    fn extent(&self, bytes: &[u8]) -> Result<usize> {
        let log = length(bytes).filter(|_| self.state.left > 0);
        log.map_or(Ok(LENGTH_BYTES), |(log, _)| {
            let max = self.state.limits.commit_bytes;
            let fits = usize::try_from(log).ok().filter(|_| log <= max);
            fits.map(|log| log.saturating_add(LENGTH_BYTES)).ok_or_else(|| {
                let commit = self.state.tally.commits.saturating_add(1);
                too_large(format!("commit {commit} after the base has {log} bytes; the limit here is {max}"))
            })
        })
    }

    fn take(&mut self, item: &[u8]) -> Result<()> {
        let state = &mut *self.state;
        let Some((number, log)) = length(item) else { return Err(state.corrupt("a length is missing")) };
        if state.left == 0 {
            if number == 0 {
                return Err(state.corrupt("a beat without commits"));
            }
            let max = state.limits.beat_commits;
            if number > max {
                let beat = state.tally.beats.saturating_add(1);
                return Err(too_large(format!(
                    "beat {beat} after the base has {number} commits; the limit here is {max}"
                )));
            }
            state.left = number;
            state.leaves.clear();
            state.tally.beats = state.tally.beats.saturating_add(1);
            return Ok(());
        }
        let log = BeatLog::decode(log, u64::MAX).map_err(|error| state.corrupt(error.context()))?;
        state.tally.add(&log);
        state.leaves.push(log.leaf());
        state.left = state.left.saturating_sub(1);
        if state.left == 0 {
            state.tally.newest = Some((state.leaves.len() as u64, beat_root(&state.leaves)));
        }
        let place = CommitPlace { beat: state.tally.beats, left: state.left };
        self.receiver.commit(log, place)
    }
}

impl State {
    fn corrupt(&self, what: &str) -> Error {
        let context = format!("commits, after {}: {what}", self.tally.commits);
        Error::new(ErrorKind::Corrupt, "read_bundle", context)
    }
}
