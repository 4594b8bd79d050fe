//! A lending cursor: a statement and its rows, kept together.

use persist_api::{Cursor, Error, ErrorKind, Result, Scan};
use rusqlite::fallible_streaming_iterator::FallibleStreamingIterator;
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, Rows};
use self_cell::{MutBorrow, self_cell};

use crate::cache::FixedCache;
use crate::core::Reader;
use crate::driver::SCHEME;
use crate::error::{corrupt, during};
use crate::{read, sql};

const OP: &str = "cursor";

type Prepared<'c> = MutBorrow<CachedStatement<'c>>;

self_cell!(
    /// A statement that runs.
    struct Running<'c> {
        owner: Prepared<'c>,
        #[covariant]
        dependent: Rows,
    }
);

/// Where a cursor stands.
enum Place<'c> {
    Before,
    At(Running<'c>),
    After,
    /// It failed, and goes on failing until `seek`.
    Failed(ErrorKind, String),
}

/// A cursor of a view.
pub(crate) struct SqliteCursor<'c> {
    reader: &'c Reader,
    conn: &'c Connection,
    scan: Scan<'c>,
    left: u64,
    place: Place<'c>,
    /// The value of the current row when it has a body; used again for the next one.
    body: Vec<u8>,
    has_body: bool,
    /// Of a scan that is not to fill the cache, from its first row on. It goes last.
    fixed: Option<FixedCache<'c>>,
}

impl<'c> SqliteCursor<'c> {
    pub(crate) fn new(reader: &'c Reader, conn: &'c Connection, scan: Scan<'c>) -> Self {
        let left = scan.limit;
        Self {
            reader,
            conn,
            scan,
            left,
            place: Place::Before,
            body: Vec::new(),
            has_body: false,
            fixed: None,
        }
    }

    /// Starts a statement over `scan`; nothing can be in it, then `None`.
    fn run(conn: &'c Connection, scan: &Scan<'_>) -> Result<Option<Running<'c>>> {
        if scan.limit == 0 || scan.range.is_empty() {
            return Ok(None);
        }
        let ranged = sql::select(&scan.range, scan.direction, scan.keys_only);
        let statement = ranged.prepare(conn).map_err(during(OP))?;
        Ok(Some(Running::new(MutBorrow::new(statement), |statement| statement.borrow_mut().raw_query())))
    }

    /// Steps `running` and keeps it if there is a row.
    fn step(&mut self, mut running: Running<'c>) -> Result<bool> {
        self.has_body = false;
        if self.left == 0 {
            self.place = Place::After;
            return Ok(false);
        }
        let (conn, keys_only, body) = (self.conn, self.scan.keys_only, &mut self.body);
        let row = running.with_dependent_mut(|_, rows| -> Result<Option<bool>> {
            let fail = during(OP);
            let Some(row) = rows.next().map_err(&fail)? else {
                return Ok(None);
            };
            row.get_ref(0).map_err(&fail)?.as_blob().map_err(|error| corrupt(OP, error.to_string()))?;
            if keys_only {
                return Ok(Some(false));
            }
            match row.get_ref(1).map_err(&fail)? {
                ValueRef::Blob(_) => Ok(Some(false)),
                ValueRef::Integer(id) => {
                    body.clear();
                    read::with_body(conn, OP, id, |bytes| body.extend_from_slice(bytes))?;
                    Ok(Some(true))
                }
                other => Err(corrupt(OP, format!("a value is {}", other.data_type()))),
            }
        })?;
        let Some(has_body) = row else {
            self.place = Place::After;
            return Ok(false);
        };
        self.left -= 1;
        self.has_body = has_body;
        self.place = Place::At(running);
        Ok(true)
    }

    /// Remembers a failure.
    fn note(&mut self, done: Result<bool>) -> Result<bool> {
        if let Err(error) = &done {
            self.has_body = false;
            self.place = Place::Failed(error.kind(), error.context().to_owned());
        }
        done
    }

    fn start(&mut self, scan: &Scan<'_>) -> Result<bool> {
        if !scan.fill_cache && self.fixed.is_none() {
            self.fixed = FixedCache::of(self.reader, OP)?;
        }
        match Self::run(self.conn, scan)? {
            Some(running) => self.step(running),
            None => Ok(false),
        }
    }

    /// The bytes of a column of the current row.
    fn column(&self, at: usize) -> &[u8] {
        let Place::At(running) = &self.place else {
            return &[];
        };
        let row = running.borrow_dependent().get();
        row.and_then(|row| row.get_ref(at).ok()).and_then(|column| column.as_blob().ok()).unwrap_or_default()
    }
}

impl Cursor for SqliteCursor<'_> {
    fn advance(&mut self) -> Result<bool> {
        let done = match std::mem::replace(&mut self.place, Place::After) {
            Place::After => Ok(false),
            Place::Before => {
                let scan = self.scan.clone();
                self.start(&scan)
            }
            Place::At(running) => self.step(running),
            Place::Failed(kind, what) => Err(Error::new(kind, OP, what).with_engine(SCHEME)),
        };
        self.note(done)
    }

    fn seek(&mut self, key: &[u8]) -> Result<bool> {
        // Gives the statement back first, so that it is found again.
        self.place = Place::After;
        self.has_body = false;
        self.left = self.scan.limit;
        let scan = self.scan.clone();
        let done = self.start(&scan.from(key));
        self.note(done)
    }

    fn key(&self) -> &[u8] {
        self.column(0)
    }

    fn value(&self) -> &[u8] {
        if self.has_body {
            &self.body
        } else if self.scan.keys_only {
            &[]
        } else {
            self.column(1)
        }
    }
}
