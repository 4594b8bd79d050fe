//! A view: a snapshot that owns its share of the database.

use std::sync::Arc;

use persist_api::{BeatHeader, Cursor, Direction, Result, Scan, Value, View, ViewLease, Visit};
use rocksdb::{DB, DBRawIterator, ReadOptions, Snapshot};
use self_cell::self_cell;

use crate::bounds::Bounds;
use crate::core::{Core, read_header};
use crate::cursor::RocksCursor;
use crate::error::map_error;

/// A snapshot and the options that read from it.
pub(crate) struct Pinned<'d> {
    /// Made once: RocksDB allocates them, and a point read should not.
    options: ReadOptions,
    snapshot: Snapshot<'d>,
}

impl<'d> Pinned<'d> {
    fn of(db: &'d DB) -> Self {
        let snapshot = db.snapshot();
        let mut options = ReadOptions::default();
        options.set_snapshot(&snapshot);
        Self { options, snapshot }
    }
}

self_cell!(
    /// A snapshot beside the database that it belongs to.
    struct Picture {
        owner: Arc<Core>,
        #[covariant]
        dependent: Pinned,
    }
);

pub(crate) struct RocksView {
    // Dropped before the lease: when `close` sees the last lease go, the database is the engine's alone.
    picture: Picture,
    header: BeatHeader,
    _lease: ViewLease,
}

impl RocksView {
    pub(crate) fn open(core: Arc<Core>, lease: ViewLease) -> Result<Self> {
        let picture = Picture::new(core, |core| Pinned::of(&core.db));
        let header = read_header("view", &picture.borrow_owner().db, &picture.borrow_dependent().options)?;
        lease.pin(header.beat);
        Ok(Self { picture, header, _lease: lease })
    }

    /// An iterator over the rows within `bounds`, not yet placed.
    fn rows(&self, bounds: Bounds, fill_cache: bool) -> DBRawIterator<'_> {
        let mut options = ReadOptions::default();
        options.fill_cache(fill_cache);
        options.set_snapshot(&self.picture.borrow_dependent().snapshot);
        options.set_iterate_lower_bound(bounds.start);
        if let Some(end) = bounds.end {
            options.set_iterate_upper_bound(end);
        }
        self.picture.borrow_owner().db.raw_iterator_opt(options)
    }
}

impl View for RocksView {
    fn header(&self) -> &BeatHeader {
        &self.header
    }

    fn get_record(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        let core = self.picture.borrow_owner();
        if !core.limits.can_hold_key(key) {
            return Ok(None);
        }
        let found = core.db.get_pinned_opt(key, &self.picture.borrow_dependent().options);
        found.map(|value| value.map(Value::pinned)).map_err(|error| map_error("get_record", error))
    }

    fn scan(&self, scan: Scan<'_>, visit: &mut Visit<'_>) -> Result<()> {
        let Some(bounds) = Bounds::of(&scan.range) else {
            return Ok(());
        };
        let mut left = scan.limit;
        if left == 0 {
            return Ok(());
        }
        let mut rows = self.rows(bounds, scan.fill_cache);
        match scan.direction {
            Direction::Forward => rows.seek_to_first(),
            Direction::Reverse => rows.seek_to_last(),
        }
        loop {
            let row = if scan.keys_only { rows.key().map(|key| (key, [].as_slice())) } else { rows.item() };
            let Some((key, value)) = row else {
                return rows.status().map_err(|error| map_error("scan", error));
            };
            left -= 1;
            if visit(key, value).is_break() || left == 0 {
                return Ok(());
            }
            match scan.direction {
                Direction::Forward => rows.next(),
                Direction::Reverse => rows.prev(),
            }
        }
    }

    fn cursor<'v>(&'v self, scan: Scan<'v>) -> Result<Box<dyn Cursor + 'v>> {
        let rows = Bounds::of(&scan.range).map(|bounds| self.rows(bounds, scan.fill_cache));
        Ok(Box::new(RocksCursor::new(rows, &scan)))
    }
}
