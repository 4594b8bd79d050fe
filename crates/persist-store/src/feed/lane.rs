//! What a beat does to the feed. Only the holder of the lane comes here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Waker;

use persist_api::{Beat, BeatHeader, Error, ErrorKind, Result, View};

use super::HoldOptions;
use super::lost::is_lost;
use super::record::{HEAD_LEN, Head, Totals, cost, keys_of, put_key};
use super::state::{Advance, FeedState};
use super::table::{Row, TABLE_KEY, Table};
use crate::log::BeatLog;
use crate::shared::{Active, Terms, too_large};

/// Commits that a beat frees, beside twice as many as it has itself: so what is to be freed gets less with every beat.
const FREED_PER_BEAT: u64 = 64;

/// What a commit changes about the holds.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// Makes a hold, or gives the one of this name other bounds.
    Keep { name: Arc<str>, options: HoldOptions },
    /// Takes away the hold that this commit made.
    Release { name: Arc<str>, born: u64 },
    /// Gives up all holds of a table that cannot be read.
    Forget,
}

/// What the next beat does to the feed, beside its commits.
pub(crate) struct Plan {
    next: Table,
    /// The advances that `next` contains.
    advances: BTreeMap<Arc<str>, Advance>,
    stored: Vec<Stored>,
    freed: Vec<Vec<u8>>,
    /// The table is written anew, or goes.
    dirty: bool,
    /// What was lost is given up.
    forgets: bool,
}

/// A commit of the beat that is stored.
#[derive(Clone, Copy)]
struct Stored {
    commit: u64,
    totals: Totals,
    pieces: u32,
}

/// Memory for keys and values, kept from one beat to the next.
#[derive(Default)]
pub(crate) struct Buffers {
    key: Vec<u8>,
    record: Vec<u8>,
}

impl FeedState {
    /// Plans the feed's part of a beat; `None` when it has none.
    ///
    /// # Errors
    /// `TooLarge` when the beat has no room for it.
    pub(crate) fn plan<'l>(
        &self,
        active: &Active,
        header: &BeatHeader,
        logs: impl Iterator<Item = &'l BeatLog> + Clone,
        changes: &[(u64, &Change)],
    ) -> Result<Option<Plan>> {
        let forgets = changes.iter().any(|(_, change)| matches!(change, Change::Forget));
        let state = self.lock();
        let before = match &state.lost {
            Some(lost) if forgets => lost.rest.clone(),
            // What cannot be read stays as it is until somebody gives it up.
            Some(_) => return Ok(None),
            None if state.table.is_empty() && changes.is_empty() && !state.outdated => return Ok(None),
            None => state.table.clone(),
        };
        let (advances, outdated) = (state.advances.clone(), state.outdated);
        drop(state);
        let terms = active.terms.as_ref();
        let mut draft = Draft::new(terms, before, &advances);
        draft.take_in(header, &logs, changes);
        let first = terms.own_bytes(header.beat.0 == 1);
        let staged = logs.map(|log| terms.staged_bytes(log)).fold(first, u64::saturating_add);
        let staged = staged.saturating_add(draft.stored_bytes()).saturating_add(draft.table_bytes());
        let room = terms.limits().beat_bytes_max;
        let left = room.checked_sub(staged).ok_or_else(|| too_large(staged, room))?;
        let left = if outdated { draft.renew(left) } else { left };
        let freed = draft.free(active, header.commits, left)?;
        let Draft { next, stored, dirty, .. } = draft;
        Ok(Some(Plan { next, advances, stored, freed, dirty, forgets }))
    }

    /// Takes a beat over that was committed: what its plan said is so from now on, and threads that wait for it are woken.
    /// Gives the tasks that do, to be woken when the lane is free.
    #[must_use]
    pub(crate) fn publish(&self, header: &BeatHeader, plan: Option<Plan>) -> Vec<Waker> {
        self.tell(|state| {
            state.last = header.last_commit();
            state.beat = header.beat;
            if let Some(plan) = plan {
                self.note_reserve(&plan.next);
                state.table = plan.next;
                state.outdated &= !plan.dirty;
                if plan.forgets {
                    state.lost = None;
                }
                state.advances.retain(|name, advance| plan.advances.get(name) != Some(advance));
            }
        })
    }
}

