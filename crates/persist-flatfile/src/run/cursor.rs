//! A cursor over every version of a run, both ways.

use std::ops::Bound;

use persist_api::{BeatNo, Error, Result};

use super::place::Place;
use super::reader::Run;
use super::version::Row;

/// Behind every version of a key.
pub(super) const OLDEST: BeatNo = BeatNo(0);
/// Before every version of a key.
pub(super) const NEWEST: BeatNo = BeatNo(u64::MAX);

/// Stands between two records of a run, or before the first, or behind the last. Records are ordered by key, those of one
/// key by beat, newest first. Keys and values borrow from the run, not from the cursor. After an error, and before the first
/// seek, it finds nothing both ways.
pub(crate) struct RunCursor<'r> {
    run: &'r Run,
    place: Option<Place<'r>>,
    /// The record of the place's block before which it stands; `count` behind the last.
    at: usize,
}

impl<'r> RunCursor<'r> {
    /// Goes before the first record of the range that begins with `start`: before the newest version of its key.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(crate) fn seek(&mut self, start: Bound<&[u8]>) -> Result<()> {
        match start {
            Bound::Unbounded => self.stand(Place::first, |_| Some(0)),
            Bound::Included(key) => self.stand_before(key, NEWEST, |have| have < key),
            Bound::Excluded(key) => self.stand_before(key, OLDEST, |have| have <= key),
        }
    }

    /// Goes behind the last record of the range that ends with `end`: behind the oldest version of its key.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(crate) fn seek_back(&mut self, end: Bound<&[u8]>) -> Result<()> {
        match end {
            Bound::Unbounded => self.stand(Place::last, |place| Some(place.data.count)),
            Bound::Included(key) => self.stand_before(key, OLDEST, |have| have <= key),
            Bound::Excluded(key) => self.stand_before(key, NEWEST, |have| have < key),
        }
    }

    /// Steps over the next record and answers it; `None` at the end.
    ///
    /// # Errors
    /// `Corrupt`.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Row<'r>>> {
        loop {
            let Some(place) = &self.place else { return Ok(None) };
            if self.at < place.data.count {
                let row = place.data.row(self.at);
                self.at += 1;
                return if row.is_some() { Ok(row) } else { Err(self.fail()) };
            }
            match place.next(self.run) {
                Ok(Some(next)) => (self.place, self.at) = (Some(next), 0),
                Ok(None) => return Ok(None),
                Err(error) => return Err(self.leave(error)),
            }
        }
    }

    /// Steps back over the record before and answers it; `None` at the beginning.
    ///
    /// # Errors
    /// `Corrupt`.
    #[inline]
    pub(crate) fn previous(&mut self) -> Result<Option<Row<'r>>> {
        loop {
            let Some(place) = &self.place else { return Ok(None) };
            if let Some(at) = self.at.checked_sub(1) {
                self.at = at;
                let row = place.data.row(at);
                return if row.is_some() { Ok(row) } else { Err(self.fail()) };
            }
            match place.back(self.run) {
                Ok(Some(back)) => (self.at, self.place) = (back.data.count, Some(back)),
                Ok(None) => return Ok(None),
                Err(error) => return Err(self.leave(error)),
            }
        }
    }

    /// Stands before the first record that is not `before`; the records of a key begin at `at`.
    fn stand_before(&mut self, key: &[u8], at: BeatNo, before: impl Fn(&[u8]) -> bool) -> Result<()> {
        self.stand(|run| Place::find(run, key, at), |place| place.data.partition(|row| before(row.0)))
    }

    fn stand(
        &mut self,
        place: impl FnOnce(&'r Run) -> Result<Option<Place<'r>>>,
        at: impl FnOnce(&Place<'r>) -> Option<usize>,
    ) -> Result<()> {
        self.place = None;
        if let Some(place) = place(self.run)? {
            self.at = at(&place).ok_or_else(|| place.malformed(self.run))?;
            self.place = Some(place);
        }
        Ok(())
    }

    /// A record does not decode.
    #[cold]
    fn fail(&mut self) -> Error {
        let place = self.place.as_ref();
        let error = place.map_or_else(|| self.run.malformed_top(), |place| place.malformed(self.run));
        self.leave(error)
    }

    #[cold]
    fn leave(&mut self, error: Error) -> Error {
        self.place = None;
        error
    }
}

impl Run {
    /// A cursor that has not sought yet.
    pub(crate) fn cursor(&self) -> RunCursor<'_> {
        RunCursor { run: self, place: None, at: 0 }
    }
}
