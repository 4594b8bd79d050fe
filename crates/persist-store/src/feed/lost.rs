//! A table of holds that cannot be read: the store goes on without holds, until somebody gives them up.

use std::ops::ControlFlow;

use persist_api::{Error, ErrorKind, Result, Scan, View};

use super::lane::Change;
use super::record::{FEED_KEY, read_head, read_key};
use super::table::{RUNS_MAX, Table};
use crate::Store;
use crate::observe::told;

/// Most runs that are looked for: more than any table has.
const RUNS_FOUND_MAX: usize = 2 * RUNS_MAX;

/// Why there is no table, and what is stored of the feed without one.
pub(super) struct Lost {
    kind: ErrorKind,
    why: String,
    /// What nobody holds, to be freed.
    pub(super) rest: Table,
    /// Records of the engine, the table included.
    pub(super) records: u64,
}

/// True for what damage, or a key of encryption that nobody gave, makes of reading a record.
pub(super) fn is_lost(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Refused)
}

impl Lost {
    /// Looks at the keys of what is stored; where even that is damaged, nothing of it is known.
    ///
    /// # Errors
    /// Those of the view, but for damage.
    pub(super) fn of(error: &Error, view: &dyn View) -> Result<Self> {
        let (mut rest, mut records, mut newest) = (Table::default(), 1_u64, None);
        let scanned = view.scan(Scan::prefix(FEED_KEY).keys_only(), &mut |key, _| {
            let Some((commit, piece)) = read_key(key) else { return ControlFlow::Continue(()) };
            records = records.saturating_add(1);
            if piece > 0 {
                rest.split_last = commit.0;
            }
            if newest.replace(commit.0) != Some(commit.0) {
                rest.extend(commit.0);
            }
            if rest.runs.len() < RUNS_FOUND_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        match scanned {
            Err(error) if !is_lost(&error) => return Err(error),
            _ => {}
        }
        let head = newest.map(|newest| read_head(view, newest)).transpose();
        match head {
            Err(error) if !is_lost(&error) => return Err(error),
            head => rest.totals = head.ok().flatten().flatten().map(|head| head.totals).unwrap_or_default(),
        }
        Ok(Self { kind: error.kind(), why: error.context().to_owned(), rest, records })
    }

    pub(super) fn error(&self, op: &'static str) -> Error {
        let or =
            if self.kind == ErrorKind::Refused { "Open the store with that key, or give" } else { "Give" };
        let context = format!(
            "nobody knows who holds the feed: {}. Nothing else is lost. {or} up all holds (`Store::forget_holds`, \
             `persist tail --forget-holds`): then each of their readers takes its hold anew, copies what a view shows, \
             and follows from there",
            self.why
        );
        Error::new(self.kind, op, context)
    }
}

impl Store {
    /// Gives up all holds where their table cannot be read, with a beat of its own; else it changes nothing. What was kept for
    /// them is freed by that beat and those that follow. Tell every reader to start over: a hold that is taken after this is
    /// a new one, which begins at the newest commit.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn forget_holds(&self) -> Result<()> {
        if self.0.feed.check_known("forget_holds").is_ok() {
            return Ok(());
        }
        told(self.0.commit_change(Some(Change::Forget)))
    }
}
