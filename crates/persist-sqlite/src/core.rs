//! What the engine and its views share. It goes with the last of them, and with it the lock of the directory.

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use persist_api::{BeatHeader, BeatNo, Error, ErrorKind, Health, Result};
use persist_io::{DirLock, DiskFile};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::connection::{self, Role};
use crate::error::{during, write_failed};
use crate::home::{DATA, LiveMark};
use crate::settings::{READERS_KEPT, Settings};
use crate::{read, sql};

/// The writer connection, and what is known about it.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) conn: Connection,
    /// True while `synchronous` is FULL. It can be changed only between transactions.
    pub(crate) full: Cell<bool>,
    /// At most so many frames were added to the WAL since it was last looked at.
    pub(crate) unseen_frames: Cell<u64>,
    /// Frames in the WAL when it was last looked at.
    pub(crate) seen_frames: Cell<u64>,
}

/// Shared by the engine and its views. Fields are dropped in order: connections, then the mark, then the lock.
pub(crate) struct Core {
    pub(crate) writer: Mutex<Writer>,
    readers: Mutex<Pool>,
    /// The WAL, to sync it. Closing it drops no lock: SQLite locks the other two files.
    pub(crate) wal: Box<dyn DiskFile>,
    _live: LiveMark,
    _lock: DirLock,
    pub(crate) home: PathBuf,
    pub(crate) settings: Settings,
    pub(crate) page_bytes: u64,
    pub(crate) health: Health,
    /// Header of the newest beat.
    pub(crate) last: Mutex<BeatHeader>,
    /// The newest beat that anybody can have seen: a view may show a beat a moment before its commit returns.
    seen: AtomicU64,
    /// False while it is certain that no record has a body.
    pub(crate) has_bodies: AtomicBool,
    /// The newest beat that is known to be wholly in the database file.
    pub(crate) checkpointed: AtomicU64,
}

impl Core {
    pub(crate) fn new(
        writer: Connection,
        wal: Box<dyn DiskFile>,
        (live, lock): (LiveMark, DirLock),
        home: PathBuf,
        settings: Settings,
        page_bytes: u64,
    ) -> Result<Self> {
        let last = read::header(&writer, "open")?;
        let has_bodies = writer.query_row(sql::HAS_BODIES, [], |row| row.get(0)).map_err(during("open"))?;
        Ok(Self {
            writer: Mutex::new(Writer {
                conn: writer,
                full: Cell::new(true),
                unseen_frames: Cell::new(u64::MAX),
                seen_frames: Cell::new(0),
            }),
            readers: Mutex::default(),
            wal,
            _live: live,
            _lock: lock,
            home,
            settings,
            page_bytes,
            health: Health::default(),
            seen: AtomicU64::new(last.beat.0),
            last: Mutex::new(last),
            has_bodies: AtomicBool::new(has_bodies),
            checkpointed: AtomicU64::new(0),
        })
    }

    /// The pooled reader with the largest cache that is free, or an extra one when all are out. In no transaction.
    pub(crate) fn reader(self: &Arc<Self>) -> Result<Reader> {
        let mut pool = self.readers.lock();
        let quiet_since = pool.quiet_since();
        let free = pool.slots.iter_mut().enumerate().find(|(_, slot)| !matches!(slot, Slot::Out));
        let (slot, kept) = match free {
            Some((at, slot)) => (Some(at), std::mem::replace(slot, Slot::Out)),
            None => (None, Slot::Out),
        };
        drop(pool);
        self.hold(slot, kept.cooled(), quiet_since)
    }

    /// A reader in a transaction that shows the newest beat, if an earlier view left one.
    pub(crate) fn warm_reader(self: &Arc<Self>) -> Option<(Reader, BeatHeader)> {
        let mut pool = self.readers.lock();
        let quiet_since = pool.quiet_since();
        // Whoever writes ends them first, so what is warm shows the newest beat.
        let at = pool.slots.iter().position(|slot| matches!(slot, Slot::Warm(..)))?;
        let Slot::Warm(conn, header) = std::mem::replace(pool.slots.get_mut(at)?, Slot::Out) else {
            return None;
        };
        drop(pool);
        let shows = Cell::new(Some(header));
        let reader = Reader {
            conn: Some(conn),
            slot: Some(at),
            shows,
            quiet_since,
            is_cache_fixed: Cell::new(false),
            core: Arc::clone(self),
        };
        Some((reader, header))
    }

