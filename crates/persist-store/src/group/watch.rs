//! Looking after commits whose handle is only held: no clock is set for any of them.
//!
//! While commits come, the helper looks at the queue now and then. What was there at the last look already, and is still only
//! held, it makes. So a commit costs nothing for it, but for the first one after a long rest: that wakes the helper.

use std::time::Duration;

/// From one look to the next. A held commit waits for at most two.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// So many looks at a queue to which nothing came, and the helper rests.
const IDLE_LOOKS: u32 = 60;

/// What was seen at the last look.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Commits that ever came.
    came: u64,
    /// As many had come at the last look.
    seen: u64,
    /// Looks at an empty queue since one came.
    idle: u32,
    is_on: bool,
}

impl Watch {
    /// Notes a commit.
    pub(super) const fn came(&mut self) {
        self.came = self.came.wrapping_add(1);
    }

    /// Begins to look; false where that was done already.
    pub(super) const fn begin(&mut self) -> bool {
        let begins = !self.is_on;
        (self.is_on, self.idle) = (true, 0);
        begins
    }

    /// Nobody looks any more, until somebody begins anew.
    pub(super) const fn end(&mut self) {
        self.is_on = false;
    }

    /// Whether somebody is to look.
    pub(super) const fn is_on(&self) -> bool {
        self.is_on
    }

    /// A look at a queue in which so many wait: how many of them, from the front, were there at the last one.
    pub(super) fn look(&mut self, waiting: usize) -> usize {
        let fresh = self.came.wrapping_sub(self.seen);
        self.seen = self.came;
        self.idle = if waiting == 0 && fresh == 0 { self.idle.saturating_add(1) } else { 0 };
        if self.idle >= IDLE_LOOKS {
            self.end();
        }
        waiting.saturating_sub(usize::try_from(fresh).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use shuttle::thread;

    use super::*;
    use crate::group::tests::{LEVEL, check, explore, open, queue};
    use crate::{CommitOptions, Store};

    #[test]
    fn what_was_there_at_the_last_look_is_old() {
        let mut watch = Watch::default();
        assert!(watch.begin() && !watch.begin() && watch.is_on());
        watch.came();
        watch.came();
        assert_eq!(watch.look(2), 0, "both came since");
        assert_eq!(watch.look(2), 2);
        watch.came();
        assert_eq!(watch.look(2), 1, "one of three went");
        watch.came();
        assert_eq!(watch.look(1), 0, "the others went");
    }

    #[test]
    fn after_a_long_rest_nobody_looks() {
        let mut watch = Watch::default();
        watch.begin();
        for _ in 1..IDLE_LOOKS {
            watch.look(0);
        }
        watch.came();
        for _ in 0..IDLE_LOOKS {
            assert!(watch.is_on());
            watch.look(0);
        }
        assert!(watch.is_on(), "the first of these met a commit");
        watch.look(0);
        assert!(!watch.is_on());
        assert!(watch.begin());
        for _ in 0..2 * IDLE_LOOKS {
            watch.look(1);
        }
        assert!(watch.is_on(), "something waits");
    }

    /// Looks as the helper does when it is time, and wakes it.
    fn looks(store: &Store, looks: usize) {
        for _ in 0..looks {
            store.0.group.lock().look();
            store.0.group.helper.notify_one();
            thread::yield_now();
        }
    }

    fn until_made(store: &Store, commits: u64) {
        while store.0.last_commit().0 < commits {
            thread::yield_now();
        }
    }

    #[test]
    fn a_commit_that_is_only_held_is_made_after_two_looks() {
        explore(|| {
            let (writer, store) = open(CommitOptions::default());
            let held = queue(&store, 1);
            looks(&store, 2);
            until_made(&store, 1);
            let again = queue(&store, 2);
            let waiting = store.clone();
            let waiting = thread::spawn(move || queue(&waiting, 3).wait().unwrap());
            looks(&store, 2);
            until_made(&store, 3);
            let receipts = [held.wait().unwrap(), again.wait().unwrap(), waiting.join().unwrap()];
            check(&store, &receipts, 3);
            drop((writer, store));
        });
    }

    #[test]
    fn one_that_is_held_while_the_writer_has_the_lane_is_made_after_it() {
        explore(|| {
            let (mut writer, store) = open(CommitOptions::default());
            let beat = writer.begin(LEVEL).unwrap();
            let held = queue(&store, 1);
            let looking = store.clone();
            let looking = thread::spawn(move || looks(&looking, 2));
            beat.commit().unwrap();
            looking.join().unwrap();
            until_made(&store, 2);
            assert_eq!(held.wait().unwrap().commit.0, 2);
            drop((writer, store));
        });
    }
}