impl Plan {
    /// Writes it into the beat.
    pub(crate) fn apply<'l>(
        &self,
        terms: &Terms,
        header: &BeatHeader,
        logs: impl Iterator<Item = &'l BeatLog>,
        beat: &mut dyn Beat,
        buffers: &mut Buffers,
    ) -> Result<()> {
        let Buffers { key, record } = buffers;
        for key in &self.freed {
            beat.delete_record(key)?;
        }
        let piece_max = usize::try_from(terms.limits().value_bytes_max).unwrap_or(usize::MAX);
        let mut stored = self.stored.iter().peekable();
        for (commit, log) in (header.first_commit.0..).zip(logs) {
            let Some(Stored { totals, pieces, .. }) = stored.next_if(|stored| stored.commit == commit) else {
                continue;
            };
            if !self.next.has(commit) {
                continue;
            }
            let log_bytes = log.canonical_bytes().len() as u64;
            let head = Head { header: *header, commit, totals: *totals, pieces: *pieces, log_bytes };
            head.encode(log, record);
            for (piece, value) in (0..).zip(record.chunks(piece_max.max(HEAD_LEN))) {
                put_key(commit, piece, key);
                beat.put_record(key, value)?;
            }
        }
        if !self.dirty {
            return Ok(());
        }
        if self.next.is_empty() {
            return beat.delete_record(TABLE_KEY);
        }
        beat.put_record(TABLE_KEY, &self.next.encode())
    }
}

/// A plan that is being made.
struct Draft<'t> {
    terms: &'t Terms,
    /// The table before the beat, with all advances, and with what goes stale by the beat already marked.
    base: Table,
    next: Table,
    stored: Vec<Stored>,
    dirty: bool,
}

impl<'t> Draft<'t> {
    fn new(terms: &'t Terms, mut base: Table, advances: &BTreeMap<Arc<str>, Advance>) -> Self {
        let mut dirty = false;
        for (name, advance) in advances {
            let row = base.row_mut(name).filter(|row| row.born == advance.born && !row.stale);
            if let Some(row) = row.filter(|row| row.position < advance.position) {
                (row.position, row.bytes_at) = (advance.position, advance.bytes_at);
                dirty = true;
            }
        }
        Self { terms, next: base.clone(), base, stored: Vec::new(), dirty }
    }

    /// Takes the commits of the beat in. What a hold cannot bear makes it stale first: then nothing is stored for it.
    fn take_in<'l>(
        &mut self,
        header: &BeatHeader,
        logs: &(impl Iterator<Item = &'l BeatLog> + Clone),
        changes: &[(u64, &Change)],
    ) {
        loop {
            self.next.clone_from(&self.base);
            self.stored.clear();
            let mut changes = changes.iter().peekable();
            for (index, log) in (0_u64..).zip(logs.clone()) {
                let commit = header.first_commit.0.saturating_add(index);
                if self.next.is_live() {
                    self.store(commit, log);
                }
                while let Some((_, change)) = changes.next_if(|(at, _)| *at == index) {
                    self.change(commit, change);
                }
            }
            if !self.mark_stale(header.last_commit().0) {
                return;
            }
        }
    }

    fn store(&mut self, commit: u64, log: &BeatLog) {
        let limits = self.terms.limits();
        let log_bytes = log.canonical_bytes().len() as u64;
        let cost = cost(log_bytes, limits.value_bytes_max, self.terms.codec.value_overhead());
        let next = &mut self.next;
        next.totals = next.totals.plus(cost);
        self.dirty |= next.extend(commit);
        if cost.records > 1 {
            next.split_last = commit;
            self.dirty = true;
        }
        let pieces = u32::try_from(cost.records).unwrap_or(u32::MAX);
        self.stored.push(Stored { commit, totals: next.totals, pieces });
    }

    fn change(&mut self, commit: u64, change: &Change) {
        self.dirty = true;
        let next = &mut self.next;
        let (name, options) = match change {
            Change::Release { name, born } => {
                return next.rows.retain(|row| row.name != *name || row.born != *born);
            }
            Change::Keep { name, options } => (name, *options),
            // The table that goes on without them is there already.
            Change::Forget => return,
        };
        if let Some(row) = next.row_mut(name) {
            // A stale one stays as it is: its reader has to notice.
            row.options = if row.stale { row.options } else { options };
        } else if next.has_room(name, self.terms.limits().value_bytes_max) {
            let (name, bytes_at) = (Arc::clone(name), next.totals.bytes);
            next.rows.push(Row { name, born: commit, position: commit, bytes_at, options, stale: false });
        }
    }