    /// Ends the transactions that views have left, and keeps others from being left, until dropped. Whoever writes needs
    /// that: a transaction of a reader keeps the WAL from beginning anew.
    pub(crate) fn cool(&self) -> Cold<'_> {
        let mut pool = self.readers.lock();
        pool.cold = pool.cold.saturating_add(1);
        pool.coolings = pool.coolings.wrapping_add(1);
        for slot in &mut pool.slots {
            if matches!(slot, Slot::Warm(..)) {
                *slot = std::mem::take(slot).cooled();
            }
        }
        Cold(self)
    }

    fn hold(self: &Arc<Self>, slot: Option<usize>, kept: Slot, quiet_since: Option<u64>) -> Result<Reader> {
        // From here on, dropping the reader frees its slot, also when it cannot be opened.
        let mut reader = Reader {
            conn: None,
            slot,
            shows: Cell::new(None),
            quiet_since,
            is_cache_fixed: Cell::new(false),
            core: Arc::clone(self),
        };
        reader.conn = Some(match kept {
            Slot::Kept(conn) => conn,
            Slot::Unused | Slot::Out | Slot::Warm(..) => {
                connection::open(&self.home.join(DATA), Role::Reader { slot }, &self.settings)?
            }
        });
        Ok(reader)
    }

    /// Notes that a beat can be seen.
    pub(crate) fn note_seen(&self, beat: BeatNo) {
        self.seen.fetch_max(beat.0, Ordering::AcqRel);
    }

    /// The newest beat that can be seen. All of it is in the WAL or in the database.
    pub(crate) fn newest(&self) -> BeatNo {
        BeatNo(self.seen.load(Ordering::Acquire))
    }

    pub(crate) fn readers_kept(&self) -> usize {
        self.readers.lock().slots.iter().filter(|slot| matches!(slot, Slot::Kept(_) | Slot::Warm(..))).count()
    }

    /// Poisons the engine when an error says that a write or a sync failed.
    pub(crate) fn watch(&self, error: Error) -> Error {
        if write_failed(&error) {
            self.health.poison();
        }
        error
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        *self.readers.get_mut() = Pool::default();
        if self.health.is_poisoned() {
            // The last connection to close would checkpoint, that is sync again what failed to sync, and delete the WAL.
            let writer = self.writer.get_mut();
            let _ = writer.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        }
    }
}

/// A place in the pool of readers. Each has its own share of the cache.
#[derive(Debug, Default)]
enum Slot {
    /// Never opened.
    #[default]
    Unused,
    /// Open and free.
    Kept(Connection),
    /// The same, in the transaction of a view that is gone, which showed this beat: the next view finds it begun.
    Warm(Connection, BeatHeader),
    /// Some view has it.
    Out,
}

/// The readers that are kept.
#[derive(Default)]
struct Pool {
    slots: [Slot; READERS_KEPT],
    /// So many write or checkpoint now: no transaction may be left open.
    cold: u32,
    /// How often somebody began to. Beats have numbers too, but while a store is being filled several have the same.
    coolings: u64,
}

impl Pool {
    /// While this is the same, nobody writes; `None` while somebody does.
    fn quiet_since(&self) -> Option<u64> {
        (self.cold == 0).then_some(self.coolings)
    }
}

/// While it is there, no reader is left in a transaction.
pub(crate) struct Cold<'c>(&'c Core);

impl Drop for Cold<'_> {
    fn drop(&mut self) {
        let mut pool = self.0.readers.lock();
        pool.cold = pool.cold.saturating_sub(1);
    }
}

impl Slot {
    /// The same outside of any transaction.
    fn cooled(self) -> Self {
        match self {
            Self::Warm(conn, _) if connection::run(&conn, sql::COMMIT).is_ok() => Self::Kept(conn),
            Self::Warm(..) => Self::Unused,
            other => other,
        }
    }
}

/// A reading connection, which goes back to its slot when dropped.
pub(crate) struct Reader {
    conn: Option<Connection>,
    slot: Option<usize>,
    /// The beat that its transaction shows, once it is known.
    shows: Cell<Option<BeatHeader>>,
    /// The pool's word from before that transaction began.
    quiet_since: Option<u64>,
    /// A scan sees to it that the cache of the connection stays as it is.
    pub(crate) is_cache_fixed: Cell<bool>,
    pub(crate) core: Arc<Core>,
}

impl Reader {
    /// Notes the beat that its transaction shows.
    pub(crate) fn note_shows(&self, header: BeatHeader) {
        self.shows.set(Some(header));
    }

    /// The connection.
    pub(crate) fn conn(&self) -> Result<&Connection> {
        self.conn.as_ref().ok_or_else(given_back)
    }
}

/// Only drop takes the connection, so nobody ever meets this.
fn given_back() -> Error {
    Error::new(ErrorKind::Closed, "view", "the reader was given back")
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut conn = self.conn.take();
        if let (Some(at), Some(header)) = (self.slot, self.shows.get()) {
            let mut pool = self.core.readers.lock();
            // Nobody has written since, so what it shows is the newest still.
            let stays = self.quiet_since.is_some()
                && self.quiet_since == pool.quiet_since()
                && !self.core.health.is_poisoned();
            if let Some(warm) = conn.take_if(|conn| stays && !conn.is_autocommit()) {
                if let Some(slot) = pool.slots.get_mut(at) {
                    *slot = Slot::Warm(warm, header);
                }
                return;
            }
        }
        let ended = conn
            .filter(|conn| conn.is_autocommit() || connection::run(conn, sql::COMMIT).is_ok())
            .map_or(Slot::Unused, Slot::Kept);
        // An extra reader has no slot, and closes here.
        let Some(at) = self.slot else { return };
        if let Some(slot) = self.core.readers.lock().slots.get_mut(at) {
            *slot = ended;
        }
    }
}
