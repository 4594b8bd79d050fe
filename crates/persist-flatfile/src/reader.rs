//! Reading at one beat.

use std::sync::Arc;

use persist_api::{BeatHeader, BeatNo, Direction, Error, ErrorKind, KeyRange, Result, Value};

use crate::cover::Cover;
use crate::error::SCHEME;
use crate::lost::Lost;
use crate::memtable::{Found, Memtable, Sight};
use crate::merge::{Rows, readable};
use crate::payload::Payload;
use crate::payload_ref::PayloadRef;
use crate::run::{Run, Stored, hash};
use crate::state::{LiveRun, Published, State};

/// A beat of a state.
pub(crate) struct Reader {
    state: Arc<State>,
    header: BeatHeader,
    /// What is seen of the active memtable.
    active: Sight,
    /// What is seen of the frozen ones, where it is not all.
    frozen: Vec<Sight>,
    has_lost: bool,
}

impl Reader {
    /// Reads the newest beat.
    pub(crate) fn newest(published: &Published) -> Self {
        let at = published.header.beat;
        let has_lost = published.state.has_lost();
        Self {
            state: Arc::clone(&published.state),
            header: published.header,
            active: Sight::slots(published.slots, at),
            frozen: Vec::new(),
            has_lost,
        }
    }

    /// Reads an earlier beat; `Stale` where it is not kept.
    ///
    /// # Errors
    /// `Stale`; `Corrupt` where its header cannot be read.
    pub(crate) fn earlier(published: &Published, beat: BeatNo, window: u64) -> Result<Self> {
        let stale = |what: String| {
            Err(Error::new(ErrorKind::Stale, "view_at", what).with_engine(SCHEME).with_beat(beat))
        };
        let newest = published.header.beat;
        if beat == newest {
            return Ok(Self::newest(published));
        }
        if published.state.has_lost() {
            // Merging moves what is known of a lost beat; only the newest beat is exact or fails.
            let what = "a beat is lost, so that earlier beats cannot be shown; `persist doctor` says which";
            return Err(Error::new(ErrorKind::Corrupt, "view_at", what).with_engine(SCHEME).with_beat(beat));
        }
        let oldest = published.state.floor().0.max(newest.0.saturating_sub(window));
        if beat > newest || beat.0 < oldest {
            return stale(format!("beats {oldest} to {newest} are kept"));
        }
        let state = &published.state;
        let active = state.active.slots_upto(beat).min(published.slots);
        let frozen: Vec<u32> = state.frozen.iter().map(|table| table.slots_upto(beat)).collect();
        let mut tables =
            std::iter::once(&state.active).chain(&state.frozen).zip(std::iter::once(&active).chain(&frozen));
        let in_tables = tables.find_map(|(table, slots)| table.header(*slots));
        let header = match in_tables {
            Some(header) => Some(header),
            None => state.header_in_runs(beat)?,
        };
        let Some(header) = header.filter(|header| header.beat == beat) else {
            if beat.0 == 0 {
                return Ok(Self { header: BeatHeader::default(), ..Self::newest(published) }
                    .limited(active, &frozen));
            }
            return stale("there is no such beat".to_owned());
        };
        Ok(Self { header, ..Self::newest(published) }.limited(active, &frozen))
    }

    fn limited(mut self, active: u32, frozen: &[u32]) -> Self {
        let at = self.header.beat;
        self.active = Sight::slots(active, at);
        self.frozen = frozen.iter().map(|slots| Sight::slots(*slots, at)).collect();
        self
    }

    /// The header of the beat.
    pub(crate) fn header(&self) -> &BeatHeader {
        &self.header
    }

    pub(crate) fn state(&self) -> &Arc<State> {
        &self.state
    }

    fn tables(&self) -> impl Iterator<Item = (&Memtable, Sight)> {
        let all = Sight { below: u64::MAX, at: self.header.beat };
        let frozen = self.state.frozen.iter().enumerate();
        let frozen = frozen.map(move |(at, table)| (&**table, self.frozen.get(at).copied().unwrap_or(all)));
        std::iter::once((&*self.state.active, self.active)).chain(frozen)
    }

