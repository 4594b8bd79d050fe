//! When to open a store that is followed. To open one costs syncs and keeps others out, so it is looked at from outside first:
//! whoever opens a store writes a name into its lock, so that a lock that is as we left it means that nothing was committed.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use persist::RealDisk;
use persist_io::{LOCK_FILE, read_file};

use crate::watch::Watch;

/// How often the lock is looked at, and how long Ctrl-C may have to wait.
const SLICE: Duration = Duration::from_millis(50);
/// It is left alone for so many times as long as it was open, so that whoever comes finds it free nearly always, ...
const REST: u32 = 20;
/// ... but not longer than this.
const REST_MAX: Duration = Duration::from_secs(10);
/// Others are at work while their visits are not further apart. To open in between would be in the way of the next one.
const CALM: Duration = Duration::from_millis(200);
/// So many times `--every` after the first of such visits it is opened all the same.
const PATIENCE: u32 = 8;
/// After so long it is opened, whatever the lock looks like: two visits can look alike, in containers, where all have one number.
const AT_LATEST: Duration = Duration::from_secs(60);
const LOCK_BYTES_MAX: u64 = 4096;

/// Who opened a store last, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Visit {
    name: Vec<u8>,
    at: SystemTime,
    device_and_inode: (u64, u64),
}

impl Visit {
    /// What the lock of a home says; `None` where it says nothing.
    fn of(home: &Path) -> Option<Self> {
        let lock = home.join(LOCK_FILE);
        let meta = std::fs::symlink_metadata(&lock).ok()?;
        let name = read_file(&RealDisk, &lock, LOCK_BYTES_MAX).ok()??;
        let at = meta.modified().ok()?;
        Some(Self { name, at, device_and_inode: (meta.dev(), meta.ino()) })
    }

    fn is_ours(&self) -> bool {
        self.name.starts_with(format!("process {} ", std::process::id()).as_bytes())
    }
}

/// Looks at a store from outside.
pub(super) struct Lookout {
    every: Duration,
    home: Option<PathBuf>,
    /// How long it is left alone.
    rest: Duration,
    /// Our own last visit; `None` when it left nothing to compare with.
    ours: Option<Visit>,
    /// The last look.
    seen: Option<Visit>,
    /// When, since the store was left, somebody was first and last seen to have opened it.
    stirred: Option<(Duration, Duration)>,
}

impl Lookout {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, home: None, rest: every, ours: None, seen: None, stirred: None }
    }

    /// Notes our visit. Call it while the store is open: nobody else writes the lock then.
    pub(super) fn opened(&mut self, home: Option<PathBuf>) {
        self.ours = home.as_deref().and_then(Visit::of).filter(Visit::is_ours);
        self.seen.clone_from(&self.ours);
        self.home = home;
    }

    /// Notes how long the store was open.
    pub(super) fn left(&mut self, open_for: Duration) {
        self.rest = open_for.saturating_mul(REST).min(REST_MAX).max(self.every);
    }

    /// Waits until the store is to be opened. False when the user asked to stop.
    pub(super) fn wait(&mut self, owes: bool) -> bool {
        let start = Instant::now();
        let slice = SLICE.min(self.every).max(Duration::from_millis(1));
        self.stirred = None;
        loop {
            if Watch::check("tail").is_err() {
                return false;
            }
            let seen = self.home.as_deref().and_then(Visit::of);
            if self.is_due(start.elapsed(), seen, owes) {
                return true;
            }
            thread::sleep(slice);
        }
    }

    /// Whether the store is to be opened, so long after it was left. `owes`: also if nobody has opened it since.
    fn is_due(&mut self, waited: Duration, seen: Option<Visit>, owes: bool) -> bool {
        if seen != self.seen {
            self.stirred = Some((self.stirred.map_or(waited, |(first, _)| first), waited));
            self.seen = seen;
        }
        let wanted = owes || self.ours.is_none() || self.seen != self.ours || waited >= AT_LATEST;
        let is_calm = self.stirred.is_none_or(|(first, last)| {
            let patience = self.every.saturating_mul(PATIENCE);
            waited.saturating_sub(last) >= CALM.min(self.every) || waited.saturating_sub(first) >= patience
        });
        wanted && waited >= self.rest && is_calm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(number: u64) -> Visit {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(number);
        Visit { name: b"process 1 (persist)".to_vec(), at, device_and_inode: (1, 1) }
    }

    fn lookout() -> Lookout {
        let every = Duration::from_millis(500);
        Lookout { every, home: None, rest: every, ours: Some(visit(1)), seen: Some(visit(1)), stirred: None }
    }

    /// Looks every 50 ms, and says when, in milliseconds, the store is opened.
    fn opened_at(lookout: &mut Lookout, owes: bool, look: impl Fn(u64) -> Option<Visit>) -> u64 {
        let due = |ms: &u64| lookout.is_due(Duration::from_millis(*ms), look(*ms), owes);
        (0..=70_000).step_by(50).find(due).unwrap()
    }

    #[test]
    fn a_store_that_nobody_opened_is_left_alone_for_a_minute() {
        assert_eq!(opened_at(&mut lookout(), false, |_| Some(visit(1))), 60_000);
        assert_eq!(opened_at(&mut lookout(), true, |_| Some(visit(1))), 500, "a hold is to be moved");
    }

    #[test]
    fn a_visit_is_seen_whenever_it_was_and_others_are_let_finish() {
        let change = |when: u64| move |ms: u64| Some(visit(if ms >= when { 2 } else { 1 }));
        assert_eq!(opened_at(&mut lookout(), false, change(0)), 500);
        assert_eq!(opened_at(&mut lookout(), false, change(450)), 650);
        assert_eq!(opened_at(&mut lookout(), true, change(450)), 650);
        assert_eq!(opened_at(&mut lookout(), false, change(9000)), 9200);
        // Each opens it 100 ms after the other, up to that time or without an end.
        assert_eq!(opened_at(&mut lookout(), false, |ms| Some(visit(1 + (ms / 100).min(20)))), 2200);
        assert_eq!(opened_at(&mut lookout(), false, |ms| Some(visit(1 + ms / 100))), 4100);
        assert_eq!(opened_at(&mut lookout(), true, |ms| Some(visit(1 + ms / 100))), 4100);
    }

    #[test]
    fn a_store_that_is_slow_to_open_is_left_alone_longer() {
        for (open_for, expected) in [(1, 500), (100, 2000), (20_000, 10_000)] {
            let mut slow = lookout();
            slow.left(Duration::from_millis(open_for));
            assert_eq!(opened_at(&mut slow, false, |_| Some(visit(2))), expected);
        }
    }

    #[test]
    fn where_the_lock_says_nothing_the_store_is_opened() {
        let mut unnamed = Lookout { ours: None, seen: None, ..lookout() };
        assert_eq!(opened_at(&mut unnamed, false, |_| None), 500);
        assert_eq!(opened_at(&mut lookout(), false, |_| None), 500);
        // Somebody held it at the last try, and still does.
        let mut held = Lookout { seen: Some(visit(2)), ..lookout() };
        assert_eq!(opened_at(&mut held, false, |_| Some(visit(2))), 500);
    }
}
