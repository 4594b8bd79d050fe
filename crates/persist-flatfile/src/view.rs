//! Views: a reader, with the lease and the lock that go with it.

use std::ops::ControlFlow;
use std::sync::Arc;

use persist_api::{
    BeatHeader, Cursor, Direction, Error, ErrorKind, KeyRange, Result, Scan, Value, View, ViewLease, Visit,
};
use persist_io::DirLock;

use crate::error::SCHEME;
use crate::lost::Lost;
use crate::merge::{Row, Rows};
use crate::options::KEY_BYTES_MAX;
use crate::payload::Payload;
use crate::reader::Reader;
use crate::run::{Run, Stored};

pub(crate) struct FlatfileView {
    reader: Reader,
    // Before the lease, at whose end a waiting close returns: then the directory is free.
    _lock: Arc<DirLock>,
    _lease: ViewLease,
}

impl FlatfileView {
    pub(crate) fn new(reader: Reader, lease: ViewLease, lock: Arc<DirLock>) -> Self {
        Self { reader, _lease: lease, _lock: lock }
    }
}

impl View for FlatfileView {
    fn header(&self) -> &BeatHeader {
        self.reader.header()
    }

    fn get_record(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        if key.is_empty() || key.len() as u64 > KEY_BYTES_MAX {
            return Ok(None);
        }
        self.reader.get("get_record", key)
    }

    fn scan(&self, scan: Scan<'_>, visit: &mut Visit<'_>) -> Result<()> {
        scan_rows(&self.reader, &scan, visit)
    }

    fn cursor<'v>(&'v self, scan: Scan<'v>) -> Result<Box<dyn Cursor + 'v>> {
        Ok(Box::new(FlatfileCursor {
            reader: &self.reader,
            rows: self.reader.rows(scan.direction),
            left: scan.limit,
            scan,
            place: Place::Before,
            lost: None,
        }))
    }
}

/// Visits the rows of a scan.
pub(crate) fn scan_rows(reader: &Reader, scan: &Scan<'_>, visit: &mut Visit<'_>) -> Result<()> {
    if scan.range.is_empty() || scan.limit == 0 {
        return Ok(());
    }
    let (range, lost) = reader.readable(&scan.range, scan.direction);
    if !range.is_empty() {
        let mut left = scan.limit;
        let done = match reader.only_run() {
            Some(run) => scan_run(reader, run, &range, scan, &mut left, visit)?,
            None => scan_merged(reader, &range, scan, &mut left, visit)?,
        };
        if done.is_break() {
            return Ok(());
        }
    }
    lost.map_or(Ok(()), |lost| Err(lost.error("scan")))
}

/// Where one run has all records, it hands them to the visitor itself.
fn scan_run(
    reader: &Reader,
    run: &Run,
    range: &KeyRange<'_>,
    scan: &Scan<'_>,
    left: &mut u64,
    visit: &mut Visit<'_>,
) -> Result<ControlFlow<()>> {
    let keys_only = scan.keys_only;
    let mut failed = Ok(());
    let flow = run.visit_at(range, scan.direction, reader.header().beat, |key, version| {
        let flow = match version.stored {
            Stored::Deleted => return ControlFlow::Continue(()),
            _ if keys_only => visit(key, &[]),
            Stored::Inline(value) => visit(key, value),
            Stored::Large(payload) => match reader.large(key, &payload) {
                Ok(value) => visit(key, value.as_ref()),
                Err(error) => {
                    failed = Err(error);
                    ControlFlow::Break(())
                }
            },
        };
        *left -= 1;
        if *left == 0 { ControlFlow::Break(()) } else { flow }
    })?;
    failed.map(|()| flow)
}

