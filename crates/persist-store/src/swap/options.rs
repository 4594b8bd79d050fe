//! What to swap to, within which bounds, and what became of it.

use std::path::PathBuf;
use std::time::Duration;

use persist_api::{BeatNo, Caps, CommitNo, Durability, OpenOptions};

use super::mark::{SwapId, SwapPlace};
use crate::StoreDigest;

/// On which engine a store shall run, and where it shall lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwapTarget {
    /// The engine's scheme; one of the drivers with which the store was opened.
    pub engine: String,
    /// `None`: in the home that the store has. A directory makes the store move there; it must be missing or empty. A store
    /// that lies nowhere on disk needs one. A relative path begins where the process is when the swap begins.
    pub home: Option<PathBuf>,
    /// What the engine is told. The mode is of no importance.
    pub options: OpenOptions,
}

impl SwapTarget {
    /// Another engine in the same home.
    #[must_use]
    pub fn here(engine: &str) -> Self {
        Self { engine: engine.to_owned(), home: None, options: OpenOptions::default() }
    }

    /// An engine in another home.
    #[must_use]
    pub fn at(engine: &str, home: impl Into<PathBuf>) -> Self {
        Self { home: Some(home.into()), ..Self::here(engine) }
    }

    /// The same target with the engine told this.
    #[must_use]
    pub fn options(self, options: OpenOptions) -> Self {
        Self { options, ..self }
    }
}

/// The bounds of a swap.
#[derive(Debug, Clone)]
pub struct SwapOptions {
    /// How long writers may be made to wait. A fence that takes longer is taken down, and the swap follows on.
    pub fence_budget: Duration,
    /// How often a fence is tried before the swap gives up.
    pub fence_tries: u32,
    /// The fence is raised when at most so many commits are left to be followed.
    pub lag_max: u64,
    /// How often in a row following may come no nearer to the source before the swap gives up: the writers are faster.
    pub rounds_max: u32,
    /// Most bytes that one beat of the target takes; half of what the engine takes, where that is less. A beat takes one
    /// record or commit however small this is.
    pub chunk_bytes: u64,
    /// Most bytes of commits that the source keeps for the swap. Beyond it the swap gives up.
    pub feed_bytes_max: u64,
    /// Afterwards the new engine keeps every commit for the old one, so that a rollback has only those to follow. Without
    /// meaning for a source that keeps nothing on disk: there is no way back to it.
    pub follow_back: bool,
    /// Begins also where the target's disk has less room than the source takes. Whether it is enough, the copy will tell.
    pub ignore_space: bool,
    /// Capabilities that were granted and may be lost. Without any of the others the swap is refused.
    pub may_lose: Caps,
}

impl Default for SwapOptions {
    fn default() -> Self {
        Self {
            fence_budget: Duration::from_secs(1),
            fence_tries: 8,
            lag_max: 256,
            rounds_max: 8,
            chunk_bytes: 4 << 20,
            feed_bytes_max: 1 << 30,
            follow_back: false,
            ignore_space: false,
            may_lose: Caps::ZERO_COPY,
        }
    }
}

/// One side of a swap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwapSide {
    /// The engine's scheme.
    pub engine: String,
    /// Its epoch; 0 for an engine that keeps nothing on disk.
    pub epoch: u64,
    /// Its home; `None` for an engine that keeps nothing on disk.
    pub home: Option<PathBuf>,
}

/// What a swap has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SwapFigures {
    /// Records that were copied, those of an earlier try that was resumed included.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Records that this process copied.
    pub records_now: u64,
    /// Bytes of their keys and values.
    pub bytes_now: u64,
    /// How long copying took in this process.
    pub copy_time: Duration,
    /// Commits that were followed by this process.
    pub followed: u64,
    /// Rounds of following.
    pub rounds: u64,
    /// Keys and ranges that were compared one by one after the digest.
    pub compared: u64,
    /// Fences that took too long and were taken down.
    pub fences_down: u64,
}

/// What became of a swap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwapReport {
    /// Its name.
    pub id: SwapId,
    /// The engine before.
    pub from: SwapSide,
    /// The engine now.
    pub to: SwapSide,
    /// The newest beat at the flip.
    pub beat: BeatNo,
    /// The newest commit at the flip.
    pub commit: CommitNo,
    /// The digest that both sides had at [`digest_commit`](Self::digest_commit). What was committed after that was compared
    /// record by record.
    pub digest: StoreDigest,
    /// The commit at which the digests were taken.
    pub digest_commit: CommitNo,
    /// How long writers waited, from the fence to its end.
    pub pause: Duration,
    /// The highest durability before.
    pub durability_before: Durability,
    /// The highest durability from the flip on.
    pub durability: Durability,
    /// What it did.
    pub figures: SwapFigures,
}

/// A swap that is not finished, as the stamp and the target tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwapStatus {
    /// Its name.
    pub id: SwapId,
    /// How far it is.
    pub state: super::SwapState,
    /// The engine that is the store.
    pub active: SwapSide,
    /// The engine on the other side: the target, or after the flip the source that is kept.
    pub engine: String,
    /// Its epoch.
    pub epoch: u64,
    /// Where it lies.
    pub place: SwapPlace,
    /// True while a swap of this process is at work.
    pub running: bool,
}
