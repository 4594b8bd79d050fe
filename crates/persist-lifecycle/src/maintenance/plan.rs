//! When something is due: thresholds over a few figures and the time. It knows no store and no clock.

use std::fmt;
use std::time::Duration;

use persist_api::CommitNo;

use crate::config::MaintenanceConfig;

/// What can be due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Task {
    /// Bounding the work of the next open.
    Checkpoint,
    /// Giving unused space back.
    Compact,
}

/// Why it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Enough bytes were committed.
    Bytes,
    /// The store has grown enough.
    Growth,
    /// Enough time has passed.
    Time,
    /// Somebody asked.
    Asked,
}

/// What a plan looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// The newest commit.
    pub commit: CommitNo,
    /// Bytes committed since the store was opened.
    pub committed_bytes: u64,
    /// Bytes on the medium.
    pub bytes_on_disk: u64,
}

/// How a run ended, as far as the plan cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It did its work. The next one counts from these figures: the commits that were there when it began, and the bytes on
    /// the medium after it.
    Done(Figures),
    /// The store was busy with something else.
    Busy,
    /// It failed.
    Failed,
}

/// When the upkeep of one store is due.
#[derive(Debug, Clone)]
pub struct Plan {
    config: MaintenanceConfig,
    checkpoint: Line,
    compact: Line,
}

/// What is known of one task.
#[derive(Debug, Clone, Default)]
struct Line {
    /// Off where the store was not granted it.
    on: bool,
    /// What the last run left, or the figures at the beginning.
    base: Figures,
    /// When the first change was seen that the last run does not hold.
    changed: Option<Duration>,
    /// When the last run ended, or the beginning.
    since: Duration,
    /// Not before, because of a failure or a busy store.
    not_before: Duration,
    failures: u32,
}

impl Plan {
    /// A plan for a store that was opened just now, for the tasks that it was granted.
    #[must_use]
    pub fn new(config: &MaintenanceConfig, tasks: &[Task], figures: Figures, now: Duration) -> Self {
        let line = |task| Line { on: tasks.contains(&task), base: figures, since: now, ..Line::default() };
        let mut checkpoint = line(Task::Checkpoint);
        // How much of what is there the last checkpoint holds is not known.
        checkpoint.changed = (figures.commit.0 > 0).then_some(now);
        Self { config: config.clone(), checkpoint, compact: line(Task::Compact) }
    }

    /// Why a task is due at `now`, if it is. No task waits for another one.
    pub fn due(&mut self, task: Task, figures: Figures, now: Duration) -> Option<Reason> {
        self.checkpoint.see(figures, now);
        self.compact.see(figures, now);
        match task {
            Task::Checkpoint => self.checkpoint_reason(figures, now),
            Task::Compact => self.compact_reason(figures, now),
        }
    }

    fn checkpoint_reason(&self, figures: Figures, now: Duration) -> Option<Reason> {
        let (line, config) = (&self.checkpoint, &self.config);
        let changed = line.changed.filter(|_| line.on && now >= line.not_before)?;
        let committed = figures.committed_bytes.saturating_sub(line.base.committed_bytes);
        if config.checkpoint_bytes.0.is_some_and(|most| committed >= most.0) {
            return Some(Reason::Bytes);
        }
        let age = now.saturating_sub(changed);
        config.checkpoint_after.0.is_some_and(|most| age >= most).then_some(Reason::Time)
    }

    fn compact_reason(&self, figures: Figures, now: Duration) -> Option<Reason> {
        let (line, config) = (&self.compact, &self.config);
        line.changed.filter(|_| line.on && now >= line.not_before)?;
        let grown = |percent: u32| {
            let (before, after) = (u128::from(line.base.bytes_on_disk), u128::from(figures.bytes_on_disk));
            after > before
                && after.saturating_mul(100) >= before.saturating_mul(u128::from(percent).saturating_add(100))
        };
        if figures.bytes_on_disk >= config.compact_bytes_min.0
            && config.compact_growth_percent.0.is_some_and(grown)
        {
            return Some(Reason::Growth);
        }
        let age = now.saturating_sub(line.since);
        config.compact_after.0.is_some_and(|most| age >= most).then_some(Reason::Time)
    }

    /// When a task will be due by time alone, should nothing else happen.
    #[must_use]
    pub fn next_by_time(&self, task: Task) -> Option<Duration> {
        let line = self.line(task);
        let at = match task {
            Task::Checkpoint => line.changed?.saturating_add(self.config.checkpoint_after.0?),
            Task::Compact => line.changed.and(Some(line.since))?.saturating_add(self.config.compact_after.0?),
        };
        Some(at.max(line.not_before)).filter(|_| line.on)
    }

    /// Notes how a run ended.
    pub fn ended(&mut self, task: Task, ended: Ended, now: Duration) {
        let (retry, most) = (self.config.retry_after, self.config.retry_after_max);
        let busy = self.config.busy_after;
        let line = self.line_mut(task);
        match ended {
            Ended::Done(base) => *line = Line { on: line.on, base, since: now, ..Line::default() },
            Ended::Busy => line.not_before = now.saturating_add(busy),
            Ended::Failed => {
                let doubled =
                    2_u32.checked_pow(line.failures).map_or(most, |times| retry.saturating_mul(times));
                line.not_before = now.saturating_add(doubled.min(most));
                line.failures = line.failures.saturating_add(1);
            }
        }
    }

    /// Failures in a row.
    #[must_use]
    pub fn failures(&self, task: Task) -> u32 {
        self.line(task).failures
    }

    fn line(&self, task: Task) -> &Line {
        match task {
            Task::Checkpoint => &self.checkpoint,
            Task::Compact => &self.compact,
        }
    }

    fn line_mut(&mut self, task: Task) -> &mut Line {
        match task {
            Task::Checkpoint => &mut self.checkpoint,
            Task::Compact => &mut self.compact,
        }
    }
}

impl Line {
    /// Notes when the first commit since the last run is seen.
    fn see(&mut self, figures: Figures, now: Duration) {
        if figures.commit > self.base.commit {
            self.changed.get_or_insert(now);
        }
    }
}

impl Task {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Checkpoint, Self::Compact];

    /// The stable lower-case name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Checkpoint => "checkpoint",
            Self::Compact => "compact",
        }
    }
}

impl Reason {
    /// The stable lower-case name, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Growth => "growth",
            Self::Time => "time",
            Self::Asked => "asked",
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
