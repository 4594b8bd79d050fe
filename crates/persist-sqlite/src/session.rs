//! A reader that keeps its statement for point reads.
//!
//! rusqlite's cache of statements costs a hash of the text, a look-up and a put-back for each use: a sixth of a point
//! read. A view reads points again and again, so it prepares that statement once and holds it beside the connection.

use std::cell::RefCell;

use persist_api::Result;
use rusqlite::{CachedStatement, Connection};
use self_cell::self_cell;

use crate::core::Reader;
use crate::error::during;
use crate::{read, sql};

type Kept<'c> = RefCell<Option<CachedStatement<'c>>>;

self_cell!(
    struct Pair {
        owner: Reader,
        #[not_covariant]
        dependent: Kept,
    }
);

/// A reading connection and its statement.
pub(crate) struct Session(Pair);

// SAFETY: a statement is not `Send` because it borrows a connection that some other thread might use at the same time.
// Here the two are fields of one value: they move to another thread together, `Session` is not `Sync`, and nothing that
// borrows from it outlives the borrow. The connection alone is `Send`, and SQLite, built thread-safe and without a mutex
// for this connection, asks only that one thread uses it at a time. `Reader` itself is `Send` (asserted below).
#[allow(unsafe_code, reason = "the one statement that a connection's owner keeps moves with it; see SAFETY")]
unsafe impl Send for Session {}

const fn assert_send<T: Send>() {}
const _: () = assert_send::<Reader>();

impl Session {
    pub(crate) fn new(reader: Reader) -> Self {
        Self(Pair::new(reader, |_| RefCell::new(None)))
    }

    /// The reader.
    pub(crate) fn reader(&self) -> &Reader {
        self.0.borrow_owner()
    }

    /// The connection.
    pub(crate) fn conn(&self) -> Result<&Connection> {
        self.reader().conn()
    }

    /// Reads one record.
    pub(crate) fn get(&self, op: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.0.with_dependent(|reader, kept| {
            let conn = reader.conn()?;
            let mut kept = kept.borrow_mut();
            let statement = match kept.take() {
                Some(statement) => statement,
                None => conn.prepare_cached(sql::GET).map_err(during(op))?,
            };
            read::get(conn, kept.insert(statement), op, key)
        })
    }
}
