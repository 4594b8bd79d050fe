//! How much may wait, and for how long.

use std::time::Duration;

/// Bounds of the committer of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitOptions {
    /// How long a commit waits for room in the queue, and how long it waits for an explicit beat of the
    /// [`Writer`](crate::Writer), before it is refused with `Busy`.
    pub wait: Duration,
    /// Most commits in the queue.
    pub queue_commits_max: usize,
    /// Most bytes of memory in the queue. A single commit beyond it waits until the queue is empty.
    pub queue_bytes_max: u64,
    /// Most commits in one beat.
    pub beat_commits_max: usize,
    /// Most bytes that the commits of one beat stage in the engine, beside the engine's own limit. A single commit may be
    /// larger.
    pub beat_bytes_max: u64,
    /// A leader waits for the others of the last group to come back, at most so long and never longer than half of what
    /// the last beat took. A writer without company never waits.
    pub gather: Duration,
    /// How often a transaction is redone after a conflict.
    pub redos_max: u32,
    /// Most bytes of memory for what a transaction has read and for what was committed while transactions run, each.
    /// Beyond it they conflict more often than they would have to.
    pub reads_bytes_max: u64,
}

impl Default for CommitOptions {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(5),
            queue_commits_max: 4096,
            queue_bytes_max: 64 << 20,
            beat_commits_max: 1024,
            beat_bytes_max: 16 << 20,
            gather: Duration::from_millis(2),
            redos_max: 64,
            reads_bytes_max: 16 << 20,
        }
    }
}
