//! Reading the header and single records, over any connection.

use persist_api::{BeatHeader, Result};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Statement};

use crate::driver::SCHEME;
use crate::error::{corrupt, during};
use crate::sql;

/// Reads the header of the newest beat. In a transaction, this is what pins the snapshot.
pub(crate) fn header(conn: &Connection, op: &'static str) -> Result<BeatHeader> {
    let fail = during(op);
    let mut statement = conn.prepare_cached(sql::READ_HEADER).map_err(&fail)?;
    let mut rows = statement.raw_query();
    let row = rows.next().map_err(&fail)?.ok_or_else(|| corrupt(op, "there is no beat header"))?;
    match row.get_ref(0).map_err(&fail)? {
        ValueRef::Blob(bytes) => BeatHeader::decode(bytes).map_err(|error| error.with_engine(SCHEME)),
        other => Err(corrupt(op, format!("the beat header is {}", other.data_type()))),
    }
}

/// Reads one record with a prepared [`sql::GET`].
pub(crate) fn get(
    conn: &Connection,
    statement: &mut Statement<'_>,
    op: &'static str,
    key: &[u8],
) -> Result<Option<Vec<u8>>> {
    let fail = during(op);
    statement.raw_bind_parameter(1, key).map_err(&fail)?;
    let mut rows = statement.raw_query();
    let Some(row) = rows.next().map_err(&fail)? else {
        return Ok(None);
    };
    match row.get_ref(0).map_err(&fail)? {
        ValueRef::Blob(value) => Ok(Some(value.to_vec())),
        ValueRef::Integer(id) => with_body(conn, op, id, <[u8]>::to_vec).map(Some),
        other => Err(corrupt(op, format!("a value is {}", other.data_type()))),
    }
}

/// Reads the body with this number.
pub(crate) fn with_body<T>(
    conn: &Connection,
    op: &'static str,
    id: i64,
    read: impl FnOnce(&[u8]) -> T,
) -> Result<T> {
    let fail = during(op);
    let mut statement = conn.prepare_cached(sql::GET_BODY).map_err(&fail)?;
    statement.raw_bind_parameter(1, id).map_err(&fail)?;
    let mut rows = statement.raw_query();
    let row = rows.next().map_err(&fail)?.ok_or_else(|| corrupt(op, format!("there is no body {id}")))?;
    match row.get_ref(0).map_err(&fail)? {
        ValueRef::Blob(bytes) => Ok(read(bytes)),
        other => Err(corrupt(op, format!("body {id} is {}", other.data_type()))),
    }
}
