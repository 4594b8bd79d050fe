//! Visits the records of a range in a tight loop.

use std::ops::{Bound, ControlFlow};

use persist_api::{BeatNo, Direction, KeyRange, Result};

use super::cursor::{NEWEST, OLDEST};
use super::place::Place;
use super::reader::Run;
use super::version::{Row, Version};

impl Run {
    /// Calls `visit` for every version in a range: ascending by key and newest first, or the exact reverse of that. Answers
    /// `Break` if the visitor stopped it.
    ///
    /// # Errors
    /// `Corrupt`; the records before it were visited.
    pub(crate) fn visit<'r>(
        &'r self,
        range: &KeyRange<'_>,
        direction: Direction,
        mut visit: impl FnMut(&'r [u8], Version<'r>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        if range.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        match direction {
            Direction::Forward => self.visit_forward(range, &mut visit),
            Direction::Reverse => self.visit_reverse(range, &mut visit),
        }
    }

    fn visit_forward<'r>(
        &'r self,
        range: &KeyRange<'_>,
        visit: &mut impl FnMut(&'r [u8], Version<'r>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let place = match range.start() {
            Bound::Unbounded => Place::first(self)?,
            Bound::Included(key) => Place::find(self, key, NEWEST)?,
            Bound::Excluded(key) => Place::find(self, key, OLDEST)?,
        };
        let Some(mut place) = place else { return Ok(ControlFlow::Continue(())) };
        let skip = place.data.partition(|row| range.is_before_start(row.0));
        let mut from = skip.ok_or_else(|| place.malformed(self))?;
        loop {
            let last = place.data.count.checked_sub(1).and_then(|last| place.data.row(last));
            let (last, _) = last.ok_or_else(|| place.malformed(self))?;
            let ends = range.is_after_end(last);
            for row in from..place.data.count {
                // By the table: where a record begins then does not depend on the one before.
                let (key, version) = place.data.row(row).ok_or_else(|| place.malformed(self))?;
                if ends && range.is_after_end(key) {
                    return Ok(ControlFlow::Continue(()));
                }
                if visit(key, version).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            match place.next(self)? {
                Some(next) if !ends => place = next,
                _ => return Ok(ControlFlow::Continue(())),
            }
            from = 0;
        }
    }

    fn visit_reverse<'r>(
        &'r self,
        range: &KeyRange<'_>,
        visit: &mut impl FnMut(&'r [u8], Version<'r>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        let place = match range.end() {
            Bound::Unbounded => Place::last(self)?,
            Bound::Included(key) => Place::find(self, key, OLDEST)?,
            Bound::Excluded(key) => Place::find(self, key, NEWEST)?,
        };
        let Some(mut place) = place else { return Ok(ControlFlow::Continue(())) };
        let end = place.data.partition(|row| !range.is_after_end(row.0));
        let mut end = end.ok_or_else(|| place.malformed(self))?;
        loop {
            let (first, _) = place.data.row(0).ok_or_else(|| place.malformed(self))?;
            let begins = range.is_before_start(first);
            while let Some(at) = end.checked_sub(1) {
                let (key, version) = place.data.row(at).ok_or_else(|| place.malformed(self))?;
                if begins && range.is_before_start(key) {
                    return Ok(ControlFlow::Continue(()));
                }
                if visit(key, version).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
                end = at;
            }
            match place.back(self)? {
                Some(back) if !begins => place = back,
                _ => return Ok(ControlFlow::Continue(())),
            }
            end = place.data.count;
        }
    }

    /// Like [`visit`](Self::visit), but of every key only the newest version at or below beat `at`, deletions included.
    ///
    /// # Errors
    /// `Corrupt`; the records before it were visited.
    pub(crate) fn visit_at<'r>(
        &'r self,
        range: &KeyRange<'_>,
        direction: Direction,
        at: BeatNo,
        mut visit: impl FnMut(&'r [u8], Version<'r>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>> {
        // Without a second version of any key there is nothing to choose.
        if self.summary.stat.keys == self.summary.stat.records {
            return self.visit(range, direction, |key, version| {
                if version.beat > at { ControlFlow::Continue(()) } else { visit(key, version) }
            });
        }
        let mut held: Option<Row<'r>> = None;
        if direction == Direction::Forward {
            return self.visit(range, direction, |key, version| {
                if version.beat > at || held.is_some_and(|(seen, _)| seen == key) {
                    return ControlFlow::Continue(());
                }
                held = Some((key, version));
                visit(key, version)
            });
        }
        // Backwards the newest version comes last.
        let done = self.visit(range, direction, |key, version| {
            if version.beat > at {
                return ControlFlow::Continue(());
            }
            match held.replace((key, version)) {
                Some((seen, version)) if seen != key => visit(seen, version),
                _ => ControlFlow::Continue(()),
            }
        })?;
        Ok(match (done, held) {
            (ControlFlow::Continue(()), Some((key, version))) => visit(key, version),
            _ => done,
        })
    }
}
