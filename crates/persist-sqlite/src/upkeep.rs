//! Checkpoints and compaction.
//!
//! Every checkpoint is ours: SQLite's automatic one drops its errors and would sync again, later, what had failed to sync.

use std::sync::atomic::Ordering;
use std::time::Duration;

use persist_api::{CheckpointStat, CompactStat, Error, ErrorKind, Observer, Progress, Result};
use rusqlite::Connection;

use crate::connection::BUSY_TIMEOUT;
use crate::core::{Core, Writer};
use crate::engine::SqliteEngine;
use crate::error::during;
use crate::home;
use crate::read;
use crate::watch::watched;

/// Looks at the WAL and does nothing.
const NOOP: &str = "PRAGMA wal_checkpoint(NOOP)";
/// Copies what no view holds back; waits for nobody.
const PASSIVE: &str = "PRAGMA wal_checkpoint(PASSIVE)";
/// As PASSIVE, and empties the file if no view reads from it.
const TRUNCATE: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

/// The state of the WAL, in frames.
#[derive(Debug, Clone, Copy)]
struct Wal {
    /// Something, as an open view, kept the checkpoint from ending.
    busy: bool,
    frames: u64,
    copied: u64,
}

impl Wal {
    fn is_copied(self) -> bool {
        !self.busy && self.frames == self.copied
    }
}

fn wal(conn: &Connection, pragma: &'static str) -> rusqlite::Result<Wal> {
    conn.prepare_cached(pragma)?.query_row([], |row| {
        let count = |at| row.get::<_, i64>(at).map(|frames| u64::try_from(frames).unwrap_or(0));
        Ok(Wal { busy: count(0)? != 0, frames: count(1)?, copied: count(2)? })
    })
}

/// Copies the WAL and empties it, unless somebody reads from it: nobody is waited for. True if it is empty.
fn empty(conn: &Connection) -> rusqlite::Result<bool> {
    conn.busy_timeout(Duration::ZERO)?;
    let done = wal(conn, TRUNCATE);
    conn.busy_timeout(BUSY_TIMEOUT)?;
    Ok(!done?.busy)
}

/// Called after each commit, which touched at most `frames` pages: checkpoints when the WAL has grown large. The beat is
/// committed already, so a failure here is no failure of the beat; it poisons the engine.
pub(crate) fn after_commit(core: &Core, writer: &Writer, frames: u64) {
    let limit = core.settings.wal_bytes / core.page_bytes.max(1);
    let unseen = writer.unseen_frames.get().saturating_add(frames);
    writer.unseen_frames.set(unseen);
    if writer.seen_frames.get().saturating_add(unseen) < limit {
        return;
    }
    let beat = core.last.lock().beat;
    let looked = wal(&writer.conn, NOOP).and_then(|now| {
        writer.seen_frames.set(now.frames);
        writer.unseen_frames.set(0);
        if now.frames < limit {
            return Ok(now);
        }
        // Either it empties the WAL for the next beat, or a view holds it; then the next attempt is `limit` frames away.
        writer.seen_frames.set(0);
        wal(&writer.conn, PASSIVE)
    });
    match looked {
        Ok(now) if now.is_copied() => {
            core.checkpointed.fetch_max(beat.0, Ordering::Relaxed);
        }
        Ok(_) => {}
        Err(_) => core.health.poison(),
    }
}

/// Copies the WAL into the database file, and empties it when no beat and no view is open.
pub(crate) fn checkpoint(core: &std::sync::Arc<Core>) -> Result<CheckpointStat> {
    let fail = during("checkpoint");
    let _cold = core.cool();
    let reader = core.reader()?;
    let conn = reader.conn()?;
    // Opens the WAL on a fresh connection.
    read::header(conn, "checkpoint")?;
    let writer = core.writer.try_lock();
    let beat = core.last.lock().beat;
    let before = wal(conn, NOOP).map_err(&fail)?;
    let after = wal(conn, PASSIVE).map_err(&fail)?;
    if let Some(writer) = &writer {
        empty(conn).map_err(&fail)?;
        writer.unseen_frames.set(0);
        writer.seen_frames.set(0);
    }
    if after.is_copied() {
        core.checkpointed.fetch_max(beat.0, Ordering::Relaxed);
    }
    Ok(CheckpointStat {
        beat: persist_api::BeatNo(core.checkpointed.load(Ordering::Relaxed)),
        bytes: after.copied.saturating_sub(before.copied).saturating_mul(core.page_bytes),
    })
}

/// Rewrites the database without its gaps.
pub(crate) fn compact(engine: &SqliteEngine, seen: &dyn Observer) -> Result<CompactStat> {
    let core = &engine.core;
    let _ticket = engine.gate.enter().map_err(|_| busy("a beat is open".to_owned()))?;
    let _alone = engine.in_use.try_write().ok_or_else(|| {
        busy("a backup or a verification is running and would hold the old pages".to_owned())
    })?;
    let views = engine.ledger.count();
    if views > 0 {
        return Err(busy(format!("{views} views are open and would hold the old pages")));
    }
    let _cold = core.cool();
    let mut writer = core.writer.lock();
    let fail = during("compact");
    let bytes_before = home::size_of(&core.home)?;
    let wal_path = home::wal_path(&core.home);
    let total = home::len_of(&core.home.join(home::DATA))?;
    let progress = || {
        let done = home::len_of(&wal_path).unwrap_or(0).min(total);
        Progress { phase: "rewrite", done, total: Some(total), unit: "bytes" }
    };
    if !empty(&writer.conn).map_err(&fail)? {
        return Err(busy("somebody began to read and would hold the old pages".to_owned()));
    }
    watched(&mut writer.conn, "compact", seen, &progress, |conn| {
        conn.execute_batch("VACUUM").map_err(during("compact"))
    })?;
    // A view that was opened meanwhile keeps the WAL; a commit after its end empties it.
    empty(&writer.conn).map_err(&fail)?;
    writer.unseen_frames.set(u64::MAX);
    Ok(CompactStat { bytes_before, bytes_after: home::size_of(&core.home)? })
}

fn busy(what: String) -> Error {
    Error::new(ErrorKind::Busy, "compact", what)
}
