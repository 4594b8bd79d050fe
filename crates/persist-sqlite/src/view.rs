//! A view: a pooled connection in a read transaction.

use std::sync::Arc;

use persist_api::{BeatHeader, Cursor, Result, Scan, Value, View, ViewLease, Visit};
use rusqlite::Connection;
use rusqlite::types::ValueRef;

use crate::cache::FixedCache;
use crate::connection;
use crate::core::{Core, Reader};
use crate::cursor::SqliteCursor;
use crate::error::{corrupt, during};
use crate::session::Session;
use crate::{read, sql};

/// A consistent picture at one beat.
pub(crate) struct SqliteView {
    header: BeatHeader,
    // The transaction ends before the lease does.
    session: Session,
    _lease: Option<ViewLease>,
}

impl SqliteView {
    /// Opens a view at the newest beat. Without a lease it does not count as one.
    pub(crate) fn open(core: &Arc<Core>, lease: Option<ViewLease>) -> Result<Self> {
        let (reader, header) = match core.warm_reader() {
            Some(warm) => warm,
            None => Self::begin(core)?,
        };
        if let Some(lease) = &lease {
            lease.pin(header.beat);
        }
        Ok(Self { header, session: Session::new(reader), _lease: lease })
    }

    /// Begins a transaction at the newest beat.
    fn begin(core: &Arc<Core>) -> Result<(Reader, BeatHeader)> {
        let reader = core.reader()?;
        let conn = reader.conn()?;
        // BEGIN alone pins nothing: the snapshot is that of the first read, which is the header's.
        connection::run(conn, sql::BEGIN_READ).map_err(during("view"))?;
        let header = read::header(conn, "view")?;
        core.note_seen(header.beat);
        reader.note_shows(header);
        Ok((reader, header))
    }

    pub(crate) fn conn(&self) -> Result<&Connection> {
        self.session.conn()
    }
}

impl View for SqliteView {
    fn header(&self) -> &BeatHeader {
        &self.header
    }

    fn get_record(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        // The empty key needs no check: it is never stored, so it is not found.
        if key.len() > sql::KEY_BYTES_MAX {
            return Ok(None);
        }
        Ok(self.session.get("get_record", key)?.map(Value::owned))
    }

    fn scan(&self, scan: Scan<'_>, visit: &mut Visit<'_>) -> Result<()> {
        if scan.limit == 0 || scan.range.is_empty() {
            return Ok(());
        }
        let conn = self.conn()?;
        let fail = during("scan");
        let _fixed = if scan.fill_cache { None } else { FixedCache::of(self.session.reader(), "scan")? };
        let ranged = sql::select(&scan.range, scan.direction, scan.keys_only);
        let mut statement = ranged.prepare(conn).map_err(&fail)?;
        let mut rows = statement.raw_query();
        for _ in 0..scan.limit {
            let Some(row) = rows.next().map_err(&fail)? else {
                return Ok(());
            };
            let key = match row.get_ref(0).map_err(&fail)? {
                ValueRef::Blob(key) => key,
                other => return Err(corrupt("scan", format!("a key is {}", other.data_type()))),
            };
            let flow = if scan.keys_only {
                visit(key, &[])
            } else {
                match row.get_ref(1).map_err(&fail)? {
                    ValueRef::Blob(value) => visit(key, value),
                    ValueRef::Integer(id) => read::with_body(conn, "scan", id, |body| visit(key, body))?,
                    other => return Err(corrupt("scan", format!("a value is {}", other.data_type()))),
                }
            };
            if flow.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn cursor<'v>(&'v self, scan: Scan<'v>) -> Result<Box<dyn Cursor + 'v>> {
        Ok(Box::new(SqliteCursor::new(self.session.reader(), self.conn()?, scan)))
    }
}
