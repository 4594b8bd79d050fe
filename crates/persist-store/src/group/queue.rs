//! The queue of commits and the lane: plain state, changed under one lock.

use std::collections::VecDeque;
use std::sync::Arc;

use persist_api::BeatHeader;

use super::CommitOptions;
use super::entry::{Care, Entry, Work};
use super::gather::Gather;
use super::watch::Watch;
use crate::seat::Seat;
use crate::shared::Active;

/// What the writer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriterAt {
    /// Nothing.
    Away,
    /// It waits for the lane. So many queued commits came before it.
    Waiting { ahead: usize },
    /// It has the lane.
    InLane,
}

/// What the fence of a swap is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FenceAt {
    /// There is none.
    Away,
    /// It waits for the lane. Nobody else gets it before.
    Waiting,
    /// It has the lane.
    InLane,
}

/// Whether commits are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    /// Not while somebody closes the store, which may fail.
    Shut,
    /// Never again: the store is closed, or its last handle is gone.
    ShutForGood,
}

/// Everything that waits, and who may go. A lane without its seat is taken.
pub(crate) struct Queue {
    waiting: VecDeque<Arc<Entry>>,
    /// Memory of what waits.
    bytes: u64,
    /// Here while the lane is free.
    pub(super) seat: Option<Box<Seat>>,
    pub(super) writer: WriterAt,
    pub(super) fence: FenceAt,
    /// The header of the newest beat.
    pub(super) last: BeatHeader,
    pub(super) options: CommitOptions,
    pub(super) gather: Gather,
    /// The leader waits until so many wait.
    pub(super) gathering: Option<usize>,
    pub(super) gate: Gate,
    /// The helper ends when nothing waits.
    pub(super) dismissed: bool,
    /// The helper leads whatever waits.
    pub(super) hurried: bool,
    /// What the helper knows of commits that are only held.
    pub(super) watch: Watch,
    /// Threads that wait for room.
    pub(super) want_room: usize,
    /// Threads that wait for the lane: the writer, and whoever closes.
    pub(super) want_lane: usize,
}

/// Who is to lead next.
pub(super) enum Next {
    Nobody,
    Thread(Arc<Entry>),
    Helper,
}

impl Queue {
    pub(super) fn new(last: BeatHeader, active: Arc<Active>) -> Self {
        Self {
            waiting: VecDeque::new(),
            bytes: 0,
            seat: Some(Box::new(Seat::new(last, active))),
            writer: WriterAt::Away,
            fence: FenceAt::Away,
            last,
            options: CommitOptions::default(),
            gather: Gather::default(),
            gathering: None,
            gate: Gate::Open,
            dismissed: false,
            hurried: false,
            watch: Watch::default(),
            want_room: 0,
            want_lane: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// True when there is room for a commit of so many bytes.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        self.waiting.is_empty()
            || self.waiting.len() < self.options.queue_commits_max
                && self.bytes.saturating_add(bytes) <= self.options.queue_bytes_max
    }

    pub(super) fn push(&mut self, entry: Arc<Entry>) {
        self.bytes = self.bytes.saturating_add(entry.work.memory());
        self.watch.came();
        self.waiting.push_back(entry);
    }

    /// One look at what waits: where a commit is only held that was there at the last look, too, the helper is to lead.
    pub(super) fn look(&mut self) {
        let old = self.watch.look(self.waiting.len());
        self.hurried |= self.waiting.iter().take(old).any(|entry| entry.care() == Care::Held);
    }

    /// How many of those that wait may go before the writer.
    pub(super) fn admitted(&self) -> usize {
        match self.writer {
            WriterAt::Away => self.waiting.len(),
            WriterAt::Waiting { ahead } => ahead,
            WriterAt::InLane => 0,
        }
    }

    /// True when whoever asks may lead a beat now.
    pub(super) fn may_lead(&self) -> bool {
        self.seat.is_some() && self.fence == FenceAt::Away && self.admitted() > 0
    }

    /// True while somebody has the lane for longer than a beat takes.
    pub(super) fn is_held(&self) -> bool {
        self.writer == WriterAt::InLane || self.fence == FenceAt::InLane
    }

    /// Moves the next group into `batch`: at least one commit, then as many as fit.
    pub(super) fn take_group(&mut self, cost: impl Fn(&Work) -> u64, room: u64, batch: &mut Vec<Arc<Entry>>) {
        let bytes_max = self.options.beat_bytes_max.min(room);
        let mut staged = 0_u64;
        while self.admitted() > 0 && (batch.is_empty() || batch.len() < self.options.beat_commits_max) {
            let Some(entry) = self.waiting.front() else { break };
            staged = staged.saturating_add(cost(&entry.work));
            if !batch.is_empty() && staged > bytes_max {
                break;
            }
            let Some(entry) = self.waiting.pop_front() else { break };
            self.left(&entry, 0);
            batch.push(entry);
        }
    }

    /// Takes a commit out of the queue that gives up waiting.
    pub(super) fn remove(&mut self, entry: &Arc<Entry>) {
        if let Some(at) = self.waiting.iter().position(|other| Arc::ptr_eq(other, entry)) {
            self.waiting.remove(at);
            self.left(entry, at);
        }
    }

    fn left(&mut self, entry: &Entry, at: usize) {
        self.bytes = self.bytes.saturating_sub(entry.work.memory());
        if let WriterAt::Waiting { ahead } = &mut self.writer
            && at < *ahead
        {
            *ahead -= 1;
        }
    }

    /// Everybody whose care is `care`.
    pub(super) fn in_care(&self, care: Care) -> Vec<Arc<Entry>> {
        self.waiting.iter().filter(|entry| entry.care() == care).map(Arc::clone).collect()
    }

    /// True when the helper has work.
    pub(super) fn wants_helper(&self) -> bool {
        let unattended = |entry: &Arc<Entry>| matches!(entry.care(), Care::Polled | Care::Alone);
        !self.is_empty() && (self.hurried || self.dismissed || self.waiting.iter().any(unattended))
    }

    /// Who is to lead next: the first thread that blocks, wherever its commit stands; else the helper, if it has work.
    pub(super) fn next_leader(&self) -> Next {
        if !self.may_lead() {
            return Next::Nobody;
        }
        match self.waiting.iter().find(|entry| entry.care() == Care::Blocked) {
            Some(entry) => Next::Thread(Arc::clone(entry)),
            None if self.wants_helper() => Next::Helper,
            None => Next::Nobody,
        }
    }
}