    /// Marks what the beat leaves too far behind. True when the beat has to be looked at again.
    fn mark_stale(&mut self, last: u64) -> bool {
        let mut again = false;
        let bytes = self.next.totals.bytes;
        for row in self.next.rows.iter_mut().filter(|row| !row.stale) {
            let behind = last.saturating_sub(row.position);
            let held = bytes.saturating_sub(row.bytes_at);
            if held <= row.options.bytes_max && behind <= row.options.commits_max {
                continue;
            }
            row.stale = true;
            self.dirty = true;
            if let Some(before) = self.base.row_mut(&row.name).filter(|before| before.born == row.born) {
                before.stale = true;
                again = true;
            }
        }
        again
    }

    fn stored_bytes(&self) -> u64 {
        self.next.totals.bytes.saturating_sub(self.base.totals.bytes)
    }

    fn table_bytes(&self) -> u64 {
        if self.dirty { self.whole_table_bytes() } else { 0 }
    }

    fn whole_table_bytes(&self) -> u64 {
        self.next.bytes_soon().saturating_add(self.terms.codec.value_overhead())
    }

    /// Writes the table anew, for its own sake, if there is room: without a hold that lives none is kept for it, and a later
    /// beat does it. Gives the room that is left.
    fn renew(&mut self, room: u64) -> u64 {
        let left = room.checked_sub(self.whole_table_bytes()).filter(|_| !self.dirty);
        self.dirty |= left.is_some();
        left.unwrap_or(room)
    }

    /// Takes out what nobody needs any more, as much as one beat should and as `room` allows.
    fn free(&mut self, active: &Active, commits: u64, mut room: u64) -> Result<Vec<Vec<u8>>> {
        let mut keys = Vec::new();
        let most = commits.saturating_mul(2).saturating_add(FREED_PER_BEAT);
        let (mut view, runs) = (None, self.next.runs.len());
        if !self.dirty {
            let Some(left) = room.checked_sub(self.whole_table_bytes()) else { return Ok(keys) };
            room = left;
        }
        for _ in 0..most {
            let Some(commit) = self.next.first_unneeded() else { break };
            let Some(stored) = self.keys(active, &mut view, commit)? else { break };
            let before = keys.len();
            keys.extend(stored);
            let bytes = keys.iter().skip(before).map(|key| key.len() as u64).sum();
            let Some(left) = room.checked_sub(bytes) else {
                keys.truncate(before);
                break;
            };
            room = left;
            self.next.drop_first();
            self.dirty = true;
        }
        self.dirty |= self.next.runs.len() != runs;
        if self.next.is_empty() {
            self.next = Table::default();
        }
        Ok(keys)
    }

    /// The keys under which a commit is stored. `None` when that cannot be read now.
    fn keys(
        &self,
        active: &Active,
        view: &mut Option<Box<dyn View>>,
        commit: u64,
    ) -> Result<Option<Vec<Vec<u8>>>> {
        // One that this very beat was to store.
        let new = self.stored.iter().find(|stored| stored.commit == commit).map(|stored| stored.pieces);
        let pieces = new.or_else(|| (commit > self.next.split_last).then_some(1));
        if let Some(pieces) = pieces {
            let key_of = |piece| {
                let mut key = Vec::new();
                put_key(commit, piece, &mut key);
                key
            };
            return Ok(Some((0..pieces).map(key_of).collect()));
        }
        let view = match view {
            Some(view) => view,
            None => match active.engine("commit")?.view() {
                Ok(new) => view.insert(new),
                Err(error) => return later(error),
            },
        };
        keys_of(view.as_ref(), commit).map_or_else(later, |keys| Ok(Some(keys)))
    }
}

/// What some later beat frees: everybody is reading, or it is damaged, which costs no beat.
///
/// # Errors
/// Any other.
fn later<T>(error: Error) -> Result<Option<T>> {
    if error.kind() == ErrorKind::Busy || is_lost(&error) { Ok(None) } else { Err(error) }
}