    /// Reads one record.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub(crate) fn get(&self, op: &'static str, key: &[u8]) -> Result<Option<Value<'_>>> {
        let hash = hash(key);
        for (table, sight) in self.tables() {
            match table.get(key, hash, sight) {
                Found::Nothing => {}
                Found::Record(stored) => return self.value(key, &stored),
                Found::Covered => return Ok(None),
                Found::Damaged(lost) => return Err(lost.error(op)),
            }
        }
        let at = self.header.beat;
        for run in &self.state.runs {
            let version = run.run.get(key, hash, at)?;
            if !run.cover.is_empty()
                && let Some(mark) = run.cover.over(key).find(|mark| mark.beat <= at)
            {
                match &mark.lost {
                    Some(lost) if version.is_none_or(|version| version.beat <= mark.beat) => {
                        return Err(lost.error(op));
                    }
                    None if version.is_none_or(|version| version.beat < mark.beat) => return Ok(None),
                    Some(_) | None => {}
                }
            }
            if let Some(version) = version {
                return self.value(key, &version.stored);
            }
        }
        Ok(None)
    }

    fn value<'v>(&'v self, key: &[u8], stored: &Stored<'v>) -> Result<Option<Value<'v>>> {
        Ok(match stored {
            Stored::Inline(value) => Some(Value::borrowed(value)),
            Stored::Large(payload) => Some(Value::shared(self.large(key, payload)?)),
            Stored::Deleted => None,
        })
    }

    /// Reads the large value of a key.
    ///
    /// # Errors
    /// `Corrupt` and `Io`, naming the beat that wrote it.
    pub(crate) fn large(&self, key: &[u8], payload: &PayloadRef) -> Result<Payload> {
        self.state.payloads.read(payload).map_err(|error| match self.beat_of(key) {
            Some(beat) => error.with_beat(beat),
            None => error,
        })
    }

    /// The beat that wrote the newest version of a key, where it can be read.
    #[cold]
    fn beat_of(&self, key: &[u8]) -> Option<BeatNo> {
        let (hash, at) = (hash(key), self.header.beat);
        let in_runs = || {
            let beat = |run: &Arc<LiveRun>| Some(run.run.get(key, hash, at).ok()??.beat);
            self.state.runs.iter().find_map(beat)
        };
        self.tables().find_map(|(table, sight)| table.beat_of(key, hash, sight)).or_else(in_runs)
    }

    /// The run that holds all records, where there is nothing else to look at.
    pub(crate) fn only_run(&self) -> Option<&Run> {
        let nothing = |(table, sight): (&Memtable, Sight)| table.shows_nothing(sight);
        match self.state.runs.as_slice() {
            [run] if run.cover.is_empty() && self.tables().all(nothing) => Some(&run.run),
            _ => None,
        }
    }

    /// The rows of all tables, not sought yet.
    pub(crate) fn rows(&self, direction: Direction) -> Rows<'_> {
        let mut rows = Rows::new(direction);
        let mut number = 0;
        for (table, sight) in self.tables() {
            rows.add_table(number, table, sight);
            number += 1;
        }
        for run in &self.state.runs {
            rows.add_run(number, &run.run, &run.cover, self.header.beat);
            number += 1;
        }
        rows
    }

    /// The part of a range that can be read although beats were lost, and what to say behind it.
    pub(crate) fn readable<'r>(
        &self,
        range: &'r KeyRange<'_>,
        direction: Direction,
    ) -> (KeyRange<'r>, Option<Arc<Lost>>) {
        if !self.has_lost {
            return (range.borrowed(), None);
        }
        let tables = self.tables().map(|(table, sight)| (table.whole_cover(), sight));
        let all = Sight { below: u64::MAX, at: self.header.beat };
        let runs = self.state.runs.iter().map(|run| (Arc::clone(&run.cover), all));
        let covers: Vec<(Arc<Cover>, Sight)> = tables.chain(runs).collect();
        readable(range, direction, &covers)
    }
}
