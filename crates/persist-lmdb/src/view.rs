//! A view: one read transaction, owned, not bound to a thread.

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use heed::types::{Bytes, DecodeIgnore};
use persist_api::{BeatHeader, BeatNo, Cursor, Direction, Result, Scan, Value, View, ViewLease, Visit};
use persist_io::DirLock;

use crate::bounds::{KEY_BYTES_MAX, Span};
use crate::cursor::LmdbCursor;
use crate::error::{Mapped, corrupt, map_error};
use crate::live::{Live, ReadTxn, Table};

pub(crate) struct LmdbView {
    // The order matters: the environment is let go before the directory, and both before the lease tells a waiting close or
    // compaction, for whoever is told may open again at once.
    txn: ReadTxn<'static>,
    records: Table,
    header: BeatHeader,
    /// Address behind the last page of the snapshot.
    map_end: usize,
    _lock: Arc<DirLock>,
    _lease: Option<ViewLease>,
}

impl LmdbView {
    /// Opens a view at the newest beat. Without a lease it does not count as one.
    pub(crate) fn open(live: &Live, lease: Option<ViewLease>, lock: Arc<DirLock>) -> Result<Self> {
        let txn = live.env.clone().static_read_txn().or_op("view")?;
        let header = live.header(&txn)?;
        if let Some(lease) = &lease {
            lease.pin(header.beat);
        }
        let map_end = live.map_end();
        Ok(Self { txn, records: live.records, header, map_end, _lease: lease, _lock: lock })
    }

    /// Number of the transaction that the view shows.
    pub(crate) fn txn_id(&self) -> u64 {
        self.txn.id() as u64
    }

    /// The rows of a span, of which the caller checks the end.
    pub(crate) fn forward<'v>(&'v self, span: &Span<'_>) -> Result<Forward<'v>> {
        self.records.range(&self.txn, &(span.start, Bound::Unbounded)).or_op("scan")
    }

    /// The rows of a span, descending, of which the caller checks the start.
    pub(crate) fn reverse<'v>(&'v self, span: &Span<'_>) -> Result<Reverse<'v>> {
        self.records.rev_range(&self.txn, &(Bound::Unbounded, span.end)).or_op("scan")
    }

    /// A damaged page can give a value any length; one that would reach beyond the snapshot's pages is not handed out.
    #[inline]
    pub(crate) fn fits(&self, bytes: &[u8]) -> bool {
        // A value is shorter than 4 GiB, and maps lie far below the end of the address space.
        bytes.as_ptr().addr().wrapping_add(bytes.len()) <= self.map_end
    }

    #[cold]
    pub(crate) fn beyond_map(&self, op: &'static str) -> persist_api::Error {
        corrupt(op, "a record reaches beyond the last page").with_beat(self.beat())
    }

    fn beat(&self) -> BeatNo {
        self.header.beat
    }

    /// How many records LMDB counts.
    pub(crate) fn records_counted(&self) -> Result<u64> {
        self.records.remap_types::<Bytes, DecodeIgnore>().len(&self.txn).or_op("verify")
    }

    /// A bound that is not there is not asked about: heed's iterator without bounds does less for a row.
    fn scan_forward(&self, scan: &Scan<'_>, span: &Span<'_>, visit: &mut Visit<'_>) -> Result<()> {
        let inside = |key: &[u8]| span.ends_after(key);
        let first = || self.records.iter(&self.txn).or_op("scan");
        match (span.start, span.end) {
            (Bound::Unbounded, Bound::Unbounded) => self.each(first()?, scan, |_| true, visit),
            (Bound::Unbounded, _) => self.each(first()?, scan, inside, visit),
            (_, Bound::Unbounded) => self.each(self.forward(span)?, scan, |_| true, visit),
            (_, _) => self.each(self.forward(span)?, scan, inside, visit),
        }
    }

    fn scan_reverse(&self, scan: &Scan<'_>, span: &Span<'_>, visit: &mut Visit<'_>) -> Result<()> {
        let inside = |key: &[u8]| span.starts_before(key);
        let last = || self.records.rev_iter(&self.txn).or_op("scan");
        match (span.end, span.start) {
            (Bound::Unbounded, Bound::Unbounded) => self.each(last()?, scan, |_| true, visit),
            (Bound::Unbounded, _) => self.each(last()?, scan, inside, visit),
            (_, Bound::Unbounded) => self.each(self.reverse(span)?, scan, |_| true, visit),
            (_, _) => self.each(self.reverse(span)?, scan, inside, visit),
        }
    }

    #[inline]
    fn each<'v>(
        &self,
        rows: impl Iterator<Item = heed::Result<(&'v [u8], &'v [u8])>>,
        scan: &Scan<'_>,
        inside: impl Fn(&[u8]) -> bool,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let mut left = scan.limit;
        if left == 0 {
            return Ok(());
        }
        for row in rows {
            let (key, value) = match row {
                Ok(row) => row,
                Err(error) => return Err(map_error("scan", error)),
            };
            if !inside(key) {
                break;
            }
            if !self.fits(value) {
                return Err(self.beyond_map("scan"));
            }
            left -= 1;
            if visit(key, value) == ControlFlow::Break(()) || left == 0 {
                break;
            }
        }
        Ok(())
    }
}

pub(crate) type Forward<'v> = heed::RoRange<'v, Bytes, Bytes>;
pub(crate) type Reverse<'v> = heed::RoRevRange<'v, Bytes, Bytes>;

impl View for LmdbView {
    fn header(&self) -> &BeatHeader {
        &self.header
    }

    fn get_record(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return Ok(None);
        }
        match self.records.get(&self.txn, key) {
            Ok(None) => Ok(None),
            Ok(Some(value)) if self.fits(value) => Ok(Some(Value::borrowed(value))),
            Ok(Some(_)) => Err(self.beyond_map("get_record")),
            Err(error) => Err(map_error("get_record", error)),
        }
    }

    fn scan(&self, scan: Scan<'_>, visit: &mut Visit<'_>) -> Result<()> {
        let Some(span) = Span::of(&scan.range) else { return Ok(()) };
        let visit: &mut Visit<'_> =
            if scan.keys_only { &mut |key: &[u8], _: &[u8]| visit(key, &[]) } else { visit };
        match scan.direction {
            Direction::Forward => self.scan_forward(&scan, &span, visit),
            Direction::Reverse => self.scan_reverse(&scan, &span, visit),
        }
    }

    fn cursor<'v>(&'v self, scan: Scan<'v>) -> Result<Box<dyn Cursor + 'v>> {
        Ok(Box::new(LmdbCursor::new(self, scan)))
    }
}
