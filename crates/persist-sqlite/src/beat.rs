//! A beat: one `BEGIN IMMEDIATE` transaction on the writer connection, with its statements prepared once.

use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;
use persist_api::{
    Beat, BeatHeader, BeatReceipt, BeatTicket, Durability, Error, ErrorKind, KeyRange, Result, Value,
};
use rusqlite::{CachedStatement, Connection};
use self_cell::self_cell;

use crate::connection;
use crate::core::{Cold, Writer};
use crate::driver::SCHEME;
use crate::engine::SqliteEngine;
use crate::error::{corrupt, during};
use crate::{read, sql, upkeep};

type Guard<'e> = MutexGuard<'e, Writer>;

/// The statements of a beat, each prepared when first needed.
#[derive(Default)]
struct Statements<'c> {
    put: Option<CachedStatement<'c>>,
    put_body: Option<CachedStatement<'c>>,
    delete: Option<CachedStatement<'c>>,
    delete_body_of: Option<CachedStatement<'c>>,
}

self_cell!(
    /// The writer, and statements that borrow it.
    struct Session<'e> {
        owner: Guard<'e>,
        #[covariant]
        dependent: Statements,
    }
);

/// An open beat.
pub(crate) struct SqliteBeat<'e> {
    // Dropped first: the next beat finds the writer free.
    session: Session<'e>,
    engine: &'e SqliteEngine,
    header: BeatHeader,
    inline_max: usize,
    staged_bytes: u64,
    operations: u64,
    failed: bool,
    committed: bool,
    _cold: Cold<'e>,
    _ticket: BeatTicket<'e>,
}

/// The statement in its slot, prepared on first use.
fn prepared<'s, 'c>(
    slot: &'s mut Option<CachedStatement<'c>>,
    conn: &'c Connection,
    text: &'static str,
) -> rusqlite::Result<&'s mut CachedStatement<'c>> {
    let statement = match slot.take() {
        Some(statement) => statement,
        None => conn.prepare_cached(text)?,
    };
    Ok(slot.insert(statement))
}

impl<'e> SqliteBeat<'e> {
    pub(crate) fn begin(
        engine: &'e SqliteEngine,
        ticket: BeatTicket<'e>,
        header: BeatHeader,
    ) -> Result<Self> {
        let cold = engine.core.cool();
        let writer = engine.core.writer.lock();
        let full = header.durability == Durability::Durable;
        let fail = during("begin_beat");
        if writer.full.get() != full {
            let level = if full { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" };
            writer.conn.execute_batch(level).map_err(&fail)?;
            writer.full.set(full);
        }
        connection::run(&writer.conn, sql::BEGIN_WRITE).map_err(|error| engine.core.watch(fail(error)))?;
        let inline_max = usize::try_from(engine.core.page_bytes).map_or(0, sql::inline_max);
        Ok(Self {
            session: Session::new(writer, |_| Statements::default()),
            engine,
            header,
            inline_max,
            staged_bytes: 0,
            operations: 0,
            failed: false,
            committed: false,
            _cold: cold,
            _ticket: ticket,
        })
    }

    fn conn(&self) -> &Connection {
        &self.session.borrow_owner().conn
    }

    /// Runs one operation; its failure poisons the beat.
    fn apply(
        &mut self,
        op: &'static str,
        bytes: usize,
        change: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        if self.failed {
            return Err(self.poisoned(op));
        }
        self.staged_bytes = self.staged_bytes.saturating_add(bytes as u64);
        self.operations += 1;
        let done = change(self);
        done.map_err(|error| {
            self.failed = true;
            self.engine.core.watch(error.with_engine(SCHEME).with_beat(self.header.beat))
        })
    }

    fn poisoned(&self, op: &'static str) -> Error {
        Error::new(ErrorKind::Poisoned, op, "an earlier operation of this beat failed")
            .with_engine(SCHEME)
            .with_beat(self.header.beat)
    }

    fn has_bodies(&self) -> bool {
        self.engine.core.has_bodies.load(Ordering::Relaxed)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) -> rusqlite::Result<()> {
        let has_bodies = self.has_bodies();
        let inline = key.len().saturating_add(value.len()) <= self.inline_max || value.len() <= 32;
        if !inline {
            self.engine.core.has_bodies.store(true, Ordering::Relaxed);
        }
        self.session.with_dependent_mut(|writer, statements| {
            let conn = &writer.conn;
            if has_bodies {
                prepared(&mut statements.delete_body_of, conn, sql::DELETE_BODY_OF)?.execute([key])?;
            }
            if inline {
                prepared(&mut statements.put, conn, sql::PUT)?.execute((key, value))?;
            } else {
                prepared(&mut statements.put_body, conn, sql::PUT_BODY)?.execute([value])?;
                let id = conn.last_insert_rowid();
                prepared(&mut statements.put, conn, sql::PUT)?.execute((key, id))?;
            }
            Ok(())
        })
    }

    fn delete(&mut self, key: &[u8]) -> rusqlite::Result<()> {
        let has_bodies = self.has_bodies();
        self.session.with_dependent_mut(|writer, statements| {
            let conn = &writer.conn;
            if has_bodies {
                prepared(&mut statements.delete_body_of, conn, sql::DELETE_BODY_OF)?.execute([key])?;
            }
            prepared(&mut statements.delete, conn, sql::DELETE)?.execute([key])?;
            Ok(())
        })
    }

    fn delete_in(&self, range: &KeyRange<'_>) -> rusqlite::Result<()> {
        let conn = self.conn();
        let whole = *range == KeyRange::all();
        if self.has_bodies() {
            if whole {
                connection::run(conn, sql::DELETE_ALL_BODIES)?;
            } else {
                sql::delete_bodies(range).prepare(conn)?.raw_execute()?;
            }
        }
        if whole {
            return connection::run(conn, sql::DELETE_ALL);
        }
        sql::delete(range).prepare(conn)?.raw_execute().map(drop)
    }

    fn commit(&self) -> Result<()> {
        let fail = |error| {
            let error = during("commit_beat")(error);
            // A full disk or ceiling and a foreign lock leave SQLite whole; after anything else it is not trusted.
            if !matches!(error.kind(), ErrorKind::Full | ErrorKind::Busy) {
                self.engine.core.health.poison();
            }
            error.with_beat(self.header.beat)
        };
        let mut header = self.conn().prepare_cached(sql::WRITE_HEADER).map_err(fail)?;
        let changed = header.execute([self.header.encode().as_slice()]).map_err(fail)?;
        if changed != 1 {
            return Err(
                corrupt("commit_beat", "there is no beat header to replace").with_beat(self.header.beat)
            );
        }
        connection::run(self.conn(), sql::COMMIT).map_err(fail)
    }
}

impl Beat for SqliteBeat<'_> {
    fn put_record(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.apply("put_record", key.len().saturating_add(value.len()), |beat| {
            let limits = beat.engine.offer.limits;
            limits.check_key("put_record", key)?;
            limits.check_value("put_record", value)?;
            beat.put(key, value).map_err(during("put_record"))
        })
    }

