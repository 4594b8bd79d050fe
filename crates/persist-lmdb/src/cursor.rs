//! A lending cursor over heed's range iterators.

use persist_api::{Cursor, Direction, Error, ErrorKind, Result, Scan};

use crate::bounds::Span;
use crate::driver::SCHEME;
use crate::error::Mapped;
use crate::view::{Forward, LmdbView, Reverse};

type Row<'v> = (&'v [u8], &'v [u8]);

/// Where a cursor stands.
enum State<'v> {
    /// Before the first row of the whole scan.
    Before,
    Ascending(Forward<'v>),
    Descending(Reverse<'v>),
    /// At the end, until sought.
    After,
    /// Failed, until sought.
    Failed,
}

pub(crate) struct LmdbCursor<'v> {
    view: &'v LmdbView,
    scan: Scan<'v>,
    left: u64,
    state: State<'v>,
    row: Option<Row<'v>>,
}

impl<'v> LmdbCursor<'v> {
    pub(crate) fn new(view: &'v LmdbView, scan: Scan<'v>) -> Self {
        Self { view, left: scan.limit, scan, state: State::Before, row: None }
    }

    fn rows(&self, scan: &Scan<'_>) -> Result<State<'v>> {
        Ok(match (Span::of(&scan.range), scan.direction) {
            (None, _) => State::After,
            (Some(span), Direction::Forward) => State::Ascending(self.view.forward(&span)?),
            (Some(span), Direction::Reverse) => State::Descending(self.view.reverse(&span)?),
        })
    }

    /// The next row, if it still lies in the range.
    fn step(&mut self) -> Result<Option<Row<'v>>> {
        let next = match &mut self.state {
            State::Ascending(rows) => rows.next(),
            State::Descending(rows) => rows.next(),
            State::Before | State::After | State::Failed => None,
        };
        let Some((key, value)) = next.transpose().or_op("cursor")? else { return Ok(None) };
        if !self.view.fits(value) {
            return Err(self.view.beyond_map("cursor"));
        }
        let beyond = match self.scan.direction {
            Direction::Forward => self.scan.range.is_after_end(key),
            Direction::Reverse => self.scan.range.is_before_start(key),
        };
        Ok((!beyond).then_some((key, value)))
    }

    /// Steps once; a failure or the end stays.
    fn go(&mut self) -> Result<bool> {
        self.row = None;
        if self.left == 0 {
            self.state = State::After;
            return Ok(false);
        }
        match self.step() {
            Ok(None) => {
                self.state = State::After;
                Ok(false)
            }
            Ok(row) => {
                self.row = row;
                self.left -= 1;
                Ok(true)
            }
            Err(error) => {
                self.state = State::Failed;
                Err(error)
            }
        }
    }
}

impl Cursor for LmdbCursor<'_> {
    fn advance(&mut self) -> Result<bool> {
        match self.state {
            State::Before => {
                self.state = State::Failed;
                self.state = self.rows(&self.scan)?;
            }
            State::Failed => {
                return Err(Error::new(ErrorKind::Corrupt, "cursor", "an earlier step failed; seek first")
                    .with_engine(SCHEME));
            }
            State::Ascending(_) | State::Descending(_) | State::After => {}
        }
        self.go()
    }

    fn seek(&mut self, key: &[u8]) -> Result<bool> {
        self.row = None;
        self.left = self.scan.limit;
        self.state = State::Failed;
        self.state = self.rows(&self.scan.from(key))?;
        self.go()
    }

    fn key(&self) -> &[u8] {
        self.row.map_or(&[], |(key, _)| key)
    }

    fn value(&self) -> &[u8] {
        match self.row {
            Some((_, value)) if !self.scan.keys_only => value,
            _ => &[],
        }
    }
}
