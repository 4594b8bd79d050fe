//! Scans that leave the page cache of their connection as it is.

use std::ffi::c_int;

use persist_api::Result;
use rusqlite::{Connection, ffi};

use crate::connection::CACHE_KIB_MIN;
use crate::core::Reader;
use crate::error::during;

/// While it lives, its connection takes no more memory for pages than it has: what is read takes the place of what was used
/// least recently. A long scan then goes through few pages, which stay in the processor's caches, and asks nobody for memory.
pub(crate) struct FixedCache<'c> {
    reader: &'c Reader,
    conn: &'c Connection,
    /// What `cache_size` was.
    before: i64,
}

impl<'c> FixedCache<'c> {
    /// Fixes the cache of a reader, unless another scan has done it.
    ///
    /// # Errors
    /// Those of the two pragmas.
    pub(crate) fn of(reader: &'c Reader, op: &'static str) -> Result<Option<Self>> {
        if reader.is_cache_fixed.get() {
            return Ok(None);
        }
        let conn = reader.conn()?;
        let before = conn.query_row("PRAGMA cache_size", [], |row| row.get(0)).map_err(during(op))?;
        let fixed = Self { reader, conn, before };
        reader.is_cache_fixed.set(true);
        let kib = (used_bytes(conn) / 1024).max(CACHE_KIB_MIN);
        fixed.set(-i64::try_from(kib).unwrap_or(i64::MAX)).map_err(during(op))?;
        Ok(Some(fixed))
    }

    fn set(&self, size: i64) -> rusqlite::Result<()> {
        self.conn.execute_batch(&format!("PRAGMA cache_size = {size}"))
    }
}

impl Drop for FixedCache<'_> {
    fn drop(&mut self) {
        // A cache that stays smaller is slower and nothing else.
        let _ = self.set(self.before);
        self.reader.is_cache_fixed.set(false);
    }
}

/// What the pages that a connection has in its cache take.
fn used_bytes(conn: &Connection) -> u64 {
    let (mut used, mut highest): (c_int, c_int) = (0, 0);
    // SAFETY: the handle is that of an open connection, which this thread has for itself, and both pointers are to integers
    // that outlive the call.
    #[allow(unsafe_code, reason = "SQLite tells what its cache takes by this call only; see SAFETY")]
    let told = unsafe {
        ffi::sqlite3_db_status(
            conn.handle(),
            ffi::SQLITE_DBSTATUS_CACHE_USED,
            &raw mut used,
            &raw mut highest,
            0,
        )
    };
    if told == ffi::SQLITE_OK { u64::try_from(used).unwrap_or(0) } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::Arc;

    use persist_api::{BeatHeader, Durability, Engine as _, OpenOptions, Quiet, Scan, View as _};
    use persist_io::RealDisk;

    use super::*;
    use crate::driver::open_core;
    use crate::engine::SqliteEngine;
    use crate::settings::Settings;
    use crate::view::SqliteView;

    const ROWS: u32 = 4000;

    fn cache_size(view: &SqliteView) -> i64 {
        view.conn().unwrap().query_row("PRAGMA cache_size", [], |row| row.get(0)).unwrap()
    }

    fn rows(view: &SqliteView, scan: Scan<'_>) -> u32 {
        let mut rows = 0;
        let visit = &mut |_: &[u8], value: &[u8]| {
            assert_eq!(value.len(), 1000);
            rows += 1;
            ControlFlow::Continue(())
        };
        view.scan(scan, visit).unwrap();
        rows
    }

    #[test]
    fn a_scan_that_is_not_to_fill_the_cache_leaves_it_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let options = OpenOptions::default();
        let settings = Settings::of(&options).unwrap();
        let core = open_core(&RealDisk, &dir.path().join("home"), &options, settings, &Quiet).unwrap();
        let core = Arc::new(core);
        let engine = SqliteEngine::new(Arc::clone(&core), &options);
        let mut beat =
            engine.begin_beat(BeatHeader::default().next(1, Durability::Durable, None).unwrap()).unwrap();
        for row in 0..ROWS {
            beat.put_record(&row.to_be_bytes(), &[7; 1000]).unwrap();
        }
        beat.commit_beat().unwrap();
        let view = SqliteView::open(&core, None).unwrap();
        let (used, size) = (|| used_bytes(view.conn().unwrap()), cache_size(&view));
        let least = CACHE_KIB_MIN * 1024 * 3 / 2;
        for _ in 0..2 {
            assert_eq!(rows(&view, Scan::all().without_fill_cache()), ROWS);
            assert!(used() <= least, "{} bytes", used());
            assert_eq!(cache_size(&view), size);
        }
        // Two cursors, the first of which goes first.
        let mut one = view.cursor(Scan::all().without_fill_cache()).unwrap();
        let mut two = view.cursor(Scan::all().without_fill_cache()).unwrap();
        assert!(one.advance().unwrap() && two.advance().unwrap());
        assert_ne!(cache_size(&view), size);
        drop(one);
        while two.advance().unwrap() {}
        drop(two);
        assert_eq!(cache_size(&view), size);
        // What is warm stays warm.
        assert_eq!(rows(&view, Scan::all()), ROWS);
        let warm = used();
        assert!(warm > 4_000_000, "{warm} bytes");
        assert_eq!(rows(&view, Scan::all().without_fill_cache()), ROWS);
        assert_eq!(used(), warm);
    }
}
