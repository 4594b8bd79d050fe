//! Checking what the feed has stored, and counting it.

use persist_api::{
    BeatHeader, BeatNo, Engine, ErrorKind, Finding, FindingCode, Observer, Progress, Result, View,
};

use super::FeedCommit;
use super::lost::is_lost;
use super::record::{read_commit, read_head, read_key};
use super::state::load_table;
use super::table::{TABLE_KEY, Table};
use crate::digest::ROWS_PER_STEP;
use crate::layers::show_key;
use crate::merkle::beat_root;
use crate::shared::{Active, Core};
use crate::verify::unread;

/// What a check of the feed came to.
pub(crate) struct FeedCheck {
    /// `None` when it cannot be read: then nothing that is stored is anybody's.
    table: Option<Table>,
    /// True when the root of the newest beat was computed again.
    pub(crate) newest_root: bool,
}

/// Follows commits from beat to beat.
#[derive(Default)]
struct Follower {
    /// The beat of the commit before; `None` after one that could not be read.
    beat: Option<BeatHeader>,
    /// Leaves of that beat.
    leaves: Vec<[u8; 32]>,
}

impl Follower {
    /// Checks a commit against those before it. True when it ends a beat that was seen whole and whose root is right.
    fn take(&mut self, read: &FeedCommit) -> Result<bool, &'static str> {
        let header = read.header;
        let before = self.beat.replace(header);
        if before != Some(header) {
            self.leaves.clear();
            if before.is_some_and(|before| header.check_follows(&before, false).is_err()) {
                return Err("its beat does not follow that of the commit before it");
            }
        }
        self.leaves.push(read.log.leaf());
        // A beat whose first commits were freed has a root that cannot be computed.
        let whole = read.ends_beat() && self.leaves.len() as u64 == header.commits;
        match header.root.filter(|_| whole) {
            Some(root) if root != beat_root(&self.leaves) => Err("the root of its beat is another"),
            root => Ok(root.is_some()),
        }
    }
}

impl FeedCheck {
    /// Reads every commit that is kept, and computes the roots of beats that are kept whole.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn run(view: &dyn View, add: &mut dyn FnMut(Finding), seen: &dyn Observer) -> Result<Self> {
        let newest = view.header();
        let table = match load_table(view, newest) {
            Ok(loaded) => loaded.table,
            Err(error) => {
                add(unread(&error, show_key(TABLE_KEY)));
                return Ok(Self { table: None, newest_root: false });
            }
        };
        let mut newest_root = false;
        let mut done = 0_u64;
        for run in &table.runs {
            let mut follower = Follower::default();
            for commit in run.from..run.until {
                if done.is_multiple_of(ROWS_PER_STEP) {
                    seen.step("verify", Progress { phase: "feed", done, total: None, unit: "commits" })?;
                }
                done += 1;
                let place = || format!("feed, commit {commit}");
                let read = read_commit(view, commit);
                if !matches!(read, Ok(Some(_))) {
                    follower.beat = None;
                }
                match read {
                    Ok(Some(read)) => match follower.take(&read) {
                        Ok(right) => newest_root |= right && read.header.beat == newest.beat,
                        Err(what) => add(Finding::damage(FindingCode::Record, what, place())),
                    },
                    Ok(None) => {
                        let what = "a commit that is kept for a hold is missing";
                        add(Finding::damage(FindingCode::Record, what, place()));
                    }
                    Err(error) => add(unread(&error, place())),
                }
            }
        }
        Ok(Self { table: Some(table), newest_root })
    }

    /// True for keys of the feed that have a reason to be there.
    pub(crate) fn knows(&self, key: &[u8]) -> bool {
        key == TABLE_KEY
            || read_key(key)
                .is_some_and(|(commit, _)| self.table.as_ref().is_none_or(|table| table.has(commit.0)))
    }
}

impl Core {
    /// How many records the runtime keeps for itself, and at which beat. `None` when that cannot be counted now.
    pub(crate) fn own_records(&self, active: &Active, engine: &dyn Engine) -> Result<Option<(BeatNo, u64)>> {
        let state = self.feed.lock();
        let (beat, split_last) = (state.beat, state.table.split_last);
        let first = state.table.first();
        // A table that is to be written anew is there, though it may be empty by then.
        let known = state.table.plain_records().max(u64::from(state.outdated));
        let plain = state.lost.as_ref().map_or(known, |lost| lost.records);
        drop(state);
        let checks = match active.terms.codec.count_key_checks(engine) {
            Ok(checks) => checks,
            Err(error) if matches!(error.kind(), ErrorKind::Busy | ErrorKind::Corrupt) => return Ok(None),
            Err(error) => return Err(error),
        };
        // Beside the feed there is the copy of the format grant, in every store that has a beat, and the checks of keys.
        let own = |beat: BeatNo, feed: u64| {
            (beat, feed.saturating_add(u64::from(beat.0 > 0)).saturating_add(checks))
        };
        if first.is_none_or(|first| first > split_last) {
            return Ok(Some(own(beat, plain)));
        }
        match engine.view() {
            Ok(view) => {
                let feed = split_records(view.as_ref())?;
                Ok(feed.map(|feed| own(view.header().beat, feed)))
            }
            Err(error) if error.kind() == ErrorKind::Busy => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The records of the feed where some commits are stored in several. `None` when that cannot be read.
fn split_records(view: &dyn View) -> Result<Option<u64>> {
    let table = load_table(view, view.header())?.table;
    let Some(first) = table.first() else { return Ok(Some(table.plain_records())) };
    let head = match read_head(view, first) {
        Err(error) if is_lost(&error) => None,
        head => head?,
    };
    Ok(head.map(|head| {
        let later = table.totals.records.saturating_sub(head.totals.records);
        later.saturating_add(u64::from(head.pieces)).saturating_add(1)
    }))
}