fn scan_merged(
    reader: &Reader,
    range: &KeyRange<'_>,
    scan: &Scan<'_>,
    left: &mut u64,
    visit: &mut Visit<'_>,
) -> Result<ControlFlow<()>> {
    let mut rows = reader.rows(scan.direction);
    rows.seek(range)?;
    while let Some(row) = rows.next()? {
        if is_beyond(range, scan.direction, row.key) {
            break;
        }
        let flow = match row.stored {
            _ if scan.keys_only => visit(row.key, &[]),
            Stored::Inline(value) => visit(row.key, value),
            Stored::Large(payload) => visit(row.key, reader.large(row.key, &payload)?.as_ref()),
            Stored::Deleted => continue,
        };
        *left -= 1;
        if flow.is_break() || *left == 0 {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

#[inline]
fn is_beyond(range: &KeyRange<'_>, direction: Direction, key: &[u8]) -> bool {
    match direction {
        Direction::Forward => range.is_after_end(key),
        Direction::Reverse => range.is_before_start(key),
    }
}

/// Where a cursor stands.
enum Place<'v> {
    Before,
    At(&'v [u8], CursorValue<'v>),
    After,
    /// Failed, until sought.
    Failed,
}

enum CursorValue<'v> {
    None,
    Inline(&'v [u8]),
    Large(Payload),
}

struct FlatfileCursor<'v> {
    reader: &'v Reader,
    rows: Rows<'v>,
    scan: Scan<'v>,
    left: u64,
    place: Place<'v>,
    /// What lies behind the part of the range that can be read.
    lost: Option<(KeyRange<'static>, Arc<Lost>)>,
}

impl<'v> FlatfileCursor<'v> {
    fn find(&mut self, range: &KeyRange<'_>) -> Result<()> {
        let (part, lost) = self.reader.readable(range, self.scan.direction);
        self.rows.seek(&part)?;
        self.lost = lost.map(|lost| (part.into_owned(), lost));
        Ok(())
    }

    fn row(&mut self) -> Result<Option<Row<'v>>> {
        let range = self.lost.as_ref().map_or(&self.scan.range, |(part, _)| part);
        if range.is_empty() {
            return Ok(None);
        }
        let row = self.rows.next()?;
        Ok(row.filter(|row| !is_beyond(range, self.scan.direction, row.key)))
    }

    fn go(&mut self) -> Result<bool> {
        if self.left == 0 {
            self.place = Place::After;
            return Ok(false);
        }
        self.place = Place::Failed;
        let Some(row) = self.row()? else {
            if let Some((_, lost)) = &self.lost {
                return Err(lost.error("cursor"));
            }
            self.place = Place::After;
            return Ok(false);
        };
        let value = match row.stored {
            _ if self.scan.keys_only => CursorValue::None,
            Stored::Inline(value) => CursorValue::Inline(value),
            Stored::Large(payload) => CursorValue::Large(self.reader.large(row.key, &payload)?),
            Stored::Deleted => CursorValue::None,
        };
        self.left -= 1;
        self.place = Place::At(row.key, value);
        Ok(true)
    }
}

impl Cursor for FlatfileCursor<'_> {
    fn advance(&mut self) -> Result<bool> {
        match self.place {
            Place::After => return Ok(false),
            Place::Failed => {
                let what = "an earlier step failed; seek first";
                return Err(Error::new(ErrorKind::Corrupt, "cursor", what).with_engine(SCHEME));
            }
            Place::Before if self.scan.range.is_empty() => {
                self.place = Place::After;
                return Ok(false);
            }
            Place::Before => {
                self.place = Place::Failed;
                let range = self.scan.range.clone();
                self.find(&range)?;
            }
            Place::At(..) => {}
        }
        self.go()
    }

    fn seek(&mut self, key: &[u8]) -> Result<bool> {
        self.left = self.scan.limit;
        self.place = Place::Failed;
        let range = self.scan.from(key).range.into_owned();
        if range.is_empty() {
            self.place = Place::After;
            return Ok(false);
        }
        self.find(&range)?;
        self.go()
    }

    fn key(&self) -> &[u8] {
        match &self.place {
            Place::At(key, _) => key,
            _ => &[],
        }
    }

    fn value(&self) -> &[u8] {
        match &self.place {
            Place::At(_, CursorValue::Inline(value)) => value,
            Place::At(_, CursorValue::Large(value)) => value.as_ref(),
            _ => &[],
        }
    }
}
