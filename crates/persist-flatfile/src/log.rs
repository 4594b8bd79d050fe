//! The writing end: timeline, payload segments, and the memtable that mirrors them. One thread at a time.

use std::sync::Arc;

use persist_api::{Durability, Result};

use crate::beat::Staged;
use crate::memtable::Memtable;
use crate::payload::PayloadWriter;
use crate::state::Published;
use crate::timeline::head::{Head, HeadFound, HeadWriter, LiveRun};
use crate::timeline::{Ahead, Timeline};

/// What goes together under one lock.
pub(crate) struct Log {
    pub(crate) timeline: Timeline,
    pub(crate) payload: PayloadWriter,
    pub(crate) ahead: Ahead,
    /// A durable beat came since the memtable was new, so that zeros ahead are worth writing: those who do not wait for their
    /// beats do not need them.
    pub(crate) zeros: bool,
    /// The memtable that gets the beats.
    pub(crate) active: Arc<Memtable>,
}

/// What recovery found, in numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Recovered {
    /// Frames that were read into memory.
    pub(crate) frames: u64,
    /// Bytes that were moved aside: frames that never were durable.
    pub(crate) bytes_aside: u64,
    /// How many frames these were: the one that does not verify, and those behind it that do.
    pub(crate) frames_aside: u64,
    /// How many beats.
    pub(crate) beats_aside: u64,
    /// Spans of frames that are lost.
    pub(crate) damaged_spans: u64,
    /// Things that were not as they should be and did no harm.
    pub(crate) notes: u64,
    /// Runs whose index, filter, head or foot was made anew.
    pub(crate) rebuilt: u64,
}

impl Log {
    /// Appends a beat and makes it as durable as asked; answers its frame.
    ///
    /// # Errors
    /// `Io`, `Full`: nothing more may then be written. `Poisoned`.
    pub(crate) fn append(&mut self, staged: &mut Staged, durability: Durability) -> Result<u64> {
        if staged.has_large {
            // First the values, then the frame that refers to them.
            self.payload.sync()?;
        }
        let end = self.payload.end();
        let appended = self.timeline.append(&mut staged.frame, &staged.header, end)?;
        if durability == Durability::Durable {
            self.zeros = true;
            self.timeline.sync()?;
        }
        Ok(appended.frame)
    }

    /// The head as of now.
    pub(crate) fn head(&self, published: &Published, store: u64, clean: bool) -> Head {
        let newest_run = published.state.runs.first().map(|run| run.run.head());
        let durable = self.timeline.durable();
        let all = durable >= published.frame;
        // A run that only says what is lost knows no commit.
        let in_runs = published.state.runs.first().map(|run| run.run.newest());
        let in_runs = in_runs.filter(|header| newest_run.is_some_and(|run| run.last_beat == header.beat));
        Head {
            store,
            durable_frame: durable.max(newest_run.map_or(0, |run| run.span.upto)),
            durable_beat: if all {
                published.header.beat.0
            } else {
                newest_run.map_or(0, |run| run.last_beat.0)
            },
            durable_commit: if all {
                published.header.last_commit().0
            } else {
                in_runs.map_or(0, |header| header.last_commit().0)
            },
            floor: published.state.floor().0,
            clean,
            payload_end: self.payload.end(),
            oldest_segment: self.timeline.oldest_segment(),
            runs: published
                .state
                .runs
                .iter()
                .rev()
                .map(|run| LiveRun { number: run.run.head().number, span: run.run.head().span })
                .collect(),
            ends: self.timeline.ends(),
        }
    }
}

/// Writes heads that say something new.
pub(crate) struct HeadKeeper {
    writer: HeadWriter,
    /// What both slots say; `None` when they do not say the same.
    written: Option<Head>,
}

impl HeadKeeper {
    /// Goes on from what was found.
    pub(crate) fn new(writer: HeadWriter, found: &HeadFound) -> Self {
        Self { writer, written: found.head.clone().filter(|_| found.agree) }
    }

    /// Writes a head, in both slots, so that no single damage brings back the one before: what a run replaces is removed next,
    /// and a head that does not name it would not miss it.
    ///
    /// # Errors
    /// `Io`, `Full`.
    pub(crate) fn write(&mut self, head: Head) -> Result<()> {
        if self.written.as_ref() == Some(&head) {
            return Ok(());
        }
        self.written = None;
        self.writer.write_both(&head)?;
        self.written = Some(head);
        Ok(())
    }
}
