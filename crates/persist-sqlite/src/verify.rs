//! SQLite's own checker, then every record read back.

use persist_api::{ErrorKind, Finding, FindingCode as Code, Observer, Progress, Result, VerifyStat};
use rusqlite::Connection;
use rusqlite::types::ValueRef;

use crate::connection::{self, Role};
use crate::core::Core;
use crate::error::{corrupt, during};
use crate::home::DATA;
use crate::watch::watched;
use crate::{read, sql};

const OP: &str = "verify";
/// SQLite stops after so many findings.
const CHECK: &str = "PRAGMA integrity_check(100)";
const SCAN: &str = "SELECT key, value FROM record ORDER BY key";
const ROWS_A_STEP: u64 = 1024;

/// Checks the store at its newest beat.
pub(crate) fn verify(core: &Core, found: &mut dyn FnMut(Finding), seen: &dyn Observer) -> Result<VerifyStat> {
    let mut stat = VerifyStat::default();
    let mut damage = |stat: &mut VerifyStat, code, what: String, place: &str| {
        stat.damaged += 1;
        found(Finding::damage(code, what, place));
    };
    // The pool's connections keep pages as long as nobody writes, and what rots below them would go unseen.
    let mut conn = connection::open(&core.home.join(DATA), Role::Checker, &core.settings)?;
    connection::run(&conn, sql::BEGIN_READ).map_err(during(OP))?;
    if let Err(error) = read::header(&conn, OP) {
        damage(&mut stat, Code::Header, only_damage(error)?, "table beat");
    }
    let progress = || Progress { phase: "check", done: 0, total: None, unit: "bytes" };
    match watched(&mut conn, OP, seen, &progress, check) {
        Ok(lines) => lines.into_iter().for_each(|line| damage(&mut stat, Code::Structure, line, DATA)),
        Err(error) => damage(&mut stat, Code::Structure, only_damage(error)?, DATA),
    }
    let mut bodies = 0;
    if let Err(error) = read_all(&conn, &mut stat, &mut bodies, &mut damage, seen) {
        damage(&mut stat, Code::Structure, only_damage(error)?, "table record");
        return Ok(stat);
    }
    match conn.query_row(sql::COUNT_BODIES, [], |row| row.get::<_, i64>(0)).map_err(during(OP)) {
        Ok(there) if u64::try_from(there).ok() == Some(bodies) => {}
        Ok(there) => {
            let what = format!("{there} bodies for {bodies} records that have one");
            damage(&mut stat, Code::Count, what, "table body");
        }
        Err(error) => damage(&mut stat, Code::Structure, only_damage(error)?, "table body"),
    }
    Ok(stat)
}

/// The sentence of an error that says that stored bytes are wrong; any other error ends the check.
fn only_damage(error: persist_api::Error) -> Result<String> {
    if error.kind() == ErrorKind::Corrupt { Ok(error.context().to_owned()) } else { Err(error) }
}

/// The findings of SQLite's checker, at most a hundred.
fn check(conn: &mut Connection) -> Result<Vec<String>> {
    let fail = during(OP);
    let mut statement = conn.prepare(CHECK).map_err(&fail)?;
    let mut rows = statement.raw_query();
    let mut lines = Vec::new();
    while let Some(row) = rows.next().map_err(&fail)? {
        let line: String = row.get(0).map_err(&fail)?;
        if line != "ok" {
            lines.push(line);
        }
    }
    Ok(lines)
}

fn read_all(
    conn: &Connection,
    stat: &mut VerifyStat,
    bodies: &mut u64,
    damage: &mut dyn FnMut(&mut VerifyStat, Code, String, &str),
    seen: &dyn Observer,
) -> Result<()> {
    let fail = during(OP);
    let mut statement = conn.prepare_cached(SCAN).map_err(&fail)?;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(&fail)? {
        if stat.records.is_multiple_of(ROWS_A_STEP) {
            let progress = Progress { phase: "read", done: stat.records, total: None, unit: "records" };
            seen.step(OP, progress)?;
        }
        let key = match row.get_ref(0).map_err(&fail)? {
            ValueRef::Blob(key) if !key.is_empty() && key.len() <= sql::KEY_BYTES_MAX => key,
            other => {
                let what = format!("a key that cannot be, of type {}", other.data_type());
                damage(stat, Code::Record, what, "table record");
                continue;
            }
        };
        let value_bytes = match row.get_ref(1).map_err(&fail)? {
            ValueRef::Blob(value) => Ok(value.len()),
            ValueRef::Integer(id) => {
                *bodies += 1;
                read::with_body(conn, OP, id, <[u8]>::len)
            }
            other => Err(corrupt(OP, format!("a value is {}", other.data_type()))),
        };
        match value_bytes {
            Ok(bytes) => {
                stat.records += 1;
                stat.bytes += (key.len() + bytes) as u64;
            }
            Err(error) => {
                damage(stat, Code::Record, only_damage(error)?, &format!("key {}", key.escape_ascii()));
            }
        }
    }
    Ok(())
}