    fn delete_record(&mut self, key: &[u8]) -> Result<()> {
        self.apply("delete_record", key.len(), |beat| {
            beat.engine.offer.limits.check_key("delete_record", key)?;
            beat.delete(key).map_err(during("delete_record"))
        })
    }

    fn delete_range(&mut self, range: KeyRange<'_>) -> Result<()> {
        self.apply("delete_range", 0, |beat| {
            if range.is_empty() {
                return Ok(());
            }
            // How many pages this touches is anybody's guess: look at the WAL afterwards.
            beat.operations = u64::MAX / 8;
            beat.delete_in(&range).map_err(during("delete_range"))
        })
    }

    fn peek_record(&self, key: &[u8]) -> Result<Option<Value<'_>>> {
        if self.failed {
            return Err(self.poisoned("peek_record"));
        }
        if !self.engine.offer.limits.can_hold_key(key) {
            return Ok(None);
        }
        let op = "peek_record";
        let mut statement = self.conn().prepare_cached(sql::GET).map_err(during(op))?;
        Ok(read::get(self.conn(), &mut statement, op, key)?.map(Value::owned))
    }

    fn commit_beat(mut self: Box<Self>) -> Result<BeatReceipt> {
        if self.failed {
            return Err(self.poisoned("commit_beat"));
        }
        self.commit()?;
        self.committed = true;
        let core = &self.engine.core;
        *core.last.lock() = self.header;
        core.note_seen(self.header.beat);
        let frames = self
            .operations
            .saturating_mul(4)
            .saturating_add(self.staged_bytes / core.page_bytes.max(1))
            .saturating_add(4);
        upkeep::after_commit(core, self.session.borrow_owner(), frames);
        let reached = self.header.durability.max(Durability::Buffered);
        Ok(BeatReceipt { header: self.header, reached })
    }

    fn abort_beat(self: Box<Self>) {}
}

impl Drop for SqliteBeat<'_> {
    fn drop(&mut self) {
        // Some failures roll back by themselves.
        if self.committed || self.conn().is_autocommit() {
            return;
        }
        if connection::run(self.conn(), sql::ROLLBACK).is_err() && !self.conn().is_autocommit() {
            self.engine.core.health.poison();
        }
    }
}
