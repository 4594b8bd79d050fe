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

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Option<Duration> = Some(Duration::from_millis(3));

    fn options() -> CommitOptions {
        CommitOptions { gather: Duration::from_millis(1), ..CommitOptions::default() }
    }

    #[test]
    fn who_is_alone_goes_at_once_and_is_not_timed() {
        let mut gather = Gather::default();
        for _ in 0..3 {
            assert_eq!(gather.plan(1, &options()), None);
            assert!(!gather.wants_time(1));
            gather.note(1, 0, None);
        }
    }

    #[test]
    fn a_leader_waits_for_the_last_group_and_those_behind_it() {
        let mut gather = Gather::default();
        gather.note(1, 7, None);
        assert_eq!(gather.plan(7, &options()), None, "nobody knows yet how long a beat takes");
        assert!(gather.wants_time(7));
        gather.note(7, 1, LONG);
        assert_eq!(gather.plan(1, &options()), Some((8, Duration::from_millis(1))));
        assert_eq!(gather.plan(8, &options()), None);
        gather.note(8, 0, Some(Duration::from_micros(100)));
        assert_eq!(gather.plan(1, &options()), Some((8, Duration::from_micros(50))));
        let small = CommitOptions { beat_commits_max: 4, ..options() };
        assert_eq!(gather.plan(3, &small), Some((4, Duration::from_micros(50))));
        assert_eq!(gather.plan(4, &small), None);
        let never = CommitOptions { gather: Duration::ZERO, ..options() };
        assert_eq!(gather.plan(1, &never), None);
    }

    #[test]
    fn waiting_in_vain_is_tried_less_and_less() {
        let mut gather = Gather::default();
        gather.note(8, 0, LONG);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            gather.waited(true);
            pauses.push((0..100).take_while(|_| gather.plan(1, &options()).is_none()).count());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 64, 64]);
        gather.waited(false);
        assert!(gather.plan(1, &options()).is_some());
        gather.waited(true);
        assert!(gather.plan(1, &options()).is_none());
        assert!(gather.plan(1, &options()).is_some(), "it begins anew");
    }
}
