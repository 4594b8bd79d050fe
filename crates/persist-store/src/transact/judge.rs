//! Judging a group: which transactions still hold.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::recent::Recent;
use super::spans::Spans;
use crate::group::{Entry, Failure};
use crate::log::{BeatLog, Op};

/// What the commits of a group before the one in question change.
#[derive(Default)]
struct Before<'g> {
    keys: BTreeSet<&'g [u8]>,
    cleared: Spans,
}

impl<'g> Before<'g> {
    fn add(&mut self, log: &'g BeatLog) {
        for op in log.ops() {
            match op {
                Op::Put { key, .. } | Op::Delete { key } => {
                    self.keys.insert(key);
                }
                Op::DeleteRange { range } => self.cleared.insert(&range),
            }
        }
    }
}

impl Recent {
    /// Decides the transactions of a group whose reads were changed by others, by an earlier beat or an earlier commit of the
    /// group. True if there were any. Call it in the lane.
    pub(crate) fn judge(&self, group: &[Arc<Entry>]) -> bool {
        let Some(last) = group.iter().rposition(|entry| entry.work.reads.is_some()) else { return false };
        let mut before = Before::default();
        let mut refused = false;
        for (at, entry) in group.iter().enumerate().take(last.saturating_add(1)) {
            let against = entry.work.reads.as_ref().and_then(|reads| {
                let cause =
                    self.against(reads).or_else(|| reads.touched_by_all(&before.keys, &before.cleared));
                cause.map(|cause| reads.conflict(cause))
            });
            match against {
                Some(conflict) => {
                    entry.decide(Err(Failure::Conflict(conflict)));
                    refused = true;
                }
                None if at < last => before.add(&entry.work.log),
                None => {}
            }
        }
        refused
    }
}
