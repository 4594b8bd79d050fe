//! When a leader waits a little for company.
//!
//! Threads that were just told of their commits come back with the next ones a moment later. A leader that does not wait
//! for them makes a beat of its own commit alone, and they all wait for that: half of the beats would carry one commit.

use std::time::Duration;

use super::CommitOptions;

/// After waiting in vain, so many beats go without it, at most.
const PAUSE_MAX: u32 = 64;

/// What the last beats tell about the next.
#[derive(Debug, Default)]
pub(super) struct Gather {
    /// Commits in the last group, and those that waited when it was done.
    company: usize,
    last_took: Duration,
    /// Beats that go without waiting.
    pause: u32,
    /// Doubles each time that waiting was in vain.
    next_pause: u32,
}

impl Gather {
    /// True when a beat should be timed: somebody has company.
    pub(super) const fn wants_time(&self, group: usize) -> bool {
        group > 1 || self.company > 1
    }

    /// How many commits to wait for and how long; `None` to go at once.
    pub(super) fn plan(&mut self, waiting: usize, options: &CommitOptions) -> Option<(usize, Duration)> {
        let target = self.company.min(options.beat_commits_max);
        let window = options.gather.min(self.last_took / 2);
        if waiting >= target || window.is_zero() {
            return None;
        }
        if self.pause > 0 {
            self.pause -= 1;
            return None;
        }
        Some((target, window))
    }

    /// Notes how waiting ended.
    pub(super) fn waited(&mut self, in_vain: bool) {
        self.next_pause = if in_vain { self.next_pause.saturating_mul(2).clamp(1, PAUSE_MAX) } else { 0 };
        self.pause = self.next_pause;
    }

    /// Notes a beat: its commits, those that wait now, and how long it took where that was measured.
    pub(super) fn note(&mut self, group: usize, waiting: usize, took: Option<Duration>) {
        self.company = group.saturating_add(waiting);
        self.last_took = took.unwrap_or_default();
    }
}
