//! The feed: every commit after a number, as data, for whoever has to see each of them once and in order.
//!
//! Nothing is stored for it while nobody holds it. A [`Hold`] is a small record inside the engine that says how far its
//! reader came; while there is one, each beat also stores the logs of its commits (`docs/format.md`), and frees what every
//! holder has passed. So a reader may be as slow as its hold allows: it reads through the engine, a page at a time, and
//! delays nobody. Beyond the bounds of its hold it gets `Stale`, and the store does not grow any further.
//!
//! The state lies in [`FeedState`], which all handles share and only the holder of the lane changes: `lane` plans what a
//! beat does to the feed before the engine's beat opens, writes it in that beat, and takes it over when it is committed.

mod carry;
mod hold;
mod lane;
mod lost;
mod reader;
mod record;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod verify;

use persist_api::{BeatHeader, CommitNo};

use crate::log::BeatLog;

pub(crate) use carry::{Carry, Wanted};
pub use hold::{Hold, HoldStat};
pub(crate) use lane::{Buffers, Change, Plan};
pub use reader::{Feed, Ready};
pub(crate) use record::{cost, read_commit};
pub(crate) use state::FeedState;
pub(crate) use verify::FeedCheck;

/// A commit that the feed gives out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedCommit {
    /// The header of the beat that carries it: its number, which commits it has, the durability that was asked for, and the
    /// root over its commits.
    pub header: BeatHeader,
    /// Its number.
    pub commit: CommitNo,
    /// What it did.
    pub log: BeatLog,
}

impl FeedCommit {
    /// True when no more commits of its beat follow.
    #[must_use]
    pub fn ends_beat(&self) -> bool {
        self.commit == self.header.last_commit()
    }
}

/// How far the reader of a [`Hold`] may fall behind. A hold beyond either bound is stale: what it needs is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldOptions {
    /// Most bytes (keys and values, as the engine counts them) that are stored for it.
    pub bytes_max: u64,
    /// Most commits that it may lie behind the newest: its age, for a store has no clock.
    pub commits_max: u64,
}

impl Default for HoldOptions {
    /// 256 MiB, 2^20 commits.
    fn default() -> Self {
        Self { bytes_max: 256 << 20, commits_max: 1 << 20 }
    }
}
